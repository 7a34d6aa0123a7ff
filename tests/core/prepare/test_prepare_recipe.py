"""The declared recipe: each key against what it must write."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from recipes import BASE, write

from mleb_core.errors import PreparationError


def frame(raw: Path) -> pd.DataFrame:
    return pd.read_csv(raw / "train.csv")


def order(n: int, test: int) -> tuple[list[int], list[int]]:
    rows = np.random.RandomState(0).permutation(n).tolist()
    return rows[test:], rows[:test]


def test_rows_in_the_order_of_the_split(made, raw):
    data = made(BASE + write('rows = "train"') + write('rows = "all"', "public/all.csv"))
    train, test = order(40, 10)
    assert (data.public / "out.csv").read_text() == frame(raw).take(train).to_csv(index=False)
    assert (data.public / "all.csv").read_text() == (raw / "train.csv").read_text()
    assert pd.read_csv(data.private / "answers.csv")["id"].tolist() == test


@pytest.mark.parametrize("key", ['order = "file"', 'order = "sorted"\nsort_by = ["x"]'])
def test_other_orders(made, raw, key):
    data = made(BASE.replace("test_size = 0.25", f"test_size = 0.25\n{key}"))
    assert pd.read_csv(data.private / "answers.csv")["id"].tolist() == sorted(order(40, 10)[1])


def test_columns_and_names(made, raw):
    out = 'rows = "test"\nhide = ["tar*"]\nrename = { x = "X" }\nfill = { new = true, key = "{id}_{x}" }\nindex = true'
    data = made(BASE + write(out))
    table = frame(raw).take(order(40, 10)[1]).drop(columns="target").rename(columns={"x": "X"})
    table["new"] = True
    table["key"] = [f"{i}_{x}" for i, x in zip(table["id"], table["X"], strict=True)]
    assert (data.public / "out.csv").read_text() == table.to_csv()


def test_one_hot_fill_all_and_declared_values(made, raw):
    (raw / "train.csv").write_text("id,kind,target\n" + "".join(f"{i},{'ba'[i % 2]},1\n" for i in range(8)))
    declared = BASE.replace(
        'train = "train.csv"', 'train = { file = "train.csv", values = { kind = ["a", "b", "c"] } }'
    )
    hot = 'rows = "test"\none_hot = "kind"\nhide = ["target"]'
    data = made(declared + write(hot) + write(hot + '\nfill = { "*" = 0.5 }', "public/half.csv"))
    test = order(8, 2)[1]
    assert (data.public / "out.csv").read_text() == "id,a,b,c\n" + "".join(
        f"{i},{i % 2},{(i + 1) % 2},0\n" for i in test
    )
    assert (data.public / "half.csv").read_text() == "id,a,b,c\n" + "".join(f"{i},0.5,0.5,0.5\n" for i in test)
    with pytest.raises(PreparationError, match=r"column 'kind' holds 'b', which is not among its `values`"):
        made(declared.replace('["a", "b", "c"]', '["a"]'))


def test_new_ids(made, raw, tmp_path):
    for i in range(40):
        (raw / f"{i}.txt").write_text(str(i))
    renumber = 'renumber = { column = "id", train = "Train_{n:03d}", test = "{old}x{n}", start = 5 }'
    copy = '\n[[prepare.copy]]\nfrom = "{id@raw}.txt"\nto = "public/f/{id}.txt"\nrows = "test"\n'
    data = made(BASE.replace("test_size = 0.25", f"test_size = 0.25\n{renumber}") + write('rows = "train"') + copy)
    train, test = order(40, 10)
    table = pd.read_csv(data.public / "out.csv")
    assert list(table.columns) == ["id", "x", "target"]
    assert table["id"].tolist() == [f"Train_{k:03d}" for k in range(5, 35)]
    assert table["x"].tolist() == [i / 7 for i in train]
    assert {p.name: p.read_text() for p in (data.public / "f").iterdir()} == {
        f"{i}x{k}.txt": str(i) for k, i in enumerate(test, 5)
    }


def test_groups_by_a_part_of_a_text(made, raw):
    ids = ["b_2_1", "a_1_1", "b_2_2", "c_1_1", "a_1_2", "d_9_1"]
    (raw / "train.csv").write_text("id,target\n" + "".join(f"{id},{i}\n" for i, id in enumerate(ids)))
    split = BASE.replace("test_size = 0.25", 'method = "grouped"\ncolumn = "id"\ntest_size = 2\nkey = "{group}_*"')
    data = made(split + write('rows = "train"'))
    wanted = [["b_2", "a_1", "c_1", "d_9"][i] for i in np.random.RandomState(0).permutation(4)[:2]]
    test = [id for group in wanted for id in ids if id.startswith(f"{group}_")]
    assert pd.read_csv(data.private / "answers.csv")["id"].tolist() == test
    assert set(pd.read_csv(data.public / "out.csv")["id"]) == set(ids) - set(test)
    with pytest.raises(PreparationError, match=r"column 'id': 'b_2_1' in row 1 does not fit '\{group\}-\*'"):
        made(split.replace("{group}_*", "{group}-*"))


def test_new_ids_by_value_and_continued(made, raw):
    rows = [(g, i) for i, g in enumerate([7, 7, 3, 3, 3, 9, 5, 5])]
    (raw / "train.csv").write_text("id,target\n" + "".join(f"{g},{i}\n" for g, i in rows))
    split = BASE.replace(
        "test_size = 0.25",
        'method = "grouped"\ncolumn = "id"\ntest_size = 2\norder = "file"\n'
        'renumber = { column = "id", each = "value", continued = true }',
    )
    data = made(split + write('rows = "train"'))
    names = [7, 3, 9, 5]
    test = {names[i] for i in np.random.RandomState(0).permutation(4)[:2]}
    ids: dict[int, int] = {}
    wanted = {}
    for part, keep in (("train", set(names) - test), ("test", test)):
        wanted[part] = "id,target\n"
        for g, i in rows:
            if g in keep:
                wanted[part] += f"{ids.setdefault(g, len(ids))},{i}\n"
    assert (data.public / "out.csv").read_text() == wanted["train"]
    assert (data.private / "answers.csv").read_text() == wanted["test"]


def test_side_tables_follow_the_split(made, raw):
    (raw / "side.csv").write_text("file,v\n" + "".join(f"{i % 50},{i}\n" for i in range(100)))
    recipe = BASE.replace('train = "train.csv"', 'train = "train.csv"\nside = "side.csv"')
    data = made(recipe + write('table = "side"\nrows = "test"\nmatch = { file = "id" }\ndistinct = ["file"]'))
    test = sorted(order(40, 10)[1])
    assert (data.public / "out.csv").read_text() == "file,v\n" + "".join(f"{i},{i}\n" for i in test)
    data = made(recipe + write('table = "side"\nsort_by = ["file"]\nrows = "all"'))
    assert pd.read_csv(data.public / "out.csv")["file"].tolist() == sorted([*range(50), *range(50)])


def test_share_of_the_original_test_set(made, raw):
    (raw / "test").mkdir()
    for i in range(10):
        (raw / "test" / f"{i}.tif").write_text("x")
    (raw / "test" / "readme.txt").write_text("x")
    data = made(BASE.replace("0.25", '{ files = "test/*.tif" }'))
    assert pd.read_csv(data.private / "answers.csv")["id"].tolist() == order(40, 8)[1]


def test_files_patterns_and_folders(made, raw):
    for i in range(40):
        (raw / "img" / str(i)).mkdir(parents=True)
        (raw / "img" / str(i) / "a.txt").write_text(str(i))
    (raw / "docs" / "deep").mkdir(parents=True)
    for name in ("a.md", "deep/b.md", "c.txt"):
        (raw / "docs" / name).write_text(name)
    copies = """
