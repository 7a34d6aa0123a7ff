"""`mleb view`: run groups as web pages, served on this machine or written as files.

    files.py          reading what lies in a group, following no link
    text.py           texts of agents made visible; JSON for pages
    cells.py          one run, read as briefly as a list needs it
    index.py          all runs of a directory, kept up to date by their files' times
    child.py          statistics, in a process of their own
    statistics.py     asking that process, and keeping its answers
    leaderboards.py   the scores that a competition's medals were taken from
    passages.py       a part of a file of any size, as text
    conversation.py   one exchange with a model as messages; transcript.py: a transcript by exchanges
    ledgers.py        a ledger as a table
    findings.py       what audits found
    curves.py         what charts of a run show
    groups.py  runs.py  comparing.py     what each page shows, as plain data
    pages.py          pages from templates/; site.py: each page from what lies there at the moment
    app.py            addresses and their guards; server.py: serving them; export.py: writing them as files

Everything that an agent may have written is hostile: no page holds it but as text, and no file of a run is ever given
to a browser as anything that it would run.
"""
