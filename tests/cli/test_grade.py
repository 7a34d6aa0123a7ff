"""`mleb prepare`, `mleb grade` and `mleb grade-sample`."""

import json
import os
import resource

import pytest

TITANIC, DIABETES = "titanic-survival", "diabetes-progression"


def sample(data, competition):
    return data / competition / "prepared" / "public" / "sample_submission.csv"


def answers(data, competition):
    return data / competition / "prepared" / "private" / "answers.csv"


def told(result) -> str:
    """What the JSON object of a failure says, as the line on stderr has it."""
    error = json.loads(result.stdout)["error"]
    assert error["exit_code"] == result.returncode
    return f"Error: {error['message']}\n"


def lines(path, *pairs):
    path.write_text("".join(json.dumps({"competition_id": c, "submission_path": str(s)}) + "\n" for c, s in pairs))
    return path


def test_prepare_tells_what_it_made(mleb, tmp_path):
    data = tmp_path / "data"
    result = mleb("prepare", "-c", DIABETES, "--data-dir", data, "--skip-verification")
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{DIABETES}  {data}/{DIABETES}/prepared\n"
    assert answers(data, DIABETES).is_file()
    result = mleb("prepare", "--competition", DIABETES, TITANIC, "-d", data, "--json")
    (first, second) = json.loads(result.stdout)
    assert (first["competition"], first["prepared"], first["error"]) == (DIABETES, True, None)
    assert (second["competition"], second["directory"]) == (TITANIC, f"{data}/{TITANIC}/prepared")


def test_a_competition_that_cannot_be_prepared_stops_no_other(mleb, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / DIABETES).write_text("a file where the competition's directory should be")
    result = mleb("prepare", DIABETES, TITANIC, "-d", data, "--json")
    assert result.returncode == 1
    broken, whole = json.loads(result.stdout)
    assert (broken["competition"], broken["prepared"], broken["directory"]) == (DIABETES, False, None)
    assert (whole["competition"], whole["prepared"]) == (TITANIC, True)
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert DIABETES in errors[0]
    assert f"1 of 2 competitions could not be prepared: {DIABETES}" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no competition was asked for"),
        (["-c", TITANIC, "--split", "samples"], "choose one of"),
        (["--lite", "--all"], "choose one of"),
        (["--split", "sampels"], "did you mean samples?"),
        (["-c", "titanic-surviva"], f"did you mean {TITANIC}?"),
        (["-c", TITANIC, "--edition", "7"], f"{TITANIC} has no edition 7"),
        (["-c", f"{TITANIC}@x"], "expected ID@N"),
    ],
)
def test_prepare_refuses_what_cannot_be(mleb, tmp_path, arguments, words):
    result = mleb("prepare", *arguments, "--data-dir", tmp_path / "data", "--json")
    assert (result.returncode, told(result)) == (2, result.stderr)
    assert words in result.stderr
    assert not (tmp_path / "data").exists()


def test_one_report_a_line_in_order_also_where_some_are_broken(mleb, prepared_data, tmp_path):
    junk, folder = tmp_path / "junk.csv", tmp_path / "folder.csv"
    junk.write_bytes(os.urandom(2000))
    folder.mkdir()
    given = [
        (TITANIC, sample(prepared_data, TITANIC)),
        (DIABETES, tmp_path / "gone.csv"),
        (DIABETES, junk),
        (DIABETES, answers(prepared_data, DIABETES)),
        (TITANIC, folder),
        (DIABETES, sample(prepared_data, DIABETES)),
    ]
    out = tmp_path / "deep" / "out"
    submission = lines(tmp_path / "s.jsonl", *given)
    result = mleb("grade", "--submission", submission, "--data-dir", prepared_data, "--output-dir", out, "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    reports = report["competition_reports"]
    assert [(r["competition_id"], r["submission_path"]) for r in reports] == [(c, str(s)) for c, s in given]
    assert [r["valid_submission"] for r in reports] == [True, False, False, True, False, True]
    assert [r["submission_exists"] for r in reports][:4] == [True, False, True, True]
    assert reports[3]["gold_medal"] and reports[3]["score"] == 0
    assert report["total_runs"] == 6
    assert report["total_valid_submissions"] == 3
    (path,) = out.iterdir()
    assert path.name.endswith("_grading_report.json")
    assert json.loads(path.read_text()) == report


def test_an_earlier_report_is_never_overwritten(mleb, prepared_data, tmp_path):
    submission = lines(tmp_path / "s.jsonl", (TITANIC, sample(prepared_data, TITANIC)))
    arguments = ("grade", "-s", submission, "-d", prepared_data, "-o", tmp_path / "out")
    running = [mleb.start(*arguments, stdout=-3, stderr=-3) for _ in range(3)]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    reports = sorted((tmp_path / "out").iterdir())
    assert len(reports) == 3
    assert all(json.loads(path.read_text())["total_runs"] == 1 for path in reports)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 3 is not JSON"),
        ("[1]", "line 3: an object is expected"),
        ('{"competition_id": "titanic-survival"}', "line 3: 'submission_path' is expected"),
        ('{"competition_id": 7, "submission_path": "x"}', "line 3: 'competition_id' is expected to be a text, got 7"),
        ('{"competition_id": "titanic-survivor", "submission_path": "x"}', "line 3: no competition"),
        (
            '{"competition_id": "titanic-survival", "submission_path": "x\\u0000y"}',
            "line 3: 'submission_path' holds a NUL",
        ),
        ("[" * 100000, "line 3 is not JSON"),
    ],
)
def test_a_bad_line_is_told_before_anything_is_graded(mleb, prepared_data, tmp_path, line, words):
    submission = lines(tmp_path / "s.jsonl", (TITANIC, sample(prepared_data, TITANIC)))
    submission.write_text(submission.read_text() + "\n" + line + "\n")
    out = tmp_path / "out"
    result = mleb("grade", "--submission", submission, "-d", prepared_data, "--output-dir", out, "--json")
    assert (result.returncode, told(result)) == (2, result.stderr)
    assert words in result.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read"), (b"", "is empty"), (b"\xff\n", "is not UTF-8")]
)
def test_a_file_of_submissions_that_is_none(mleb, tmp_path, content, words):
    path = tmp_path / "s.jsonl"
    if content is not None:
        path.write_bytes(content)
    result = mleb("grade", "--submission", path, "--output-dir", tmp_path / "out")
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr


