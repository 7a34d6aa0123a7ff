"""No process of a run outlives it, and no other process comes to harm."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mleb_core.run import RunStatus
from mleb_core.runner import proc_linux, proc_psutil
from mleb_core.runner.local import LocalRunner
from mleb_core.runner.processes import RunProcesses
from mleb_core.runner.protocol import Stop

DAEMON = """
import os, subprocess, sys, time
def daemon():
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    {trick}
    with open(os.environ["MLEB_LOGS"] + "/pids", "a") as stream:
        stream.write(f"{{os.getpid()}}\\n")
    {act}
daemon()
path = os.environ["MLEB_LOGS"] + "/pids"
while not (os.path.exists(path) and os.path.getsize(path)):
    time.sleep(0.01)
{end}
"""
SLEEP = "time.sleep(1000)"


def pids(job: Any) -> list[int]:
    return [int(line) for line in (job.layout.logs / "pids").read_text().split()]


@pytest.mark.parametrize(
    "act",
    [
        SLEEP,
        "signal = __import__('signal'); [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]; time.sleep(1000)",
        # Without the environment, without parents, with a session and directory of its own.
        "os.chdir('/'); os.execve('/bin/sleep', ['sleep', '1000'], {{}})",
        # Leaves children behind, for as long as the test may take: should the test itself be killed, they end too.
        "\n    ends = time.monotonic() + 60\n    while time.monotonic() < ends:\n        if os.fork(): os._exit(0)\n"
        "        time.sleep(0.002)",
    ],
)
@pytest.mark.parametrize("end", ["raise SystemExit(0)", "os.kill(os.getpid(), 9)"])
def test_a_daemon_is_gone_when_the_run_returns(make_job: Any, alive: Any, bystander: Any, act: str, end: str) -> None:
    job = make_job(DAEMON.format(trick="pass", act=act.format(), end=end))
    outcome = LocalRunner().run(job, Stop())
    assert outcome.exit_code in (0, -9)
    assert pids(job) and not [pid for pid in pids(job) if alive(pid)]
    assert not marked(job)


def marked(job: Any) -> list[int]:
    """Processes, of whatever ids, that still work in the run's directory."""
    place = str(job.layout.root)
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if str((entry / "cwd").readlink()).startswith(place):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_time_stop_and_memory_end_daemons_too(make_job: Any, alive: Any, bystander: Any) -> None:
    hog = "block = b'x' * (200 << 20); time.sleep(1000)"
    for name, act, limits, status in (
        ("time", SLEEP, {"time_s": 1.0, "grace_s": 0.2}, RunStatus.TIMED_OUT),
        ("memory", hog, {"memory_bytes": 100 << 20}, RunStatus.FAILED),
    ):
        job = make_job(DAEMON.format(trick="pass", act=act, end=SLEEP), name=name, **limits)
        assert LocalRunner().run(job, Stop()).status is status
        assert len(pids(job)) == 1 and not alive(pids(job)[0])


def test_found_by_the_environment_alone(alive: Any, until: Any, bystander: Any) -> None:
    processes = RunProcesses()
    env = {"PATH": os.environ["PATH"], "MLEB_RUN_ID": processes.marker}
    strays = [subprocess.Popen(["sleep", "1000"], env=env, start_new_session=True) for _ in range(2)]
    near = subprocess.Popen(["sleep", "1000"], env=env | {"MLEB_RUN_ID": "0" * 32}, start_new_session=True)
    until(lambda: len(processes.members()) == 2)
    assert set(processes.members()) == {stray.pid for stray in strays}
    processes.kill()
    assert [stray.wait() for stray in strays] == [-9, -9]
    assert near.poll() is None
    near.kill()
    near.wait()


def is_sleep(pid: int) -> bool:
    return Path(f"/proc/{pid}/comm").read_text() == "sleep\n"


def test_found_by_the_mark_alone(until: Any, bystander: Any) -> None:
    processes = RunProcesses()
    # The parent is marked from outside; what it starts inherits the mark but neither environment nor session.
    start = "subprocess.Popen(['setsid', '-f', 'sleep', '1000'], env={'PATH': '/usr/bin:/bin'})"
    code = f"import subprocess; input(); {start}; input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, start_new_session=True) as parent:
        assert parent.stdin is not None
        processes.adopt(parent.pid)
        parent.stdin.write(b"\n")
        parent.stdin.flush()
        daemon = until(lambda: next((pid for pid in set(processes.members()) - {parent.pid} if is_sleep(pid)), None))
        assert os.getsid(daemon) != os.getsid(parent.pid)
        assert Path(f"/proc/{daemon}/environ").read_bytes() == b"PATH=/usr/bin:/bin\0"
        processes.kill()
        assert parent.wait() == -9
    left = proc_linux.facts(daemon)
    assert left is None or left.ended


def test_a_process_id_that_was_given_to_another_is_let_alone(bystander: Any) -> None:
    found = proc_linux.facts(bystander.pid)
    assert found is not None
    record = RunProcesses().record
    other = RunProcesses.from_record(record | {"known": [[bystander.pid, found.started + 1]]})
    assert other is not None
    other.kill()
    assert bystander.poll() is None
    assert RunProcesses.from_record(record | {"boot": "another", "known": [[bystander.pid, found.started]]}) is None
    same = RunProcesses.from_record(json.loads(json.dumps(record | {"known": [[bystander.pid, found.started]]})))
    assert same is not None and list(same.members()) == [bystander.pid]


