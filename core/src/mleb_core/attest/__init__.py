"""Attestations: one page of what ran in a group, on what, under which terms, what was checked of it, and what was not.

models.py is what an attestation says; build.py makes it from a group's directory; gaps.py finds what was not checked;
page.py shows it to people; check.py holds one against a group; sign.py signs files and checks signatures, as minisign.
"""
