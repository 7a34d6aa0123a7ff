"""The reference models whose scores are the leaderboards of the samples.

    python -m mleb_samples.reference ID...

No person competed in the samples. Instead more than a hundred scikit-learn models of varied kind and strength are
trained for each on its public data, and the competition's grader scores them on the private answers:

- tasks.py: what is predicted in each competition, and the views (feature tables) that its models get;
- views.py: how a view is made from public files;
- models.py: the models;
- board.py: every model on every view, and some on a part of the rows, graded;
- __main__.py: writes leaderboard.csv, and the thresholds into competition.toml.

All is seeded: the same versions of numpy and scikit-learn on the same kind of machine give the same board.
"""
