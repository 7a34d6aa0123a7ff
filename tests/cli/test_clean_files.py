"""`mleb clean` removes temporary files of harnesses that were killed, and none of those that live."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mleb_core.layout import RunLayout, write_json
from mleb_core.temporary import find_leavings, remove_leavings

HARNESS = """
import sys, time
from pathlib import Path
from mleb_core.grading.checker import Checker
from mleb_core.grading.pool import GradingPool
from mleb_core.registry import Registry
if __name__ == "__main__":
    data = Path(sys.argv[1])
    with GradingPool(1) as pool, Checker(Registry().competition("diabetes-progression"), data, pool) as checker:
        sample = data / "diabetes-progression" / "prepared" / "public" / "sample_submission.csv"
        print(checker.check(sample).valid, flush=True)
        time.sleep(600)
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A directory for temporary files, this process's and its children's."""
    import tempfile

    folder = tmp_path / "t"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


def make_old(*paths):
    """What is younger than a minute is left alone."""
    for path in paths:
        os.utime(path, (1, 1), follow_symlinks=False)


def test_the_checkers_data_of_a_killed_harness_goes_and_that_of_a_living_one_stays(
    temporary, prepared_data, tmp_path, monkeypatch
):
    monkeypatch.setattr("mleb_core.temporary._YOUNG_S", -1.0)
    script = tmp_path / "harness.py"
    script.write_text(HARNESS)
    harnesses = [
        subprocess.Popen([sys.executable, script, prepared_data], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    try:
        assert [harness.stdout.readline() for harness in harnesses] == ["True\n", "True\n"]
        assert len(list(temporary.glob("mleb-check-*"))) == 2
        assert find_leavings() == []
        harnesses[0].send_signal(signal.SIGKILL)
        harnesses[0].wait()
        until = time.monotonic() + 60
        while not (found := find_leavings()) and time.monotonic() < until:
            time.sleep(0.1)  # its children, which have what it had open, end after it
        (leaving,) = found
        assert (leaving.path.parent, leaving.why) == (temporary, "its harness is gone")
        assert find_leavings(tmp_path) == []  # of no run
        assert remove_leavings(found) == (found, [])
        (other,) = temporary.glob("mleb-check-*")
        assert any(other.iterdir()) and find_leavings() == []
    finally:
        for harness in harnesses:
            harness.kill()
            harness.wait()
            harness.stdout.close()


def channel(root: Path, status: str | None) -> RunLayout:
    """Sockets of a run as a killed harness leaves them."""
    layout = RunLayout(root)
    layout.channel.parent.mkdir(mode=0o700, exist_ok=True)
    layout.channel.mkdir()
    layout.channel_socket.touch()
    write_json(layout.channel_state, {"run": str(root), "token": "t", "gpus": []})
    if status is not None:
        root.mkdir(parents=True)
        write_json(layout.run, {"status": status})
    return layout


def test_sockets_and_links_of_runs_that_are_over_go(temporary, tmp_path, monkeypatch):
    ended, gone = channel(tmp_path / "a", "finished"), channel(tmp_path / "b", None)
    kept = channel(tmp_path / "c", "running")
    dangling, leading = temporary / f"mleb-{'0' * 12}", temporary / f"mleb-{'1' * 12}"
    dangling.symlink_to(tmp_path / "nowhere")
    leading.symlink_to(tmp_path)
    (temporary / "mleb-other").mkdir()
    assert find_leavings() == []  # all of it is too young to be judged
    monkeypatch.setattr("mleb_core.temporary._YOUNG_S", -1.0)
    found = {leaving.path for leaving in find_leavings()}
    over = {path for layout in (ended, gone) for path in (layout.channel, layout.channel_state)}
    assert found == over | {dangling}
    assert {leaving.path for leaving in find_leavings(tmp_path / "a")} == {ended.channel, ended.channel_state}
    remove_leavings(find_leavings())
    assert not any(path.exists() for path in found) and not dangling.is_symlink()
    assert kept.channel_socket.exists() and leading.is_symlink() and (temporary / "mleb-other").exists()


def test_sockets_of_which_none_says_whose_they_are_go_with_the_box_beside_them(temporary, tmp_path, monkeypatch):
    layout, young = channel(tmp_path / "a", None), channel(tmp_path / "b", None)
    (layout.channel / "mleb-0123456789abcdef").mkdir()
    for one in (layout, young):
        one.channel_state.unlink()
    make_old(layout.channel)
    assert find_leavings(tmp_path) == []  # of no run that is known
    assert [leaving.path for leaving in find_leavings()] == [layout.channel]
    # A later harness without a session finds what one with a session has left, and the other way round.
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "session"))
    assert remove_leavings(find_leavings())[1] == []
    assert not layout.channel.exists() and [*temporary.glob("mleb-*/*")] == [*temporary.glob(f"*/{young.channel.name}")]


@pytest.mark.parametrize("trap", ["a link", "open to others"])
def test_a_directory_that_others_could_have_made_is_left_alone(temporary, tmp_path, monkeypatch, trap):
    monkeypatch.setattr("mleb_core.temporary._YOUNG_S", -1.0)
    layout = channel(tmp_path / "gone", None)
    folder = layout.channel.parent
    if trap == "a link":
        folder.rename(tmp_path / "precious")
        folder.symlink_to(tmp_path / "precious")
    else:
        folder.chmod(0o777)
    assert find_leavings() == []
    if trap == "a link":
        folder.unlink()
        (tmp_path / "precious").rename(folder)
    folder.chmod(0o700)
    assert [leaving.path for leaving in find_leavings()] == [layout.channel, layout.channel_state]


@pytest.mark.docker
def test_the_command_tells_and_removes(mleb, temporary, docker_engine):
    link = temporary / f"mleb-{'2' * 12}"
    link.symlink_to(temporary / "nowhere")
    env = {"TMPDIR": str(temporary), "XDG_RUNTIME_DIR": str(temporary)}
    told = mleb("clean", "--dry-run", "--json", "--runs", temporary, env=env)
    assert json.loads(told.stdout)["files"] == []  # made a moment ago
    make_old(link)
    told = mleb("clean", "--dry-run", "--json", "--runs", temporary, env=env)
    assert json.loads(told.stdout)["files"] == [{"path": str(link), "why": "what it leads to is gone"}]
    assert link.is_symlink()
    done = mleb("clean", "--runs", temporary, env=env)
    assert done.returncode == 0, done.stderr
    assert f"file {link}  what it leads to is gone" in done.stdout
    assert not link.is_symlink()