[[prepare.copy]]
from = "img/{id}/"
to = "public/test/{id}/"
rows = "test"

[[prepare.copy]]
from = "img/{id}/a.txt"
to = "public/flat/{id:03d}.txt"
rows = "train"

[[prepare.copy]]
from = "docs/**/*.md"
to = "public/md/"

[[prepare.copy]]
from = "docs/"
to = "public/docs/"

[[prepare.copy]]
from = "img/{id}/none.txt"
to = "public/none/{id}"
rows = "all"
missing = "skip"
"""
    data = made(BASE + copies)
    train, test = order(40, 10)
    found = {p.relative_to(data.public).as_posix(): p.read_text() for p in data.public.rglob("*.[tm][xd]*")}
    wanted = {f"test/{i}/a.txt": str(i) for i in test} | {f"flat/{i:03d}.txt": str(i) for i in train}
    wanted |= {f"docs/{name}": name for name in ("a.md", "deep/b.md", "c.txt")}
    wanted |= {f"md/{name}": name for name in ("a.md", "deep/b.md")}
    del found["description.md"]
    assert found == wanted


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_out_of_archives_and_into_archives(made, raw, kind):
    import tarfile

    files = {"train.csv": (raw / "train.csv").read_bytes(), **{f"train/{i}.bin": bytes([i]) * 99 for i in range(40)}}
    if kind == "zip":
        with zipfile.ZipFile(raw / "all.zip", "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(raw / "all.tar.gz", "w:gz") as tar:
            for name, content in files.items():
                info = tarfile.TarInfo(f"./{name}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    (raw / "train.csv").unlink()
    parts = f"""
