"""Preparing large competitions: a table of 5.5 million rows, 200,000 small files.

    python bench/prepare.py [ROWS] [FILES] [FOLDER]

The data is generated in a temporary folder below FOLDER and needs 4 GB there. The table is like that of taxi rides:
two columns of times as text, four of coordinates, half of them with all digits of a float.
"""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from common import command, table

GENERATE = """
import sys, numpy as np, pandas as pd
rows, path = int(sys.argv[1]), sys.argv[2]
random = np.random.default_rng(0)
for at in range(0, rows, 250_000):
    n = min(250_000, rows - at)
    seconds = pd.to_timedelta(random.integers(0, 2 * 10**8, n), unit="s")
    when = pd.Series((pd.Timestamp("2009-01-01") + seconds).strftime("%Y-%m-%d %H:%M:%S"), dtype=object)
    frame = pd.DataFrame({"key": when + "." + pd.Series(np.arange(at, at + n) + 1_000_000).astype(str)})
    frame["fare_amount"] = random.integers(25, 600, n) / 10
    frame["pickup_datetime"] = when + " UTC"
    for column, middle in {"from_x": -74, "from_y": 40.7, "to_x": -74, "to_y": 40.7}.items():
        exact = middle + random.normal(0, 0.03, n)
        frame[column] = np.where(random.random(n) < 0.5, exact.round(6), exact)
    frame["passenger_count"] = random.integers(0, 7, n)
    frame.to_csv(path, index=False, header=at == 0, mode="a")
"""
PANDAS = "import sys, pandas as pd; pd.read_csv(sys.argv[1]).to_csv(sys.argv[2], index=False)"
SPLIT = """
import sys
from pathlib import Path
from mleb_core.prepare.declared import Declared
from mleb_core.prepare.recipe import Recipe
from mleb_core.prepare.sources import Sources
raw, made, work = map(Path, sys.argv[1:])
work.mkdir()
recipe = {
    "tables": {"train": "train.csv"},
    "split": {"table": "train", "test_size": 0.1},
    "write": [
        {"file": "public/train.csv", "rows": "train"},
        {"file": "public/test.csv", "rows": "test", "hide": ["fare_amount"]},
        {"file": "private/test.csv", "rows": "test"},
        {"file": "public/sample.csv", "rows": "test", "columns": ["key", "fare_amount"],
         "fill": {"fare_amount": 11.35}},
    ],
}
Declared(Recipe.model_validate(recipe), Sources(raw, work), made, ids=("key",)).run()
"""


def csv_split(root: Path, rows: int) -> None:
    """Splitting a table."""
    raw = root / "raw"
    raw.mkdir()
    source = raw / "train.csv"
    command(sys.executable, "-c", GENERATE, str(rows), str(source))
    size = source.stat().st_size / 1e6
    results = {
        "read and write with pandas": command(sys.executable, "-c", PANDAS, str(source), str(root / "copy.csv")),
        "mleb: split and write 4 files": command(
            sys.executable, "-c", SPLIT, str(raw), str(root / "made"), str(root / "work")
        ),
    }
    (base, _), *_ = results.values()
    table(
        f"A table of {rows:,} rows, {size:,.0f} MB; a fresh process each",
        ("what", "seconds", "times pandas", "peak memory", "times the file"),
        [(what, f"{t:.1f}", f"{t / base:.2f}", f"{m:,.0f} MB", f"{m * 1.048576 / size:.2f}")
         for what, (t, m) in results.items()],
    )  # fmt: skip
    for path in (raw, root / "made", root / "work"):
        shutil.rmtree(path)
    (root / "copy.csv").unlink()


def small_files(root: Path, count: int) -> None:
    """Laying out many files."""
    from mleb_core.prepare import copy_files

    source = root / "images"
    source.mkdir()
    names = [f"{i:06d}.jpg" for i in range(count)]
    for i, name in enumerate(names):
        (source / name).write_bytes(i.to_bytes(4, "big") * 750)

    def loop(target: Path) -> None:
        for name in names:
            shutil.copy(source / name, target / name)

    def laid_out(target: Path, own: bool) -> None:
        copy_files([(f"{source}/{name}", f"{target}/{name}") for name in names], own=own)

    ways = {
        "a loop of shutil.copy": loop,
        "mleb from somebody's raw folder (copies)": lambda target: laid_out(target, False),
        "mleb from its own raw data (hard links)": lambda target: laid_out(target, True),
    }
    taken = {}
    for what, way in ways.items():
        target = root / "out"
        target.mkdir()
        os.sync()  # what the one before left to write is not this one's
        start = time.perf_counter()
        way(target)  # type: ignore[no-untyped-call]
        taken[what] = time.perf_counter() - start
        shutil.rmtree(target)
    base = next(iter(taken.values()))
    table(
        f"{count:,} files of 3 kB",
        ("what", "seconds", "times faster"),
        [(what, f"{t:.1f}", f"{base / t:.1f}") for what, t in taken.items()],
    )


def main() -> None:
    """Print the tables."""
    given = dict(enumerate(sys.argv))
    rows, files = int(given.get(1, 5_500_000)), int(given.get(2, 200_000))
    with tempfile.TemporaryDirectory(dir=given.get(3)) as folder:
        if rows:
            csv_split(Path(folder), rows)
        small_files(Path(folder), files)


if __name__ == "__main__":
    main()
