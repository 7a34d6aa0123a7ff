"""What the golden cases of the text competitions are too small to show."""

import json
import tarfile
import zipfile

import numpy as np
import pandas as pd
import pytest

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation
from mleb_core.prepare.context import code_of
from mleb_core.registry import Registry


@pytest.fixture
def context(tmp_path):
    """Makes an empty preparation of a competition; its raw folder is to be filled."""

    def make(id):
        folders = {name: tmp_path / name for name in ("raw", "public", "private", "work")}
        for folder in folders.values():
            folder.mkdir()
        return Preparation(edition=1, competition=Registry().competition(id), **folders)

    return make


def prepared(context, **constants):
    """Run prepare.py, with other values for its constants."""
    with code_of(context.competition.folder / "prepare.py", "prepare") as prepare:
        for name, value in constants.items():
            assert name in prepare.__globals__
            prepare.__globals__[name] = value
        prepare(context)


def notebooks(raw, families):
    """Raw notebooks, one a row, each of a family."""
    ids = [f"nb{number:03d}" for number in range(len(families))]
    (raw / "train").mkdir()
    for id in ids:
        cells = {f"{id}{cell}": "code" for cell in "cab"}
        (raw / "train" / f"{id}.json").write_text(json.dumps({"cell_type": cells, "source": {}}))
    ancestors = pd.DataFrame({"id": ids, "ancestor_id": families, "parent_id": ""})
    ancestors.to_csv(raw / "train_ancestors.csv", index=False)
    pd.DataFrame({"id": ids, "cell_order": [f"{id}a {id}b {id}c" for id in ids]}).to_csv(
        raw / "train_orders.csv", index=False
    )
    return ancestors


def test_families_of_notebooks_are_hidden_while_they_fit(context):
    given = context("AI4Code")
    draw = np.random.default_rng(4)
    table = notebooks(given.raw, [f"f{draw.integers(25)}" for _ in range(100)])
    prepared(given, TEST_NOTEBOOKS=30)

    # The rule, once more: families in the order of the shuffled table, each whole, where it still fits.
    shuffled = table.iloc[np.random.RandomState(0).permutation(100)]
    hidden, sizes = [], table["ancestor_id"].value_counts()
    room = 30
    for family in shuffled["ancestor_id"].drop_duplicates():
        if sizes[family] <= room:
            hidden.append(family)
            room -= sizes[family]
    test = table["id"][table["ancestor_id"].isin(hidden)]
    assert 0 < len(test) <= 30
    skipped = set(shuffled["ancestor_id"].drop_duplicates()[: len(hidden)]) - set(hidden)
    assert skipped, "a family that does not fit is left out while later ones are taken"

    public, private = given.public, given.private
    assert list(pd.read_csv(private / "test_orders.csv")["id"]) == list(test)
    train = shuffled[~shuffled["id"].isin(test)]
    assert list(pd.read_csv(public / "train_ancestors.csv")["id"]) == list(train["id"])
    assert list(pd.read_csv(public / "train_orders.csv")["id"]) == sorted(train["id"])
    assert sorted(path.stem for path in (public / "test").iterdir()) == list(test)
    assert sorted(path.stem for path in (public / "train").iterdir()) == sorted(train["id"])
    sample = pd.read_csv(public / "sample_submission.csv", index_col="id")["cell_order"]
    assert list(sample.index) == list(test)
    assert all(cells == f"{id}c {id}a {id}b" for id, cells in sample.items())


def test_a_notebook_without_cells_is_named(context):
    given = context("AI4Code")
    notebooks(given.raw, ["f"] * 3)
    (given.raw / "train" / "nb001.json").write_text('{"source": {}}')
    with pytest.raises(PreparationError, match=r"nb001\.json is no notebook"):
        prepared(given)


