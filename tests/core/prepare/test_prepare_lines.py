"""Large tables are written from the lines of their file: the same bytes as from their cells."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mleb_core.prepare import declared, write_csv
from mleb_core.prepare import windows as windows_module
from mleb_core.prepare.declared import Declared
from mleb_core.prepare.lines import open_lines
from mleb_core.prepare.recipe import Recipe
from mleb_core.prepare.sources import Sources
from mleb_core.prepare.tables import Reading

CELLS = {
    "whole": ["0", "7", "-12", "007", "-0", "+5", " 3", "123456789012345678"],
    "float": ["0.1", "1.0", "5", "-0.0", "0.0", "1e5", "1E-7", "0.00001", "0.0001", "100.50", ".5", "7.", "00.5", "",
              "40.721319000000001", "-73.98765432101234", "0.30000000000000004", "123456789012345680.0", "NA", "nan",
              "inf", "-inf", "+1.5", "1e999", '"2.5"', "-.5", " 1.5", "123456789012.345", "0.1234567890123456"],
    "floats only": ["0.25", "13.125", "-40.5", "0.001", "99999.9"],
    "flag": ["True", "False", "true", "TRUE", "FALSE", '"True"'],
    "text": ["a", "b c", " padded ", '"x,y"', '"say ""hi"""', '"two\nlines"', '"cr\r\nlf"', "é漢字", "NA", "null", "",
             '""', '"quoted for nothing"', "None", "it's", "x;y", "-", '"\n"', "\u2028"],
    "digits and text": ["007", "a1", "1.50", "b", "12"],
}  # fmt: skip


def generated(seed: int, rows: int, separator: str, line_end: str) -> bytes:
    """A table of all kinds of cells."""
    random = np.random.RandomState(seed)
    columns = [*CELLS] * (1 + seed % 2)
    random.shuffle(columns)
    lines = [[f"{name} {i}" for i, name in enumerate(columns)]]
    lines += [[CELLS[name][random.randint(len(CELLS[name]))] for name in columns] for _ in range(rows)]
    return line_end.join(separator.join(line) for line in lines).encode() + (line_end.encode() if seed % 3 else b"")


@pytest.mark.parametrize("seed", range(12))
def test_lines_are_what_cells_give(seed, tmp_path, monkeypatch):
    monkeypatch.setattr(windows_module, "_BYTES", (300, 5000, 1 << 20)[seed % 3])
    separator = "\t" if seed % 5 == 4 else ","
    path = tmp_path / "in.csv"
    path.write_bytes(generated(seed, 250, separator, "\r\n" if seed % 4 == 3 else "\n"))
    reading = Reading(separator, floats="fast" if seed % 2 else "exact", missing_words=seed % 7 != 6)
    lines = open_lines(path, reading, tmp_path)
    assert lines is not None
    frame = reading.read(path)
    assert lines.columns == list(frame.columns)
    random = np.random.RandomState(seed)
    names = lines.columns
    for rows in (None, random.permutation(len(frame)), np.arange(3), np.array([], dtype=int)):
        for columns in (names, names[::-1], names[1:], [names[seed % len(names)]]):
            wanted, found = io.BytesIO(), io.BytesIO()
            write_csv(frame, wanted, rows=rows, columns=columns, separator=separator)
            lines.write(found, rows, [names.index(column) for column in columns], columns)
            assert found.getvalue() == wanted.getvalue()
    assert lines.frame(names[:2]).equals(frame[names[:2]])


def test_random_floats_of_any_size_and_length(tmp_path):
    random = np.random.RandomState(0)
    numbers = random.random_sample(20000) * 10.0 ** random.randint(-8, 20, 20000)
    texts = [f"{n!r}" if i % 3 else f"{n:.{i % 19}f}" if i % 2 else f"{n:.{i % 17}g}" for i, n in enumerate(numbers)]
    path = tmp_path / "in.csv"
    path.write_text("a,b\n" + "".join(f"{text},x\n" for text in texts))
    lines, wanted, found = open_lines(path, Reading(), tmp_path), io.BytesIO(), io.BytesIO()
    assert lines is not None
    write_csv(Reading().read(path), wanted)
    lines.write(found, None, [0, 1], ["a", "b"])
    assert found.getvalue() == wanted.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        b"a,b\n1,2\n3\n",
        b"a,b\n1,2,3\n4,5,6\n",
        b'a,b\nx "y" z,2\n',
        b'a,b\n"x" ,2\n',
        b"a,b\n1\r2,3\n",
        b"a,b\n1,2\n\n3,4\n",
        b"a\n1\n2\n",
        b"a,a\n1,2\n",
        b"a,b\n",
        b"",
        b'a,b\n"x,2\n',
        b"a,b\nTrue,1\n,2\n",
        b"a,b\nx\0,1\n",
        b"a,b\n\xff,1\n",
        b"a,b\n18446744073709551615,1\n",
    ],
)
def test_what_is_not_understood_is_left_to_pandas(text, tmp_path):
    path = tmp_path / "in.csv"
    path.write_bytes(text)
    assert open_lines(path, Reading(), tmp_path) is None


