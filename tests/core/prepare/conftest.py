"""Competition folders made on the spot."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mleb_core.competition import Competition
from mleb_core.layout import CompetitionData
from mleb_core.prepare import prepare

FACTS = """
id = "{id}"
title = "Toy"
category = "tabular"
version = {version}

[source]
kind = "{kind}"

[leaderboard]
higher_is_better = true
teams = 100
gold = 0.9
silver = 0.8
bronze = 0.7
median = 0.5

[grading]
grader = "accuracy"
answers = "answers.csv"
id = ["id"]
[grading.columns]
target = {{}}
"""

RECIPE = """
[prepare.tables]
train = "train.csv"

[prepare.split]
table = "train"
test_size = 0.25

[[prepare.write]]
file = "public/train.csv"
rows = "train"

[[prepare.write]]
file = "public/test.csv"
rows = "test"
hide = ["target"]

[[prepare.write]]
file = "private/answers.csv"
rows = "test"
columns = ["id", "target"]

[[prepare.write]]
file = "public/sample_submission.csv"
rows = "test"
columns = ["id", "target"]
fill = { target = 0 }
"""

TABLE = "id,x,target\n" + "".join(f"{i},{i / 7!r},{i % 2}\n" for i in range(40))

MakeCompetition = Callable[..., Competition]


@pytest.fixture
def make_competition(tmp_path: Path) -> MakeCompetition:
    """Write a competition's folder: its recipe, code and facts."""

    def make(
        recipe: str = RECIPE,
        *,
        id: str = "toy",
        kind: str = "manual",
        code: str | None = None,
        raw_code: str | None = None,
        version: int = 1,
        facts: str = FACTS,
        extra: str = "",
    ) -> Competition:
        folder = tmp_path / "competitions" / id
        folder.mkdir(parents=True, exist_ok=True)
        text = facts.format(id=id, kind=kind, version=version)
        (folder / "competition.toml").write_text(text + recipe + extra)
        (folder / "description.md").write_text("# Toy\n\nGuess the target: ü.\n")
        for name, content in (("prepare.py", code), ("raw.py", raw_code)):
            if content is not None:
                (folder / name).write_text(content)
        return Competition(folder)

    return make


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Raw data of the toy competition."""
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "train.csv").write_text(TABLE)
    return folder


@pytest.fixture
def made(make_competition: MakeCompetition, raw: Path, tmp_path: Path) -> Callable[[str], CompetitionData]:
    """Prepare the toy competition with a recipe; gives its data."""

    def make(recipe: str) -> CompetitionData:
        return prepare(make_competition(recipe), tmp_path / "data", raw_dir=raw, force=True)

    return make
