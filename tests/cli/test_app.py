"""Help, version, dispatch, exit codes, and output that nobody or nothing can take."""

import importlib
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import typer.main

from mleb.app import build, help_text
from mleb.commands import COMMANDS

MLEB = Path(sys.executable).with_name("mleb")


def test_help_names_every_command(mleb):
    result = mleb("--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == help_text() + "\n"
    for name, info in COMMANDS.items():
        assert f"  {name} " in result.stdout
        assert info.summary in result.stdout
    assert mleb("-h").stdout == result.stdout


def test_the_table_of_commands_is_that_of_the_commands_themselves():
    commands = typer.main.get_command(build()).commands
    assert set(commands) == set(COMMANDS)
    for name, command in commands.items():
        assert command.help.splitlines()[0] == COMMANDS[name].summary


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_registers_from_its_own_module(name):
    app = typer.Typer()
    importlib.import_module(COMMANDS[name].module).register(app)
    app.callback()(lambda: None)
    assert name in typer.main.get_command(app).commands


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help(mleb, name):
    result = mleb(name, "--help")
    assert result.returncode == 0, result.stderr
    assert COMMANDS[name].summary in result.stdout
    assert mleb(name, "-h").stdout == result.stdout


def test_version(mleb):
    assert mleb("--version").stdout == mleb("-V").stdout == f"mleb {version('mleb')}\n"


def test_no_command_is_a_usage_error(mleb):
    result = mleb()
    assert (result.returncode, result.stdout) == (2, "")
    assert "Usage: mleb" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evall"], "did you mean eval?"),
        (["--verbose"], "no such option '--verbose'"),
        (["eval", "--sedes", "3"], "--seeds"),
        (["eval", "--seeds", "many"], "--seeds"),
        (["eval", "--seeds", "0"], "--seeds"),
        (["eval", "--time-limit", "soon"], "'soon' is no duration"),
        (["eval", "--memory-limit", "much"], "'much' is no size"),
        (["list"], "KIND"),
        (["list", "agnets"], "did you mean agents"),
        (["report"], "GROUP"),
        (["schema", "runs"], "did you mean run"),
    ],
)
def test_usage_errors_exit_with_2_and_leave_stdout_empty(mleb, arguments, words):
    result = mleb(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_python_m_mleb_is_the_same_command(mleb):
    result = subprocess.run([sys.executable, "-m", "mleb", "--help"], capture_output=True, text=True, env=mleb.env)
    assert result.stdout == mleb("--help").stdout


def imported(mleb, *arguments):
    """Names of the modules that a command imports."""
    code = f"import sys; from mleb.app import main; main({list(arguments)!r}); print(*sys.modules, file=sys.stderr)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=mleb.env)
    return set(result.stderr.split())


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["list", "competitions"], ["list", "competitions", "--json"]]
)
def test_help_and_listing_import_nothing_slow(mleb, arguments):
    slow = {"typer", "rich", "pydantic", "pandas", "numpy", "sklearn", "docker", "importlib.metadata", "dotenv"}
    modules = imported(mleb, *arguments)
    assert "mleb.app" in modules
    assert not modules & slow


def test_a_command_imports_no_other_command_and_nothing_heavy(mleb):
    modules = imported(mleb, "plugin", "list")
    assert not modules & {"mleb.commands.eval", "mleb.commands.grade", "rich", "pandas", "sklearn"}


def test_a_reader_who_goes_away_is_no_news(mleb):
    reader, writer = os.pipe()
    os.close(reader)
    for arguments in (["--help"], ["list", "competitions"], ["schema"]):
        result = mleb(*arguments, capture_output=False, stdout=writer, stderr=subprocess.PIPE)
        assert (result.returncode, result.stderr) == (1, ""), arguments
    os.close(writer)


def test_closed_streams_do_no_harm(mleb):
    script = '"$0" list agents >&- 2>&- <&-'
    assert subprocess.run(["/bin/sh", "-c", script, str(MLEB)], env=mleb.env).returncode == 0
    result = subprocess.run(["/bin/sh", "-c", '"$0" list nothing 2>&-', str(MLEB)], env=mleb.env, capture_output=True)
    assert (result.returncode, result.stdout) == (2, b"")


def test_a_full_disk_behind_stdout_is_told(mleb):
    with Path("/dev/full").open("w") as full:
        result = mleb("list", "agents", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert result.returncode == 1
    assert result.stderr == "Error: stdout: No space left on device\n"
    with Path("/dev/full").open("w") as full:
        result = mleb("eval", "--help", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert (result.returncode, result.stderr) == (1, "Error: No space left on device\n")


def test_a_terminal_that_knows_ascii_only(mleb):
    ascii_only = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    result = mleb("list", "competitions", env=ascii_only)
    assert result.returncode == 0, result.stderr
    result = mleb("eval", "-p", "Björn-☃", "-c", "titanic-survival", env=ascii_only)
    assert result.returncode == 2
    assert "is no agent id" in result.stderr
    documents = json.loads(mleb("schema", "run", env=ascii_only).stdout)
    assert documents["title"] == "Run"


def test_control_characters_of_others_reach_no_terminal(mleb):
    result = mleb("eval", "-p", "dummy", "-c", "x\x1b[31m\nred[bold]")
    assert result.returncode == 2
    assert "\x1b" not in result.stderr
    assert "[bold]" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_unexpected_error_is_one_line_and_a_traceback_on_request(mleb):
    code = (
        "import sys, mleb.commands.list as l; from mleb.app import main\n"
        "def broken(registry): raise ZeroDivisionError('by\\nzero')\n"
        "l.KINDS['agents'] = broken; sys.exit(main(['list', 'agents']))"
    )
    run = [sys.executable, "-c", code]
    result = subprocess.run(run, capture_output=True, text=True, env=mleb.env)
    hint = "(run with MLEB_DEBUG=1 for the traceback)"
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"Error: internal error: ZeroDivisionError: by zero {hint}\n"
    result = subprocess.run(run, capture_output=True, text=True, env={**mleb.env, "MLEB_DEBUG": "1"})
    assert "Traceback" in result.stderr
    assert result.returncode == 1


def test_completion_in_a_shell(mleb):
    asked = {"_MLEB_COMPLETE": "complete_bash", "COMP_WORDS": "mleb prep", "COMP_CWORD": "1"}
    assert mleb(env=asked).stdout.split() == ["prepare"]
    asked["COMP_WORDS"], asked["COMP_CWORD"] = "mleb eval --time", "2"
    assert mleb(env=asked).stdout.split() == ["--time-limit"]
