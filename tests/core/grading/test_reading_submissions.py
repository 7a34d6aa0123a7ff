"""What is refused before a single cell is looked at, and what is read as pandas reads it."""

import os
import socket
from pathlib import Path

import pandas as pd
import pytest

from mleb_core.errors import GraderError, InvalidSubmissionError
from mleb_core.grading.files import fingerprint
from mleb_core.grading.read import read_answers, read_submission


def refused(path, **options):
    with pytest.raises(InvalidSubmissionError) as caught:
        read_submission(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_file(tmp_path):
    assert "there is no such file" in refused(tmp_path / "none.csv")
    (tmp_path / "file").write_text("x")
    assert "there is no such file" in refused(tmp_path / "file" / "none.csv")


def test_a_link_is_never_followed(tmp_path, submit):
    good = submit("id,y\na,1\n")
    (tmp_path / "link.csv").symlink_to(good)
    (tmp_path / "dangling.csv").symlink_to(tmp_path / "nowhere")
    assert "symbolic link" in refused(tmp_path / "link.csv")
    assert "symbolic link" in refused(tmp_path / "dangling.csv")


def test_a_directory(tmp_path):
    assert "it is a directory" in refused(tmp_path)


def test_a_fifo_does_not_wait_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "fifo.csv")
    assert "not a regular file" in refused(tmp_path / "fifo.csv")


def test_devices_and_sockets(tmp_path):
    assert "not a regular file" in refused(Path("/dev/zero"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        assert "not a regular file" in refused(tmp_path / "s")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file(submit, content):
    assert "empty" in refused(submit(content))


def test_a_header_alone(submit):
    assert "no rows" in refused(submit("id,y\n"))


def test_a_sparse_file_of_3_gb_is_refused_by_its_size(tmp_path):
    path = tmp_path / "huge.csv"
    with path.open("wb") as stream:
        stream.truncate(3 * 1024**3)
    assert "too large: 3,221,225,472 bytes, at most 2,147,483,648" in refused(path)


def test_the_size_limit_can_be_set(submit):
    path = submit("id,y\na,1\n")
    assert len(read_submission(path, max_bytes=9)) == 1
    assert "at most 8 are read" in refused(path, max_bytes=8)


def test_nul_bytes_are_found_before_pandas_sees_them(tmp_path, submit):
    assert "line 3 holds a NUL byte" in refused(submit(b"id,y\na,1\nb,\x002\n"))
    sparse = tmp_path / "sparse.csv"
    with sparse.open("wb") as stream:
        stream.write(b"id,y\na,1\n")
        stream.truncate(1024**3)
    assert "line 3 holds a NUL byte" in refused(sparse)


def test_binary_junk(submit):
    assert "line" in refused(submit(bytes(range(256)) * 100))
    assert "is not UTF-8" in refused(submit(b"\x89PNG\r\n\x1a\n" * 50))


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "cp1252"])
def test_other_encodings_are_refused_with_the_line(submit, encoding):
    message = refused(submit("id,y\na,Straße\n".encode(encoding)))
    assert "line 2 is not UTF-8" in message or "line 1" in message


def test_a_broken_character_across_two_pieces_of_the_file_is_found_in_its_line(submit):
    lines = b"id,y\n" + b"".join(b"%07d,xxxxxxx\n" % i for i in range(65536))  # a MiB in, where pieces meet
    cut = 1024**2 - 1
    text = lines[:cut] + b"\xc3" + lines[cut + 1 :]
    line = lines.count(b"\n", 0, cut) + 1
    assert f"line {line} is not UTF-8" in refused(submit(text))
    whole = lines[:cut] + "é".encode() + lines[cut + 2 :]
    assert len(read_submission(submit(whole))) == 65536


def test_a_byte_order_mark_is_fine(submit):
    assert list(read_submission(submit(b"\xef\xbb\xbfid,y\na,1\n")).columns) == ["id", "y"]


