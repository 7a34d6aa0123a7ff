"""Agents run, end and are told about."""

import contextlib
import json
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mleb_core import NotPreparedError, PluginError, RunnerError, UsageError
from mleb_core.run import Cause, Limits, RunStatus
from mleb_core.runner import proc_linux, public_data
from mleb_core.runner.local import LocalRunner
from mleb_core.runner.processes import ExitWatch
from mleb_core.runner.protocol import Runner, Stop

SUBMIT = """
import os, shutil
shutil.copy(os.environ["MLEB_DATA"] + "/sample_submission.csv", os.environ["MLEB_SUBMISSION"] + "/submission.csv")
"""


def run(job: Any, stop: Stop | None = None) -> Any:
    return LocalRunner().run(job, stop or Stop())


def scaffold_like(make_job: Any, **changes: Any) -> Any:
    scaffold = make_job("pass").scaffold
    for name, value in changes.items():
        setattr(scaffold, name, value)
    return scaffold


def test_is_a_runner() -> None:
    assert isinstance(LocalRunner(), Runner)
    assert LocalRunner.id == "local"


def test_an_agent_hands_in_a_submission(make_job: Any) -> None:
    job = make_job(SUBMIT + "print('done', flush=True)")
    outcome = run(job)
    assert (outcome.status, outcome.cause, outcome.exit_code, outcome.refused) == (RunStatus.FINISHED, None, 0, ())
    assert outcome.runtime_s > 0 and outcome.peak_memory_bytes > 0
    assert job.layout.submission.read_text() == "id,y\n3,0\n"
    assert job.layout.log.read_bytes() == b"done\n"
    assert sorted(path.name for path in job.layout.root.iterdir()) == [
        "agent.log",
        "code",
        "logs",
        "resources.json",
        "submission",
    ]


@pytest.mark.parametrize(
    ("code", "exit_code", "message"),
    [
        ("raise SystemExit(3)", 3, "exit code 3"),
        ("import os; os.kill(os.getpid(), 11)", -11, "killed by SIGSEGV"),
        ("import os; os.kill(os.getpid(), 9)", -9, "killed by SIGKILL; the machine may be out of memory"),
        ("import os; os.kill(os.getpid(), 40)", -40, "killed by signal 40"),
    ],
)
def test_a_failing_agent(make_job: Any, code: str, exit_code: int, message: str) -> None:
    job = make_job(SUBMIT + code)
    outcome = run(job)
    assert (outcome.status, outcome.cause) == (RunStatus.FAILED, Cause.AGENT_ERROR)
    assert (outcome.exit_code, outcome.message) == (exit_code, message)
    assert job.layout.submission.is_file()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["/nowhere/agent"], "cannot start /nowhere/agent: no such file or directory"),
        (["no-such-program-here"], "cannot start no-such-program-here: no such file or directory"),
        (["/etc"], "cannot start /etc: permission denied"),
        (["a\0b"], "cannot start 'a\\x00b': embedded null byte"),
        ([], "cannot start the agent: its command is empty"),
    ],
)
def test_a_command_that_cannot_be_started(make_job: Any, argv: list[str], message: str) -> None:
    job = make_job(argv)
    outcome = run(job)
    assert (outcome.status, outcome.cause, outcome.message) == (RunStatus.FAILED, Cause.AGENT_ERROR, message)
    assert not job.layout.work.exists()


