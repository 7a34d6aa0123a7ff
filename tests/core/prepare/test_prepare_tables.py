"""CSV in and out, byte for byte."""

import gzip
import io
import zipfile

import numpy as np
import pandas as pd
import pytest

from mleb_core.errors import PreparationError
from mleb_core.prepare import need_columns, read_csv, write_csv
from mleb_core.prepare import tables as tables_module
from mleb_core.prepare.floats import fast_float


def round_trip(text: str, tmp_path, read=None, **write) -> str:
    source, target = tmp_path / "in.csv", tmp_path / "out" / "out.csv"
    source.write_bytes(text.encode())
    target.unlink(missing_ok=True)
    write_csv(read_csv(source, **(read or {})), target, **write)
    return target.read_bytes().decode()


def test_floats_come_back_as_they_stand(tmp_path):
    values = np.random.default_rng(0).random(5000) * 10.0 ** np.random.default_rng(1).integers(-30, 30, 5000)
    text = "a\n" + "".join(f"{value!r}\n" for value in values.tolist())
    assert round_trip(text, tmp_path) == text


def test_words_for_missing(tmp_path):
    text = "a,b\nnull,1\nx,2\nNA,3\n,4\n"
    assert round_trip(text, tmp_path) == "a,b\n,1\nx,2\n,3\n,4\n"
    assert round_trip(text, tmp_path, read={"missing_words": False}) == text


def test_types_are_guessed_unless_given(tmp_path):
    text = "id,n\n007,1\n12e3,\n"
    assert round_trip(text, tmp_path) == "id,n\n7.0,1.0\n12000.0,\n"
    assert round_trip(text, tmp_path, read={"dtype": {"id": "text", "n": "text"}}) == text


def test_quotes_and_line_ends_inside_cells(tmp_path):
    text = 'a,b\n"x,\r\ny",1\n"say ""hi""",2\n'
    assert round_trip(text, tmp_path) == text
    assert round_trip("a,b\nx,1\n", tmp_path, quote="text") == '"a","b"\n"x",1\n'
    assert round_trip("a,b\nx,1\n", tmp_path, quote="all") == '"a","b"\n"x","1"\n'


def test_pieces_give_the_same_bytes_as_the_whole(tmp_path, monkeypatch):
    frame = pd.DataFrame({"id": range(100), "x": np.linspace(0, 1, 100), "t": [None, "a,b"] * 50, "z": [True] * 100})
    rows = np.random.RandomState(0).permutation(100)
    wanted = frame.take(rows)[["t", "x", "id"]].to_csv(index=False)
    for cells in (4, 40, 10**6):
        monkeypatch.setattr(tables_module, "_CHUNK_CELLS", cells)
        out = io.BytesIO()
        write_csv(frame, out, rows=rows, columns=["t", "x", "id"])
        assert out.getvalue().decode() == wanted
    out = io.BytesIO()
    write_csv(frame.iloc[:0], out, columns=["id"])
    assert out.getvalue() == b"id\n"


def test_tabs_gzip_and_numbers_formatted(tmp_path):
    (tmp_path / "a.tsv").write_text("a\tb\n1.50\tx\n")
    write_csv(read_csv(tmp_path / "a.tsv"), tmp_path / "b.tsv", float_format="%.3f")
    assert (tmp_path / "b.tsv").read_text() == "a\tb\n1.500\tx\n"
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(b"a\n1\n"))
    assert read_csv(tmp_path / "c.csv.gz")["a"].tolist() == [1]


# Text, and what pandas 2.2.3 reads by default.
FAST = [
    ("10.35645053584418562", "0x1.4b680af442f55p+3"),
    ("7.556470398929617e-10", "0x1.9f6bddd17b178p-31"),
    ("0.0000000000494157365215263", "0x1.b2aa4398fc551p-35"),
    ("0.060816455294971816", "0x1.f23559d19e1aep-5"),
    ("5.", "0x1.4000000000000p+2"),
    ("123456789012345678901234567890.5", "0x1.8ee90ff6c373ep+96"),
    ("00000000000000000001.5", "0x0.0p+0"),
    ("12345678901234567.8e-330", "0x0.0000094f08f0cp-1022"),
    ("1.7976931348623157e308", "0x1.fffffffffffffp+1023"),
]


def test_fast_floats_err_as_older_pandas_does(tmp_path):
    texts = ["0.5", "1e5", "-.5", "nan", "inf"]
    assert [fast_float(t) for t in texts[:3]] == [0.5, 1e5, -0.5]
    assert np.isnan(fast_float("nan"))
    assert fast_float("-inf") == -np.inf
    for text, wanted in FAST:
        assert fast_float(text).hex() == wanted, text
    source = tmp_path / "f.csv"
    source.write_text("x,y\n" + "".join(f"{text},a\n" for text, _ in FAST) + ",b\n")
    assert sum(float(text).hex() != wanted for text, wanted in FAST) > 3  # they do err
    fast = read_csv(source, floats="fast")
    assert [value.hex() for value in fast["x"].tolist()[:-1]] == [wanted for _, wanted in FAST]
    assert np.isnan(fast["x"].iloc[-1])
    assert fast["y"].tolist() == ["a"] * len(FAST) + ["b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is missing; a table is expected there"),
        (b"", "is empty; a table with a header is expected"),
        (b"a\n\xff\xfe\n", "is not utf-8"),
        (b"a,b\n1,2\n1,2,3\n", "cannot be read as a table: .*line 3"),
        (b'a,b\n"1,2\n', "cannot be read as a table"),
    ],
)
def test_what_is_no_table_is_one_line(tmp_path, content, message):
    path = tmp_path / "x.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PreparationError, match=message) as caught:
        read_csv(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cells_that_do_not_fit_their_type(tmp_path):
    (tmp_path / "x.csv").write_text("n\n1\nx\n")
    with pytest.raises(PreparationError, match=r"x\.csv cannot be read as a table"):
        read_csv(tmp_path / "x.csv", dtype={"n": "integer"})
    with pytest.raises(PreparationError, match="is a folder"):
        read_csv(tmp_path)


def test_needed_columns_are_named():
    with pytest.raises(PreparationError, match="t has no column 'b'; it has: a, c"):
        need_columns(pd.DataFrame({"a": [1], "c": [2]}), ["a", "b"], "t")


def test_a_stream_out_of_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.csv", "x\n10.35645053584418562\n")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive, archive.open("t.csv") as stream:
        assert read_csv(stream, floats="fast")["x"].tolist() == [float.fromhex(FAST[0][1])]
