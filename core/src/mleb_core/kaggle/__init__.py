"""Competition data and leaderboards from Kaggle. The only place that knows kagglesdk, and loads it when a call is made.

    credentials.py   where the user's credentials are
    client.py        the calls, and what each wrong answer means
    patience.py      what is tried again, when, and how often
    transfer.py      a file over HTTP, resumed where it was cut
    download.py      a competition's archive, checked and unpacked
    preflight.py     what is missing before anything is downloaded: credentials, rules, space
    leaderboard.py   all human scores
    notebooks.py     public notebooks on a competition, by votes
    pages.py         a competition's public pages
    background.py    several downloads at a time
    words.py         sizes and progress in words

Needs the extra `mleb-core[kaggle]`.
"""