def test_what_an_agent_sees(make_job: Any, public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "MLEB_DATA_DIR", "LD_PRELOAD", "PYTHONPATH", "HARNESS_SECRET"):
        monkeypatch.setenv(name, "hush-4711")
    monkeypatch.setenv("LC_TIME", "C")
    monkeypatch.setenv("TZ", "Europe/Rome")
    monkeypatch.setenv("TMPDIR", "/hush-4711")
    code = """
import json, os
from pathlib import Path
e = os.environ
found = {
    "env": dict(e), "cwd": os.getcwd(), "raw": Path("/proc/self/environ").read_bytes().decode(),
    "data": sorted(str(p.relative_to(e["MLEB_DATA"])) for p in Path(e["MLEB_DATA"]).rglob("*") if p.is_file()),
    "plain": not any(p.is_symlink() for p in Path(e["MLEB_DATA"]).rglob("*")),
    "description": Path(e["MLEB_DATA"], "description.md").read_text(),
    "instructions": Path(e["MLEB_INSTRUCTIONS"]).read_text(),
    "sub": Path("tools/own.txt").read_text(),
    "fds": [os.path.realpath(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")],
    "session": os.getsid(0) == os.getpid() == os.getpgid(0),
}
Path(e["TMPDIR"], "x").write_text("")
Path(e["MLEB_LOGS"], "seen.json").write_text(json.dumps(found))
"""
    scaffold = scaffold_like(
        make_job, command=code, env={"MINE": "1", "MLEB_RUN_ID": "lost"}, files={"tools/own.txt": b"own"}
    )
    job = make_job(scaffold, env={"JOB": "2", "COMPETITION_ID": "neutral"}, time_s=90.0, steps=7)
    with (public / "train.csv").open() as held:
        os.set_inheritable(held.fileno(), True)
        assert run(job).status is RunStatus.FINISHED
    seen = json.loads((job.layout.logs / "seen.json").read_text())
    env = seen["env"]
    assert "hush-4711" not in seen["raw"]
    expected = {"COMPETITION_ID": "neutral", "MLEB_SEED": "3", "TIME_LIMIT_SECS": "90", "STEP_LIMIT": "7"}
    assert expected.items() <= env.items()
    assert {
        "MINE": "1",
        "JOB": "2",
        "LC_TIME": "C",
        "TZ": "Europe/Rome",
        "PATH": os.environ["PATH"],
    }.items() <= env.items()
    allowed = {"HOME", "TMPDIR", "MLEB_RUN_ID", "MLEB_DATA", "MLEB_SUBMISSION", "MLEB_CODE", "MLEB_LOGS", "LANG"}
    allowed |= {"MLEB_INSTRUCTIONS", "CUDA_VISIBLE_DEVICES", "MINE", "JOB", "TZ", "PATH", *expected}
    assert not [name for name in env if name not in allowed and not name.startswith("LC_")]
    assert env["MLEB_RUN_ID"] != "lost"
    assert env["HOME"] == seen["cwd"] == str(job.layout.work_home)
    assert len(env["TMPDIR"]) < 60 and not Path(env["TMPDIR"]).is_symlink()
    assert seen["data"] == ["description.md", "images/a.bin", "images/deep/b.bin", "sample_submission.csv", "train.csv"]
    assert seen["plain"] and seen["session"]
    assert (seen["description"], seen["instructions"], seen["sub"]) == ("what the agent shall read", "do it ☂", "own")
    assert not [path for path in seen["fds"] if path.endswith("train.csv")]
    (context,) = scaffold.contexts
    assert (context.competition_id, context.seed, context.python) == ("neutral", 3, sys.executable)
    assert str(context.paths.submission) == env["MLEB_SUBMISSION"]


