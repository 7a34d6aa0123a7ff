"""Files of MLE-bench read, and made run groups of ours; damage costs no more than itself."""

import json
from pathlib import Path

import pytest

from mleb_core.errors import RunGroupError, UsageError
from mleb_core.layout import GroupLayout
from mleb_core.planning import plan_resume
from mleb_core.registry import Registry
from mleb_core.report.build import group_grading_report, group_report, run_report
from mleb_core.report.collect import collect_group
from mleb_core.report.formats import load_group_report, to_json, to_markdown
from mleb_core.report.importing import import_groups
from mleb_core.report.mlebench import read_experiments, read_grading_report
from mleb_core.report.statistics.comparison import compare
from mleb_core.verify import verify_group


def entry(competition: str, medal: str | None = None, **more: object) -> dict:
    """A grade in MLE-bench's own fields alone."""
    return {
        "competition_id": competition,
        "score": 0.9,
        "gold_threshold": 0.9,
        "silver_threshold": 0.8,
        "bronze_threshold": 0.7,
        "median_threshold": 0.6,
        "any_medal": medal is not None,
        "gold_medal": medal == "gold",
        "silver_medal": medal == "silver",
        "bronze_medal": medal == "bronze",
        "above_median": medal is not None,
        "submission_exists": True,
        "valid_submission": True,
        "is_lower_better": False,
        "created_at": "2024-10-09T12:30:00.123",
        "submission_path": "runs/x/submission.csv",
        **more,
    }


def published(root: Path, name: str, entries: list[dict], attempted: tuple[str, ...] = ()) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    report = {"total_runs": len(entries), "competition_reports": entries}
    (folder / "2024-10-10T00-00-00-GMT_grading_report.json").write_text(json.dumps(report))
    (folder / "metadata.json").write_text(json.dumps({"runs": {}, "what": ["ever"]}))
    lines = [json.dumps({"competition_id": id, "submission_path": "x"}) for id in attempted]
    (folder / "submission.jsonl").write_text("\n".join(lines) + "\n" if lines else "")
    return folder


def medals(directory: Path) -> dict[tuple[str, int], str]:
    _, _, reports = collect_group(directory)
    return {(key.competition, key.seed): report.competition_report.medal for key, report in reports.items()}


def test_a_run_group_becomes_one_of_ours(tmp_path):
    source = published(
        tmp_path, "2024-10-08T14-09-26-GMT_run-group_aide", [entry("x", "gold"), entry("y")], ("x", "y", "z")
    )
    (made,) = import_groups(source, tmp_path / "runs")
    assert made.notes == ()
    assert made.directory == tmp_path / "runs/2024-10-08T14-09-26_run-group_aide"
    group, runs, _ = collect_group(made.directory)
    assert (group.agents, group.competitions, group.seeds) == (("aide",), ("x", "y", "z"), 1)
    assert (group.imported, group.runner) == (str(source), "imported")
    assert len(runs) == 2
    assert medals(made.directory) == {("x", 0): "gold", ("y", 0): "none"}
    report = load_group_report(GroupLayout(made.directory).report_json)
    assert (report.counts.asked, report.counts.graded, report.counts.missing) == (3, 2, 1)
    assert [run.key.competition for run in report.missing] == ["z"]
    assert f"Imported from: {source}".replace("_", "\\_") in to_markdown(report)
    assert report.ledgers is None
    events = GroupLayout(made.directory).run("x", "aide", 0).events.read_text()
    assert json.loads(events)["origin"].endswith("_grading_report.json")


def test_run_groups_of_an_experiment_become_its_seeds_and_gaps_stay_gaps(tmp_path):
    root = tmp_path / "published"
    published(root, "2024-10-01T00-00-00-GMT_run-group_aide", [entry("x", "gold"), entry("y")])
    published(root, "2024-10-02T00-00-00-GMT_run-group_aide", [entry("x")])
    published(root, "2024-10-03T00-00-00-GMT_run-group_aide", [entry("y", "silver"), entry("x", "bronze")])
    published(root, "2024-10-03T00-00-00-GMT_run-group_other", [entry("x")])
    (root / "run_group_experiments.csv").write_text(
        "experiment_id,run_group\n" + "".join(f"best,2024-10-0{day}T00-00-00-GMT_run-group_aide\n" for day in (1, 2, 3))
    )
    first, second = import_groups(root, tmp_path / "runs")
    assert first.report.group.agents == ("best",) and second.report.group.agents == ("other",)
    assert len(first.sources) == 3
    assert medals(first.directory) == {
        ("x", 0): "gold", ("x", 1): "none", ("x", 2): "bronze", ("y", 0): "none", ("y", 1): "silver",
    }  # fmt: skip
    counts = first.report.counts
    assert (counts.asked, counts.graded, counts.missing) == (6, 5, 1)
    assert [seed.any_medal_percentage for seed in first.report.agents[0].seeds] == [50, 50, 50]


