"""Public data is given whole, kept for the next run, and never taken on trust."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mleb_core.errors import NotPreparedError
from mleb_core.run import RunStatus
from mleb_core.runner import public_data
from mleb_core.runner.local import LocalRunner
from mleb_core.runner.protocol import Stop
from mleb_core.runner.public_data import give_data, keep_data, lay_spare

HOME = Path("work", "home", "data")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "run" / "work" / "home").mkdir(parents=True)
    return tmp_path / "run"


@pytest.fixture
def linked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the data were large."""
    monkeypatch.setattr(public_data, "COPIED_FILES", 0)


def inodes(folder: Path) -> dict[str, int]:
    found = {}
    for path in folder.rglob("*"):
        assert not path.is_symlink()
        if path.is_file():
            found[str(path.relative_to(folder))] = path.stat().st_ino
    return found


def given(public: Path, root: Path, spare: Path, words: str = "read me") -> Path:
    give_data(public, root / HOME, words, spare=spare)
    data = root / HOME
    assert (data / "description.md").read_text() == words
    expected, found = inodes(public), inodes(data)
    own = found.pop("description.md")
    assert own != expected.pop("description.md")
    assert found == expected
    return data


def test_a_tree_is_taken_over_by_the_next_run(public: Path, root: Path, tmp_path: Path, linked: None) -> None:
    (public / "link.csv").symlink_to(tmp_path / "elsewhere.csv")
    (public / "folder").symlink_to(tmp_path / "folder")
    (tmp_path / "elsewhere.csv").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "y").write_text("y")
    spare = tmp_path / "spare"
    give_data(public, root / HOME, "first", spare=spare)
    data = root / HOME
    assert (data / "link.csv").stat().st_ino == (tmp_path / "elsewhere.csv").stat().st_ino
    assert not (data / "link.csv").is_symlink() and not (data / "folder").is_symlink()
    folder = (data / "images").stat().st_ino
    keep_data(public, root, HOME, spare)
    assert not data.exists() and len(list(spare.iterdir())) == 1
    give_data(public, data, "second", spare=spare)
    assert (data / "images").stat().st_ino == folder
    assert (data / "description.md").read_text() == "second" and (data / "folder" / "y").read_text() == "y"
    assert list(spare.iterdir()) == []