def test_a_process_whose_first_thread_has_ended_still_counts(make_job: Any, alive: Any) -> None:
    code = """
import ctypes, os, subprocess, sys, threading, time
child = '''
import ctypes, os, threading, time
threading.Thread(target=time.sleep, args=(1000,)).start()
print(os.getpid(), flush=True)
ctypes.CDLL(None).pthread_exit(None)
'''
process = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE, start_new_session=True)
pid = int(process.stdout.readline())
while open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] != "Z":
    time.sleep(0.01)
open(os.environ["MLEB_LOGS"] + "/pids", "w").write(str(pid))
os._exit(0)
"""
    job = make_job(code)
    LocalRunner().run(job, Stop())
    (pid,) = pids(job)
    left = proc_linux.facts(pid)
    assert left is None or left.ended


HARNESS = """
import sys
from pathlib import Path
from mleb_core import Launch
from mleb_core.layout import RunLayout
from mleb_core.run import Limits, RunKey
from mleb_core.runner.local import LocalRunner
from mleb_core.runner.protocol import Job, Stop

class Agent:
    id = summary = "agent"
    def variants(self): return ()
    def launch(self, context): return Launch([context.python, "-c", sys.argv[3]])

LocalRunner().run(Job(key=RunKey(competition="c", agent="a", seed=0), layout=RunLayout(Path(sys.argv[1])),
    public=Path(sys.argv[2]), description="", instructions="", scaffold=Agent(), variant=None, model=None,
    settings={}, limits=Limits(log_bytes=1000), env={}), Stop())
"""


def test_what_a_killed_harness_left_is_ended_first(
    make_job: Any, public: Path, alive: Any, until: Any, bystander: Any
) -> None:
    job = make_job("print('second')")
    flood = "import os; os.write(1, b'x' * 5000)\n"
    code = flood + DAEMON.format(trick="pass", act=SLEEP, end="open(path, 'a').write(f'{os.getpid()}\\n'); " + SLEEP)
    harness = subprocess.Popen([sys.executable, "-c", HARNESS, str(job.layout.root), str(public), code])
    path = job.layout.work_logs / "pids"
    until(lambda: path.exists() and len(path.read_text().split()) == 2)
    os.kill(harness.pid, signal.SIGKILL)
    harness.wait()
    old = [int(pid) for pid in path.read_text().split()]
    assert all(map(alive, old))
    # Whoever got the old main process's id meanwhile is not to suffer, so one of them is ended already.
    os.kill(old[1], signal.SIGKILL)
    assert LocalRunner().run(job, Stop()).status is RunStatus.FINISHED
    assert not any(map(alive, old))
    lines = job.layout.log.read_text().splitlines()
    assert lines[0].startswith("x" * 1000) and lines[-1] == "second"
    assert any(line.startswith("--- another attempt") for line in lines)


def test_a_harness_killed_at_any_instant_leaves_nothing_that_cannot_be_found(
    make_job: Any, public: Path, alive: Any
) -> None:
    beacon = (
        "import os, time; open(os.environ['HOME'] + '/../../pids', 'a').write(f'{os.getpid()}\\n'); time.sleep(1000)"
    )
    for n in range(8):
        job = make_job("pass", name=str(n))
        harness = subprocess.Popen([sys.executable, "-c", HARNESS, str(job.layout.root), str(public), beacon])
        while not job.layout.work.exists():
            time.sleep(0.001)
        time.sleep(n * 0.004)
        harness.kill()
        harness.wait()
        time.sleep(0.05 * (n % 2))
        assert LocalRunner().run(job, Stop()).status is RunStatus.FINISHED
        time.sleep(0.1)
        left = job.layout.root / "pids"
        assert not (left.exists() and any(alive(int(pid)) for pid in left.read_text().split()))
        assert not job.layout.work.exists()


def test_psutil_tells_the_same_as_proc(until: Any, bystander: Any) -> None:
    pid = bystander.pid
    one, other = proc_linux.facts(pid), proc_psutil.facts(pid)
    assert one is not None and other is not None
    assert (one.parent, one.ended) == (other.parent, other.ended) == (os.getpid(), False)
    path = f"PATH={os.environ['PATH']}".encode()
    # The environment shows a moment later than the process.
    until(lambda: path in proc_linux.environment(pid).split(b"\0"))
    assert path in proc_psutil.environment(pid).split(b"\0")
    assert pid in proc_linux.pids() and pid in proc_psutil.pids()
    assert all(size(pid) > 0 for module in (proc_linux, proc_psutil) for size in (module.resident, module.proportional))


def test_a_process_that_is_gone() -> None:
    with subprocess.Popen(["true"]) as process:
        pass
    for module in (proc_linux, proc_psutil):
        assert module.facts(process.pid) is None
        assert (module.environment(process.pid), module.resident(process.pid)) == (b"", 0)


def test_a_run_with_psutil_as_on_other_systems(make_job: Any, alive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mleb_core.runner.processes.proc", proc_psutil)
    job = make_job(DAEMON.format(trick="pass", act=SLEEP, end="raise SystemExit(7)"))
    assert LocalRunner().run(job, Stop()).exit_code == 7
    assert pids(job) and not alive(pids(job)[0])