def test_what_was_asked_for_is_shown_as_missing(tmp_path):
    source = published(tmp_path, "2024-10-01T00-00-00-GMT_run-group_aide", [entry("x", "gold")])
    (made,) = import_groups(source, tmp_path / "r", agent="aide/o1", split="s", competitions=["x", "w"], seeds=3)
    assert (made.report.counts.asked, made.report.counts.missing) == (6, 5)
    assert made.report.agents[0].any_medal_percentage.mean == pytest.approx(100 / 6)
    assert made.report.group.split == "s"


def test_an_entry_that_names_its_seed_keeps_it_whatever_the_order(tmp_path):
    entries = [entry("x"), entry("x", "gold", seed=0), entry("x", "silver", seed=2)]
    (made,) = import_groups(published(tmp_path, "t_run-group_a", entries), tmp_path / "runs")
    assert medals(made.directory) == {("x", 0): "gold", ("x", 1): "none", ("x", 2): "silver"}


def test_our_own_grading_report_comes_back_equal(tmp_path, group, graded, finished):
    runs = [finished(key) for key in group.run_keys() if key.agent == "dummy"]
    reports = {run.key: run_report(run, graded(run.key.competition, "silver", rank=3, teams=9)) for run in runs}
    ours = group_grading_report(group_report(group, runs, reports))
    path = tmp_path / "grading_report.json"
    path.write_text(to_json(ours))
    grades, notes = read_grading_report(path)
    assert notes == [] and tuple(grade.report for grade in grades) == ours.competition_reports
    (made,) = import_groups(path, tmp_path / "runs", agent="dummy")
    assert set(made.report.group.competitions) == {"iris", "wine", "digits@2"}
    assert group_grading_report(made.report).total_silver_medals == 9
    original = group_report(group, runs, reports)
    found = compare(original, "dummy", made.report, "dummy")
    assert (found.difference, found.both_graded) == (0, 9)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"competition_id": "../../etc"}, "is no competition id"),
        ({"competition_id": None}, "is no competition id"),
        ({"gold_threshold": None}, "gold_threshold"),
        ({"any_medal": True}, "contradict"),
        ({"score": "much"}, "score"),
    ],
)
def test_a_wrong_entry_costs_no_other(tmp_path, wrong, told):
    source = published(tmp_path, "t_run-group_a", [entry("x") | wrong, entry("y", "gold")])
    (made,) = import_groups(source, tmp_path / "runs")
    assert medals(made.directory) == {("y", 0): "gold"}
    (note,) = made.notes
    assert "entry 1 is left out" in note and told in note and "\n" not in note


def test_a_score_that_is_no_number_is_no_score(tmp_path):
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"competition_reports": [entry("x", score=float("nan"), valid_submission=False)]}))
    (grade,), notes = read_grading_report(path)
    assert (grade.report.score, notes) == (None, [])


def test_of_several_grading_reports_the_last_counts_and_is_named(tmp_path):
    source = published(tmp_path, "t_run-group_a", [entry("x", "gold")])
    (source / "2023-01-01T00-00-00-GMT_grading_report.json").write_text(json.dumps({"competition_reports": []}))
    (made,) = import_groups(source, tmp_path / "runs")
    assert medals(made.directory) == {("x", 0): "gold"}
    assert "of 2 grading reports the last counts" in made.notes[0]


def test_damage_beside_the_grades_is_a_line(tmp_path):
    source = published(tmp_path, "t_run-group_a", [entry("x")])
    (source / "metadata.json").write_text('{"cut": ')
    (source / "submission.jsonl").write_text('{"competition_id": "q"}\nnot json\n{"competition_id": "a/../b"}\n[1]\n')
    (made,) = import_groups(source, tmp_path / "runs")
    assert made.report.group.competitions == ("q", "x")
    assert len(made.notes) == 4 and all("\n" not in note for note in made.notes)


