"""An agent that wants out, wants the answers, or wants to do harm: it finds nothing, gets nothing, harms nothing."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mleb_core.layout import CompetitionData
from mleb_core.run import Cause, Limits, RunStatus
from mleb_core.runner.docker import limits
from mleb_core.runner.protocol import Stop

pytestmark = pytest.mark.docker

GIB = 1024**3


def ran(runner: Any, job: Any) -> tuple[Any, str]:
    outcome = runner.run(job, Stop())
    return outcome, job.layout.log.read_text(errors="replace")


def test_it_finds_no_answers_no_other_run_no_key(
    runner: Any, make_job: Any, runs: Path, tiny: CompetitionData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads every file that it can reach, all of /proc, and asks what is mounted."""
    needles = {"answers": "private-answers-4711", "key": "sk-host-key-4712", "other run": "other-run-4713"}
    monkeypatch.setenv("MLEB_TEST_KEY", needles["key"])
    other = runs / "tiny" / "script" / "1" / "submission"
    other.mkdir(parents=True)
    (other / "submission.csv").write_text(needles["other run"])
    (runs / "group.json").write_text(needles["other run"])
    secret = tiny.private / "marked.csv"
    secret.write_text(needles["answers"])
    code = f"""
import json, os, stat
needles = [bytes.fromhex(word) for word in {[word.encode().hex() for word in needles.values()]!r}]
found, readable, files, failures = [], [], 0, 0
def look(path, most=1 << 20):
    global files
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            data = os.read(fd, most)
        finally:
            os.close(fd)
    except OSError:
        return
    files += 1
    found.extend([path, needle.decode()] for needle in needles if needle in data)
for top, folders, names in os.walk("/"):
    if top == "/":
        folders[:] = [name for name in folders if name != "sys"]
    if top.count("/") > 1 and top.startswith("/proc/"):
        folders[:] = [name for name in folders if name in ("fd", "root", "cwd", "net", "task", "ns", "fdinfo")][:4]
    for name in names:
        look(os.path.join(top, name))
for pid in filter(str.isdigit, os.listdir("/proc")):
    for name in ("environ", "cmdline", "maps", "mountinfo", "status"):
        look(f"/proc/{{pid}}/{{name}}")
for path in (
    {str(tiny.private)!r}, {str(tiny.root)!r}, {str(runs)!r}, "/home/data/../private", "/home/data/..", "/var/run",
    "/run/docker.sock", "/var/run/docker.sock", "/var/lib/docker",
):
    try:
        readable.append([path, sorted(os.listdir(path))])
    except OSError:
        failures += 1
try:
    open("/proc/1/environ").read()
    readable.append("environ of process 1")
except OSError:
    pass
mounts = [line.split()[4] for line in open("/proc/self/mountinfo")]
writable = [line.split()[4] for line in open("/proc/self/mountinfo") if line.split()[5].startswith("rw")]
print(json.dumps(dict(found=found, readable=readable, files=files, mounts=mounts, writable=writable,
    environ=dict(os.environ), uid=os.getuid(), groups=os.getgroups(),
    caps=[l.split()[1] for l in open("/proc/self/status") if l.startswith(("CapEff", "CapPrm", "CapBnd", "CapInh"))],
    nnp=[l.split()[1] for l in open("/proc/self/status") if l.startswith(("NoNewPrivs", "Seccomp:"))],
    net=os.listdir("/sys/class/net"))))
"""
    try:
        outcome, log = ran(runner, make_job(code))
    finally:
        secret.unlink()
    assert outcome.status is RunStatus.FINISHED, log
    seen = json.loads(log)
    assert seen["files"] > 500 and seen["found"] == []
    # What it can list under these names is its own: the image's /home and /run, nothing of the host's.
    assert {path for path, _ in seen["readable"]} <= {"/home/data/..", "/var/run"}
    assert all("docker.sock" not in names for _, names in seen["readable"])
    assert not any("4712" in value for value in seen["environ"].values())
    assert seen["uid"] != 0 and set(seen["groups"]) <= {seen["uid"]}
    assert {int(word, 16) for word in seen["caps"]} == {0}
    assert seen["nnp"][0] == "1"
    assert seen["net"] == ["lo"]
    own = {"/home/agent", "/home/submission", "/home/code", "/home/logs", "/mleb/output", "/tmp", "/dev", "/dev/shm"}
    kernel = {"/dev/pts", "/dev/mqueue"}  # and /proc and /sys, whose files root alone may write
    assert {path for path in seen["writable"] if not path.startswith(("/proc", "/sys"))} <= own | kernel
    assert {"/home/data", "/home/data/description.md", "/home/instructions.txt"} <= set(seen["mounts"])
    known = own | kernel | {"/", "/mleb", "/proc", "/sys", "/etc/resolv.conf", "/etc/hostname", "/etc/hosts"}
    strange = [m for m in seen["mounts"] if m not in known and not m.startswith(("/home/", "/proc/", "/sys/"))]
    assert strange == []


