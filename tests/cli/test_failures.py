"""Whatever goes wrong is one line on stderr, and an object on stdout where JSON was asked for."""

import json
import subprocess
import sys

import pytest
import typer.main

from mleb.app import build

COMMANDS = dict(typer.main.get_command(build()).commands)
WITH_JSON = sorted(name for name, one in COMMANDS.items() if any("--json" in param.opts for param in one.params))


def one_line(result, code):
    """The line of a failure."""
    assert result.returncode == code, result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ") and line.isprintable()
    return line.removeprefix("Error: ")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_an_unknown_option_of_any_command(mleb, name):
    result = mleb(name, "--bogus")
    assert "no such option: --bogus" in (line := one_line(result, 2))
    assert line.endswith(f"see mleb {name} --help")
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["eval", "--workers", "0"],
            "'--workers' / '-w' (env var: 'MLEB_WORKERS'): should be greater than or equal to 1",
        ),
        (["eval", "--seeds", "many"], "'--seeds' / '-n' (env var: 'MLEB_SEEDS'): should be a valid integer"),
        (["eval", "-n"], "option '-n' requires an argument; see mleb eval --help"),
        (["eval", "--time-limit", "soon"], "'soon' is no duration"),
        (["eval", "--dry-run=1"], "option '--dry-run' does not take a value"),
        (["eval", "-zq"], "no such option: -z"),
        (["eval", "--sedes", "3"], "--seeds"),
        (["grade"], "missing option '--submission' / '-s' (env var: 'MLEB_SUBMISSION')"),
        (["grade-sample", "x.csv"], "missing argument 'ID'; see mleb grade-sample --help"),
        (["report"], "missing argument 'GROUP'; see mleb report --help"),
        (["cancel"], "missing argument 'GROUP'; see mleb cancel --help"),
        (["report", "x", "--format", "xml"], "'xml' is not one of 'table', 'json', 'csv', "),
        (["prepare", "--downloads", "-1"], "'--downloads'"),
        (["list"], "missing argument 'KIND'; see mleb list --help"),
        (["list", "agents", "x"], "unexpected extra argument"),
        (["schema", "a", "b"], "unexpected extra argument"),
        (["plugin"], "a command is missing, one of: list"),
        (["plugin", "lits"], "did you mean 'list'? (see mleb plugin --help)"),
        (["evall"], "did you mean eval?"),
        (["--bogus"], "no such option '--bogus'; see mleb --help"),
        (["eval", "--config", "nowhere.toml"], "nowhere.toml: there is no such file"),
        (["eval", "\x1b[31m\n", "--bogus\n\x1b"], "no such option"),
    ],
)
def test_usage_errors_are_one_line(mleb, arguments, words):
    result = mleb(*arguments)
    assert words.lower() in one_line(result, 2).lower()
    assert result.stdout == ""


def test_values_from_elsewhere_are_told_alike(mleb):
    assert "MLEB_WORKERS" in one_line(mleb("eval", env={"MLEB_WORKERS": "0"}), 2)
    (mleb.here / "mleb.toml").write_text("workers = 0\n")
    assert "mleb.toml: workers" in one_line(mleb("eval", "--config", "mleb.toml"), 2)


def test_a_terminal_gets_the_same_line(mleb):
    code, shown = mleb.in_terminal("eval", "--workers", "0")
    assert code == 2
    assert len(shown.splitlines()) == 1 and "\x1b" not in shown


@pytest.mark.parametrize("name", WITH_JSON)
def test_failures_are_json_where_json_was_asked_for(mleb, name):
    for asked, env in ((["--json"], {}), (["-j"], {}), ([], {"MLEB_JSON": "1"})):
        result = mleb(name, "--bogus", *asked, env=env)
        line = one_line(result, 2)
        assert json.loads(result.stdout) == {"error": {"type": "UsageError", "message": line, "exit_code": 2}}


@pytest.mark.parametrize(
    ("arguments", "kind", "code"),
    [
        (["eval", "-c", "titanic-survival"], "UsageError", 2),
        (["eval", "-p", "dummy", "-c", "titanic-surviva"], "UnknownIdError", 2),
        (["eval", "--resume", "nowhere"], "RunGroupError", 1),
        (["prepare", "-c", "titanic-surviva"], "UnknownIdError", 2),
        (["grade", "-s", "nowhere.jsonl", "-o", "out"], "UsageError", 2),
        (["grade-sample", "x.csv", "titanic-survival", "-d", "nowhere"], "NotPreparedError", 1),
        (["report", "nowhere"], "RunGroupError", 1),
        (["cancel", "nowhere"], "RunGroupError", 1),
        (["list", "agnets"], "UnknownIdError", 2),
    ],
)
def test_each_kind_of_failure_has_its_name(mleb, arguments, kind, code):
    result = mleb(*arguments, "--json")
    line = one_line(result, code)
    assert json.loads(result.stdout) == {"error": {"type": kind, "message": line, "exit_code": code}}


def test_json_that_a_file_asks_for_or_another_format(mleb):
    (mleb.here / "mleb.toml").write_text("json = true\n")
    result = mleb("eval", "--config", "mleb.toml", "-c", "titanic-survival")
    assert json.loads(result.stdout)["error"]["message"] == one_line(result, 2)
    for words in (["--format", "json"], ["-f", "json"], ["--format=json"]):
        assert json.loads(mleb("report", "nowhere", *words).stdout)["error"]["exit_code"] == 1
    assert mleb("report", "nowhere").stdout == mleb("report", "nowhere", "-f", "csv").stdout == ""


def test_an_unexpected_error_is_told_as_json_and_a_result_is_never_followed_by_one(mleb):
    code = (
        "import sys, mleb.commands.list as l; from mleb.app import main; from mleb.output import print_json\n"
        "def broken(registry): {} raise ZeroDivisionError('by\\nzero')\n"
        "l.KINDS['agents'] = broken; sys.exit(main(['list', 'agents', '--json']))"
    )
    for before, found in (("", "InternalError"), ("import mleb.output; mleb.output._JSON['printed'] = True;", None)):
        run = [sys.executable, "-c", code.format(before)]
        result = subprocess.run(run, capture_output=True, text=True, env=mleb.env)
        assert result.returncode == 1
        assert "internal error: ZeroDivisionError: by zero" in result.stderr
        assert (json.loads(result.stdout)["error"]["type"] if result.stdout else None) == found
