"""The command agent: which files it brings, what it runs, what it refuses, how a failure is told."""

import json
import os
from pathlib import Path, PurePosixPath

import pytest

import mleb_command.settings
from mleb_command.scaffold import Command
from mleb_core import AgentPaths, LaunchContext, UsageError
from mleb_core.agent import image_of
from mleb_core.evaluate import EvalRequest, evaluate, plan
from mleb_core.layout import GroupLayout
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.run import Cause, Limits, RunStatus
from mleb_core.terms import Terms
from mleb_core.testing import AgentContract
from mleb_core.testing.images import make_test_image
from mleb_core.testing.model_server import ModelServer

DIABETES = "diabetes-progression"
COPY = 'cp "$MLEB_DATA/sample_submission.csv" "$MLEB_SUBMISSION/submission.csv"'


class TestContract(AgentContract):
    id = "command"
    settings = {"command": COPY}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> Path:
    data_dir = tmp_path_factory.mktemp("data")
    prepare(Registry().competition(DIABETES), data_dir)
    return data_dir


@pytest.fixture
def run_whole(data_dir, tmp_path):
    """run_whole(settings, **fields of the request) -> report of the run and its layout."""

    def run(settings, **fields):
        given = {"limits": Limits(time_s=120, grace_s=1), "settings": settings, **fields}
        request = EvalRequest(("command",), (DIABETES,), data_dir, tmp_path / "runs", **given)
        report = evaluate(request, Registry())
        (one,) = report.runs
        return one, GroupLayout(Path(report.directory)).run(one.key.competition, one.key.agent, one.key.seed)

    return run


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with a program in two files, and what is no part of it."""
    root = tmp_path / "my agent"
    for name, text in {
        "run.sh": '#!/bin/sh\n. ./lib/hand_in.sh\necho "$GREETING $1"\n',
        "lib/hand_in.sh": COPY,
        "lib/__pycache__/x.pyc": "no",
        ".git/config": "no",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_a_folder_of_files_is_run_in_the_home(run_whole, folder):
    command = 'find . -type f | sort > "$MLEB_LOGS/files"; ./run.sh you'
    run, layout = run_whole({"command": command, "files": str(folder), "env": {"GREETING": 12}})
    assert run.status is RunStatus.FINISHED, f"{run.message}\n{layout.log.read_text()}"
    assert run.competition_report.valid_submission
    assert layout.log.read_text() == "12 you\n"
    files = (layout.logs / "files").read_text().splitlines()
    assert {"./run.sh", "./lib/hand_in.sh"} <= {*files}
    assert not [name for name in files if "pycache" in name or ".git" in name]


def test_a_command_that_begins_with_a_file_brings_it(run_whole, folder, monkeypatch):
    (folder / "alone.sh").write_text(f"#!/bin/sh\n{COPY}\nls\n")
    monkeypatch.chdir(folder)
    run, layout = run_whole({"command": "./alone.sh && echo done"})
    assert run.status is RunStatus.FINISHED, f"{run.message}\n{layout.log.read_text()}"
    assert layout.log.read_text().endswith("done\n") and "run.sh" not in layout.log.read_text()


def test_its_model_is_within_its_reach_and_the_key_is_not(run_whole, monkeypatch):
    ask = """python3 -c '
import json, os, urllib.request as u
body = json.dumps({"model": "mleb-model", "messages": [{"role": "user", "content": "hi"}]}).encode()
head = {"authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
reply = json.load(u.urlopen(u.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body, head)))
print(reply["choices"][0]["message"]["content"])'; env | grep -c sk-of-the-host; """
    with ModelServer(["hello"], key="sk-of-the-host-0123456789") as server:
        monkeypatch.setenv("MLEB_PROVIDER_LAB_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("MLEB_PROVIDER_LAB_API_KEY", "sk-of-the-host-0123456789")
        run, layout = run_whole({"command": ask + COPY}, model="lab/small")
    assert run.status is RunStatus.FINISHED, f"{run.message}\n{layout.log.read_text()}"
    assert layout.log.read_text() == "hello\n0\n"
    assert run.usage.steps == 1


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("echo I cannot >&2; exit 7", "exit code 7: I cannot"),
        ("no-such-program", "exit code 127: /bin/sh: "),
        ("kill -9 $$", "killed by SIGKILL"),
    ],
)
def test_a_failure_is_told_in_one_line(run_whole, command, told):
    run, _ = run_whole({"command": command})
    assert (run.status, run.cause) == (RunStatus.FAILED, Cause.AGENT_ERROR)
    assert run.message.startswith(told) and "\n" not in run.message