def test_it_can_write_nowhere_else(runner: Any, make_job: Any, tiny: CompetitionData) -> None:
    before = {path: path.read_bytes() for path in tiny.public.rglob("*") if path.is_file()}
    code = """
import os
for folder in ("/", "/home", "/home/data", "/etc", "/usr/bin", "/mleb", "/root", "/run", "/var/tmp", "/dev", "/sys",
               "/sys/fs/cgroup/memory", "/proc", "/proc/sys/kernel", "/proc/1"):
    try:
        open(folder + "/planted", "w").write("x")
        print("WROTE", folder)
    except OSError as error:
        pass
for path in ("/home/data/train.csv", "/home/data/description.md", "/home/instructions.txt", "/mleb/helper.py",
             "/home/validate_submission.sh", "/etc/passwd", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger",
             "/proc/1/oom_score_adj", "/proc/1/mem", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
    for way in (lambda: open(path, "a"), lambda: os.chmod(path, 0o777), lambda: os.unlink(path),
                lambda: os.rename(path, "/tmp/x"), lambda: os.utime(path)):
        try:
            way()
            print("CHANGED", path)
        except OSError:
            pass
for path in ("/home/agent", "/home/submission", "/home/code", "/home/logs", "/tmp", "/dev/shm"):
    open(path + "/x", "w").write("x")
for way in (lambda: os.mknod("/tmp/sda", 0o60666, os.makedev(8, 0)),
            lambda: os.mknod("/home/code/m", 0o20666, os.makedev(1, 1)),
            lambda: os.setuid(0), lambda: os.chroot("/tmp"), lambda: os.chown("/home/code/x", 0, 0),
            lambda: os.setgroups([0]), lambda: os.sethostname(b"x") if hasattr(os, "sethostname") else os.setuid(0)):
    try:
        way()
        print("DID", way)
    except OSError:
        pass
print("end")
"""
    outcome, log = ran(runner, make_job(code))
    assert outcome.status is RunStatus.FINISHED
    assert log == "end\n"
    assert {path: path.read_bytes() for path in tiny.public.rglob("*") if path.is_file()} == before


def test_a_setuid_file_gives_no_rights_and_is_collected_without_that_bit(runner: Any, make_job: Any) -> None:
    code = """
import os, shutil, subprocess
shutil.copy(os.path.realpath(shutil.which("id")), "/home/code/id")
os.chmod("/home/code/id", 0o6755)
print(subprocess.run(["/home/code/id", "-u"], capture_output=True, text=True).stdout.strip())
"""
    job = make_job(code)
    _, log = ran(runner, job)
    assert log.strip() == str(os.geteuid() or 1000)
    assert (job.layout.code / "id").stat().st_mode & 0o7000 == 0