CHANGES: dict[str, Callable[[Path, Path], object]] = {
    "a file more": lambda data, bait: (data / "images" / "more").write_text("planted"),
    "a directory more": lambda data, bait: (data / "more").mkdir(),
    "a link more": lambda data, bait: (data / "more").symlink_to(bait),
    "a file gone": lambda data, bait: (data / "train.csv").unlink(),
    "a directory gone": lambda data, bait: shutil.rmtree(data / "images" / "deep"),
    "a file replaced": lambda data, bait: ((data / "train.csv").unlink(), (data / "train.csv").write_text("planted")),
    "a file turned into a link": lambda data, bait: (
        (data / "train.csv").unlink(), (data / "train.csv").symlink_to(bait / "train.csv")
    ),
    "a file turned into a directory": lambda data, bait: ((data / "train.csv").unlink(), (data / "train.csv").mkdir()),
    "a file renamed": lambda data, bait: (data / "train.csv").rename(data / "tarin.csv"),
    "two files swapped": lambda data, bait: (
        (data / "train.csv").rename(data / "x"),
        (data / "sample_submission.csv").rename(data / "train.csv"),
        (data / "x").rename(data / "sample_submission.csv"),
    ),
    "a directory turned into a link": lambda data, bait: (
        shutil.rmtree(data / "images"), (data / "images").symlink_to(bait / "images")
    ),
    "a description that is a directory": lambda data, bait: (
        (data / "description.md").unlink(), (data / "description.md").mkdir()
    ),
    "all of it a link": lambda data, bait: (shutil.rmtree(data), data.symlink_to(bait)),
    "the home a link": lambda data, bait: (
        shutil.rmtree(data.parent), (bait.parent / "home").mkdir(),
        shutil.copytree(bait, bait.parent / "home" / "data", copy_function=os.link),
        data.parent.symlink_to(bait.parent / "home"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("when", ["before it is kept", "while it is spare"])
def test_a_tree_that_was_changed_is_not_used_again(
    public: Path, root: Path, tmp_path: Path, linked: None, change: str, when: str
) -> None:
    spare, bait = tmp_path / "spare", tmp_path / "bait"
    shutil.copytree(public, bait, copy_function=os.link)
    data = given(public, root, spare)
    if when == "before it is kept":
        CHANGES[change](data, bait)
        keep_data(public, root, HOME, spare)
        assert inodes(bait) == inodes(public)
        assert "home" not in change or inodes(tmp_path / "home" / "data") == inodes(public)
        shutil.rmtree(root)
        (root / HOME).parent.mkdir(parents=True)
    else:
        keep_data(public, root, HOME, spare)
        (tree,) = spare.iterdir()
        (tree / "description.md").write_text("planted")
        if "home" not in change:
            CHANGES[change](tree, bait)
    given(public, root, spare, "anew")
    assert inodes(bait) == inodes(public)


def test_rights_that_an_agent_took_from_a_directory_are_given_back(
    public: Path, root: Path, tmp_path: Path, linked: None
) -> None:
    data = given(public, root, tmp_path / "spare")
    (data / "images").chmod(0o000)
    keep_data(public, root, HOME, tmp_path / "spare")
    assert (given(public, root, tmp_path / "spare") / "images").stat().st_mode & 0o777 == 0o755


def test_data_that_was_prepared_anew_is_not_taken_from_an_old_tree(
    public: Path, root: Path, tmp_path: Path, linked: None
) -> None:
    given(public, root, tmp_path / "spare")
    keep_data(public, root, HOME, tmp_path / "spare")
    (public / "new.csv").write_text("new")
    (public / "train.csv").rename(tmp_path / "old.csv")
    (public / "train.csv").write_text("other")
    given(public, root, tmp_path / "spare")


def test_a_tree_that_lies_ready_is_taken(public: Path, root: Path, tmp_path: Path, linked: None) -> None:
    spare = tmp_path / "runs" / "iris"
    assert lay_spare(public, spare) and lay_spare(public, spare)
    ready = {(tree / "images").stat().st_ino for tree in spare.iterdir()}
    assert len(ready) == 2 and list(spare.parent.iterdir()) == [spare]
    data = given(public, root, spare)
    assert (data / "images").stat().st_ino in ready and len(list(spare.iterdir())) == 1


@pytest.fixture
def elsewhere(public: Path, tmp_path: Path) -> Iterator[Path]:
    """The public data on another file system."""
    if not os.access("/dev/shm", os.W_OK) or Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system at /dev/shm")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(shutil.copytree(public, f"{folder}/iris/public"))


def test_data_of_another_file_system_is_linked_symbolically(elsewhere: Path, root: Path, linked: None) -> None:
    give_data(elsewhere, root / HOME, "x")
    assert (root / HOME / "train.csv").readlink() == elsewhere / "train.csv"


@pytest.mark.parametrize("shared", [True, False])
def test_where_the_data_lies_is_hidden_by_copies_made_once(
    elsewhere: Path, root: Path, tmp_path: Path, linked: None, shared: bool
) -> None:
    spare = tmp_path / "runs" / "iris" if shared else None
    found = []
    for number in range(2):
        data = root / HOME.with_name(f"data{number}")
        give_data(elsewhere, data, "x", spare=spare, neutral=True)
        files = [path for path in sorted(data.rglob("*")) if path.is_file() and path.name != "description.md"]
        assert [path.read_bytes() for path in files] == [
            (elsewhere / path.relative_to(data)).read_bytes() for path in files
        ]
        assert len(files) == 4 and not any(path.is_symlink() for path in data.rglob("*"))
        found.append([path.stat().st_ino for path in files])
    assert (found[0] == found[1]) is shared
    if spare is not None:
        keep_data(elsewhere, root, HOME.with_name("data0"), spare)
        assert lay_spare(elsewhere, spare, neutral=True)
        give_data(elsewhere, root / HOME, "x", spare=spare, neutral=True)
        assert list(spare.iterdir()) and len(list(spare.iterdir())) == 1


def test_what_was_listed_before_is_listed_anew_once_a_directory_changes(
    public: Path, root: Path, tmp_path: Path, linked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_data, "_COARSE_NS", 0)  # as if the data were older than a moment
    before = public_data._known(str(public))
    assert public_data._known(str(public)) is before
    (tmp_path / "other").write_bytes(b"other")
    time.sleep(0.05)  # longer than a tick of the file system's clock
    (tmp_path / "other").rename(public / "images" / "deep" / "b.bin")
    given(public, root, tmp_path / "spare")
    assert (root / HOME / "images" / "deep" / "b.bin").read_bytes() == b"other"
    (public / "images" / "link").symlink_to(tmp_path / "other")
    (tmp_path / "other").write_bytes(b"")
    assert public_data._known(str(public)) is not public_data._known(str(public))  # what links lead to can change


def test_small_data_is_copied_and_not_kept(public: Path, root: Path, tmp_path: Path) -> None:
    give_data(public, root / HOME, "x", spare=tmp_path / "spare")
    assert (root / HOME / "train.csv").stat().st_ino != (public / "train.csv").stat().st_ino
    keep_data(public, root, HOME, tmp_path / "spare")
    assert (root / HOME).is_dir() and not (tmp_path / "spare").exists()


def test_a_file_that_vanishes_meanwhile_is_told(public: Path, root: Path, linked: None, monkeypatch: Any) -> None:
    link = os.link

    def slow(name: str, *arguments: Any, **details: Any) -> None:
        (public / "train.csv").unlink(missing_ok=True)  # another process prepares anew
        (public / "sample_submission.csv").unlink(missing_ok=True)
        link(name, *arguments, **details)

    monkeypatch.setattr(os, "link", slow)
    with pytest.raises(NotPreparedError, match=r"\.csv vanished while it was given to an agent; run `mleb prepare`"):
        give_data(public, root / HOME, "x")


def test_runs_hand_on_their_data_and_a_planted_file_ends_there(
    make_job: Any, public: Path, tmp_path: Path, linked: None
) -> None:
    code = "import os; os.chdir(os.environ['MLEB_DATA']); print(os.stat('images').st_ino, sorted(os.listdir()))"
    plant = "\nopen('answers.csv', 'w')"
    seen = []
    for name, further in (("1", ""), ("2", ""), ("3", plant), ("4", ""), ("5", "")):
        job = replace(make_job(code + further, name=name), spare=tmp_path / "runs" / ".spare")
        assert LocalRunner().run(job, Stop()).status is RunStatus.FINISHED
        seen.append(job.layout.log.read_text().split(" ", 1))
        assert not job.layout.work.exists()
    assert len({names for _, names in seen}) == 1
    first, second, third, fourth, fifth = (inode for inode, _ in seen)
    assert first == second == third and fourth == fifth
