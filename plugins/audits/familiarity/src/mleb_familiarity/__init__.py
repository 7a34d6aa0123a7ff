"""How well a model knows a competition's texts, and whether scores go with it.

passages.py  texts on competitions: the user's, or Kaggle's pages and notebooks; none ship
measure.py   mean token probability of a text, from log-probabilities through the gateway
scores.py    normalised scores of runs: sample submission 0, gold 1
relation.py  Spearman's rank correlation with a bootstrap interval
plot.py      both in one picture
audit.py     the audit, as it is registered; in_findings.py: what it does
"""
