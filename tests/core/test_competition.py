import subprocess
import sys
from pathlib import Path

import pytest

from mleb_core.competition import Competition, competitions_in
from mleb_core.errors import CompetitionError, UsageError

TOML = """
id = "iris"
title = "Irises"
category = "tabular"
complexity = "low"
splits = ["samples", "low"]

[source]
kind = "python"

[leaderboard]
higher_is_better = true
teams = 120
gold = 0.9
silver = 0.8
bronze = 0.7
median = 0.5

[grading]
grader = "accuracy"
columns = { species = { type = "label", values = ["a", "b"] } }

[grading.options]
normalize = true

[[known_issues]]
what = "rows leak"
issue = "#98"
repaired_in = 2

[editions.2]
title = "Irises, repaired"

[editions.2.leaderboard]
gold = 0.95

[editions.2.grading.columns.species]
type = "text"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole competition."""
    folder = tmp_path / "iris"
    folder.mkdir()
    (folder / "competition.toml").write_text(TOML)
    (folder / "description.md").write_text("Tell irises apart.\n")
    (folder / "prepare.py").write_text("def prepare(context): ...\n")
    return folder


def replaced(folder: Path, old: str, new: str) -> Competition:
    assert old in TOML
    (folder / "competition.toml").write_text(TOML.replace(old, new, 1))
    return Competition(folder)


def fault(competition: Competition) -> str:
    with pytest.raises(CompetitionError) as caught:
        _ = competition.spec
    message = str(caught.value)
    assert "\n" not in message
    path = f"{competition.folder / 'competition.toml'}"
    assert message.startswith(path)
    return message.removeprefix(path)


def test_a_competition_is_read_from_its_folder(folder: Path):
    competition = Competition(folder)
    assert (competition.id, competition.label, competition.edition) == ("iris", "iris", 1)
    assert (competition.title, competition.category, competition.complexity) == ("Irises", "tabular", "low")
    assert competition.splits == ("samples", "low")
    assert competition.editions == (1, 2)
    assert competition.description == "Tell irises apart.\n"
    assert competition.spec.leaderboard.thresholds.gold == 0.9
    assert competition.spec.grading.options == {"normalize": True}
    assert repr(competition) == "Competition('iris')"


def test_a_listing_reads_no_pydantic(folder: Path):
    program = (
        "import sys; from mleb_core.competition import competitions_in\n"
        "[one] = competitions_in(sys.argv[1])\n"
        "print(one.title, one.category, one.complexity, one.splits, one.editions, 'pydantic' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, folder.parent], capture_output=True, text=True, check=True)
    assert done.stdout == "Irises tabular low ('samples', 'low') (1, 2) False\n"


def test_an_edition_merges_tables_and_replaces_the_rest(folder: Path):
    second = Competition(folder).in_edition(2)
    assert (second.label, second.title) == ("iris@2", "Irises, repaired")
    board = second.spec.leaderboard
    assert (board.gold, board.silver, board.teams) == (0.95, 0.8, 120)
    assert second.spec.grading.grader == "accuracy"
    assert second.spec.grading.columns["species"].type == "text"
    assert Competition(folder).spec.leaderboard.gold == 0.9  # edition 1 stays as it was


def test_lists_of_an_edition_are_replaced_whole(folder: Path):
    (folder / "competition.toml").write_text(TOML.replace("[editions.2]\n", '[editions.2]\nsplits = ["dev"]\n'))
    assert Competition(folder, 2).splits == ("dev",)
    assert Competition(folder).splits == ("samples", "low")


@pytest.mark.parametrize("edition", [0, -1, 3])
def test_an_edition_that_is_not_there(folder: Path, edition: int):
    with pytest.raises(UsageError, match=f"iris has no edition {edition}; it has: 1, 2"):
        Competition(folder).in_edition(edition)


def test_an_edition_that_breaks_the_order_of_medals_is_told(folder: Path):
    (folder / "competition.toml").write_text(TOML.replace("gold = 0.95", "gold = 0.1"))
    assert Competition(folder).spec.leaderboard.gold == 0.9
    assert "not in the order of higher is better" in fault(Competition(folder, 2))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("teams = 120", "teams = 0", [": leaderboard.teams: ", "greater than or equal to 1", "got 0"]),
        ("teams = 120", 'teams = "many"', [": leaderboard.teams: ", "valid integer", "got 'many'"]),
        ("teams = 120\n", "", [": leaderboard.teams: ", "required"]),
        ("teams = 120", "team = 120", [": leaderboard.teams: ", "required", "(1 more)"]),
        ("higher_is_better = true", 'higher_is_better = "up"', [": leaderboard.higher_is_better: ", "got 'up'"]),
        ("gold = 0.9", "gold = nan", [": leaderboard: ", "finite"]),
        ("gold = 0.9", "gold = 0.1", [": leaderboard: ", "0.1", "not in the order of higher is better"]),
        ('kind = "python"', 'kind = "web"', [": source.kind: ", "'python', 'kaggle' or 'manual'", "got 'web'"]),
        ('type = "label"', 'type = "words"', [": grading.columns.species.type: ", "'label'", "got 'words'"]),
        ('type = "label"', 'typ = "label"', [": grading.columns.species.typ: ", "not permitted"]),
        ('grader = "accuracy"', "", [": grading.grader: ", "required"]),
        ('complexity = "low"', 'complexity = "huge"', [": complexity: ", "'low', 'medium' or 'high'", "got 'huge'"]),
        ('title = "Irises"\n', "", [": title: ", "required"]),
        ('id = "iris"', 'id = "rose"', [": id: ", "folder's name 'iris'", "got 'rose'"]),
        ('id = "iris"', 'id = "../iris"', [": id: ", "pattern", "got '../iris'"]),
        ("what = ", "wat = ", [": known_issues.0.what: ", "required"]),
        ('category = "tabular"', 'categorie = "tabular"', [": category: ", "required"]),
        ("[editions.2]\n", "[editions.two]\n", [": editions.two: ", "number"]),
        ("[editions.2]\n", "[editions.02]\n", [": editions.02: ", "number"]),
        ("[editions.2]\n", "[editions.1]\n", [": editions.1: ", "number"]),
    ],
)
def test_a_wrong_file_names_file_key_and_what_was_expected(folder: Path, old: str, new: str, told: list[str]):
    if "editions." in new:  # the sub-tables go with it, or edition 2 is there after all
        (folder / "competition.toml").write_text(TOML.replace("[editions.2", new.rstrip("]\n")))
        message = fault(Competition(folder))
    else:
        message = fault(replaced(folder, old, new))
    for words in told:
        assert words in message


