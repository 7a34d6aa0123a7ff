"""Preparing large competitions: a table of 5.5 million rows, 200,000 small files, zip archives.

    python bench/prepare.py [ROWS] [FILES] [MEMBERS] [FOLDER]

The data is generated in a temporary folder below FOLDER and needs 4 GB there. The table is like that of taxi rides:
two columns of times as text, four of coordinates, half of them with all digits of a float.
"""

import os
import random
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
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


def laid_out(root: Path, count: int) -> None:
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

    def by_mleb(target: Path, own: bool) -> None:
        copy_files([(f"{source}/{name}", f"{target}/{name}") for name in names], own=own)

    compare(
        f"{count:,} files of 3 kB",
        root,
        {
            "a loop of shutil.copy": loop,
            "mleb from somebody's raw folder (copies)": lambda target: by_mleb(target, False),
            "mleb from its own raw data (hard links)": lambda target: by_mleb(target, True),
        },
    )


def unpacked(root: Path, count: int) -> None:
    """Unpacking zip archives."""
    from mleb_core.prepare import extract_archive

    pattern = random.Random(0).randbytes(2000)
    members = {
        f"{count:,} members of 4 kB": ((f"{i:06d}.jpg", i.to_bytes(4, "big") + pattern + b"ab12" * 500)
                                       for i in range(count)),
        "4 members of 150 MB": ((f"{i}.csv", b"".join(b"%d,%.9f\n" % (n, n / 7) for n in range(8_000_000)))
                                for i in range(4)),
    }  # fmt: skip
    for number, (what, contents) in enumerate(members.items()):
        path = root / f"{number}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, data in contents:
                archive.writestr(f"train/{name}", data)

        def standard(target: Path, path: Path = path) -> None:
            with zipfile.ZipFile(path) as archive:
                archive.extractall(target)

        ways = {"zipfile.extractall": standard, "mleb": lambda target, path=path: extract_archive(path, target)}
        compare(f"A zip of {what}", root, ways)


def compare(title: str, root: Path, ways: dict[str, Callable[[Path], None]]) -> None:
    """A table of what each way takes to fill an empty folder.

    All folders are removed in the end: making files soon after many were removed took several times as long here,
    probably because ext4 spares places that were freed a moment ago (`recently_deleted`).
    """
    target, taken = Path(tempfile.mkdtemp(dir=root)), {}
    for number, (what, way) in enumerate(ways.items()):
        folder = target / str(number)
        folder.mkdir()
        os.sync()  # what the one before left to write is not this one's
        start, used = time.perf_counter(), time.process_time()
        way(folder)
        taken[what] = time.perf_counter() - start, time.process_time() - used
    (base, least), *_ = taken.values()
    table(
        title,
        ("what", "seconds", "times faster", "processor seconds", "times less"),
        [(what, f"{t:.1f}", f"{base / t:.1f}", f"{cpu:.1f}", f"{least / cpu:.1f}") for what, (t, cpu) in taken.items()],
    )
    shutil.rmtree(target)


def main() -> None:
    """Print the tables."""
    given = dict(enumerate(sys.argv))
    rows, files, members = (int(given.get(i, n)) for i, n in enumerate((5_500_000, 200_000, 50_000), 1))
    with tempfile.TemporaryDirectory(dir=given.get(4)) as folder:
        if rows:
            csv_split(Path(folder), rows)
        laid_out(Path(folder), files)
        if members:
            unpacked(Path(folder), members)


if __name__ == "__main__":
    main()
