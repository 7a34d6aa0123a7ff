"""The samples' prepared data: what descriptions promise, and no way to the answers but through the features."""

import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mleb_core.competition import Competition
from mleb_core.layout import CompetitionData
from mleb_core.prepare import prepare
from mleb_samples.hooks import mleb_register_competitions

SAMPLES = {competition.id: competition for competition in mleb_register_competitions()}
Prepared = Callable[[str], CompetitionData]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    done: dict[str, CompetitionData] = {}

    def get(id: str) -> CompetitionData:
        if id not in done:
            done[id] = prepare(SAMPLES[id], tmp_path_factory.mktemp("data"))
        return done[id]

    return get


@pytest.fixture(params=SAMPLES)
def sample(request: pytest.FixtureRequest) -> Competition:
    return SAMPLES[request.param]


def codes(values: "pd.Series[Any]") -> np.ndarray:
    """Numbers that stand for targets, so that they can be correlated."""
    ranks: np.ndarray = pd.Series(pd.factorize(values, sort=True)[0]).rank().to_numpy()
    return ranks


def parts(data: CompetitionData) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Train, test and answers."""
    train, test = pd.read_csv(data.public / "train.csv"), pd.read_csv(data.public / "test.csv")
    return train, test, pd.read_csv(data.private / "answers.csv")


def test_there_are_eight_and_they_are_the_split_samples() -> None:
    assert len(SAMPLES) == 8
    assert {c.splits for c in SAMPLES.values()} == {("samples",)}
    assert len({c.spec.grading.grader for c in SAMPLES.values()}) == 8


def test_listing_them_imports_nothing_heavy() -> None:
    code = (
        "import sys, mleb_samples.hooks as h; ids = [c.id for c in h.mleb_register_competitions()];"
        "print(sorted({'pandas', 'numpy', 'sklearn', 'pydantic', 'PIL'} & set(sys.modules)), len(ids))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[] 8\n"


def test_ids_count_on_from_train_to_test(sample: Competition, prepared: Prepared) -> None:
    train, test, answers = parts(prepared(sample.id))
    assert [*train["id"], *test["id"]] == list(range(len(train) + len(test)))
    assert list(answers["id"]) == list(test["id"])
    assert len(test) >= 200


def test_targets_are_in_train_and_not_in_test(sample: Competition, prepared: Prepared) -> None:
    train, test, answers = parts(prepared(sample.id))
    targets = ["digit"] if sample.id == "handwritten-digits" else list(answers.columns.drop("id"))
    assert list(train.columns.drop(targets)) == list(test.columns)
    assert not {"boat", "body", "chapter"} & set(train.columns)


def test_ids_and_order_say_nothing_about_the_target(sample: Competition, prepared: Prepared) -> None:
    train, _, answers = parts(prepared(sample.id))
    if sample.id == "handwritten-digits":
        answers = pd.DataFrame({"id": answers["id"], "digit": answers.drop(columns="id").to_numpy().argmax(1)})
    for table in (train, answers):
        for target in answers.columns.drop("id"):
            values = codes(table[target])
            chance = 4 / np.sqrt(len(values))  # four standard errors
            assert abs(np.corrcoef(table["id"], values)[0, 1]) < chance
            assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < chance
            half = np.arange(len(values)) % 2
            assert abs(np.corrcoef(half, values)[0, 1]) < chance


def test_no_test_row_stands_in_train(sample: Competition, prepared: Prepared) -> None:
    train, test, _ = parts(prepared(sample.id))
    both = train[list(test.columns)].drop(columns="id").merge(test.drop(columns="id"), how="inner")
    assert both.empty


@pytest.mark.parametrize(("id", "column"), [("king-james-verses", "chapter"), ("laguardia-weather", "date")])
def test_groups_stay_together(id: str, column: str, prepared: Prepared) -> None:
    data = prepared(id)
    raw = pd.read_csv(data.raw / "data.csv")
    train, test, _ = parts(data)
    keys = list(test.columns.drop("id"))
    sides = [set(part[keys].merge(raw, on=keys)[column]) for part in (train, test)]
    assert sides[0]
    assert sides[1]
    assert not sides[0] & sides[1]


def test_flights_are_split_by_time(prepared: Prepared) -> None:
    train, test, _ = parts(prepared("flight-arrival-delay"))
    assert train["date"].max() == "2013-09-30"
    assert test["date"].min() == "2013-10-01"


def test_digits_are_the_pictures_that_the_table_names(prepared: Prepared) -> None:
    from PIL import Image
    from sklearn.datasets import load_digits

    data = prepared("handwritten-digits")
    train, test, answers = parts(data)
    for part, folder in ((train, "train"), (test, "test")):
        assert list(part["file"]) == [f"{folder}/{id}.png" for id in part["id"]]
        assert len(list((data.public / folder).iterdir())) == len(part)
    known = load_digits()
    digit_of = {tuple(pixels.astype(int)): digit for pixels, digit in zip(known.data, known.target, strict=True)}
    pictures = [Image.open(data.public / file) for file in [*train["file"], *test["file"]]]
    assert {(p.size, p.mode) for p in pictures} == {((8, 8), "L")}
    found = [digit_of[tuple((np.asarray(p, float).ravel() * 16 / 255).round().astype(int))] for p in pictures]
    assert found == [*train["digit"], *answers.drop(columns="id").to_numpy().argmax(1)]


def test_descriptions_tell_the_truth(sample: Competition, prepared: Prepared) -> None:
    """Row counts, the header and example ids of the description are those of the data; the board is named."""
    data, text = prepared(sample.id), sample.description
    train, test, answers = parts(data)
    for name, table in (("train", train), ("test", test)):
        assert re.search(rf"- `{name}\.csv`: {len(table)} ", text), f"{len(table)} rows of {name}"
    example = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    start = example.index(",".join(pd.read_csv(data.public / "sample_submission.csv").columns))
    ids = [int(line.split(",")[0]) for line in example[start + 1 :]]
    assert ids == list(answers["id"][: len(ids)])
    assert "No person competed here" in text
    assert "reference models" in text
    for column in test.columns:
        named = column in text or sample.id == "breast-mass-diagnosis"
        assert named, column
