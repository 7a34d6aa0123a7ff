"""Rows as CSV text: held against pandas, kind by kind."""

import random

import numpy as np
import pandas as pd
import pytest

from mleb_core.prepare import write_csv
from mleb_core.prepare.cells import rows_as_text

FLOATS = [0.1, -0.0, 1e22, 1e16, 123456789.125, 5e-324, 1e-5, 0.1 + 0.2, float("inf"), float("-inf"), float("nan"), 3.0]
TEXTS = ["a", "", "a,b", 'say "no"', "two\nlines", "\ttab", " blank ", "ü€\U0001f600", '"', "NA", "'", ";", None]


def kinds(rows: int) -> dict[str, pd.Series]:
    pick = random.Random(0).choices
    texts = pick(TEXTS, k=rows)
    return {
        "float": pd.Series(pick(FLOATS, k=rows)),
        "integer": pd.Series(pick([0, -1, 2**62, 7], k=rows)),
        "unsigned": pd.Series(pick([0, 255], k=rows), dtype="uint8"),
        "flag": pd.Series(pick([True, False], k=rows)),
        "text": pd.Series(texts),
        "object": pd.Series(texts, dtype=object),
        "category": pd.Series(texts, dtype="category"),
        "numbers as category": pd.Series(pick([0.1, 2.0, None], k=rows), dtype="category"),
    }


def by_pandas(frame: pd.DataFrame, separator: str = ",") -> bytes:
    return frame.to_csv(index=False, header=False, sep=separator, lineterminator="\n").encode()


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize("name", kinds(1))
def test_as_pandas_writes_each_kind(name, separator):
    frame = pd.DataFrame({"a": kinds(200)[name], "b": 1})
    assert rows_as_text(frame, separator) == by_pandas(frame, separator)
    odd = frame.take(np.random.RandomState(0).permutation(200)[:50])  # an index that is no range
    assert rows_as_text(odd, separator) == by_pandas(odd, separator)


def test_all_kinds_at_once_and_no_rows():
    frame = pd.DataFrame(kinds(200))
    frame.columns = ["same"] * frame.shape[1]
    assert rows_as_text(frame, ",") == by_pandas(frame)
    assert rows_as_text(frame.iloc[:0], ",") == b""


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1.5, 2.5], dtype="float32"),
        pd.Series([1, None], dtype="Int64"),
        pd.Series([1, "a"], dtype=object),
        pd.Series(["a\rb", "c"]),
        pd.Series(pd.to_datetime(["2020-01-01", "2020-01-02"])),
        pd.Series([b"a", b"b"], dtype=object),
    ],
)
def test_other_kinds_are_left_to_pandas(column, tmp_path):
    frame = pd.DataFrame({"a": column, "b": [1, 2]})
    assert rows_as_text(frame, ",") is None
    write_csv(frame, tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_bytes() == frame.to_csv(index=False, lineterminator="\n").encode()


def test_empty_cells_of_a_single_column_are_quoted(tmp_path):
    write_csv(pd.DataFrame({"a,b": ["x", None, ""]}), tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_bytes() == b'"a,b"\nx\n""\n""\n'


def test_files_have_the_header_once(tmp_path):
    frame = pd.DataFrame({'a "quoted", name': kinds(50)["text"], "b": kinds(50)["float"]})
    write_csv(frame, tmp_path / "x.csv", rows=np.arange(50)[::-1])
    write_csv(frame.iloc[:0], tmp_path / "none.csv")
    assert (tmp_path / "x.csv").read_bytes() == frame[::-1].to_csv(index=False, lineterminator="\n").encode()
    assert (tmp_path / "none.csv").read_bytes() == b'"a ""quoted"", name",b\n'