def test_a_damaged_group_costs_no_other_of_its_experiment(tmp_path):
    root = tmp_path / "p"
    published(root, "1_run-group_a", [entry("x", "gold")])
    broken = published(root, "2_run-group_a", [])
    next(broken.glob("*_grading_report.json")).write_text("{")
    (root / "run_group_experiments.csv").write_text("run_group,experiment\n1_run-group_a,e\n2_run-group_a,e\n")
    (made,) = import_groups(root, tmp_path / "runs")
    assert medals(made.directory) == {("x", 0): "gold"}
    assert "not whole JSON" in made.notes[0]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not whole JSON"),
        (b"[" * 100_000, "not whole JSON"),
        (b"\xff\xfe", "not whole JSON"),
        (b"[]", "a grading report is expected"),
        (b'{"competition_reports": 3}', "a grading report is expected"),
        (b'{"format_version": 2, "competition_reports": []}', "format_version is 2, this mleb reads 1"),
        (b'{"competition_reports": []}', "nothing to import"),
    ],
)
def test_a_file_that_is_no_grading_report(tmp_path, content, told):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(RunGroupError) as caught:
        import_groups(path, tmp_path / "runs")
    assert told in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_directories_that_cannot_be_imported(tmp_path, group, on_disk):
    with pytest.raises(RunGroupError, match="no such file or directory"):
        import_groups(tmp_path / "absent", tmp_path / "runs")
    (tmp_path / "foreign").mkdir()
    with pytest.raises(RunGroupError, match="holds no run group of MLE-bench"):
        import_groups(tmp_path / "foreign", tmp_path / "runs")
    with pytest.raises(RunGroupError, match="is a run group of mleb already"):
        import_groups(on_disk(group, [], []), tmp_path / "runs")
    source = published(tmp_path, "t_run-group_a", [entry("x"), entry("x")])
    with pytest.raises(UsageError, match="holds 2 seeds, and none is left out"):
        import_groups(source, tmp_path / "runs", seeds=1)
    with pytest.raises(UsageError, match="is no agent id"):
        import_groups(source, tmp_path / "runs", agent="../x")
    far = published(tmp_path, "u_run-group_a", [entry("x", seed=10**7)])
    with pytest.raises(RunGroupError, match="more than 100,000 runs"):
        import_groups(far, tmp_path / "runs")


def test_a_place_that_cannot_be_written(tmp_path):
    source = published(tmp_path, "t_run-group_a", [entry("x")])
    (tmp_path / "file").write_text("")
    with pytest.raises(RunGroupError, match="cannot be written"):
        import_groups(source, tmp_path / "file")


def test_a_second_import_takes_a_name_of_its_own_and_nothing_is_left_behind(tmp_path):
    source = published(tmp_path, "2024-10-01_run-group_a b!c", [entry("x")])
    (first,) = import_groups(source, tmp_path / "runs")
    (second,) = import_groups(source, tmp_path / "runs")
    assert first.report.group.agents == ("a-b-c",)
    assert second.directory.name == f"{first.directory.name}-2" == second.report.group.name
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [first.directory.name, second.directory.name]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("experiment_id,run_group\ne,g\n", {"g": "e"}),
        ("run-group,setup\nruns/g/,e\n", {"g": "e"}),
        ("a,b\ne,1_run-group_x\n", {"1_run-group_x": "e"}),
        ("\ufeffrun_group,experiment\ng,e\n,\n", {"g": "e"}),
        ("", {}),
    ],
)
def test_columns_of_experiments_are_found(tmp_path, text, expected):
    path = tmp_path / "run_group_experiments.csv"
    path.write_text(text)
    assert read_experiments(path) == expected


def test_a_table_without_such_columns_is_refused(tmp_path):
    path = tmp_path / "run_group_experiments.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(RunGroupError, match="a column of run groups and one of experiments are expected"):
        read_experiments(path)


def test_an_imported_group_is_neither_resumed_nor_verified(tmp_path):
    (made,) = import_groups(published(tmp_path, "t_run-group_a", [entry("x")]), tmp_path / "runs")
    with pytest.raises(UsageError, match="was imported from"):
        plan_resume(made.directory, Registry())
    with pytest.raises(UsageError, match="was imported from"):
        verify_group(made.directory, Registry())
