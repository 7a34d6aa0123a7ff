import itertools

import pytest

from mleb_core.run_code.sources import Source, read_code
from mleb_plagiarism.compare import THRESHOLD, compare
from mleb_plagiarism.corpus import open_corpus
from mleb_plagiarism.passages import side_by_side

NAMES = ("boosting", "forest", "network", "pipeline")


@pytest.fixture
def corpus(references):
    return open_corpus(references)


def best(text, corpus, name="code/solution.py", **options):
    return compare([Source(name, text)], corpus, **options).matches[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_is_a_copy(name, solutions, corpus):
    match = best(solutions[name], corpus)
    assert match.reference.path.startswith(name)
    assert match.similarity > 95
    assert match.flagged(THRESHOLD)


@pytest.mark.parametrize("way", ["renamed", "reformatted"])
@pytest.mark.parametrize("name", NAMES)
def test_other_names_and_formatting_hide_nothing(name, way, solutions, ways, corpus):
    hidden = ways[way](solutions[name])
    assert hidden != solutions[name]
    match = best(hidden, corpus)
    assert match.reference.path.startswith(name)
    assert match.similarity > 90


@pytest.mark.parametrize("name", NAMES)
def test_order_hides_little(name, solutions, ways, corpus):
    match = best(ways["reordered"](ways["renamed"](solutions[name])), corpus)
    assert match.reference.path.startswith(name)
    assert match.similarity >= THRESHOLD


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_of_a_script_and_the_other_way_round(name, solutions, ways, corpus, tmp_path):
    path = tmp_path / "copy.ipynb"
    path.write_text(ways["notebook"](ways["renamed"](solutions[name]), cells=7))
    match = compare(read_code(path, "copy.ipynb"), corpus).matches[0]
    assert match.reference.path.startswith(name)
    assert match.similarity > 80


@pytest.mark.parametrize("name", NAMES)
def test_independent_solutions_of_the_same_task_stay_far_below(name, solutions, references):
    for path in references.glob(f"{name}.*"):
        path.unlink()
    match = best(solutions[name], open_corpus(references))
    assert match.similarity < 10
    assert match.coverage < 10
    assert not match.flagged(THRESHOLD)
    assert match.passages == ()


def test_a_part_of_a_copy_counts_by_its_share(solutions, ways, corpus):
    lines = solutions["forest"].split("\n")
    half = "\n".join(lines[: len(lines) // 2])
    assert best(ways["renamed"](half), corpus).similarity > 90
    mixed = half + "\n" + "\n".join(f"value_{i} = tool.step_{i}(frame, key={i}).of[{i}]" for i in range(25))
    match = best(mixed, corpus)
    assert 20 < match.similarity < THRESHOLD
    assert not match.flagged(THRESHOLD)
    assert match.anywhere == match.similarity


def test_a_whole_copy_in_much_code_of_its_own_shows_in_the_coverage(solutions, ways, corpus):
    own = "\n".join(f"value_{i} = tool.step_{i}(frame, key={i}).of[{i}]" for i in range(400))
    match = best(own + "\n" + ways["renamed"](solutions["network"]), corpus)
    assert match.similarity < THRESHOLD
    assert match.coverage > 90
    assert match.flagged(THRESHOLD)
    assert match.reference.path == "network.py"


def test_passages_are_shown_side_by_side(solutions, ways, corpus):
    hidden = ways["renamed"](solutions["network"])
    match = best(hidden, corpus)
    assert match.passages[0].tokens > 100
    for passage in match.passages:
        first = int(passage.run_place.removeprefix("line "))
        assert hidden.split("\n")[first - 1] == passage.run_lines[0]
        first = int(passage.reference_place.removeprefix("line "))
        assert solutions["network"].split("\n")[first - 1] == passage.reference_lines[0]
    rows = [row for passage in match.passages for row in side_by_side(passage, width=40)]
    assert any("nn.BatchNorm1d" in row.partition(" | ")[2] for row in rows)
    assert all("thing_" in "".join(passage.run_lines) for passage in match.passages)
    assert all(len(row) <= 83 for row in rows)


def test_places_in_notebooks_are_cells(solutions, corpus):
    match = best(solutions["boosting"], corpus)
    assert match.reference.path == "boosting.ipynb"
    assert any(passage.reference_place.startswith("code cell ") for passage in match.passages)


def test_what_everybody_writes_says_nothing(tmp_path, solutions):
    """A starter cell that many have, copied into code of one's own, is no copy."""
    starter = "".join(f"settings.option_{i} = display.choose(level={i}, name=here)\n" for i in range(60))
    folder = tmp_path / "many"
    folder.mkdir()
    for number, (name, other) in enumerate(itertools.permutations(NAMES, 2)):
        part = solutions[name].split("\n")
        rest = solutions[other].split("\n")
        own = "\n".join(f"x{number} = lib{number}.f{i}_{number}(a, key_{number}={i})" for i in range(40))
        (folder / f"{number}.py").write_text(starter + own + "\n".join(part[:10] + rest[-5:]))
    corpus = open_corpus(folder)
    mine = starter + "\n".join(f"mine.do_{i}(frame, level={i}, deep=True)" for i in range(30))
    match = best(mine, corpus)
    assert match.similarity < 10
    only = compare([Source("starter.py", starter)], corpus)
    assert only.matches == ()
    assert only.short == 1


def test_forks_of_one_notebook_do_not_make_it_common(tmp_path, solutions, ways):
    folder = tmp_path / "forks"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.py").write_text(solutions[name])
    for number in range(30):
        (folder / f"fork-{number}.py").write_text(solutions["forest"] + f"\nprint(extra_{number}({number}))")
    corpus = open_corpus(folder)
    assert corpus.families == 4
    assert best(ways["renamed"](solutions["forest"]), corpus).similarity > 90


def test_short_sources_count_together(solutions, corpus):
    lines = solutions["forest"].split("\n")
    parts = ["\n".join(lines[start : start + 9]) for start in range(0, len(lines), 9)]
    found = compare([Source(f"{i}.py", part) for i, part in enumerate(parts)], corpus)
    assert found.short >= 5
    together = next(match for match in found.matches if "together" in match.source)
    assert together.reference.path == "forest.py"
    assert together.similarity >= THRESHOLD


def test_nothing_to_compare(corpus):
    found = compare([Source("a.py", "print(1)")], corpus)
    assert found.matches == ()
    assert found.similarity is None


def test_when_other_languages_take_too_long_the_rest_is_read_as_python(corpus, monkeypatch):
    monkeypatch.setattr("mleb_plagiarism.compare.OTHERS_S", 0.0)
    sources = [Source(f"code/{name}.r", "x <- foo(1)\n" * 100, "r") for name in "abc"]
    told = "code/b.r and what comes behind is read as Python: what was before took more than 0 s"
    assert compare(sources, corpus).notes == (told,)
