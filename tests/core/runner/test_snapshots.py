"""Copies of submissions while agents work: what changes is kept, what agents do in between harms nothing."""

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mleb_core.layout import RunLayout
from mleb_core.run import RunStatus
from mleb_core.runner.local import LocalRunner
from mleb_core.runner.protocol import Stop
from mleb_core.runner.snapshots import Snapshots, read_snapshots, taking_snapshots

PARTS = ("work", "home", "submission")


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    layout = RunLayout(tmp_path / "run")
    layout.work_submission.mkdir(parents=True)
    return layout


@pytest.fixture
def file(layout: RunLayout) -> Path:
    return layout.work_submission / "submission.csv"


def snapshots(layout: RunLayout, **limits: Any) -> Snapshots:
    return Snapshots(layout, layout.root, PARTS, **{"max_bytes": 1 << 20, **limits})


def aged(path: Path, seconds: float = 60) -> None:
    """Give a file the time of a while ago; the change of that itself stays young (ctime)."""
    os.utime(path, ns=(path.stat().st_mtime_ns - int(seconds * 1e9),) * 2)


def names(layout: RunLayout) -> list[str]:
    return sorted(path.name for path in layout.snapshots.iterdir()) if layout.snapshots.exists() else []


def test_each_change_is_copied_once(layout: RunLayout, file: Path) -> None:
    at = snapshots(layout)
    assert at.look(0.5) is None and names(layout) == []
    file.write_text("id,y\n1,1\n")
    first = at.look(60.25)
    assert first is not None
    assert (first.elapsed_s, first.file, first.bytes) == (60.25, "0000060.csv", 9)
    assert first.sha256 == hashlib.sha256(b"id,y\n1,1\n").hexdigest()
    assert at.look(61) is None
    aged(file)
    assert at.look(62) is None, "a new time alone is no change"
    file.write_text("id,y\n1,2\n")
    os.utime(file, (0, 0))
    second = at.look(62.9)
    file.write_text("id,y\n1,3\n")
    third = at.look(62.95)
    assert second is not None and third is not None
    assert names(layout) == ["0000060.csv", "0000062-2.csv", "0000062.csv", "snapshots.jsonl"]
    assert (layout.snapshots / "0000062.csv").read_text() == "id,y\n1,2\n"
    assert (layout.snapshots / "0000062-2.csv").read_text() == "id,y\n1,3\n"
    assert read_snapshots(layout) == (first, second, third)
    assert [json.loads(line) for line in layout.snapshot_list.read_text().splitlines()] == [
        dataclasses.asdict(one) for one in (first, second, third)
    ]


def test_a_replaced_file_of_the_same_size_and_time_is_found(layout: RunLayout, file: Path) -> None:
    at = snapshots(layout)
    file.write_text("a,1")
    os.utime(file, (1000, 1000))
    assert at.look(1)
    other = file.with_name("other")
    other.write_text("a,2")
    os.utime(other, (1000, 1000))
    other.replace(file)
    assert at.look(2)
    file.write_text("a,3")
    os.utime(file, (1000, 1000))
    assert at.look(3)


def link(file: Path) -> None:
    file.with_name("real.csv").write_text("secret")
    file.symlink_to("real.csv")


def hard_link(file: Path) -> None:
    file.with_name("real.csv").write_text("secret")
    file.hardlink_to(file.with_name("real.csv"))


def sparse(file: Path) -> None:
    with file.open("wb") as stream:
        stream.truncate(100 * 2**30)


def linked_folder(file: Path) -> None:
    file.write_text("secret")
    file.parent.rename(file.parents[1] / "elsewhere")
    file.parent.symlink_to("elsewhere")


def linked_home(file: Path) -> None:
    file.write_text("secret")
    home = file.parents[1]
    home.rename(home.with_name("elsewhere"))
    home.symlink_to("elsewhere")


def no_folder(file: Path) -> None:
    file.parent.rmdir()
    file.parent.write_text("a file")