def test_what_is_no_regular_file_is_not_collected(runner: Any, make_job: Any, tmp_path: Path) -> None:
    (tmp_path / "host.txt").write_text("of-the-host-4714")
    code = f"""
import os, socket
os.chdir("/home/submission")
os.symlink({str(tmp_path / "host.txt")!r}, "submission.csv")
os.symlink("/home/data/train.csv", "link.csv")
os.symlink("..", "up")
os.symlink({str(tmp_path)!r}, "/home/code/host")
os.mkfifo("pipe")
socket.socket(socket.AF_UNIX).bind("socket")
try:
    os.link("/home/data/train.csv", "hard.csv")
    print("LINKED")
except OSError:
    pass
open("/home/agent/own", "w").write("own")
try:
    os.link("/home/agent/own", "hard2.csv")  # another mount
    print("LINKED")
except OSError:
    pass
os.rename("/home/logs", "/home/away") if os.access("/home", os.W_OK) else None
os.mkdir("/home/logs/deep"); os.symlink("/proc/self/root/etc", "/home/logs/deep/etc")
open("bad\\nname.csv", "w").write("x")
open("plain.csv", "w").write("kept")
"""
    job = make_job(code)
    outcome, log = ran(runner, job)
    assert (outcome.status, log) == (RunStatus.FINISHED, "")
    assert sorted(path.name for path in job.layout.submission_dir.iterdir()) == ["plain.csv"]
    assert len(outcome.refused) == 8
    for path in job.layout.root.rglob("*"):
        assert not path.is_symlink() and (path.is_dir() or path.is_file())
        assert not (path.is_file() and b"of-the-host-4714" in path.read_bytes())


def test_a_file_of_holes_weighs_nothing_and_is_refused(runner: Any, make_job: Any) -> None:
    code = "import os, time\nopen('/home/submission/submission.csv', 'w').truncate(99 << 30)\ntime.sleep(2.5)"
    job = make_job(code, disk_bytes=100 * GIB)
    outcome, _ = ran(runner, job)
    assert outcome.status is RunStatus.FINISHED
    assert [line for line in outcome.refused if "too large: 106300440576 bytes" in line]
    assert not job.layout.submission.exists()


def test_no_file_beyond_the_disks_limit(runner: Any, make_job: Any) -> None:
    code = "open('/home/code/x', 'w').truncate(2 << 20)"
    outcome, log = ran(runner, make_job(code, disk_bytes=1 << 20))
    assert outcome.status is RunStatus.FAILED and "File too large" in log


@pytest.mark.parametrize("hidden", [False, True])
def test_the_disk_is_limited(runner: Any, make_job: Any, hidden: bool) -> None:
    """Many files, or one that has no name any more."""
    code = f"""
import os, time
held = []
for n in range(1000):
    held.append(open(f"/home/agent/{{n}}", "wb", 0))
    if {hidden}:
        os.unlink(held[-1].name)
    held[-1].write(bytes(1 << 20))
    time.sleep(0.004)
time.sleep(60)
"""
    outcome, _ = ran(runner, make_job(code, disk_bytes=64 << 20))
    assert (outcome.status, outcome.cause) == (RunStatus.FAILED, Cause.AGENT_ERROR)
    assert outcome.message == "disk: more than 0.0625 GiB written"


