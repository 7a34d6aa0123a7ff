"""The code of a run, for audits: scripts, notebooks, journals, and what its model wrote.

sources.py   the code in a file; what cannot be read is a line, never a failure
of_run.py    all code of a run, each piece once
"""
