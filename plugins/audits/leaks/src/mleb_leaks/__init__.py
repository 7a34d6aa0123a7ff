"""Looks for answers that prepared data gives away. No model is needed.

truth.py is what must not be public; files.py and formats/ read whatever is public as records; linked.py brings records
and answers of one id together; giveaway.py judges fields, structured.py sequences, masks and positions; overlap.py and
groups.py compare test with train.
"""
