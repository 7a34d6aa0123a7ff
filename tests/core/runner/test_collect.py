"""Whatever an agent leaves, regular files only come out, and nothing from elsewhere."""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mleb_core.run import RunStatus
from mleb_core.runner import collect
from mleb_core.runner.collect import Collector
from mleb_core.runner.local import LocalRunner
from mleb_core.runner.protocol import Stop
from mleb_core.runner.remove import remove_tree

GIB = 1024**3


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home" / "code").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "collected").mkdir()
    return tmp_path / "collected" / "code"


def gather(
    home: Path, target: Path, max_bytes: int = GIB, max_files: int = 1000, first: str | None = None
) -> Collector:
    collector = Collector(max_bytes, max_files)
    collector.collect(home.parent, (home.name, "code"), target, first)
    collector.finish()
    return collector


def tree(folder: Path) -> dict[str, bytes]:
    """All content by relative path; fails at anything that is neither directory nor regular file."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        assert not path.is_symlink()
        if not path.is_dir():
            assert path.is_file()
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def copying(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file were somebody else's, so that none is moved."""
    monkeypatch.setattr(os, "geteuid", lambda: -1)


@pytest.mark.parametrize("copy", [False, True])
def test_plain_files(home: Path, target: Path, copy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if copy:
        copying(monkeypatch)
    code = home / "code"
    (code / "a b" / "ü").mkdir(parents=True)
    (code / "empty").mkdir(mode=0o700)
    big = os.urandom(3 << 20)
    for name, content, mode in (
        ("x.py", b"x", 0o4777),
        ("a b/y", b"", 0o600),
        ("a b/ü/☂", big, 0o640),
        (".z", b"z", 0o2111),
    ):
        (code / name).write_bytes(content)
        (code / name).chmod(mode)
    assert gather(home, target).refused == ()
    assert tree(target) == {"x.py": b"x", "a b/y": b"", "a b/ü/☂": big, ".z": b"z"}
    modes = {str(p.relative_to(target)): oct(p.stat().st_mode & 0o7777) for p in target.rglob("*")}
    executable = {"x.py", ".z", "a b", "a b/ü", "empty"}
    assert modes == {name: "0o755" if name in executable else "0o644" for name in modes}


@pytest.mark.parametrize("copy", [False, True])
def test_all_that_is_refused(
    home: Path, target: Path, tmp_path: Path, copy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if copy:
        copying(monkeypatch)
    code = home / "code"
    secret = tmp_path / "answers.csv"
    secret.write_text("hush")
    (code / "passwd").symlink_to("/etc/passwd")
    (code / "etc").symlink_to("/etc")
    (code / "dangling").symlink_to("nowhere")
    os.link(secret, code / "linked")
    os.mkfifo(code / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(code)
        server.bind("socket")
        os.chdir(here)
    (code / "line\nbreak").write_text("x")
    Path(os.fsdecode(bytes(code) + b"/\xff\xfe")).write_text("x")
    Path(os.fsdecode(bytes(code) + b"/dir\xff")).mkdir()
    (code / "fine").write_text("fine")
    with (code / "sparse").open("wb") as stream:
        stream.truncate(100 * GIB)
    if os.geteuid() == 0:
        os.mknod(code / "device", 0o20666, os.makedev(1, 3))
    collector = gather(home, target)
    assert tree(target) == {"fine": b"fine"}
    odd = "its name is not UTF-8 text without control characters"
    expected = {
        "code/dangling: a symbolic link",
        "code/etc: a symbolic link",
        "code/linked: a hard link to a file elsewhere",
        "code/passwd: a symbolic link",
        "code/pipe: a named pipe",
        "code/socket: a socket",
        f"code/sparse: too large: {100 * GIB} bytes, {GIB - 4} left of {GIB} for the whole run",
        f"'code/line\\nbreak': {odd}",
        f"'code/\\udcff\\udcfe': {odd}",
        f"'code/dir\\udcff': {odd}",
    }
    assert set(collector.refused) - {"code/device: a device"} == expected
    assert all(line.isprintable() and line.encode() for line in collector.refused)


def test_hard_links_among_themselves_are_collected(home: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "code" / "sub").mkdir()
    (home / "code" / "one").write_text("same")
    os.link(home / "code" / "one", home / "code" / "sub" / "two")
    (home / "elsewhere").write_text("hush")
    os.link(home / "elsewhere", home / "code" / "a")
    os.link(home / "elsewhere", home / "code" / "b")
    collector = gather(home, target)
    assert tree(target) == {"one": b"same", "sub/two": b"same"}
    assert {path.stat().st_nlink for path in target.rglob("*") if path.is_file()} == {1}
    assert collector.refused == ("code/a: a hard link to a file elsewhere", "code/b: a hard link to a file elsewhere")


def test_hard_links_count_with_their_size_each(home: Path, target: Path) -> None:
    (home / "code" / "0").write_bytes(b"x" * 600)
    for n in range(1, 5):
        os.link(home / "code" / "0", home / "code" / str(n))
    collector = gather(home, target, max_bytes=1500)
    assert len(tree(target)) == 2
    assert [line.partition(": ")[2] for line in collector.refused] == [
        "too large: 600 bytes, 300 left of 1500 for the whole run"
    ] * 3


def test_limits_go_to_what_counts_first(home: Path, target: Path) -> None:
    for name in ("0", "1", "2", "submission.csv", "z"):
        (home / "code" / name).write_bytes(b"x" * 100)
    collector = gather(home, target, max_bytes=250, first="submission.csv")
    assert sorted(tree(target)) == ["0", "submission.csv"]
    assert collector.refused == tuple(
        f"code/{name}: too large: 100 bytes, 50 left of 250 for the whole run" for name in ("1", "2", "z")
    )


def test_a_file_that_comes_first_but_is_not_there(home: Path, target: Path) -> None:
    (home / "code" / "x").write_text("x")
    assert gather(home, target, first="submission.csv").refused == ()
    assert tree(target) == {"x": b"x"}


def test_twenty_thousand_files_against_a_cap(home: Path, target: Path) -> None:
    for n in range(20_000):
        (home / "code" / f"{n:05}").touch()
    (home / "code" / "zz").mkdir()
    (home / "code" / "zz" / "more").touch()
    collector = gather(home, target, max_files=500)
    assert len(list(target.iterdir())) == 500
    assert collector.refused == ("code: holds files beyond the limit of 500 in all; some were left out",)
    remove_tree(home)


def test_the_cap_holds_over_all_directories_and_ends_the_walk(home: Path, target: Path) -> None:
    for outer in range(10):
        (home / "code" / str(outer)).mkdir()
        for inner in range(10):
            (home / "code" / str(outer) / str(inner)).touch()
    collector = gather(home, target, max_files=25)
    assert len(list(target.rglob("*"))) == 25
    assert collector.refused


def test_refusals_are_counted_beyond_a_number(home: Path, target: Path) -> None:
    for n in range(200):
        (home / "code" / f"{n:03}").symlink_to("/etc/passwd")
    refused = gather(home, target).refused
    assert len(refused) == collect.MAX_REFUSED + 1
    assert refused[-1] == "150 more were refused"


def deepen(folder: Path, levels: int, name: str = "d") -> None:
    fd = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=fd)
        deeper = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = deeper
    os.close(os.open("bottom", os.O_WRONLY | os.O_CREAT, dir_fd=fd))
    os.close(fd)


def test_deep_directories(home: Path, target: Path) -> None:
    (home / "code" / "fine").touch()
    (home / "code" / "long").mkdir()
    deepen(home / "code", 2500)
    deepen(home / "code" / "long", 30, "n" * 200)
    collector = gather(home, target)
    assert "fine" in tree(target)
    assert len(collector.refused) == 2
    assert collector.refused[0].endswith("/d: deeper than 64 directories")
    assert collector.refused[1].endswith("...: its path is longer than 1024 bytes")
    remove_tree(home)
    assert not home.exists()


@pytest.mark.parametrize("what", ["link", "file", "pipe", "parent"])
def test_the_directory_itself_was_replaced(home: Path, target: Path, tmp_path: Path, what: str) -> None:
    shutil.rmtree(home if what == "parent" else home / "code")
    (tmp_path / "bait" / "code").mkdir(parents=True)
    (tmp_path / "bait" / "code" / "x").write_text("hush")
    if what == "parent":
        home.symlink_to(tmp_path / "bait")
    elif what == "link":
        (home / "code").symlink_to(tmp_path / "bait" / "code")
    elif what == "file":
        (home / "code").write_text("x")
    else:
        os.mkfifo(home / "code")
    collector = gather(home, target)
    assert tree(target) == {}
    assert len(collector.refused) == 1 and collector.refused[0].startswith("code: not a directory")


def test_a_directory_that_is_gone(home: Path, target: Path) -> None:
    (home / "code").rmdir()
    assert gather(home, target).refused == ()
    assert tree(target) == {}


@pytest.fixture
def swapping(home: Path, tmp_path: Path) -> Iterator[None]:
    """While a test goes on, files and directories in `code` turn into links to a bait and back, all the time."""
    bait = tmp_path / "bait"
    bait.mkdir()
    (bait / "file").write_text("hush")
    (bait / "other").write_text("hush")
    code = home / "code"
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            for n in range(20):
                folder, link = code / f"d{n}", code / f"f{n}"
                folder.mkdir(exist_ok=True)
                (folder / "file").write_text("fine")
                link.write_text("fine")
            for n in range(20):
                folder, link = code / f"d{n}", code / f"f{n}"
                folder.rename(home / f"aside{n}")
                folder.symlink_to(bait)
                link.unlink(missing_ok=True)
                link.symlink_to(bait / "file")
            for n in range(20):
                (code / f"d{n}").unlink()
                (code / f"f{n}").unlink(missing_ok=True)
                shutil.rmtree(home / f"aside{n}")

    thread = threading.Thread(target=swap)
    thread.start()
    yield
    over.set()
    thread.join()


@pytest.mark.parametrize("copy", [False, True])
def test_nothing_from_elsewhere_though_all_is_swapped_meanwhile(
    home: Path, tmp_path: Path, swapping: None, copy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if copy:
        copying(monkeypatch)
    seen = set()
    for n in range(60):
        (tmp_path / "collected" / str(n)).mkdir(parents=True)
        target = tmp_path / "collected" / str(n) / "code"
        collector = gather(home, target)
        assert b"hush" not in tree(target).values()
        seen |= {line.partition(": ")[2] for line in collector.refused} | {str(len(tree(target)))}
    assert len(seen) > 1


def test_what_an_agent_leaves_through_a_whole_run(make_job: Any) -> None:
    code = """
import os
e = os.environ
with open(e["MLEB_SUBMISSION"] + "/submission.csv", "w") as stream:
    stream.write("id,y")
os.symlink("/etc/passwd", e["MLEB_SUBMISSION"] + "/other.csv")
os.mkdir(e["MLEB_CODE"] + "/src")
with open(e["MLEB_CODE"] + "/src/main.py", "w") as stream:
    stream.write("#!")
os.rmdir(e["MLEB_LOGS"])
os.symlink("/etc", e["MLEB_LOGS"])
with open(e["MLEB_SUBMISSION"] + "/a-huge-one", "w") as stream:
    stream.truncate(1 << 40)
fd = os.open(e["HOME"], os.O_RDONLY)
for n in range(2000):
    os.mkdir("deep", dir_fd=fd)
    fd, old = os.open("deep", os.O_RDONLY, dir_fd=fd), fd
    os.close(old)
os.mkdir(e["HOME"] + "/closed")
open(e["HOME"] + "/closed/x", "w").close()
os.chmod(e["HOME"] + "/closed", 0)
"""
    job = make_job(code)
    outcome = LocalRunner().run(job, Stop())
    assert outcome.status is RunStatus.FINISHED, job.layout.log.read_text()
    assert tree(job.layout.submission_dir) == {"submission.csv": b"id,y"}
    assert tree(job.layout.code) == {"src/main.py": b"#!"}
    assert tree(job.layout.logs) == {}
    limit = job.limits.collect_bytes
    assert outcome.refused == (
        f"submission/a-huge-one: too large: {1 << 40} bytes, {limit - 4} left of {limit} for the whole run",
        "submission/other.csv: a symbolic link",
        "logs: not a directory that can be read (Not a directory)",
    )
    assert not job.layout.work.exists()


def test_removal_opens_what_is_closed() -> None:
    """For root nothing is closed, so the test goes on as somebody else where it can."""
    code = """
import os, sys
from pathlib import Path
from mleb_core.runner.remove import remove_tree
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
top = Path(sys.argv[1]) / "tree"
(top / "a" / "b" / "c").mkdir(parents=True)
(top / "a" / "x").touch()
(top / "a" / "b" / "y").touch()
for path in (top / "a" / "b" / "c", top / "a" / "b", top / "a", top):
    path.chmod(0)
remove_tree(top)
assert not os.path.lexists(top)
"""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_removal_leaves_what_links_point_to(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("kept")
    before = hashlib.sha256(b"".join(tree(tmp_path / "kept").values())).hexdigest()
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "sub" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "tree" / ".mleb-0").mkdir()
    remove_tree(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
    assert hashlib.sha256(b"".join(tree(tmp_path / "kept").values())).hexdigest() == before
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    remove_tree(tmp_path / "link")
    remove_tree(tmp_path / "nothing")
    assert (tmp_path / "kept" / "file").read_text() == "kept"