def test_small_data_is_the_agents_own_and_large_data_is_linked(
    make_job: Any, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import os; os.chdir(os.environ['MLEB_DATA']); print(os.stat('train.csv').st_ino); open('images/a.bin', 'w')"
    inode = (public / "train.csv").stat().st_ino
    job = make_job(code, name="small")
    run(job)
    assert int(job.layout.log.read_text()) != inode
    assert (public / "images" / "a.bin").read_bytes() == b"\x00\xff"
    monkeypatch.setattr(public_data, "COPIED_BYTES", 1)
    job = make_job(code, name="large")
    run(job)
    assert int(job.layout.log.read_text()) == inode
    assert (public / "description.md").read_text() == "the original"
    assert (public / "train.csv").stat().st_nlink == 1


@pytest.mark.parametrize(
    "name", ["../x", "/tmp/x", "data/images/x", "instructions.txt", "submission", "", "a/../../x", "instructions.txt/x"]
)
def test_a_scaffolds_files_stay_in_the_home(make_job: Any, name: str) -> None:
    job = make_job(scaffold_like(make_job, files={name: b"x"}))
    outcome = run(job)
    assert (outcome.status, outcome.cause) == (RunStatus.FAILED, Cause.AGENT_ERROR)
    assert repr(name) in outcome.message
    assert not (job.layout.root.parent / "x").exists()


def test_a_scaffold_that_refuses_or_breaks(make_job: Any) -> None:
    def refuse(context: Any) -> Any:
        raise UsageError("no such model")

    def crash(context: Any) -> Any:
        raise KeyError("oops")

    with pytest.raises(UsageError, match="no such model"):
        run(make_job(scaffold_like(make_job, launch=refuse)))
    with pytest.raises(PluginError, match="agent script cannot say how it is started: KeyError: 'oops'"):
        run(make_job(scaffold_like(make_job, launch=crash)))


def test_data_that_is_gone(make_job: Any, public: Path) -> None:
    job = make_job("pass")
    public.rename(public.with_name("elsewhere"))
    with pytest.raises(NotPreparedError, match="is not there; run `mleb prepare`"):
        run(job)


def test_time_is_up_and_the_agent_saves_its_work(make_job: Any) -> None:
    # The saver is a child of a shell that the signal ends at once.
    code = "import signal, sys, time\ndef save(*_):\n    time.sleep(0.3)\n" + "\n".join(
        "    " + line for line in SUBMIT.strip().splitlines()
    )
    code += "\n    sys.exit(0)\nsignal.signal(signal.SIGTERM, save)\nprint('up', flush=True)\nwhile True: time.sleep(1)"
    job = make_job(["/bin/sh", "-c", '"$0" -c "$1"; true', sys.executable, code], time_s=2.0, grace_s=30.0)
    outcome = run(job)
    assert (outcome.status, outcome.cause) == (RunStatus.TIMED_OUT, Cause.AGENT_TIMEOUT)
    assert outcome.message == "time was up after 2 s"
    assert job.layout.submission.is_file()


def test_time_is_up_and_the_agent_does_not_care(make_job: Any) -> None:
    code = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(1)"
    outcome = run(make_job(SUBMIT + code, time_s=1.0, grace_s=0.3))
    assert (outcome.status, outcome.cause, outcome.exit_code) == (RunStatus.TIMED_OUT, Cause.AGENT_TIMEOUT, -9)
    assert outcome.runtime_s >= 1.3


def test_stop(make_job: Any) -> None:
    stop = Stop()
    job = make_job("import time; print('up', flush=True); time.sleep(1000)")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, job, stop)
        while not (job.layout.log.exists() and job.layout.log.read_bytes()):
            time.sleep(0.01)
        stop.set()
        outcome = running.result()
    assert (outcome.status, outcome.exit_code) == (RunStatus.INTERRUPTED, -9)
    assert run(make_job("pass", name="other"), stop).status is RunStatus.INTERRUPTED
    assert not job.layout.work.exists()


def test_memory_of_all_processes_together(make_job: Any) -> None:
    code = """
import os, time
for _ in range(3):
    if not os.fork():
        break
block = bytearray(os.urandom(1)) * (100 << 20)
time.sleep(1000)
"""
    outcome = run(make_job(code, memory_bytes=256 << 20))
    assert (outcome.status, outcome.cause) == (RunStatus.FAILED, Cause.AGENT_ERROR)
    assert outcome.message.startswith("out of memory: 0.") and outcome.message.endswith(" GiB used, limit 0.25 GiB")
    assert outcome.peak_memory_bytes > 256 << 20