def test_every_kind_of_line_end_ends_a_sentence(context):
    given = context("billion-word-imputation")
    lines = [f'word{n} "two" three\u2028four\tfive {n}' for n in range(60)]
    text = "".join(line + ["\n", "\r\n", "\r"][n % 3] for n, line in enumerate(lines)) + "a b\nlast line here"
    with zipfile.ZipFile(given.raw / "train_v2.txt.zip", "w") as archive:
        archive.writestr("train_v2.txt", text)
    prepared(given, TEST_SHARE=0.3)

    answers = pd.read_csv(given.private / "test.csv")
    with zipfile.ZipFile(given.public / "train_v2.txt.zip") as archive:
        kept = archive.read("train_v2.txt").decode().split("\n")
    assert sorted([*answers["sentence"], *kept]) == sorted([*lines, "a b", "last line here", *[""] * (kept[-1] == "")])
    shortened = pd.read_csv(given.private / "sample_submission.csv")
    assert list(shortened["id"]) == list(range(len(answers)))
    for whole, short in zip(answers["sentence"], shortened["sentence"], strict=True):
        words, left = whole.split(), short.split(" ")
        assert left in [words[:gap] + words[gap + 1 :] for gap in range(1, len(words) - 1)]


def test_only_so_many_sentences_are_read(context):
    given = context("billion-word-imputation")
    with zipfile.ZipFile(given.raw / "train_v2.txt.zip", "w") as archive:
        archive.writestr("train_v2.txt", "one two three\n" * 50)
    prepared(given, LINES=20, TEST_SHARE=0.5)
    with zipfile.ZipFile(given.public / "train_v2.txt.zip") as archive:
        kept = archive.read("train_v2.txt").count(b"\n")
    assert kept + len(pd.read_csv(given.private / "test.csv")) == 20


def test_samples_without_a_row_are_refused(context, shared):
    given = context("multi-modal-gesture-recognition")
    with zipfile.ZipFile(shared / "golden" / "multi-modal-gesture-recognition" / "raw.zip") as archive:
        archive.extractall(given.raw)
    with tarfile.open(given.raw / "training4.tar.gz") as archive:
        id = archive.getnames()[0][-8:-4]
    lists = pd.read_csv(given.raw / "training.csv", dtype=str)
    for broken in (lists[lists["Id"] != id], pd.concat([lists, lists[lists["Id"] == id]])):
        broken.to_csv(given.raw / "training.csv", index=False)
        with pytest.raises(PreparationError, match=r"training\.csv: expected one row"):
            prepared(given)
        for path in given.public.iterdir():
            path.unlink()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "is missing; JSON lines"),
        ("no json\n", "JSON lines are expected"),
        ('{"example_id": 1}\n', "no column 'question_text'"),
    ],
)
def test_broken_json_lines_are_named(context, text, problem):
    given = context("tensorflow2-question-answering")
    if text is not None:
        (given.raw / "simplified-nq-train.jsonl").write_text(text)
    with pytest.raises(PreparationError, match=r"simplified-nq-train\.jsonl.*") as caught:
        prepared(given)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_annotations_without_answers_are_named(context):
    given = context("tensorflow2-question-answering")
    keys = {"question_text": "q", "document_text": "d", "long_answer_candidates": [], "annotations": [{}]}
    lines = [json.dumps({**keys, "example_id": number}) for number in range(5)]
    (given.raw / "simplified-nq-train.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(
        PreparationError, match=r"simplified-nq-train\.jsonl: the annotations of example \d lack an answer"
    ):
        prepared(given)


@pytest.mark.parametrize("fault", ["not UTF-8", "cut short", "another member"])
def test_broken_sentences_are_named(context, fault):
    given = context("billion-word-imputation")
    path = given.raw / "train_v2.txt.zip"
    with zipfile.ZipFile(path, "w") as archive:
        name = "other.txt" if fault == "another member" else "train_v2.txt"
        archive.writestr(name, b"one two three \xff\n" if fault == "not UTF-8" else b"one two three\n" * 9999)
    if fault == "cut short":
        content = bytearray(path.read_bytes())
        content[5000:5010] = b"0123456789"  # a byte of the member is lost: its checksum tells
        path.write_bytes(content)
    with pytest.raises(PreparationError, match=r"train_v2\.txt\.zip") as caught:
        prepared(given)
    assert "\n" not in str(caught.value)
