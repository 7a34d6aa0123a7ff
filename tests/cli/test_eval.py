"""`mleb eval` and `mleb report`, with real runs."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

TITANIC, DIABETES = "titanic-survival", "diabetes-progression"


@pytest.fixture
def evaluate(mleb, clitest, prepared_data, tmp_path):
    """Runs `mleb eval` with the test's plugin."""

    def run(*arguments, **options):
        return mleb("eval", "-d", prepared_data, "-o", tmp_path / "runs", "-t", "60", *arguments, **options)

    return run


def group_of(tmp_path):
    (group,) = (tmp_path / "runs").iterdir()
    return group


def test_a_run_from_start_to_report(evaluate, mleb, tmp_path):
    result = evaluate("--plugin", "clitest", "-c", TITANIC, DIABETES, "--seeds", "2", "--workers", "2", "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["counts"]["asked"], report["counts"]["valid"]) == (4, 4)
    group = group_of(tmp_path)
    assert json.loads((group / "report.json").read_text()) == report
    plain = result.stderr.splitlines()
    assert "\x1b" not in result.stderr
    for competition in (TITANIC, DIABETES):
        for seed in (0, 1):
            assert f"{competition} clitest seed {seed}: started" in result.stderr
            assert f"{competition} clitest seed {seed}: finished" in result.stderr
    assert plain[-1] == f"report: {group}"
    assert any(line.startswith("[4/4] ") and "score" in line for line in plain)
    table = mleb("report", group)
    assert table.returncode == 0
    assert table.stdout.count(TITANIC) >= 2
    assert json.loads(mleb("report", group, "--format", "json").stdout)["runs"] == report["runs"]


def test_agent_errors_are_results_and_no_failure_of_the_command(evaluate):
    result = evaluate("-p", "clitest/fail", "-p", "clitest/idle", "-p", "clitest/hostile", "-c", TITANIC)
    assert result.returncode == 0, result.stderr
    rows = {line.split()[1]: line for line in result.stdout.splitlines() if line.startswith(TITANIC)}
    assert "failed" in rows["clitest/fail"]
    assert "no submission" in rows["clitest/idle"]
    assert "invalid: " in rows["clitest/hostile"]
    assert "\x1b" not in result.stdout + result.stderr


def test_nothing_that_an_agent_is_told_names_an_obfuscated_competition(evaluate, tmp_path):
    looks = 'env; pwd -P; ls -lR "$HOME"; cat "$MLEB_INSTRUCTIONS"'
    command = looks + '; cp "$MLEB_DATA/sample_submission.csv" "$MLEB_SUBMISSION/submission.csv"'
    for arguments, named in ((["--obfuscate"], False), ([], True)):
        output = tmp_path / str(named)
        result = evaluate("-p", "command", "-c", TITANIC, "--set", f"command={command}", "-o", output, *arguments)
        assert result.returncode == 0, result.stderr
        (log,) = output.glob("*/*/*/0/agent.log")
        assert (TITANIC in log.read_text()) is named
        (group,) = output.iterdir()
        assert not (group / ".places").exists() and not (log.parent / "work").exists()
        assert (log.parent / "submission" / "submission.csv").is_file()


def test_a_sandbox_failure_fails_the_command_and_tells_how_to_go_on(evaluate, tmp_path):
    result = evaluate("-p", "clitest", "-c", TITANIC, "--runner", "clitest-broken", "--retries", "1", "--json")
    assert result.returncode == 1
    (run,) = json.loads(result.stdout)["runs"]
    assert (run["cause"], run["message"]) == ("sandbox_failure", "the floor gave way")
    assert f"mleb eval --resume {group_of(tmp_path)}" in result.stderr


def test_what_plugins_print_never_reaches_stdout(evaluate, mleb, clitest):
    for arguments in (["list", "agents", "--json"], ["plugin", "list", "--json"], ["doctor", "--json"]):
        result = mleb(*arguments)
        json.loads(result.stdout)
        assert "prints while it is imported" in result.stderr
    json.loads(evaluate("-p", "clitest", "-c", TITANIC, "--dry-run", "--json").stdout)


def test_dry_run_starts_nothing(evaluate, tmp_path):
    result = evaluate("-p", "clitest", "-p", "dummy", "-c", TITANIC, "-n", "3", "--dry-run", "--json")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert len(document["runs"]) == 6
    assert document["group"]["limits"]["time_s"] == 60
    result = evaluate("-p", "clitest", "-c", TITANIC, "--dry-run")
    assert "1 runs, 1 at a time on local, at most 1m00s each; nothing was started" in result.stdout
    assert not (tmp_path / "runs").exists()


def test_dry_run_of_a_group_that_goes_on_names_what_is_left(mleb, evaluate, tmp_path):
    assert evaluate("-p", "dummy", "-c", TITANIC, "-n", "2").returncode == 0
    group = group_of(tmp_path)
    (group / TITANIC / "dummy" / "1" / "run.json").unlink()
    before = sorted(group.rglob("*"))
    for result in (mleb("eval", "--resume", group, "--dry-run", "--json"),
                   mleb("eval", "--resume", group, "--json", env={"MLEB_DRY_RUN": "1"})):  # fmt: skip
        assert result.returncode == 0, result.stderr
        assert json.loads(result.stdout)["runs"] == [{"competition": TITANIC, "agent": "dummy", "seed": 1}]
        assert sorted(group.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["-c", TITANIC], 2, "no agent was asked for"),
        (["-p", "clitest"], 2, "no competition was asked for"),
        (["-p", "clitset", "-c", TITANIC], 2, "did you mean clitest?"),
        (["-p", "clitest", "-c", "titanic-surviva"], 2, f"did you mean {TITANIC}?"),
        (["-p", "clitest", "-p", "clitest", "-c", TITANIC], 2, "twice"),
        (["-p", "clitest", "-c", TITANIC, "--split", "samples"], 2, "choose -c or --split"),
        (["-p", "clitest", "-s", "sampels"], 2, "did you mean samples?"),
        (["-p", "clitest", "-c", TITANIC, "--runner", "locla"], 2, "did you mean local?"),
        (["-p", "clitest", "-c", TITANIC, "--engine", "x"], 2, "no engine 'x'"),
        (["-p", "clitest", "-c", TITANIC, "--edition", "9"], 2, "no edition 9"),
        (["-p", "clitest", "-c", TITANIC, "--set", "agent.x=1"], 2, "has no settings"),
        (["-p", "clitest", "-c", "diamond-clarity", "--no-prepare"], 1, "mleb prepare -c diamond-clarity"),
    ],
)
def test_what_cannot_be_is_told_in_one_line_before_anything_starts(evaluate, tmp_path, arguments, code, words):
    result = evaluate(*arguments, "--json")
    assert result.returncode == code
    told = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(told) == 1 and words in told[0]
    failure = json.loads(result.stdout)["error"]
    assert (failure["exit_code"], "Error: " + failure["message"]) == (code, told[0])
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [([], 1, "nowhere: no such directory"), (["-p", "dummy"], 2, "leave out --plugin"), (["-w", "0"], 2, "--workers")],
)
def test_a_group_that_cannot_be_resumed(mleb, arguments, code, words):
    result = mleb("eval", "--resume", "nowhere", *arguments, "--json", env={"MLEB_SEEDS": "3"})
    assert result.returncode == code
    assert words in result.stderr and words in json.loads(result.stdout)["error"]["message"]


