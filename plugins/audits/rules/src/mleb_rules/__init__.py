"""Did an agent keep the rules?

rubric.py       the six questions
signs.py        what a sign of a broken rule is, with its evidence
reached.py      network and files, by the ledger
mentions.py     hosts, libraries and paths that the code names; whether it names the data
literals.py     predictions that stand in code
submissions.py  a submission that is the sample, another run's, or says the same of every row
log.py          the run's log as lines with places, cut into overlapping parts
judge.py        a judge model asked part by part; a quote that is not in the log is thrown away
agreement.py    how far repeated judgements agree
"""