def test_a_column_name_that_is_there_twice(submit):
    assert "column 'y' is there twice" in refused(submit("id,y,y\na,1,2\n"))
    assert "column 'y' is there twice" in refused(submit('\ufeffid,y,"y"\na,1,2\n'))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("id,y\na,1,2\nb,1,2\n", "row 1 has 3 cells"),
        ("id,y\n1,1,2\n2,1,2\n3,1,2\n", "row 1 has 3 cells"),  # numbers, which pandas would take for row names
        (f"id,y\n{'a' * 70_000},1,2\nb,1,2\n", "row 1 has 3 cells"),
        ("\n" * 70_000 + "id,y\na,1,2\nb,1,2\n", "row 1 has 3 cells"),
        (f"{'i' * 65_533},y\na,1,2\nb,1,2\n", "row 1 has 3 cells"),
        ("id,y\na,1\nb,1,2\n", "line 3 has 3 cells where 2 are expected"),
        ("id,y\na,1\nb\nc,1\n", "row 2 has 1 of 2 cells (line 3)"),
        ('id,y\na,"1\n2"\n\nb\n', "row 2 has 1 of 2 cells (line 5)"),
        ('id,y\na,1\nb,"2\n', "not CSV"),
    ],
)
def test_ragged_rows(submit, content, expected):
    assert expected in refused(submit(content))


def test_rows_with_an_empty_last_cell_and_blank_lines_are_not_ragged(submit):
    table = read_submission(submit("id,y\n\na,1\nb,\n   \nc,2\n"))
    assert table["id"].tolist() == ["a", "b", "c"]


def test_a_first_line_without_end(submit):
    assert "first line is longer" in refused(submit(b"x" * (4 * 1024**2 + 1)))


@pytest.mark.parametrize(
    "content",
    [
        "id,y\n1,True\n2,False\n",
        "id,y\n1,true\n2,\n",
        "id,y\n007,NA\n8,1.5\n",
        "id,y\nx,null\ny,text\n",
        'id,y\nx,"a,b"\ny,"c\nd"\n',
        "id,y\r\n1,0.1\r\n2,1e-5\r\n",
        "id,y\n1,184467440737095516150\n2,3\n",
        ",id,y\n0,a,1\n1,b,2\n",
    ],
)
def test_values_are_typed_as_pandas_types_them(submit, content):
    path = submit(content)
    pd.testing.assert_frame_equal(read_submission(path), pd.read_csv(path))


def test_a_type_does_not_depend_on_where_a_chunk_ends(submit):
    numbers = "".join(f"{i},{i}\n" for i in range(300_000))
    table = read_submission(submit("id,y\n" + numbers + "300000,x\n"))
    assert {type(value) for value in table["y"]} == {str}


def test_options_reach_pandas(submit):
    path = submit("id,y\n007,NA\n")
    table = read_submission(path, dtype={"id": "str"}, keep_default_na=False)
    assert table.iloc[0].tolist() == ["007", "NA"]


def test_answers_are_read_again_only_where_their_file_has_changed(submit):
    path = submit("id,y\na,1\n")
    first, again = read_answers(path), read_answers(path)
    assert first["y"].tolist() == again["y"].tolist() == [1]
    path.write_text("id,y\na,2\nb,3\n")
    assert read_answers(path)["y"].tolist() == [2, 3]
    assert read_answers(path, dtype={"y": "str"})["y"].tolist() == ["2", "3"]


def test_columns_that_are_added_to_answers_do_not_stay(submit):
    path = submit("id,y\na,1\n")
    table = read_answers(path)
    table["new"] = 1
    assert list(read_answers(path).columns) == ["id", "y"]


@pytest.mark.parametrize("content", [None, b"", b"id,y\na,1\nb,1,2\n", b"id,y\na,\xff\n"])
def test_answers_that_cannot_be_read_are_the_graders_fault(tmp_path, submit, content):
    path = tmp_path / "none.csv" if content is None else submit(content)
    with pytest.raises(GraderError) as caught:
        read_answers(path)
    assert "prepare them again" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_fingerprint_is_the_sha256_of_the_bytes(submit):
    digest, size = fingerprint(submit(b"abc"))
    assert (digest, size) == ("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 3)


def test_a_column_that_usecols_wants(submit):
    assert "column 'tags' is missing" in refused(submit("id,y\na,1\n"), usecols=["id", "tags"])
    assert list(read_submission(submit("y,more,id\n1,x,a\n"), usecols=["id", "y"])) == ["y", "id"]