[[prepare.copy]]
from = "all.{kind}!train/{{id}}.bin"
to = "public/train/{{id}}.bin"
rows = "train"

[[prepare.archive]]
file = "public/test.zip"
from = "all.{kind}!train/{{id}}.bin"
as = "{{id}}.bin"
rows = "test"

[[prepare.archive]]
file = "public/answers.zip"
from = "public/sample_submission.csv"
"""
    recipe = BASE.replace('"train.csv"', f'"all.{kind}!train.csv"')
    data = made(recipe + parts + write('rows = "test"', "public/test.csv.zip"))
    train, test = order(40, 10)
    assert {p.name: p.read_bytes() for p in (data.public / "train").iterdir()} == {
        f"{i}.bin": bytes([i]) * 99 for i in train
    }
    with zipfile.ZipFile(data.public / "test.zip") as archive:
        assert archive.namelist() == [f"{i}.bin" for i in test]
        assert archive.read(f"{test[0]}.bin") == bytes([test[0]]) * 99
    with zipfile.ZipFile(data.public / "test.csv.zip") as archive:
        assert archive.namelist() == ["test.csv"]
    with zipfile.ZipFile(data.public / "answers.zip") as archive:
        assert archive.read("sample_submission.csv") == (data.public / "sample_submission.csv").read_bytes()
    first = {p.name: p.read_bytes() for p in data.public.glob("*.zip")}
    data = made(recipe + parts + write('rows = "test"', "public/test.csv.zip"))
    assert {p.name: p.read_bytes() for p in data.public.glob("*.zip")} == first


def test_a_table_of_files(made, raw, make_competition, tmp_path):
    for species, name in (("b", "2.png"), ("b", "10.png"), ("A", "1.png"), ("a-c", "1.png"), ("a", "9.png")):
        (raw / "img" / species).mkdir(parents=True, exist_ok=True)
        (raw / "img" / species / name).write_text("x")
    (raw / "img" / "b" / "notes.txt").write_text("x")
    listed = write('table = "files"\nrows = "all"')
    recipe = BASE.replace('train = "train.csv"', 'train = "train.csv"\nfiles = { files = "img/{kind}/{n}.png" }')
    data = made(recipe + listed)
    assert (data.public / "out.csv").read_text() == "kind,n\nA,1\na,9\na-c,1\nb,10\nb,2\n"
    data = made(recipe.replace('{n}.png" }', '{n}.png", sort = "{kind}_{n}" }') + listed)
    assert (data.public / "out.csv").read_text() == "kind,n\nA,1\na-c,1\na,9\nb,10\nb,2\n"


def test_dropped_rows_and_added_columns(made, raw):
    table = '{ file = "train.csv", drop = { id = [0, 3] }, add = { key = "k{id}" } }'
    data = made(BASE.replace('"train.csv"', table) + write('rows = "all"'))
    wanted = frame(raw)
    wanted = wanted[~wanted["id"].isin([0, 3])].assign(key=lambda t: "k" + t["id"].astype(str))
    assert (data.public / "out.csv").read_text() == wanted.to_csv(index=False)


COPY = '\n[[prepare.copy]]\nfrom = "{x}"\nto = "public/x"\nrows = "test"\n'