@pytest.mark.parametrize(
    "make",
    [link, hard_link, os.mkfifo, Path.mkdir, Path.touch, sparse, linked_folder, linked_home, no_folder],
    ids=lambda make: make.__name__,
)
def test_nothing_but_a_plain_file_is_taken(layout: RunLayout, file: Path, make: Callable[[Path], None]) -> None:
    at = snapshots(layout)
    make(file)
    assert at.look(1) is None
    assert names(layout) == []


def test_a_file_that_never_rests_is_never_copied_in_part(layout: RunLayout, file: Path) -> None:
    block = 1 << 16
    code = (
        "import itertools, sys, time\n"
        "f = open(sys.argv[1], 'r+b', buffering=0)\n"
        "print('go', flush=True)\n"
        "for i in itertools.count():\n"
        f"    f.seek(0); f.write(bytes([i % 251]) * {block})\n"
        f"    f.seek({block}); f.write(bytes([i % 251]) * {block})\n"
    )
    file.write_bytes(b"\0" * 2 * block)
    at = snapshots(layout, max_bytes=1 << 30)
    with subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        try:
            for second in range(50):
                at.look(second)
        finally:
            writer.send_signal(signal.SIGKILL)
    taken = at.look(50) or read_snapshots(layout)[-1]
    assert taken.file is not None
    content = file.read_bytes()
    assert (layout.snapshots / taken.file).read_bytes() == content
    for snapshot in read_snapshots(layout):
        assert snapshot.file is not None
        assert hashlib.sha256((layout.snapshots / snapshot.file).read_bytes()).hexdigest() == snapshot.sha256
    assert not [name for name in names(layout) if name.endswith(".tmp")]


def test_the_oldest_are_kept(layout: RunLayout, file: Path) -> None:
    at = snapshots(layout, max_bytes=25, max_copies=3)
    for number in range(3):
        file.write_text(f"submission {number}"[-10:])
        at.look(number)
    file.write_text("tiny")
    at.look(3)
    file.write_text("x")
    at.look(4)
    file.write_text("x" * 26)
    assert at.look(5) is None, "larger than all copies may be together"
    listed = read_snapshots(layout)
    assert [one.file for one in listed] == ["0000000.csv", "0000001.csv", None, "0000003.csv", None]
    assert [one.bytes for one in listed] == [10, 10, 10, 4, 1]
    assert names(layout) == ["0000000.csv", "0000001.csv", "0000003.csv", "snapshots.jsonl"]


def test_a_later_harness_goes_on(layout: RunLayout, file: Path) -> None:
    file.write_text("one")
    snapshots(layout, max_bytes=8).look(1)
    with layout.snapshot_list.open("a") as stream:
        stream.write('{"elapsed_s": 2, "ti')  # killed in the middle of a line
    (layout.snapshots / "0000002.csv").write_text("a copy without its line")
    (layout.snapshots / ".abc.tmp").write_text("half a co")
    at = snapshots(layout, max_bytes=8)
    assert names(layout) == ["0000001.csv", "snapshots.jsonl"]
    assert at.look(3) is None, "it has not changed since"
    file.write_text("second")
    later = at.look(4)
    assert later is not None
    assert later.file is None, "3 of 8 bytes were used before"
    file.write_text("three")
    last = at.look(5)
    assert last is not None and last.file == "0000005.csv"
    assert [one.elapsed_s for one in read_snapshots(layout)] == [1, 4, 5]
    Snapshots.clear(layout)
    assert names(layout) == [] and read_snapshots(layout) == ()


