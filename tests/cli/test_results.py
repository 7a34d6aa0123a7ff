"""`mleb import`, `report` in all its formats, `compare`: on published-looking groups, whole and damaged."""

import json
import shutil
from pathlib import Path

import pytest

from mleb_core.registry import Registry
from mleb_core.report.formats import schema


def entry(competition: str, medal: bool) -> dict:
    return {
        "competition_id": competition, "score": 0.9, "gold_threshold": 0.9, "silver_threshold": 0.8,
        "bronze_threshold": 0.7, "median_threshold": 0.6, "any_medal": medal, "gold_medal": medal,
        "silver_medal": False, "bronze_medal": False, "above_median": medal, "submission_exists": True,
        "valid_submission": True, "is_lower_better": False, "created_at": "2024-10-09T12:30:00",
        "submission_path": "x",
    }  # fmt: skip


@pytest.fixture(scope="session")
def splits() -> dict[str, tuple[str, ...]]:
    return dict(Registry().splits)


@pytest.fixture
def published(tmp_path, splits) -> Path:
    """Three run groups each of two agents: `good` has medals on all of low, `poor` on one of them; one run lost."""
    root = tmp_path / "published"
    rows = ["experiment_id,run_group"]
    for seed in range(3):
        for agent in ("good", "poor"):
            folder = root / f"2024-10-0{seed + 1}T00-00-00-GMT_run-group_{agent}"
            folder.mkdir(parents=True)
            graded = [
                entry(id, id in splits["low"] if agent == "good" else id == splits["low"][0]) for id in splits["all"]
            ]
            if (agent, seed) == ("good", 2):
                graded = [e for e in graded if e["competition_id"] != splits["low"][0]]
            (folder / "a_grading_report.json").write_text(json.dumps({"competition_reports": graded}))
            rows.append(f"{agent},{folder.name}")
    (root / "run_group_experiments.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture
def groups(mleb, published) -> tuple[Path, Path]:
    result = mleb("import", published, "--output", published.parent / "runs", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    good, poor = json.loads(result.stdout)
    assert (good["agents"], good["seeds"], good["counts"]["missing"], poor["counts"]["missing"]) == (["good"], 3, 1, 0)
    return Path(good["directory"]), Path(poor["directory"])


def test_the_leaderboards_row(mleb, groups):
    result = mleb("report", *groups, "--format", "leaderboard")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    # Low: 22, 22 and 21 of 22; all: 22, 22 and 21 of 75; worked by hand.
    assert lines[2] == "| good | - | 98.48 ± 1.52 | 0.00 ± 0.00 | 0.00 ± 0.00 | 28.89 ± 0.44 | - | 2024-10-01 |"
    assert lines[3] == "| poor | - | 4.55 ± 0.00 | 0.00 ± 0.00 | 0.00 ± 0.00 | 1.33 ± 0.00 | - | 2024-10-01 |"
    assert "good, low: rests on 65 of 66 runs" in result.stdout
    published = json.loads(mleb("report", *groups, "--method", "mle-bench", "--json").stdout)
    assert set(published) == set(schema("published-report")["properties"])
    assert published["rows"][0]["splits"][3]["padded"] == 1
    table = mleb("report", groups[0], "--method", "mle-bench", "--pad-seeds", "4").stdout
    assert "rests on 65 of 88 runs" in table


def test_against_a_published_result(mleb, groups):
    result = mleb("report", groups[0], "--against", "paper", "--json")
    document = json.loads(result.stdout)
    assert set(document) == set(schema("against-report")["properties"])
    assert document["standing"]["all"] == [16.9, 1.1]
    whole = document["rows"][0]["columns"][3]
    assert whole["difference"] == pytest.approx(100 * 65 / 225 - 16.9)
    table = mleb("report", groups[0], "--against", "paper").stdout
    assert "+11.99 ± 1.19" in table and "224 of 225" in table
    wrong = mleb("report", groups[0], "--against", "papers")
    assert (wrong.returncode, wrong.stdout) == (2, "") and "did you mean" in wrong.stderr
    listed = json.loads(mleb("list", "standings", "--json").stdout)
    assert {"paper-aide-o1-preview", "aide-o1-preview"} <= {row["id"] for row in listed}
    assert "16.90 ± 1.10" in mleb("list", "standings").stdout


def test_compare(mleb, groups, splits):
    result = mleb("compare", *groups, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert set(found) == set(schema("comparison")["properties"])
    assert found["difference"] == pytest.approx(100 * (65 - 3) / 225)
    assert (found["a_better"], found["b_better"], found["both_graded"], found["runs"]) == (21, 1, 224, 225)
    table = mleb("compare", *groups).stdout
    assert "A - B: +27.6 points" in table and "rests on 224 of 225 pairs" in table
    assert sum(line.startswith(splits["high"][0]) for line in table.splitlines()) == 1


def test_compare_needs_an_agent_where_there_are_several(mleb, groups):
    path = groups[0] / "group.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"agents": ["good", "other"]}))
    result = mleb("compare", *groups)
    assert (result.returncode, result.stdout) == (2, "") and "choose one with --agent-a: good, other" in result.stderr
    assert mleb("compare", *groups, "--agent-a", "good").returncode == 0
    assert "no agent of" in mleb("compare", *groups, "--agent-a", "goof").stderr


def test_json_has_figures_and_files_are_written_whole(mleb, groups, tmp_path):
    report = json.loads(mleb("report", groups[0], "--json").stdout)
    assert set(report) == set(schema("report")["properties"])
    assert [p["k"] for p in report["figures"][0]["pass_at_k"]] == [1, 2, 3]
    table = mleb("report", groups[0]).stdout
    assert "224 of 225" in table and "imported from" in table and "@3 29.3" in table
    target = tmp_path / "out"
    for name in ("json", "csv", "markdown", "mle-bench", "leaderboard"):
        shown = mleb("report", groups[0], "--format", name).stdout
        assert mleb("report", groups[0], "--format", name, "--file", target).stdout == ""
        ours, theirs = target.read_text(), shown
        if name == "json":
            ours, theirs = ({**json.loads(t), "created_at": 0} for t in (ours, theirs))
        if name != "markdown":  # it says when it was made
            assert ours == theirs
        assert ours
    page = mleb("report", groups[0], "--format", "markdown").stdout
    assert "## Further figures" in page and "224 verdicts, 0 times, 0 costs of 225 runs" in page
    grading = json.loads(mleb("report", *groups, "--format", "mle-bench").stdout)
    assert (grading["total_runs"], grading["total_medals"], grading["missing_runs"]) == (449, 68, 1)


def test_parquet(mleb, groups, tmp_path):
    from pyarrow import parquet

    assert mleb("report", *groups, "--format", "parquet", "--file", tmp_path / "x.parquet").returncode == 0
    assert parquet.read_table(tmp_path / "x.parquet").num_rows == 450
    result = mleb("report", *groups, "--format", "parquet")
    assert result.returncode == 2 and "needs --file" in result.stderr
    (tmp_path / "none").mkdir()
    (tmp_path / "none/pyarrow.py").write_text("raise ImportError\n")
    env = {"PYTHONPATH": str(tmp_path / "none"), "PYTHONDONTWRITEBYTECODE": "1"}
    result = mleb("report", groups[0], "--format", "parquet", "--file", tmp_path / "y.parquet", env=env)
    assert (result.returncode, len(result.stderr.splitlines())) == (2, 1) and "pyarrow" in result.stderr
    assert not (tmp_path / "y.parquet").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--format", "csv", "--method", "mle-bench"],
        ["--format", "markdown", "--against", "paper"],
        ["--pad-seeds", "3"],
        ["--file", "x"],
        ["--method", "mle-bench", "--pad-seeds", "2"],
    ],
)
def test_what_does_not_go_together(mleb, groups, arguments):
    result = mleb("report", groups[0], *arguments)
    assert (result.returncode, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)


def test_bad_groups_are_lines_beside_the_good_ones(mleb, groups, tmp_path):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    future = tmp_path / "future"
    shutil.copytree(groups[1], future)
    (future / "group.json").write_text('{"format_version": 7}')
    half = next(groups[0].glob("*/good/1/run.json"))
    half.write_text('{"key": {')
    gone = next(groups[0].glob("*/good/0/report.json"))
    gone.unlink()
    result = mleb("report", *groups, foreign, future, tmp_path / "absent", "--json")
    assert result.returncode == 1
    good, poor = json.loads(result.stdout)
    assert good["counts"]["graded"] == 222 and poor["counts"]["graded"] == 225
    lines = result.stderr.splitlines()
    assert len(lines) == 5
    for told in (
        "not whole JSON",
        "report.json is missing",
        "no run group",
        "format_version is 7",
        "no such directory",
    ):
        assert sum(told in line for line in lines) == 1
    compared = mleb("compare", *groups)
    assert compared.returncode == 1 and "rests on 222 of 225" in compared.stdout
    assert len(compared.stderr.splitlines()) == 2
    for bad in (foreign, future, tmp_path / "absent"):
        for command in (["report", bad], ["compare", bad, groups[1]], ["compare", groups[1], bad]):
            result = mleb(*command)
            assert (result.returncode, result.stdout, len(result.stderr.splitlines())) == (1, "", 1)


def test_import_of_what_is_none(mleb, tmp_path):
    for content in ("", "{", "[1]"):
        (tmp_path / "x.json").write_text(content)
        result = mleb("import", tmp_path / "x.json")
        assert (result.returncode, result.stdout, len(result.stderr.splitlines())) == (1, "", 1)
    assert mleb("import", tmp_path / "absent", "--json").returncode == 1


def test_import_of_a_split_shows_what_is_missing_of_it(mleb, published, splits, tmp_path):
    (source,) = published.glob("2024-10-01*good")
    result = mleb("import", source, "-o", tmp_path / "r", "--split", "all", "--expect-seeds", "3", "--agent", "g/x")
    assert result.returncode == 0 and result.stdout.split()[-2:] == ["75", "150"]
    (directory,) = (tmp_path / "r").iterdir()
    table = mleb("report", directory).stdout
    assert "150 runs have no result" in table
