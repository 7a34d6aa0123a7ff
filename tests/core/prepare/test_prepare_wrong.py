# ruff: noqa: E501
"""What is wrong with a recipe or with its data is one line that names it."""

import pytest
from recipes import BASE, write

from mleb_core.errors import CompetitionError, MlebError, PreparationError


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("test_size = 0.25", "", "prepare.split: `test_size` or `train_size` is needed"),
        ("test_size = 0.25", "test_size = 1.5", "prepare.split: a size is a share between 0 and 1 or a whole count"),
        ("test_size = 0.25", 'test_size = 0.25\nmethod = "grouped"', 'method = "grouped" needs `column`'),
        ("test_size = 0.25", 'test_size = 0.25\ncolumn = "x"', 'method = "random" takes no `column`'),
        ("test_size = 0.25", 'test_size = 0.25\norder = "sorted"', 'order = "sorted" and `sort_by` go together'),
        ("test_size = 0.25", 'test_size = 0.25\nkey = "{group}_*"', '`key` goes with method = "grouped"'),
        ("test_size = 0.25", "test_sise = 0.25", "prepare.split.test_sise: Extra inputs are not permitted"),
        ('table = "train"', 'table = "trian"', "no table 'trian'; known: train"),
        ('"public/sample_submission.csv"', '"sample_submission.csv"', "expected a path under public/ or private/"),
        ('"public/sample_submission.csv"', '"public/../x.csv"', "expected a path under public/ or private/"),
        ('"public/sample_submission.csv"', '"private/answers.csv"', "private/answers.csv is written twice"),
        ('"public/sample_submission.csv"', '"public/x.parquet"', "expected a .csv, .tsv"),
        ("fill = ", 'hide = ["x"]\nfill = ', "`columns` and `hide` exclude each other"),
        ("fill = ", 'match = "x"\nfill = ', "match: goes with tables that are not split"),
        ('"train.csv"', "{ }", "expected either `file` or `files`"),
    ],
)
def test_wrong_recipes_name_the_key(make_competition, old, new, message):
    assert old in BASE
    competition = make_competition(BASE.replace(old, new))
    with pytest.raises(CompetitionError) as caught:
        _ = competition.spec
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: (raw / "train.csv").unlink(), r"train.csv is missing in the raw data .*, which holds nothing"),
        (lambda raw: (raw / "train.csv").write_text(""), "train.csv is empty"),
        (lambda raw: (raw / "train.csv").write_text("id,x\n1,2\n3,4\n"), "table 'train' has no column 'target'"),
        (lambda raw: (raw / "train.csv").write_text("id,target\n1,2\n"), "table 'train': 1 rows cannot be split"),
        (lambda raw: (raw / "train.csv").write_bytes(b"\x80\x81"), "is not utf-8"),
    ],
)
def test_wrong_data_is_one_line(made, raw, change, message):
    change(raw)
    with pytest.raises(PreparationError, match=message) as caught:
        made(BASE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ('[[prepare.copy]]\nfrom = "no.txt"\nto = "public/no.txt"', "no.txt is missing in the raw data"),
        ('[[prepare.copy]]\nfrom = "img/{id}.png"\nto = "public/{id}"\nrows = "test"', r"img/\d+.png is missing in the raw"),
        ('[[prepare.copy]]\nfrom = "no/"\nto = "public/no/"', "no is missing in the raw data"),
        ('[[prepare.copy]]\nfrom = "*.png"\nto = "public/"', r"no file fits '\*.png' in the raw data"),
        ('[[prepare.copy]]\nfrom = "a.zip!x"\nto = "public/x"', "a.zip is missing; an archive is expected"),
        ('[[prepare.copy]]\nfrom = "bad.zip!x"\nto = "public/x"', "bad.zip is broken or cut short .*; get it again"),
        ('[[prepare.copy]]\nfrom = "{no}"\nto = "public/x"\nrows = "test"', "has no column 'no'"),
        ('[[prepare.copy]]\nfrom = "train.csv"\nto = "public/x"\nrows = "all"\n'
         '[[prepare.copy]]\nfrom = "train.csv"\nto = "public/x"', "x is made twice"),
        ('[[prepare.copy]]\nfrom = "train.csv"\nto = "public/{up}"\nrows = "all"', "leaves the prepared data"),
        (write('rows = "test"\ncolumns = ["nope"]'), "public/out.csv: table 'train' has no column 'nope'; it has: id, "),
        (write('rows = "test"\nfill = { a = "{gap}" }\nhide = ["gap"]\nsort_by = ["no"]'), "has no column 'no'"),
        ('[[prepare.copy]]\nfrom = "train.csv"\nto = "public/{gap}"\nrows = "all"', "column 'gap' of table 'train' is empty in row 1"),
        ('[[prepare.copy]]\nfrom = "train.csv"\nto = "public/{id!r}"\nrows = "all"', "expected columns in braces"),
        ('[[prepare.archive]]\nfile = "public/x.zip"\nfrom = "no"\nrows = "test"', "no is missing; a file is expected"),
    ],
)  # fmt: skip
def test_wrong_parts_are_one_line(made, raw, extra, message):
    (raw / "train.csv").write_text("id,target,up,gap\n" + "".join(f"{i},0,../../x{i},\n" for i in range(8)))
    (raw / "bad.zip").write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(MlebError, match=message) as caught:
        made(BASE + "\n" + extra)
    assert "\n" not in str(caught.value)