def test_missing_data_is_made_on_the_spot(mleb, clitest, tmp_path):
    result = mleb("eval", "-p", "clitest", "-c", DIABETES, "-d", tmp_path / "data", "-o", tmp_path / "runs", "--json")
    assert result.returncode == 0, result.stderr
    assert f"preparing {DIABETES}" in result.stderr
    assert json.loads(result.stdout)["counts"]["valid"] == 1


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_stops_after_saving_and_resume_goes_on(mleb, clitest, prepared_data, tmp_path, number):
    (tmp_path / "marks").mkdir()
    mleb.env["CLITEST_MARKER"] = f"{tmp_path}/marks/"
    arguments = (
        "-p",
        "clitest/resumed",
        "-c",
        TITANIC,
        "-n",
        "2",
        "-d",
        prepared_data,
        "-o",
        tmp_path / "runs",
        "--json",
    )
    process = mleb.start("eval", *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    wait_for(lambda: list((tmp_path / "marks").iterdir()))
    os.killpg(process.pid, number)  # as a terminal does
    stdout, stderr = process.communicate(timeout=60)
    group = group_of(tmp_path)
    assert process.returncode == 128 + number, stderr
    assert "stopping, saving; press Ctrl-C again to stop at once" in stderr.decode()
    assert f"to go on: mleb eval --resume {group}" in stderr.decode()
    report = json.loads(stdout)
    assert (report["counts"]["asked"], report["counts"]["missing"]) == (2, 2)
    (tmp_path / "marks" / "1").touch()
    result = mleb("eval", "--resume", group, "--workers", "2", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["counts"]["valid"] == 2
    again = mleb("eval", "--resume", group, "--json")
    assert "2 runs, 2 of them done before" in again.stderr
    assert json.loads(again.stdout)["runs"] == json.loads(result.stdout)["runs"]


def agents_below(folder):
    """Ids of the processes that run an agent whose place is below a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            if b"MLEB_RUN_ID=" in content and f"MLEB_SUBMISSION={folder}/".encode() in content:
                found.append(int(path.parent.name))
    return found


def test_a_terminal_shows_progress_and_a_second_signal_ends_at_once(mleb, clitest, prepared_data, tmp_path):
    (tmp_path / "marks").mkdir()
    mleb.env["CLITEST_MARKER"] = f"{tmp_path}/marks/"
    outer, inner = pty.openpty()
    arguments = ("-p", "clitest/resumed", "-c", TITANIC, "-d", prepared_data, "-o", tmp_path / "runs")
    process = mleb.start("eval", *arguments, stdin=inner, stdout=inner, stderr=inner, start_new_session=True)
    os.close(inner)
    shown = mleb.read_terminal(outer, until=["0 of 1 runs done, 1 under way", TITANIC, "running"])
    wait_for(lambda: list((tmp_path / "marks").iterdir()))
    assert agents_below(tmp_path / "runs")
    assert "\x1b[?25l" in shown  # the live display hides the cursor
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    rest = mleb.read_terminal(outer)
    os.close(outer)
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert "\x1b[?25h" in rest  # and shows it again
    # run.json keeps what was written last; a report knows that nobody is at work on it any more.
    # A child that was just being started may hold the group's lock for a moment longer.
    told = lambda: json.loads(mleb("report", group_of(tmp_path), "--json").stdout)["missing"]  # noqa: E731
    wait_for(told)
    (missing,) = told()
    assert (missing["status"], missing["note"]) == (
        "interrupted", "mleb was ended while it was running; --resume goes on",
    )  # fmt: skip
    wait_for(lambda: not agents_below(tmp_path / "runs"))
    result = mleb("eval", "--resume", group_of(tmp_path), "--json")
    assert result.returncode == 0, result.stderr


def test_a_terminal_sees_each_result_and_the_table(mleb, clitest, prepared_data, tmp_path):
    arguments = ("-p", "clitest/sample", "-p", "clitest/hostile", "-c", TITANIC, "-d", prepared_data)
    code, shown = mleb.in_terminal("eval", *arguments, "-o", tmp_path / "runs")
    assert code == 0, shown
    assert "[1/2] " in shown and "[2/2] " in shown
    assert "2 of 2 runs done" in shown
    assert "any medal %" in shown
    assert "\x1b[2J" not in shown


def test_an_output_that_cannot_be_written(mleb, clitest, prepared_data, tmp_path):
    (tmp_path / "runs").write_text("a file")
    result = mleb("eval", "-p", "clitest", "-c", TITANIC, "-d", prepared_data, "-o", tmp_path / "runs", "--json")
    assert (result.returncode, json.loads(result.stdout)["error"]["type"]) == (1, "RunGroupError")
    assert f"Error: {tmp_path / 'runs'}" in result.stderr
    assert "internal error" not in result.stderr


def test_reports_of_several_groups_in_each_format(evaluate, mleb, tmp_path):
    for agent in ("clitest", "clitest/idle"):
        assert evaluate("-p", agent, "-c", TITANIC, DIABETES).returncode == 0
    groups = sorted((tmp_path / "runs").iterdir())
    first, second = json.loads(mleb("report", *groups, "--json").stdout)
    assert [first["group"]["name"], second["group"]["name"]] == [group.name for group in groups]
    csv = mleb("report", *groups, "-f", "csv").stdout.splitlines()
    assert len(csv) == 5
    assert csv[0].startswith("group,competition")
    assert sum(line.startswith("group,") for line in csv) == 1
    assert mleb("report", groups[0], "-f", "csv").stdout == (groups[0] / "report.csv").read_text()
    markdown = mleb("report", *groups, "-f", "markdown").stdout
    assert markdown.count("# Run group ") == 2
    table = mleb("report", *groups).stdout
    assert all(group.name in table for group in groups)


@pytest.mark.parametrize(
    ("content", "words"), [(None, "no such directory"), ({}, "is no run group"), ({"group.json": "{"}, "group.json")]
)
def test_a_report_of_what_is_no_group(mleb, tmp_path, content, words):
    group = tmp_path / "group"
    if content is not None:
        group.mkdir()
        for name, text in content.items():
            (group / name).write_text(text)
    result = mleb("report", group, "--json")
    assert (result.returncode, json.loads(result.stdout)["error"]["type"]) == (1, "RunGroupError")
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_report_shows_the_rest_where_a_run_cannot_be_read(evaluate, mleb, tmp_path):
    assert evaluate("-p", "clitest", "-c", TITANIC, "-n", "2").returncode == 0
    place = group_of(tmp_path) / TITANIC / "clitest" / "1" / "run.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"format_version": 2}))
    result = mleb("report", group_of(tmp_path), "--json")
    assert result.returncode == 1
    counts = json.loads(result.stdout)["counts"]
    assert (counts["graded"], counts["missing"]) == (1, 1)
    told = f"{place}: format_version is 2, this mleb reads 1; use the mleb that wrote it"
    assert result.stderr == f"{TITANIC} clitest seed 1: {told}\n"


def test_commands_of_plugins(mleb, clitest):
    result = mleb("hello", "--name", "world")
    assert (result.returncode, result.stdout) == (0, "hello world\n")
    shown = mleb("--help").stdout
    assert "Commands of plugins:\n  hello " in shown
    assert "Greet somebody." in shown
    assert "A command of mleb's own name." not in shown
    assert "did you mean hello or eval?" in mleb("helo").stderr
    assert "\x1b" not in mleb("--help", env={"CLITEST_HOSTILE": "1"}).stdout
    assert "Run agents on competitions" in mleb("eval", "--help").stdout


def test_texts_of_plugins_are_harmless(mleb, clitest):
    table = mleb("list", "agents")
    assert "Behaves \\x1b[31m[red]badly[/red] in many ways." in table.stdout
    code, shown = mleb.in_terminal("list", "agents")
    assert code == 0
    assert "\x1b[31m" not in shown
    rows = {row["id"]: row for row in json.loads(mleb("list", "agents", "-j").stdout)}
    assert rows["clitest"]["summary"] == "Behaves \x1b[31m[red]badly[/red]\nin many ways."


def test_a_signal_before_the_first_run_leaves_nothing_half_made(mleb, clitest, tmp_path):
    arguments = (
        "-p",
        "clitest",
        "-c",
        "handwritten-digits",
        "-d",
        tmp_path / "data",
        "-o",
        tmp_path / "runs",
        "--json",
    )
    process = mleb.start("eval", *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    line = b""
    while not line.startswith(b"preparing"):
        line = process.stderr.readline()
        assert line
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert json.loads(stdout) == {"error": {"type": "Interrupted", "message": "interrupted", "exit_code": 130}}
    assert stderr.endswith(b"Error: interrupted\n")
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "data" / "handwritten-digits" / "prepared").exists()
