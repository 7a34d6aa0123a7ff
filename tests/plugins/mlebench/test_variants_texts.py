"""Texts as other seeds of the competitions may hold them."""

from io import BytesIO

import pandas as pd
import pytest

from mleb_core.prepare.lines import open_lines
from mleb_core.prepare.tables import Reading

ROWS = [
    b"id,title,body,tags",
    b'1,"lone\rreturn","a, b",NA',
    b'2,"a ""quoted"", word","\r","x\r\ny"',
    b'3,"\rfirst",null,"last\r"',
    b'4,plain,"two\nlines, ""and"" more",c',
    b'5,"","\xe2\x80\xa8",\'',
    b'6,"""","\r,\r","c,"""',
]


@pytest.mark.parametrize(
    "columns", [["id", "title", "body", "tags"], ["id", "title", "body"], ["id", "tags"], ["tags", "id"], ["body"]]
)
def test_large_tables_keep_carriage_returns_in_cells(tmp_path, columns):
    path = tmp_path / "train.csv"
    path.write_bytes(b"\n".join(ROWS) + b"\n")
    lines = open_lines(path, Reading(), tmp_path)
    assert lines is not None
    written = BytesIO()
    lines.write(written, [5, 0, 3, 1, 2, 4], [lines.columns.index(column) for column in columns], columns)
    plain = pd.read_csv(path).iloc[[5, 0, 3, 1, 2, 4]][columns]
    assert written.getvalue() == plain.to_csv(index=False, lineterminator="\n").encode()