def test_many_small_files(runner: Any, make_job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = dataclasses.replace(limits.bounds_of(Limits()), files=5000)
    monkeypatch.setattr("mleb_core.runner.docker.runner.bounds_of", lambda asked: bounds)
    code = """
import os
for n in range(10**9):
    if n % 1000 == 0:
        os.mkdir(f"/home/agent/{n}"); os.chdir(f"/home/agent/{n}")
    os.close(os.open(str(n), os.O_CREAT))
"""
    outcome, _ = ran(runner, make_job(code))
    assert (outcome.status, outcome.message) == (RunStatus.FAILED, "disk: more than 5000 files")


def test_directories_without_end(runner: Any, make_job: Any) -> None:
    code = "import os, time\nfor n in range(3000):\n    os.mkdir('d'); os.chdir('d')\ntime.sleep(60)"
    job = make_job(code)
    outcome, _ = ran(runner, job)
    assert outcome.message == "disk: directories nested deeper than 128"
    assert not job.layout.work.exists()


def test_a_fork_bomb(runner: Any, make_job: Any) -> None:
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
    print("stopped at", n)
"""
    outcome, log = ran(runner, make_job(code, processes=50))
    assert outcome.status is RunStatus.FINISHED
    assert log.startswith("stopped at 4")


def test_a_memory_bomb_in_a_child_in_tmp_and_in_shared_memory(runner: Any, make_job: Any) -> None:
    """A child is killed and the agent lives to tell; files in memory count as memory."""
    code = """
import os, signal
for way in ("heap", "/tmp/x", "/dev/shm/x"):
    pid = os.fork()
    if not pid:
        if way == "heap":
            block = b"x" * (1 << 30)
        try:
            with open(way, "wb") as file:
                for _ in range(1024):
                    file.write(bytes(1 << 20))
        except OSError as error:
            os._exit(28)
    print(way, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    for path in ("/tmp/x", "/dev/shm/x"):
        os.path.exists(path) and os.unlink(path)
raise SystemExit(3)
"""
    outcome, log = ran(runner, make_job(code, memory_bytes=128 << 20))
    assert log == "heap -9\n/tmp/x 28\n/dev/shm/x 28\n"
    assert (outcome.status, outcome.exit_code) == (RunStatus.FAILED, 3)
    assert outcome.message == "out of memory, limit 0.125 GiB: exit code 3"


def test_it_cannot_touch_the_first_process(runner: Any, make_job: Any) -> None:
    code = """
import ctypes, os, signal, time
for number in range(1, 65):
    try:
        os.kill(1, number)
    except OSError:
        pass
libc = ctypes.CDLL(None, use_errno=True)
print("traced", libc.ptrace(16, 1, 0, 0))
for name in ("fd", "environ", "mem", "maps", "root"):
    try:
        (os.listdir if name in ("fd", "root") else open)(f"/proc/1/{name}")
        print("opened", name)
    except OSError:
        pass
time.sleep(0.5)
print("alive", flush=True)
os.kill(os.getpid(), 9)
"""
    outcome, log = ran(runner, make_job(code))
    assert log == "traced -1\nalive\n"
    assert (outcome.status, outcome.exit_code) == (RunStatus.FAILED, -9)
    assert outcome.message == "killed by SIGKILL; the machine may be out of memory"


def test_it_reaches_no_network(runner: Any, make_job: Any) -> None:
    code = """
import socket
for family, address in ((2, ("172.17.0.1", 22)), (2, ("10.0.0.1", 53)), (2, ("169.254.169.254", 80)),
                        (10, ("fe80::1", 80))):
    with socket.socket(family) as s:
        s.settimeout(5)
        try:
            s.connect(address); print("reached", address)
        except OSError:
            pass
try:
    socket.getaddrinfo("example.invalid", 80); print("resolved")
except OSError:
    pass
try:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW); print("raw")
except OSError:
    pass
print(open("/proc/net/route").read().count("\\n"))
"""
    _, log = ran(runner, make_job(code))
    assert log == "1\n"


def test_its_output_is_out_of_its_reach(runner: Any, make_job: Any) -> None:
    """What was printed stays, whatever becomes of the file that it passes through."""
    code = """
import os, time
os.write(1, b"before\\n")
time.sleep(1.2)
os.truncate("/mleb/output", 0)
os.write(1, b"after\\n")
for path in ("/mleb/output", "/dev/stdout", "/proc/self/fd/1"):
    try:
        open(path, "w").close()
    except OSError:
        pass
try:
    os.unlink("/mleb/output")
except OSError:
    pass
"""
    job = make_job(code)
    outcome, log = ran(runner, job)
    assert log == "before\n"
    assert outcome.refused == ("agent.log: the agent had cut its output; what had been copied before is kept",)


def test_another_run_and_a_program_of_the_host_go_on(runner: Any, make_job: Any) -> None:
    """It signals every process that it can name."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as other:
        code = """
import os
for pid in [-1, *range(2, 40000)]:
    if pid != os.getpid():
        try:
            os.kill(pid, 9)
        except OSError:
            pass
"""
        outcome, _ = ran(runner, make_job(code))
        assert outcome.status in (RunStatus.FINISHED, RunStatus.FAILED)
        assert other.poll() is None
        other.kill()