@pytest.mark.docker
def test_it_runs_in_an_image_of_its_own(docker_engine, run_whole, folder):
    settings = {"command": "./run.sh you; id -u", "files": str(folder), "image": make_test_image()}
    limits = Limits(time_s=120, grace_s=1, memory_bytes=256 * 1024**2)
    run, layout = run_whole(settings, runner="docker", terms=Terms(), limits=limits)
    assert run.status is RunStatus.FINISHED, f"{run.message}\n{layout.log.read_text()}"
    assert run.competition_report.valid_submission
    words, uid = layout.log.read_text().split("\n")[:2]
    assert words == " you" and uid != "0"


def launch(**changes):
    place = PurePosixPath("/home/x")
    given = {"variant": None, "model": None, "settings": {"command": "true"}} | changes
    paths = AgentPaths(place, place, place, place, place, place)
    return Command().launch(
        LaunchContext("c", 0, time_limit_s=60, step_limit=None, paths=paths, python="python3", **given)
    )


def test_programs_get_their_execute_bits_back(folder):
    (folder / "it's.sh").write_text("#!/bin/sh\n")
    launched = launch(settings={"command": "./run.sh", "files": str(folder), "env": {"N": "1"}})
    assert launched.argv == ["/bin/sh", "-c", "chmod +x 'run.sh'; ./run.sh"]
    assert launched.env == {"N": "1"}
    assert {*launched.files} == {"it's.sh", "run.sh", "lib/hand_in.sh"}
    assert launch(settings={"command": "true"}).argv == ["/bin/sh", "-c", "true"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"variant": "x"}, "the agent command has no variants, got command/x; use command"),
        ({"settings": {}}, "the agent command needs a command; use --set command='./my_agent.sh'"),
    ],
)
def test_what_cannot_be_launched_is_refused(changes, told):
    with pytest.raises(UsageError, match=told):
        launch(**changes)


def test_files_that_are_too_large_or_unreadable_are_refused(folder, monkeypatch):
    monkeypatch.setattr(mleb_command.settings, "MOST_BYTES", 10)
    with pytest.raises(UsageError, match=r"the agent command: files: .* holds more than 0 MiB; put it into an image"):
        launch(settings={"command": "./run.sh", "files": str(folder)})
    monkeypatch.undo()
    (folder / "gone.sh").write_text("")
    settings = {"command": "./gone.sh", "files": str(folder / "gone.sh")}
    assert launch(settings=settings).files == {"gone.sh": b""}
    if os.geteuid() != 0:  # who may read everything cannot see this
        (folder / "gone.sh").chmod(0)
        with pytest.raises(UsageError, match=r"the agent command: .*Permission denied"):
            launch(settings=settings)


def test_files_that_hold_keys_stay_where_they_are(folder):
    (folder / ".env").write_text("OPENAI_API_KEY=sk-secret-0123456789")
    (folder / "lib" / ".env.local").write_text("OPENAI_API_KEY=sk-secret-0123456789")
    (folder / "link").symlink_to(".env")
    (folder / "again.sh").symlink_to("run.sh")
    given = launch(settings={"command": "./run.sh", "files": str(folder)}).files
    assert set(given) == {"run.sh", "again.sh", "lib/hand_in.sh"}
    assert launch(settings={"command": "cat .env", "files": str(folder / ".env")}).files == {}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"command": ""}, r"setting agent\.command of command"),
        ({"command": "true", "files": "/no/such/place"}, "/no/such/place is not there"),
        ({"command": "true", "speed": 1}, r"setting agent\.speed of command"),
        ({"command": "true", "env": "A=1"}, r"setting agent\.env of command"),
    ],
)
def test_wrong_settings_are_refused_before_anything_starts(data_dir, tmp_path, settings, told):
    request = EvalRequest(("command",), (DIABETES,), data_dir, tmp_path / "runs", settings=settings)
    with pytest.raises(UsageError, match=told):
        plan(request, Registry())
    assert not (tmp_path / "runs").exists()


def test_relative_places_are_kept_absolute_for_a_resume(data_dir, tmp_path, folder, monkeypatch):
    monkeypatch.chdir(folder)
    settings = {"command": "./run.sh a b", "files": "lib"}
    group = plan(EvalRequest(("command",), (DIABETES,), data_dir, tmp_path / "runs", settings=settings), Registry())
    assert group.settings["files"] == str(folder / "lib")
    settings = {"command": "./run.sh a b"}
    group = plan(EvalRequest(("command",), (DIABETES,), data_dir, tmp_path / "runs", settings=settings), Registry())
    assert json.loads(json.dumps(group.settings)) == {"command": "./run.sh a b", "files": str(folder / "run.sh")}


def test_without_an_image_it_takes_the_base(folder):
    assert image_of(Command(), {"command": "true"}).reference is None
    assert image_of(Command(), {"command": "true", "image": "lab/agent:1"}).reference == "lab/agent:1"
