"""Checking and scoring submissions.

    protocol.py   what a grader is (`Grader`) and what it is given (`GradingTask`)
    table.py      `TableGrader`: the grader of nearly all competitions, a metric around which all else is declared
    options.py    what competitions may declare for a TableGrader beside the metric's own options
    files.py      opening a submission safely; its checksum
    read.py       a submission or the answers as a table; refuses what is no CSV table
    ids.py        columns and ids: which row of the submission answers which row of the truth
    cells.py      cells: what each column must hold, as arrays
    grade.py      `grade_submission`: from a file to a `Grade`, in this process
    pool.py       `GradingPool`: the same in child processes with limits on time and memory
    child.py      such a child, seen from the pool
    worker.py     what such a child does
    limits.py     how it limits itself

Graders that are no plain tables (masks, boxes) use read.py, ids.py and cells.py by themselves, or override
`TableGrader.score`. Nothing is imported here: a plugin's hooks.py may import table.py for next to nothing.
"""
