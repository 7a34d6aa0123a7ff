"""How a run in a container can end, and what is said of it; harnesses that die, and others that take over."""

import contextlib
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mleb_core import NotPreparedError, RunnerError, SandboxError, UsageError
from mleb_core.agent import Image
from mleb_core.layout import CompetitionData, RunLayout
from mleb_core.run import Cause, Limits, RunStatus
from mleb_core.runner.docker.runner import DockerRunner
from mleb_core.runner.protocol import Stop
from mleb_core.testing.runner import Script
from mleb_core.testing.tinies import tiny_job

pytestmark = pytest.mark.docker

SUBMIT = "import shutil; shutil.copy('/home/data/sample_submission.csv', '/home/submission/submission.csv')\n"
COUNT = """
import sys, time
for n in range({0}):
    print("line", n, flush=True)
    time.sleep({1})
open("/home/submission/submission.csv", "w").write("counted")
"""


def until(condition: Any) -> Any:
    while not (value := condition()):
        time.sleep(0.02)
    return value


@pytest.mark.parametrize(
    ("code", "exit_code", "message"),
    [
        ("raise SystemExit(3)", 3, "exit code 3"),
        ("raise SystemExit(137)", 137, "exit code 137"),
        ("import os; os.kill(os.getpid(), 11)", -11, "killed by SIGSEGV"),
        ("import os; os.kill(os.getpid(), 40)", -40, "killed by signal 40"),
    ],
)
def test_a_failing_agent(runner: Any, make_job: Any, code: str, exit_code: int, message: str) -> None:
    job = make_job(SUBMIT + code)
    outcome = runner.run(job, Stop())
    assert (outcome.status, outcome.cause) == (RunStatus.FAILED, Cause.AGENT_ERROR)
    assert (outcome.exit_code, outcome.message) == (exit_code, message)
    assert job.layout.submission.is_file()
    assert sorted(path.name for path in job.layout.root.iterdir()) == [
        "agent.log",
        "code",
        "logs",
        "resources.json",
        "submission",
    ]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["/nowhere/agent"], "cannot start /nowhere/agent: no such file or directory"),
        (["/etc"], "cannot start /etc: permission denied"),
        (["a\0b"], "cannot start 'a\\x00b': embedded null byte"),
        ([], "cannot start the agent: its command is empty"),
    ],
)
def test_a_command_that_cannot_be_started(
    runner: Any, make_job: Any, monkeypatch: pytest.MonkeyPatch, argv: list[str], message: str
) -> None:
    from mleb_core import Launch

    job = make_job("")
    monkeypatch.setattr(job.scaffold, "launch", lambda context: Launch(argv))
    outcome = runner.run(job, Stop())
    assert (outcome.status, outcome.cause, outcome.message) == (RunStatus.FAILED, Cause.AGENT_ERROR, message)
    assert not job.layout.work.exists()


def test_out_of_memory_of_the_agent_itself(runner: Any, make_job: Any) -> None:
    outcome = runner.run(make_job("block = b'x' * (1 << 30)", memory_bytes=128 << 20), Stop())
    assert (outcome.status, outcome.cause, outcome.exit_code) == (RunStatus.FAILED, Cause.AGENT_ERROR, -9)
    assert outcome.message == "out of memory, limit 0.125 GiB: killed by SIGKILL"
    assert outcome.peak_memory_bytes == 128 << 20


