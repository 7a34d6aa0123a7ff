"""An agent that wants out of its sandbox, wants the answers, or wants to do harm: it gets nothing and harms nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import mleb_bwrap.runner
from mleb_core.layout import CompetitionData
from mleb_core.run import Cause, RunStatus
from mleb_core.runner.protocol import Stop

pytestmark = pytest.mark.bwrap


def ran(runner: Any, job: Any) -> tuple[Any, str]:
    outcome = runner.run(job, Stop())
    return outcome, job.layout.log.read_text(errors="replace")


def test_it_finds_no_answers_no_other_run_no_key(
    runner: Any, make_job: Any, tmp_path: Path, tiny: CompetitionData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads every file that it can reach outside of /usr, all of /proc, and asks what is mounted."""
    needles = {"answers": "private-answers-5711", "key": "sk-host-key-5712", "other run": "other-run-5713"}
    monkeypatch.setenv("MLEB_TEST_KEY", needles["key"])
    other = tmp_path / "group" / "tiny" / "script" / "1" / "submission"
    other.mkdir(parents=True)
    (other / "submission.csv").write_text(needles["other run"])
    secret = tiny.private / "marked.csv"
    secret.write_text(needles["answers"])
    code = f"""
import importlib.util, json, os, stat
needles = [bytes.fromhex(word) for word in {[word.encode().hex() for word in needles.values()]!r}]
found, readable, files = [], [], 0
for top, folders, names in os.walk("/"):
    if top == "/":
        folders[:] = [name for name in folders if name not in ("usr", "sys")]
    if top.startswith(("/proc/", "/tmp/")) and top.count("/") > 2:
        folders[:] = []
    for name in names:
        path = os.path.join(top, name)
        try:
            if stat.S_ISREG(os.stat(path).st_mode):
                with open(path, "rb", buffering=0) as file:
                    data = file.read(1 << 20)
                files += 1
                found.extend([path, needle.decode()] for needle in needles if needle in data)
        except OSError:
            pass
for path in ({str(tiny.private)!r}, {str(tiny.root)!r}, {str(tmp_path)!r}, "/home/data/../private", "/run", "/var",
             "/var/run/docker.sock", "/root", "/proc/1/root", "/proc/1/fd", {str(Path.home())!r}):
    try:
        readable.append([path, sorted(os.listdir(path))])
    except OSError:
        pass
status = [line.split() for line in open("/proc/self/status")]
print(json.dumps(dict(found=found, readable=readable, files=files, environ=dict(os.environ), uid=os.getuid(),
    groups=os.getgroups(), caps=[l[1] for l in status if l[0] in ("CapEff:", "CapPrm:", "CapBnd:", "CapInh:")],
    nnp=[l[1] for l in status if l[0] == "NoNewPrivs:"],
    net=[l.split(":")[0].strip() for l in open("/proc/net/dev")][2:],
    writable=[l.split()[4] for l in open("/proc/self/mountinfo") if l.split()[5].startswith("rw")],
    pids=sorted(int(name) for name in os.listdir("/proc") if name.isdigit()), own=os.getpid(),
    seen=[name for name in ("mleb", "mleb_mlebench", "mleb_samples", "mleb_dummy") if importlib.util.find_spec(name)])))
"""
    try:
        outcome, log = ran(runner, make_job(code))
    finally:
        secret.unlink()
    assert outcome.status is RunStatus.FINISHED, log
    seen = json.loads(log)
    assert seen["files"] > 50 and seen["found"] == []
    shown = dict(seen["readable"])
    assert set(shown) <= {"/root", str(Path.home())}  # nothing but the way to a Python that lies there
    assert all(name.startswith(".pyenv") or name in (".local", ".venv") for names in shown.values() for name in names)
    assert not any("5712" in value for value in seen["environ"].values())
    assert seen["uid"] != 0 and set(seen["groups"]) <= {seen["uid"], 65534}
    assert {int(word, 16) for word in seen["caps"]} == {0}
    assert (seen["nnp"], seen["net"]) == (["1"], ["lo"])
    own = {"/home/agent", "/home/submission", "/home/code", "/home/logs", "/mleb/output", "/tmp", "/dev/shm"}
    devices = {f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty", "pts", "console")}
    assert set(seen["writable"]) <= own | devices | {"/proc"}
    assert seen["pids"] == [1, seen["own"]]
    # As in an image: of mleb's packages an agent has those that its scaffold names.
    assert seen["seen"] == []


def test_it_can_write_nowhere_else(runner: Any, make_job: Any, tiny: CompetitionData) -> None:
    before = {path: path.read_bytes() for path in tiny.public.rglob("*") if path.is_file()}
    core_pattern = Path("/proc/sys/kernel/core_pattern").read_text()
    code = """
import os
for folder in ("/", "/home", "/home/data", "/etc", "/usr/bin", "/mleb", "/opt/mleb/packages", "/dev", "/proc",
               "/proc/1"):
    try:
        open(folder + "/planted", "w").write("x")
        print("WROTE", folder)
    except OSError:
        pass
for path in ("/home/data/train.csv", "/home/data/description.md", "/home/instructions.txt", "/mleb/helper.py",
             "/etc/passwd", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/proc/1/oom_score_adj", "/proc/1/mem"):
    for way in (lambda: open(path, "a"), lambda: os.chmod(path, 0o777), lambda: os.unlink(path),
                lambda: os.rename(path, "/tmp/x"), lambda: os.utime(path)):
        try:
            way()
            print("CHANGED", path)
        except OSError:
            pass
try:
    open("/proc/sys/kernel/core_pattern", "r+")
    print("CHANGED core_pattern")
except OSError:
    pass
for path in ("/home/agent", "/home/submission", "/home/code", "/home/logs", "/tmp", "/dev/shm"):
    open(path + "/x", "w").write("x")
for way in (lambda: os.mknod("/tmp/sda", 0o60666, os.makedev(8, 0)), lambda: os.setuid(0), lambda: os.chroot("/tmp"),
            lambda: os.chown("/home/code/x", 0, 0), lambda: os.setgroups([0])):
    try:
        way()
        print("DID", way)
    except OSError:
        pass
print("end")
"""
    outcome, log = ran(runner, make_job(code))
    assert (outcome.status, log) == (RunStatus.FINISHED, "end\n")
    assert {path: path.read_bytes() for path in tiny.public.rglob("*") if path.is_file()} == before
    assert Path("/proc/sys/kernel/core_pattern").read_text() == core_pattern


def test_what_is_no_regular_file_is_not_collected(runner: Any, make_job: Any, tmp_path: Path) -> None:
    (tmp_path / "host.txt").write_text("of-the-host-5714")
    code = f"""
import os, socket
os.chdir("/home/submission")
os.symlink({str(tmp_path / "host.txt")!r}, "submission.csv")
os.symlink("..", "up")
os.mkfifo("pipe")
socket.socket(socket.AF_UNIX).bind("socket")
for source in ("/home/data/train.csv", "/home/agent/given/note.txt", "/mleb/helper.py"):
    try:
        os.link(source, "hard.csv")
        print("LINKED")
    except OSError:
        pass
open("holes.csv", "w").truncate(99 << 30)
open("plain.csv", "w").write("kept")
"""
    job = make_job(code, disk_bytes=100 << 30)
    outcome, log = ran(runner, job)
    assert (outcome.status, log) == (RunStatus.FINISHED, "")
    assert sorted(path.name for path in job.layout.submission_dir.iterdir()) == ["plain.csv"]
    assert len(outcome.refused) == 5
    for path in job.layout.root.rglob("*"):
        assert not path.is_symlink() and (path.is_dir() or path.is_file())


def test_a_fork_bomb_and_signals_to_everybody(runner: Any, make_job: Any) -> None:
    code = """
import os, time
n = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        n += 1
except BlockingIOError:
    print("stopped at", n, flush=True)
for pid in [1, *range(2, 40000)]:
    if pid != os.getpid():
        try:
            os.kill(pid, 9)
        except OSError:
            pass
print("alive")
"""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as other:
        outcome, log = ran(runner, make_job(code, processes=50))
        assert other.poll() is None
        other.kill()
    assert outcome.status is RunStatus.FINISHED
    assert log.startswith("stopped at 4") and log.endswith("alive\n")


def test_memory_disk_and_files_are_limited(runner: Any, make_job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome, _ = ran(runner, make_job("block = b'x' * (1 << 30)", memory_bytes=128 << 20))
    assert (outcome.status, outcome.cause) == (RunStatus.FAILED, Cause.AGENT_ERROR)
    assert outcome.message.startswith("out of memory, limit 0.125 GiB")
    code = "import time\nfile = open('x', 'wb', 0)\nwhile True:\n    file.write(bytes(1 << 20)); time.sleep(0.01)"
    outcome, log = ran(runner, make_job(code, name="1", disk_bytes=64 << 20))
    assert "File too large" in log or outcome.message == "disk: more than 0.0625 GiB written"


def test_without_control_groups_memory_and_processes_are_kept_all_the_same(
    runner: Any, make_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the runner says that the kernel does not do it."""
    monkeypatch.setattr(mleb_bwrap.runner, "find_places", lambda: None)
    assert not runner.isolation.memory
    code = "import time\nheld = []\nwhile True:\n    held.append(bytes(range(256)) * 40960); time.sleep(0.02)"
    outcome, _ = ran(runner, make_job(code, memory_bytes=256 << 20))
    assert (outcome.status, outcome.cause) == (RunStatus.FAILED, Cause.AGENT_ERROR)
    assert outcome.message.startswith("out of memory: ")
    with pytest.raises(mleb_bwrap.runner.RunnerError, match="cannot limit cpus here"):
        runner.check(mleb_bwrap.runner.Limits(cpus=1))


def test_an_obfuscated_run_sees_no_name(runner: Any, make_job: Any) -> None:
    code = "print(open('/proc/self/mountinfo').read(), open('/home/data/train.csv').readline())"
    for number, hidden in enumerate((True, False)):
        outcome, log = ran(runner, make_job(code, name=str(number), job={"obfuscated": hidden}))
        assert outcome.status is RunStatus.FINISHED, log
        assert ("/tiny/" in log) is not hidden


def test_a_dead_harness_leaves_nothing_and_its_run_is_run_again(make_job: Any, runner: Any, tmp_path: Path) -> None:
    marker = "import time; time.sleep(598.75)"
    code = f"""
import sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from mleb_bwrap.runner import BwrapRunner
from mleb_core.layout import CompetitionData
from mleb_core.runner.protocol import Stop
from mleb_core.testing.runner import Script
from mleb_core.testing.tinies import tiny_job, tiny_prepared
data = tiny_prepared(Path({str(tmp_path)!r}, "data"))
layout = Path({str(tmp_path)!r}, "group", "tiny", "script", "0")
BwrapRunner().run(tiny_job(layout, data, Script({"print('here', flush=True);" + marker!r})), Stop())
"""
    log = tmp_path / "group" / "tiny" / "script" / "0" / "agent.log"
    with subprocess.Popen([sys.executable, "-c", code]) as harness:
        while not (log.is_file() and "here" in log.read_text()):
            assert harness.poll() is None
            time.sleep(0.05)
        os.kill(harness.pid, signal.SIGKILL)
    until = time.monotonic() + 30
    while left := [path for path in Path("/proc").glob("[0-9]*/cmdline") if marker.encode() in read(path)]:
        assert time.monotonic() < until, left
        time.sleep(0.05)
    job = make_job("print('again')")
    assert not runner.is_running(job.layout)
    outcome, text = ran(runner, job)
    assert outcome.status is RunStatus.FINISHED
    assert text.startswith("here\n") and text.endswith("again\n") and "another attempt" in text


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_data_that_would_be_seen_is_refused(runner: Any, make_job: Any, tiny: CompetitionData) -> None:
    place = Path(sys.prefix) / f"mleb-test-{os.getpid()}"
    shutil.copytree(tiny.public, place)
    try:
        with pytest.raises(mleb_bwrap.runner.RunnerError, match="which agents see"):
            runner.run(make_job("pass", job={"public": place}), Stop())
    finally:
        shutil.rmtree(place)
    shutil.rmtree(make_job("pass").layout.group.places)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of system calls are this machine's")
def test_it_gets_no_key_that_the_kernel_holds_for_the_harness_session(runner: Any, make_job: Any) -> None:
    import ctypes

    libc = ctypes.CDLL(None)
    name = f"mleb-test-{os.getpid()}".encode()
    key = libc.syscall(248, b"user", name, b"secret", 6, -3)  # add_key to the session's keyring
    if key < 0:
        pytest.skip("the kernel keeps no keys here")
    try:
        assert libc.syscall(250, 10, -3, b"user", name, 0) == key  # KEYCTL_SEARCH
        code = f"""
import ctypes
libc = ctypes.CDLL(None)
print(libc.syscall(250, 10, -3, b"user", {name!r}, 0), libc.syscall(250, 11, {key}, ctypes.create_string_buffer(9), 9))
"""
        outcome, log = ran(runner, make_job(code))
    finally:
        libc.syscall(250, 21, key)  # KEYCTL_INVALIDATE
    assert outcome.status is RunStatus.FINISHED, log
    assert log.split() == ["-1", "-1"]