def test_a_long_wrong_value_is_cut(folder: Path):
    message = fault(replaced(folder, 'kind = "python"', f'kind = "{"x" * 5000}"'))
    assert len(message) < 400


@pytest.mark.parametrize("content", [b"id = ", b"\xff\xfe\x00", b"id = 'a'\nid = 'b'", b"a = " + b"[" * 5000])
def test_a_file_that_is_no_toml(folder: Path, content: bytes):
    (folder / "competition.toml").write_bytes(content)
    assert fault(Competition(folder)).startswith(" cannot be read: ")


def test_a_directory_in_place_of_the_file(folder: Path):
    (folder / "competition.toml").unlink()
    (folder / "competition.toml").mkdir()
    assert "cannot be read" in fault(Competition(folder))


def test_missing_files_are_named(folder: Path):
    (folder / "description.md").unlink()
    with pytest.raises(CompetitionError, match=r"description\.md is missing"):
        _ = Competition(folder).description
    (folder / "competition.toml").unlink()
    assert fault(Competition(folder)) == " is missing; every competition folder needs one"


def test_a_description_that_is_not_utf8(folder: Path):
    (folder / "description.md").write_bytes(b"caf\xe9")
    with pytest.raises(CompetitionError, match=r"description\.md cannot be read"):
        _ = Competition(folder).description


def test_without_a_recipe_there_must_be_a_prepare_py(folder: Path):
    (folder / "prepare.py").unlink()
    assert ": prepare: a recipe is expected" in fault(Competition(folder))


@pytest.mark.parametrize("editions", ["editions = 3", "editions = [1, 2]", 'editions = { 2 = "all of it" }'])
def test_editions_that_are_no_tables(folder: Path, editions: str):
    (folder / "competition.toml").write_text(editions + "\n" + TOML[: TOML.index("[editions.2]")])
    listed = Competition(folder)
    assert listed.editions[0] == 1  # listing goes on
    assert ": editions" in fault(listed)
    with pytest.raises((CompetitionError, UsageError)) as caught:
        listed.in_edition(2)
    assert "edition" in str(caught.value)


def test_competitions_in_a_pack_come_by_id(folder: Path):
    for name in ("b-second", "A-first", "not-a-competition"):
        (folder.parent / name).mkdir()
    for name in ("b-second", "A-first"):
        (folder.parent / name / "competition.toml").write_text("id = 0")  # read only when asked
    assert [competition.id for competition in competitions_in(folder.parent)] == ["A-first", "b-second", "iris"]


def test_whose_leaderboard_it_is_is_told(folder: Path):
    assert Competition(folder).spec.leaderboard.kind == "humans"
    told = replaced(folder, "teams = 120", 'teams = 120\nkind = "reference-models"')
    assert told.spec.leaderboard.kind == "reference-models"


def test_published_checksums_of_prepared_files_hold_for_edition_1_alone(tmp_path):
    folder = tmp_path / "apples"
    folder.mkdir()
    sums = {name: name[0] * 32 for name in ("a.csv", "b.csv")}
    text = '[checksums]\nzip = "{0}"\n[checksums.public]\n"a.csv" = "{0}"\n[editions.2]\ntitle = "Repaired"\n'
    (folder / "competition.toml").write_text(text.format(sums["a.csv"]))
    assert Competition(folder).document["checksums"] == {"zip": sums["a.csv"], "public": {"a.csv": sums["a.csv"]}}
    assert Competition(folder, 2).document["checksums"] == {"zip": sums["a.csv"]}
