"""`mleb verify`: one line for each finding, and the exit code."""

import json

import pytest

TITANIC, DIABETES = "titanic-survival", "diabetes-progression"


@pytest.fixture
def group(mleb, prepared_data, tmp_path):
    """A finished group of two runs."""
    result = mleb("eval", "-p", "dummy", "-c", TITANIC, DIABETES, "-d", prepared_data, "-o", tmp_path / "runs")
    assert result.returncode == 0, result.stderr
    (group,) = (tmp_path / "runs").iterdir()
    return group


def test_a_group_that_nobody_touched_holds(mleb, group):
    result = mleb("verify", group)
    assert (result.returncode, result.stderr) == (0, "")
    first, *_, last = result.stdout.splitlines()
    assert first.startswith("2 runs asked for: 2 there, 0 missing, 0 unfinished, ")
    assert first.endswith(", 2 submissions graded again")
    assert last.startswith("everything that was looked at holds")
    document = json.loads(mleb("verify", group, "--json").stdout)
    assert (document["holds"], document["findings"], document["graded_again"]) == (True, [], 2)


def test_a_change_is_told_in_a_line_and_by_the_exit_code(mleb, group):
    (submission,) = group.glob(f"{DIABETES}/*/0/submission/submission.csv")
    header, row, *rest = submission.read_text().splitlines(keepends=True)
    submission.write_text("".join([header, row.partition(",")[0] + ",99999\n", *rest]))
    result = mleb("verify", group)
    assert (result.returncode, result.stderr) == (1, "")
    assert f"{DIABETES} dummy seed 0: report.json: its score is " in result.stdout
    assert "findings: " in result.stdout.splitlines()[-1]
    document = json.loads(mleb("verify", group, "--json").stdout)
    assert document["holds"] is False
    assert {finding["run"]["competition"] for finding in document["findings"]} == {DIABETES}


def test_without_grading_nothing_is_graded(mleb, group, tmp_path):
    result = mleb("verify", group, "--no-grade", "--data-dir", tmp_path / "nowhere")
    assert result.returncode == 0, result.stdout
    assert "nothing graded again (--no-grade)" in result.stdout


def test_what_a_file_holds_cannot_harm_the_terminal(mleb, group):
    (report,) = group.glob(f"{DIABETES}/*/0/report.json")
    document = json.loads(report.read_text())
    document["key"]["agent"] = "\x1b[31mred\nline"
    report.write_text(json.dumps(document))
    result = mleb("verify", group)
    assert result.returncode == 1
    assert "\x1b" not in result.stdout + result.stderr
    assert any("it is that of another run" in line for line in result.stdout.splitlines())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "missing argument"),
        (["nowhere"], 1, "no such directory"),
        (["."], 1, "is no run group"),
        ([".", "--no-such"], 2, "no such option"),
    ],
)
def test_bad_input_is_one_line(mleb, arguments, code, words):
    result = mleb("verify", *arguments)
    assert result.returncode == code
    assert words in result.stderr
    assert result.stdout == ""