def test_mixed_types_are_left_to_pandas(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("a,b\n" + "1,007\n" * 530_000 + "1,x\n" * 9)
    assert open_lines(path, Reading(), tmp_path) is None


RECIPE = {
    "tables": {"train": "train.csv.zip", "side": {"file": "side.csv", "read": {"dtype": {"code": "text"}}}},
    "split": {"table": "train", "method": "stratified", "column": "kind", "test_size": 0.3, "seed": 1},
    "write": [
        {"file": "public/train.csv", "rows": "train"},
        {"file": "public/test.csv", "rows": "test", "hide": ["target"]},
        {"file": "private/test.csv", "rows": "test", "sort_by": ["id"]},
        {"file": "public/sample.csv", "rows": "test", "columns": ["id", "target", "copy"],
         "fill": {"target": 0.5, "copy": "{text}"}, "rename": {"copy": "as, it was"}},
        {"file": "public/zeros.csv.zip", "rows": "test", "fill": {"*": "a,b"}},
        {"file": "public/made.csv", "rows": "test", "columns": ["id", "n"], "fill": {"n": "{id}-{kind}"}},
        {"file": "public/rounded.csv", "rows": "train", "float_format": "%.2f"},
        {"file": "public/kinds.csv", "distinct": ["kind"]},
        {"file": "public/side.csv", "table": "side", "rows": "test", "match": {"code": "kind"}},
        {"file": "public/all.csv", "table": "side"},
    ],
}  # fmt: skip


@pytest.mark.parametrize("large", [0, 10**9])
def test_a_recipe_gives_the_same_files_either_way(large, tmp_path, monkeypatch):
    random = np.random.RandomState(0)
    raw = tmp_path / "raw"
    raw.mkdir()
    texts = ["plain", '"a, b"', "NA", '"x""y"', ""]
    rows = [f"{i},{'abc'[i % 3]},{random.random_sample():.6f},{texts[i % 5]},{i % 7}" for i in range(300)]
    with zipfile.ZipFile(raw / "train.csv.zip", "w") as archive:
        archive.writestr("train.csv", "id,kind,x,text,target\n" + "\n".join(rows) + "\n")
    (raw / "side.csv").write_text("code,v\na,1.50\nb,2\nz,\n")

    def made(least: int, name: str) -> dict[str, bytes]:
        monkeypatch.setattr(declared, "LARGE", least)
        target = tmp_path / name
        recipe = Recipe.model_validate(RECIPE)
        work = Declared(recipe, Sources(raw, tmp_path / f"{name}-scratch"), target, ids=("id",))
        work.run()
        assert work.train.shape == (210, 5)
        assert list(work.test["id"]) == list(work.table("train")["id"].take(work.parts.test))
        return {path.relative_to(target).as_posix(): path.read_bytes() for path in Path(target).rglob("*.*")}

    small, found = made(10**9, "small"), made(large, f"large-{large}")
    assert len(small) == 10
    assert found == small


def test_a_member_is_unpacked_once(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.csv.zip", "w") as archive:
        archive.writestr("t.csv", "a,b\n1,2\n")
    sources = Sources(tmp_path, tmp_path / "scratch")
    assert sources.large_file("t.csv.zip", 100) is None
    first = sources.large_file("t.csv.zip", 1)
    assert first is not None
    assert first.read_bytes() == b"a,b\n1,2\n"
    assert sources.large_file("t.csv.zip", 1) == first
    with sources.open("t.csv.zip") as stream:
        assert stream.name == str(first)