def test_data_that_is_not_prepared_is_told_before_anything_is_graded(mleb, prepared_data, tmp_path):
    pairs = [(TITANIC, sample(prepared_data, TITANIC)), ("diamond-clarity", tmp_path / "x.csv")]
    result = mleb(
        "grade", "-s", lines(tmp_path / "s.jsonl", *pairs), "-d", prepared_data, "-o", tmp_path / "out", "--json"
    )
    assert (result.returncode, told(result)) == (1, result.stderr)
    assert "mleb prepare -c diamond-clarity" in result.stderr
    assert not list((tmp_path / "out").glob("*"))


def test_an_output_directory_that_cannot_be(mleb, prepared_data, tmp_path):
    (tmp_path / "out").write_text("a file")
    submission = lines(tmp_path / "s.jsonl", (TITANIC, sample(prepared_data, TITANIC)))
    result = mleb("grade", "-s", submission, "-d", prepared_data, "-o", tmp_path / "out")
    assert result.returncode == 1
    assert result.stderr == f"Error: {tmp_path / 'out'}: File exists\n"


def test_what_a_grade_says_to_people(mleb, prepared_data, tmp_path):
    submission = lines(tmp_path / "s.jsonl", (DIABETES, answers(prepared_data, DIABETES)), (TITANIC, "gone.csv"))
    result = mleb("grade", "-s", submission, "-d", prepared_data, "-o", tmp_path / "out")
    assert result.returncode == 0
    first, second = result.stdout.splitlines()[1:3]
    assert first.startswith(DIABETES) and "gold" in first
    assert "no submission" in second
    assert "2 submissions: 1 valid, 1 with a medal" in result.stdout
    assert str(tmp_path / "out") in result.stderr


def test_grade_sample(mleb, prepared_data):
    result = mleb("grade-sample", answers(prepared_data, DIABETES), DIABETES, "--data-dir", prepared_data, "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["competition_id"], report["score"], report["medal"]) == (DIABETES, 0, "gold")
    result = mleb("grade-sample", sample(prepared_data, TITANIC), TITANIC, "-d", prepared_data)
    assert result.returncode == 0
    assert "valid" in result.stdout


def test_an_invalid_sample_is_a_result_and_harms_no_terminal(mleb, prepared_data, tmp_path):
    path = tmp_path / "bad.csv"
    text = sample(prepared_data, TITANIC).read_text().splitlines()
    text[1] = text[1].partition(",")[0] + ",\x1b[31m[bold]"
    path.write_text("\n".join(text) + "\n")
    result = mleb("grade-sample", path, TITANIC, "-d", prepared_data)
    assert result.returncode == 0
    assert "invalid: " in result.stdout
    assert "\x1b" not in result.stdout
    code, shown = mleb.in_terminal("grade-sample", path, TITANIC, "-d", prepared_data)
    assert code == 0
    assert "invalid: " in shown
    assert "\x1b[31m[bold]" not in shown


@pytest.mark.parametrize(("arguments", "code"), [([TITANIC], 1), (["titanic"], 2), ([f"{TITANIC}@9"], 2)])
def test_grade_sample_of_what_is_not_there(mleb, tmp_path, arguments, code):
    result = mleb("grade-sample", tmp_path / "x.csv", *arguments, "-d", tmp_path, "--json")
    assert (result.returncode, told(result)) == (code, result.stderr)
    assert len(result.stderr.splitlines()) == 1


def test_raw_data_that_is_there_already(mleb, prepared_data, tmp_path):
    raw = prepared_data / TITANIC / "raw"
    (tmp_path / "raws").mkdir()
    for competition in (TITANIC, DIABETES):
        (tmp_path / "raws" / competition).symlink_to(prepared_data / competition / "raw")
    assert mleb("prepare", "-c", TITANIC, "--raw-dir", raw, "-d", tmp_path / "one").returncode == 0
    assert mleb("prepare", TITANIC, DIABETES, "--raw-dir", tmp_path / "raws", "-d", tmp_path / "two").returncode == 0
    for data, competition in (("one", TITANIC), ("two", TITANIC), ("two", DIABETES)):
        made, expected = answers(tmp_path / data, competition), answers(prepared_data, competition)
        assert made.read_bytes() == expected.read_bytes()
    assert not (tmp_path / "one" / TITANIC / "raw").exists()


def test_a_report_that_does_not_fit_on_the_disk_is_shown_all_the_same(mleb, prepared_data, tmp_path):
    listed = lines(tmp_path / "s.jsonl", *[(TITANIC, sample(prepared_data, TITANIC))] * 20)
    small = 8192  # bytes that a file may have: more than the submissions need, less than the report
    arguments = ("grade", "--submission", listed, "--output-dir", tmp_path / "out", "-d", prepared_data, "--json")
    result = mleb(*arguments, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (small, small)))
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].endswith("_grading_report.json: File too large")
    assert json.loads(result.stdout)["total_valid_submissions"] == 20
    assert list((tmp_path / "out").iterdir()) == []