def test_memory_that_is_shared_counts_once(make_job: Any) -> None:
    code = """
import os, time
block = b"x" * (150 << 20)
for _ in range(5):
    if not os.fork():
        time.sleep(1)
        os._exit(0)
time.sleep(1)
"""
    outcome = run(make_job(code, memory_bytes=300 << 20))
    assert outcome.status is RunStatus.FINISHED, outcome.message
    assert outcome.peak_memory_bytes >= 150 << 20


def test_many_runs_at_once(make_job: Any) -> None:
    code = """
import os, sys
open(os.environ["MLEB_SUBMISSION"] + "/submission.csv", "w").write(os.environ["TAG"])
print(os.environ["TAG"])
sys.exit(int(os.environ["TAG"]) % 3)
"""
    jobs = [make_job(code, name=str(n), env={"TAG": str(n)}) for n in range(24)]
    runner = LocalRunner()
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda job: runner.run(job, Stop()), jobs))
    assert [outcome.exit_code for outcome in outcomes] == [n % 3 for n in range(24)]
    assert [job.layout.submission.read_text() for job in jobs] == [str(n) for n in range(24)]
    assert [job.layout.log.read_text() for job in jobs] == [f"{n}\n" for n in range(24)]


def test_no_descriptor_and_no_thread_is_left(make_job: Any) -> None:
    run(make_job(SUBMIT))
    descriptors, threads = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    for _ in range(5):
        run(make_job(SUBMIT))
        run(make_job(["/nowhere/agent"]))
    assert (len(list(Path("/proc/self/fd").iterdir())), threading.active_count()) == (descriptors, threads)


def test_a_long_way_to_the_run_leaves_room_for_sockets(make_job: Any) -> None:
    code = """
import os, socket, tempfile
socket.socket(socket.AF_UNIX).bind(tempfile.mkdtemp(prefix="pymp-") + "/listener-abcdefgh")
print(os.environ["TMPDIR"], os.path.realpath(os.environ["TMPDIR"]))
"""
    job = make_job(code, name="/".join(["long-name-of-a-directory"] * 6))
    outcome = run(job)
    assert outcome.status is RunStatus.FINISHED, job.layout.log.read_text()
    short, long = job.layout.log.read_text().split()
    assert long == str(job.layout.work_tmp)
    assert not os.path.lexists(short)


def test_without_pidfd(make_job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Linux before 5.3."""

    def lacking(pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", lacking)
    job = make_job(
        "import subprocess\nsubprocess.Popen(['sleep', '1000'], start_new_session=True)\nraise SystemExit(4)"
    )
    outcome = run(job)
    assert outcome.message == "exit code 4"
    assert run(make_job("import time; time.sleep(1000)", time_s=0.5, grace_s=0.1)).status is RunStatus.TIMED_OUT


def test_exit_watch_does_not_reap() -> None:
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 5"], {})
    watch = ExitWatch(pid)
    assert watch.wait(60)
    watch.close()
    found = proc_linux.facts(pid)
    assert found is not None and found.ended
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5


def test_limits_that_cannot_be_kept() -> None:
    LocalRunner().check(Limits(memory_bytes=1 << 30))
    with pytest.raises(RunnerError, match="cannot limit cpus; leave --cpus out"):
        LocalRunner().check(Limits(cpus=2))
    with pytest.raises(RunnerError, match="1000 GPUs are asked for"):
        LocalRunner().check(Limits(gpus=1000))


def test_signals_reach_an_agent_as_in_a_fresh_process(make_job: Any) -> None:
    code = "import signal\nprint(signal.getsignal(signal.SIGTERM), signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    job = make_job(code)
    with contextlib.ExitStack() as stack:
        old = signal.signal(signal.SIGTERM, lambda *_: None)
        stack.callback(signal.signal, signal.SIGTERM, old)
        run(job)
    assert job.layout.log.read_text() == "0 set()\n"