def test_a_full_disk_leaves_nothing_half(layout: RunLayout, file: Path) -> None:
    """Files may grow to 64 KiB in a process of its own: the host's side fails, the run's does not."""
    file.write_bytes(b"x" * 100_000)
    code = f"""
import resource, signal
from pathlib import Path
from mleb_core.layout import RunLayout
from mleb_core.runner.snapshots import Snapshots, taking_snapshots
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
layout = RunLayout(Path({str(layout.root)!r}))
at = Snapshots(layout, layout.root, {PARTS!r}, max_bytes=1 << 20)
notes = []
with taking_snapshots(at, 0.01, lambda *kind, **what: notes.append((kind, what))):
    __import__("time").sleep(0.1)
print(notes)
Path({str(file)!r}).write_text("small")
print(at.look(7).file)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    notes, name = done.stdout.splitlines()
    assert notes.count("snapshot_failed") == 1 and "too large" in notes
    assert name == "0000007.csv"
    assert names(layout) == ["0000007.csv", "snapshots.jsonl"]


def test_in_a_thread_with_a_last_look(layout: RunLayout, file: Path) -> None:
    notes: list[dict[str, Any]] = []
    told = threading.Event()

    def note(kind: str, **details: Any) -> None:
        notes.append({"kind": kind, **details})
        told.set()

    threads = threading.active_count()
    with taking_snapshots(snapshots(layout), 0.01, note, lambda: 100.0 + len(notes)):
        file.write_text("one")
        assert told.wait(60)
        file.write_text("two")
    assert threading.active_count() == threads
    listed = read_snapshots(layout)
    assert [(layout.snapshots / str(one.file)).read_text() for one in listed] == ["one", "two"]
    assert [one.elapsed_s for one in listed] == [100.0, 101.0]
    assert notes == [
        {"kind": "snapshot", "elapsed_s": s.elapsed_s, "sha256": s.sha256, "bytes": s.bytes, "file": s.file}
        for s in listed
    ]


def test_what_a_note_raises_is_heard(layout: RunLayout, file: Path) -> None:
    def note(kind: str, **details: Any) -> None:
        raised.set()
        raise ValueError("the ledger is closed")

    raised = threading.Event()
    file.write_text("one")
    with (
        pytest.raises(ValueError, match="ledger is closed"),
        taking_snapshots(snapshots(layout), 0.01, note),
    ):
        assert raised.wait(60)


STEPS = """
import os, sys, time
folder, marks = os.environ["MLEB_SUBMISSION"], sys.argv[1]
for step in range(3):
    with open(folder + "/draft", "w") as f:
        f.write(f"id,y\\n3,{step}\\n")
    os.replace(folder + "/draft", folder + "/submission.csv")
    while step < 2 and not os.path.exists(f"{marks}/{step}"):
        time.sleep(0.01)
"""


def test_the_local_runner_takes_them(make_job: Any, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    notes: list[Any] = []

    def note(kind: str, **details: Any) -> None:
        notes.append((kind, details["file"]))
        (marks / str(len(notes) - 1)).touch()

    job = dataclasses.replace(
        make_job([sys.executable, "-c", STEPS, str(marks)]), snapshot_s=0.05, note=note, attempt=1
    )
    job.layout.snapshots.mkdir(parents=True)
    (job.layout.snapshots / "0000001.csv").write_text("of an earlier attempt")
    outcome = LocalRunner().run(job, Stop())
    assert outcome.status is RunStatus.FINISHED, job.layout.log.read_text()
    listed = read_snapshots(job.layout)
    assert [(job.layout.snapshots / str(one.file)).read_text() for one in listed] == [
        f"id,y\n3,{step}\n" for step in range(3)
    ]
    assert notes == [("snapshot", one.file) for one in listed]
    assert job.layout.submission.read_text() == "id,y\n3,2\n", (
        "the last look is before collection, which moves the file"
    )
    assert [one.elapsed_s for one in listed] == sorted(one.elapsed_s for one in listed)


def test_without_snapshots_nothing_is_made(make_job: Any) -> None:
    job = make_job([sys.executable, "-c", STEPS.replace("step < 2", "False"), ""])
    LocalRunner().run(job, Stop())
    assert job.layout.submission.exists()
    assert not job.layout.snapshots.exists()
