"""How much of a run's code stands in public solutions.

lexer.py     Python as tokens, broken Python too
tokens.py    normalised tokens: what renaming and reformatting leave as it is
winnow.py    fingerprints of a row of tokens (Schleimer, Wilkerson and Aiken 2003)
families.py  near copies among the references, so that forks of one notebook count once
corpus.py    the references' fingerprints, kept in the user's cache directory
compare.py   similarity in percent, and the passages behind it
passages.py  the same code on both sides, line by line
"""