def test_what_is_asked_for_and_cannot_be(runner: Any, make_job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job("pass")
    monkeypatch.setattr(job.scaffold, "image", Image(reference="mleb-no-such-image:1"))
    with pytest.raises(RunnerError, match=r"^[^\n]*mleb-no-such-image:1[^\n]*$"):
        runner.run(job, Stop())
    monkeypatch.setattr(job.scaffold, "image", Image(reference="x", privileged=True))
    with pytest.raises(UsageError, match="needs a privileged container"):
        runner.run(job, Stop())
    with pytest.raises(RunnerError, match="no proxy"):
        runner.run(make_job("pass", job={"network": ("example.org",)}), Stop())
    with pytest.raises(NotPreparedError, match=r"description.md is not there; run `mleb prepare"):
        runner.run(make_job("pass", job={"public": job.layout.root}), Stop())
    runtimes = DockerRunner()
    with pytest.raises(RunnerError, match="no NVIDIA runtime"):
        runtimes.check(Limits(gpus=1))


def test_an_engine_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(RunnerError, match=r"^no Docker engine answers; run `sudo systemctl start docker`"):
        DockerRunner().check(Limits())


def test_a_gpu_that_the_engine_cannot_give_leaves_no_container(runner: Any, make_job: Any, containers_of: Any) -> None:
    job = make_job("pass", job={"gpus": ("GPU-0",)})
    with pytest.raises(SandboxError, match="could not select device driver"):
        runner.run(job, Stop())
    assert containers_of(job.layout) == []


def test_ended_from_outside_is_no_fault_of_the_agent(
    runner: Any, make_job: Any, docker_engine: Any, containers_of: Any
) -> None:
    ways = {
        "killed from outside": lambda id: docker_engine.api.kill(id, "SIGKILL"),
        "stopped from outside": lambda id: docker_engine.api.kill(id, "SIGTERM"),
        "removed while it ran|marked for removal|No such container": lambda id: docker_engine.api.remove_container(
            id, force=True
        ),
    }
    for name, (message, way) in enumerate(ways.items()):
        job = make_job("import time; print('up', flush=True); time.sleep(60)", name=str(name))
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(runner.run, job, Stop())
            until(lambda job=job: job.layout.log.is_file() and job.layout.log.read_bytes())
            way(containers_of(job.layout)[0]["Id"])
            with pytest.raises(SandboxError, match=message):
                running.result()
        assert containers_of(job.layout) == []


@contextlib.contextmanager
def other_harness(job: Any, tiny: CompetitionData, image: Image) -> Any:
    """Another process that runs the job, until it is killed."""
    code = f"""
from pathlib import Path
from mleb_core.agent import Image
from mleb_core.layout import CompetitionData
from mleb_core.run import Limits
from mleb_core.runner.docker.runner import DockerRunner
from mleb_core.runner.protocol import Stop
from mleb_core.testing.runner import Script
from mleb_core.testing.tinies import tiny_job
job = tiny_job(Path({str(job.layout.root)!r}), CompetitionData(Path({str(tiny.root)!r})),
    Script({job.scaffold.code!r}, Image(reference={image.reference!r})),
    limits=Limits.model_validate_json({job.limits.model_dump_json()!r}))
DockerRunner().run(job, Stop())
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def killed_at(job: Any, tiny: CompetitionData, image: Image, lines: int) -> None:
    """Let another harness start the job, and kill it after some lines of output."""
    with other_harness(job, tiny, image) as process:
        until(lambda: job.layout.log.is_file() and job.layout.log.read_bytes().count(b"\n") >= lines)
        process.send_signal(signal.SIGKILL)
        process.wait()


def take_up(job: Any) -> Any:
    import dataclasses

    return dataclasses.replace(job, take_up=True, attempt=2)


def test_a_killed_harness_loses_no_line_and_no_submission(
    runner: Any, make_job: Any, tiny: CompetitionData, test_image: Image
) -> None:
    job = make_job(COUNT.format(200, 0.02))
    job.layout.log.write_text("an earlier attempt\n")
    killed_at(job, tiny, test_image, 20)
    time.sleep(0.5)
    assert runner.is_running(job.layout)
    started = time.time()
    outcome = runner.run(take_up(job), Stop())
    assert outcome.status is RunStatus.FINISHED
    assert outcome.runtime_s > time.time() - started + 0.4  # the original clock
    earlier, joint, *lines = job.layout.log.read_text().splitlines()
    assert (earlier, joint[:19]) == ("an earlier attempt", "--- another attempt")
    assert lines == [f"line {n}" for n in range(200)]
    assert job.layout.submission.read_text() == "counted"
    assert not runner.is_running(job.layout)
    assert not job.layout.work.exists()


def test_what_ended_while_no_harness_lived_has_its_own_end(
    runner: Any, make_job: Any, tiny: CompetitionData, test_image: Image, containers_of: Any
) -> None:
    job = make_job(COUNT.format(60, 0.02) + "sys.exit(5)")
    killed_at(job, tiny, test_image, 1)
    until(lambda: containers_of(job.layout)[0]["State"] == "exited")
    assert runner.is_running(job.layout)
    outcome = runner.run(take_up(job), Stop())
    assert (outcome.status, outcome.exit_code, outcome.message) == (RunStatus.FAILED, 5, "exit code 5")
    assert job.layout.log.read_text().splitlines() == [f"line {n}" for n in range(60)]
    assert job.layout.submission.read_text() == "counted"


def test_time_that_passed_while_no_harness_lived_is_up(
    runner: Any, make_job: Any, tiny: CompetitionData, test_image: Image, containers_of: Any
) -> None:
    job = make_job(COUNT.format(10**6, 0.02), time_s=3.0, grace_s=0.5)
    killed_at(job, tiny, test_image, 1)
    time.sleep(3.0)
    assert containers_of(job.layout)[0]["State"] == "running"
    outcome = runner.run(take_up(job), Stop())
    assert (outcome.status, outcome.message) == (RunStatus.TIMED_OUT, "time was up after 3 s")
    lines = job.layout.log.read_text().splitlines()
    assert lines == [f"line {n}" for n in range(len(lines))]


def test_a_container_ends_itself_where_no_harness_comes_back(
    runner: Any, make_job: Any, tiny: CompetitionData, test_image: Image, containers_of: Any
) -> None:
    code = "import signal; signal.signal(15, signal.SIG_IGN)\n" + COUNT.format(10**6, 0.02)
    job = make_job(code, time_s=1.0, grace_s=0.5)
    with other_harness(job, tiny, test_image) as process:
        until(lambda: job.layout.log.is_file() and job.layout.log.read_bytes())
        process.kill()
        process.wait()
        until(lambda: containers_of(job.layout)[0]["State"] == "exited")
    assert runner.run(take_up(job), Stop()).status is RunStatus.TIMED_OUT


def test_a_new_attempt_removes_what_is_left_of_the_former(
    runner: Any, make_job: Any, tiny: CompetitionData, test_image: Image, containers_of: Any
) -> None:
    job = make_job(COUNT.format(10**6, 0.02))
    killed_at(job, tiny, test_image, 3)
    first = containers_of(job.layout)[0]["Id"]
    again = make_job(SUBMIT + "print('second')")
    assert runner.run(again, Stop()).status is RunStatus.FINISHED
    assert containers_of(job.layout) == []
    lines = job.layout.log.read_text().splitlines()
    joint = next(index for index, line in enumerate(lines) if line.startswith("--- another attempt"))
    assert lines[:joint] == [f"line {n}" for n in range(joint)] and joint >= 3
    assert lines[joint + 1 :] == ["second"]
    assert first


def test_stop_ends_a_run_that_was_taken_up(
    runner: Any, make_job: Any, tiny: CompetitionData, test_image: Image
) -> None:
    job = make_job(COUNT.format(10**6, 0.02))
    killed_at(job, tiny, test_image, 1)
    stop = Stop()
    stop.set()
    assert runner.run(take_up(job), stop).status is RunStatus.INTERRUPTED
    assert not runner.is_running(job.layout)
    assert runner.run(make_job("pass", name="1"), stop).status is RunStatus.INTERRUPTED


def test_the_log_is_cut_at_its_limit_and_says_so(runner: Any, make_job: Any) -> None:
    code = "import os\nfor n in range(400):\n    os.write(1, b'x' * 9999 + b'\\n')\nos.write(2, b'the end')"
    job = make_job(code, log_bytes=100_003)
    assert runner.run(job, Stop()).status is RunStatus.FINISHED
    content = job.layout.log.read_bytes()
    assert content[:100_003] == ((b"x" * 9999 + b"\n") * 11)[:100_003]
    told = re.fullmatch(rb"\n--- cut at 100003 bytes; at least (\d+) bytes were dropped ---\n", content[100_003:])
    assert told is not None and 0 < int(told[1]) <= 4_000_007 - 100_003


def test_a_long_log_is_whole_and_gives_its_blocks_back(runner: Any, make_job: Any) -> None:
    code = """
import os, time
line = b"x" * 1023 + b"\\n"
for n in range(100):
    os.write(1, line * 1024)
    if n == 80:
        time.sleep(1.5)
        print(os.stat("/mleb/output").st_blocks * 512 // 2**20, flush=True)
"""
    job = make_job(code)
    assert runner.run(job, Stop()).status is RunStatus.FINISHED
    content = job.layout.log.read_bytes()
    assert content.count(b"x" * 1023 + b"\n") == 100 * 1024
    (blocks,) = [line for line in content.splitlines() if len(line) < 1000]
    assert int(blocks) <= 32


def test_snapshots_are_taken(runner: Any, make_job: Any) -> None:
    from mleb_core.runner.snapshots import read_snapshots

    code = """
import time
for n in range(3):
    open("/home/submission/submission.csv", "w").write(str(n))
    time.sleep(1.5)
"""
    job = make_job(code, job={"snapshot_s": 1.0})
    assert runner.run(job, Stop()).status is RunStatus.FINISHED
    kept = [(job.layout.snapshots / found.file).read_text() for found in read_snapshots(job.layout) if found.file]
    assert kept[-1] == "2" and len(kept) >= 2 and kept == sorted(kept)


def test_many_runs_at_once_leave_nothing_behind(runner: Any, make_job: Any, docker_engine: Any) -> None:
    code = """
import os, sys
open("/home/submission/submission.csv", "w").write(os.environ["TAG"])
print(os.environ["TAG"])
sys.exit(int(os.environ["TAG"]) % 3)
"""

    def counted() -> tuple[int, int, int, int]:
        volumes, networks = docker_engine.api.volumes()["Volumes"] or [], docker_engine.api.networks()
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count(), len(volumes), len(networks)

    jobs = [make_job(code, name=str(n), job={"env": {"TAG": str(n)}}) for n in range(17)]
    runner.run(jobs[16], Stop())
    before = counted()
    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(lambda job: runner.run(job, Stop()), jobs[:16]))
    assert [outcome.exit_code for outcome in outcomes] == [n % 3 for n in range(16)]
    assert [job.layout.submission.read_text() for job in jobs[:16]] == [str(n) for n in range(16)]
    assert [job.layout.log.read_text() for job in jobs[:16]] == [f"{n}\n" for n in range(16)]
    del pool
    assert counted() == before


def test_a_record_that_is_lost_or_spoilt(runner: Any, make_job: Any) -> None:
    job = make_job(SUBMIT)
    job.layout.work.mkdir()
    for content in (b"", b"[1]", b'{"log_start": "x"}'):
        job.layout.work_record.write_bytes(content)
        assert not runner.is_running(job.layout)
    with pytest.raises(SandboxError, match="container of the former attempt is gone"):
        runner.run(take_up(job), Stop())
    assert runner.run(job, Stop()).status is RunStatus.FINISHED


def test_labels_are_of_the_absolute_directory(runs: Path, tiny: CompetitionData, test_image: Image) -> None:
    """A run's label names its absolute directory, however it was given."""
    from mleb_core.runner.docker.labels import labels_of, run_label

    job = tiny_job(runs / "tiny" / "script" / "9", tiny, Script("pass", test_image))
    with contextlib.chdir(runs):
        assert run_label(Path("tiny/script/9")) == run_label(job.layout.root)
        assert labels_of(RunLayout(Path("tiny/script/9")).root, 1)["mleb.group"] == str(runs)
