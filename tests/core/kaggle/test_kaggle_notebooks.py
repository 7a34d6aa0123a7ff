import json
import sys

import pytest

from mleb_core.errors import PreparationError
from mleb_core.kaggle.notebooks import fetch_notebooks
from mleb_core.kaggle.patience import KaggleError, Patience

QUICK = Patience(tries=3, first_s=0.01)


def notebook(ref, votes, source="{}", kind="notebook", language="python"):
    blob = None if source is None else {"source": source, "kernelType": kind, "language": language}
    author = ref.partition("/")[0].upper()
    return {"ref": ref, "title": f"On {ref}", "author": author, "totalVotes": votes, "language": language, "blob": blob}


def test_the_notebooks_with_most_votes_are_kept_with_what_is_known_of_them(kaggle, tmp_path):
    kaggle.notebooks["toy"] = [
        notebook("ann/first", 10, '{"cells": []}'),
        notebook("bob/script", 30, "print(1)", "script"),
        notebook("cyd/r-script", 20, "x <- 1", "script", "r"),
        notebook("dan/unloved", 1),
    ]
    folder = tmp_path / "new" / "toy"
    assert fetch_notebooks("toy", folder, most=3, patience=QUICK) == []
    assert {path.name for path in folder.iterdir()} == {
        "ann__first.ipynb",
        "bob__script.py",
        "cyd__r-script.r",
        "notebooks.json",
    }
    assert (folder / "bob__script.py").read_text() == "print(1)"
    assert json.loads((folder / "notebooks.json").read_text())["ann__first.ipynb"] == {
        "title": "On ann/first",
        "author": "ANN",
        "votes": 10,
        "language": "python",
        "url": "https://www.kaggle.com/code/ann/first",
    }


def test_pages_and_what_is_there_already(kaggle, tmp_path, monkeypatch):
    monkeypatch.setattr("mleb_core.kaggle.client.NOTEBOOKS_A_PAGE", 10)
    kaggle.notebooks["toy"] = [notebook(f"ann/n{i}", 1000 - i) for i in range(28)]
    fetch_notebooks("toy", tmp_path, most=21, patience=QUICK)
    assert len(list(tmp_path.glob("*.ipynb"))) == 21
    assert len(kaggle.asked("ListKernels")) == 3
    before = len(kaggle.asked("GetKernel"))
    (tmp_path / "ann__n7.ipynb").unlink()
    fetch_notebooks("toy", tmp_path, most=26, patience=QUICK)
    assert len(kaggle.asked("GetKernel")) == before + 6


def test_a_notebook_that_is_not_to_be_had_is_a_line(kaggle, tmp_path):
    kaggle.notebooks["toy"] = [
        notebook("ann/gone", 9, None),
        notebook("../../etc/passwd", 8),
        notebook("bob/empty", 7, ""),
        notebook("cyd/private", 6),
        notebook("dan/fine", 5),
    ]
    status = sys.modules[type(kaggle).__module__].Status
    kaggle.script("cyd/private", "GetKernel", status(403))
    kaggle.script("dan/fine", "GetKernel", status(503), status(429))
    problems = fetch_notebooks("toy", tmp_path, patience=QUICK)
    assert [problem.partition(" is ")[0] for problem in problems] == [
        "toy: notebook ann/gone",
        "toy: '../../etc/passwd'",
        "toy: notebook bob/empty",
        "toy: notebook cyd/private",
    ]
    assert [path.name for path in sorted(tmp_path.glob("*.ipynb"))] == ["dan__fine.ipynb"]


def test_without_credentials_or_with_wrong_ones(kaggle, tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", "wrong")
    with pytest.raises(KaggleError, match="refuses the credentials"):
        fetch_notebooks("toy", tmp_path, patience=QUICK)
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    with pytest.raises(KaggleError, match="no Kaggle credentials"):
        fetch_notebooks("toy", tmp_path, patience=QUICK)


def test_a_list_that_is_none_is_told(kaggle, tmp_path):
    (tmp_path / "notebooks.json").write_text("[")
    with pytest.raises(PreparationError, match=r"notebooks\.json is no list"):
        fetch_notebooks("toy", tmp_path, patience=QUICK)
