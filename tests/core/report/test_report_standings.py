"""Published results that are kept to compare with, and reports as Parquet."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mleb_core.errors import UnknownIdError
from mleb_core.report.build import group_report, run_report
from mleb_core.report.formats import to_csv
from mleb_core.report.parquet import to_parquet
from mleb_core.report.standings import standing_named, standings
from mleb_core.report.table import COLUMNS


def test_the_rows_are_those_of_the_public_leaderboard(shared: Path):
    facts = json.loads((shared / "facts/standings.json").read_text())["rows"]
    kept = [row for row in standings() if row.source == "leaderboard"]
    names = ("agent", "models", "hours", "date", "low", "medium", "high", "all", "padded_seeds")
    assert [[list(v) if isinstance(v := getattr(row, n), tuple) else v for n in names] for row in kept] == [
        [fact[n] for n in names] for fact in facts
    ]


def test_all_is_the_mean_of_its_parts_by_their_sizes():
    for row in standings():
        if row.source == "leaderboard" and row.agent != "AIRA-dojo":
            whole = (22 * row.low[0] + 38 * row.medium[0] + 15 * row.high[0]) / 75
            assert math.isclose(whole, row.all[0], abs_tol=0.75), row.id


def test_the_best_setup_of_the_paper():
    row = standing_named("paper")
    assert (row.id, row.source, row.all) == ("paper-aide-o1-preview", "paper", (16.9, 1.1))


def test_ids_are_words_of_their_own():
    ids = [row.id for row in standings()]
    assert len(set(ids)) == len(ids)
    assert all(id == id.lower() and id.replace("-", "").replace(".", "").isalnum() for id in ids)
    with pytest.raises(UnknownIdError, match="did you mean"):
        standing_named("aide-o1-previw")


@pytest.fixture
def report(group, graded, finished):
    runs = [finished(key) for key in group.run_keys()[:4]]
    return group_report(
        group, runs, {run.key: run_report(run, graded(run.key.competition, "bronze", rank=3)) for run in runs}
    )


def test_parquet_has_the_rows_of_the_csv_typed(report, tmp_path):
    import csv
    import io

    from pyarrow import parquet

    (tmp_path / "x.parquet").write_bytes(to_parquet([report, report]))
    table = parquet.read_table(tmp_path / "x.parquet")
    assert tuple(table.column_names) == COLUMNS
    rows = table.to_pylist()
    lines = list(csv.DictReader(io.StringIO(to_csv(report))))
    assert len(rows) == 2 * len(lines) == 2 * report.counts.asked
    assert rows[: len(lines)] == rows[len(lines) :]
    for row, line in zip(rows, lines, strict=False):
        for column in COLUMNS:
            value = row[column]
            shown = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            assert shown == line[column], column
    assert (rows[0]["any_medal"], rows[0]["seed"], rows[0]["score"], rows[0]["rank"]) == (True, 0, 0.5, 3)
    assert (rows[-1]["graded"], rows[-1]["any_medal"], rows[-1]["score"]) == (False, None, None)


def test_without_pyarrow_there_is_one_line(tmp_path):
    (tmp_path / "pyarrow.py").write_text("raise ImportError('not here')\n")
    program = (
        "from mleb_core.errors import UsageError\nfrom mleb_core.report.parquet import to_parquet\n"
        "try: to_parquet([])\nexcept UsageError as error: print(error)\n"
    )
    env = os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=env)
    assert done.stdout == "Parquet needs pyarrow: pip install 'mleb-core[parquet]'\n"
