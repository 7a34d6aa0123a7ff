"""GPUs leased in one process and among real ones: the locks are real, the GPUs are made up."""

import contextlib
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mleb_core.errors import RunnerError
from mleb_core.runner.gpus import Gpu, GpuLoad, GpuPool
from mleb_core.runner.host_locks import LockDirectory
from mleb_core.runner.protocol import Stop


class Machine:
    """A machine with some GPUs."""

    absence = None

    def __init__(self, count: int) -> None:
        self.count = count

    def devices(self):
        return [Gpu(f"GPU-{n:08x}-aaaa", n, "Test GPU", 1 << 30) for n in range(self.count)]

    def load(self, id):
        return GpuLoad()


ids = [gpu.id for gpu in Machine(4).devices()]


@pytest.fixture
def pool(tmp_path):
    def make(count=2, **more):
        return GpuPool(Machine(count), **{"environ": {}, "locks": tmp_path / "locks", **more})

    return make


@pytest.fixture
def process(tmp_path):
    """Starts another harness: Python code that has `pool`, `say` and `log`; gives the process."""
    started = []

    def start(code: str, count: int = 2):
        script = (
            "import os, sys, time, signal\n"
            f"sys.path.insert(0, {os.fspath(Path(__file__).parent)!r})\n"
            "from pathlib import Path\n"
            "from test_gpu_leases import GpuPool, Machine\n"
            f"pool = GpuPool(Machine({count}), environ={{}}, locks=Path({os.fspath(tmp_path / 'locks')!r}))\n"
            f"journal = os.open({os.fspath(tmp_path / 'journal')!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)\n"
            "log = lambda text: os.write(journal, (text + '\\n').encode())\n"
            "say = lambda text: print(text, flush=True)\n"
        )
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", script + code], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
            )
        )
        return started[-1]

    yield start
    for one in started:
        with contextlib.suppress(ProcessLookupError):
            one.kill()
        one.communicate()


# --- leasing in one process ---


def test_more_than_there_are_is_refused_before_anything_starts(pool, tmp_path):
    with pytest.raises(RunnerError, match=r"^3 GPUs are asked for, 2 are here; ask for fewer with --gpus$"):
        pool().check(3)
    with (
        pytest.raises(RunnerError, match="CUDA_VISIBLE_DEVICES='1' leaves 1 of 2"),
        pool(environ={"CUDA_VISIBLE_DEVICES": "1"}).lease(2),
    ):
        pass
    pool(0).check(0)
    pool().check(2)


def test_leases_are_exclusive_and_given_back(pool):
    here, other = pool(), pool()
    with here.lease(1, note="run a") as first, other.lease(1) as second:
        assert {*first, *second} == {*ids[:2]}
        holders = here.holders()
        assert {note["pid"] for note in holders.values()} == {os.getpid()}
        assert holders[first[0]]["note"] == "run a"
    assert here.holders() == {}
    with other.lease(2) as both:
        assert set(both) == set(ids[:2])


def test_none_wanted_touches_nothing(pool, tmp_path):
    with pool(0).lease(0) as none:
        assert none == ()
    assert not (tmp_path / "locks").exists()


def test_an_error_inside_gives_back(pool):
    with pytest.raises(ZeroDivisionError), pool().lease(2):
        raise ZeroDivisionError
    with pool().lease(2):
        pass


def test_stop_wakes_who_waits(pool):
    here, stop, got = pool(), Stop(), []

    def ask():
        with here.lease(1, stop=stop) as mine:
            got.append(mine)

    with here.lease(2):
        waiting = [threading.Thread(target=ask) for _ in range(3)]
        for thread in waiting:
            thread.start()
        stop.set()
        for thread in waiting:
            thread.join()
    assert got == [(), (), ()]
    with here.lease(2):
        pass


def test_who_comes_first_is_served_first_however_many_it_asks_for(pool):
    here, order = pool(), []

    def ask(wanted):
        with here.lease(wanted):
            order.append(wanted)

    threads = []
    with here.lease(1):
        with here.lease(1):
            for wanted in (2, 1, 1):
                threads.append(threading.Thread(target=ask, args=(wanted,)))
                threads[-1].start()
                while len(here._queue) < len(threads):
                    time.sleep(0.001)
        time.sleep(0.3)  # one is free now: the chance to overtake
    for thread in threads:
        thread.join()
    assert order == [2, 1, 1]


def test_what_a_running_container_has_is_handed_to_nobody_but_its_own_run(pool):
    busy = {ids[0]}
    here = pool(busy=lambda: busy)
    with here.lease(1) as mine:
        assert mine == (ids[1],)
        with here.lease(ids=[ids[0]]) as again:
            assert again == (ids[0],)
    got = threading.Event()

    def ask():
        with here.lease(2):
            got.set()

    thread = threading.Thread(target=ask)
    thread.start()
    assert not got.wait(0.2)
    with here.lease(ids=[ids[0]]):  # taken up in spite of who waits for it
        assert not got.is_set()
    busy.clear()
    thread.join()
    assert got.is_set()


def test_an_ask_for_other_gpus_does_not_wait_behind_one_that_cannot_be_served_yet(pool):
    first, second = pool(environ={"CUDA_VISIBLE_DEVICES": "0"}), pool(environ={"CUDA_VISIBLE_DEVICES": "1"})
    stop = Stop()

    def ask():
        with first.lease(1, stop=stop):
            pass

    with first.lease(1):
        thread = threading.Thread(target=ask)
        thread.start()
        while not list(first._locks.glob("wait-*")):
            time.sleep(0.001)
        with second.lease(1) as mine:
            assert mine == (ids[1],)
        stop.set()
        thread.join()


# --- among processes ---


def test_a_lease_ends_with_its_owner_even_if_that_is_killed(pool, process):
    other = process("with pool.lease(2, note='doomed'): say('have'); time.sleep(1000)")
    assert other.stdout.readline() == "have\n"
    here, stop = pool(), Stop()
    assert {note["pid"] for note in here.holders().values()} == {other.pid}
    other.send_signal(signal.SIGKILL)
    with here.lease(2, stop=stop) as mine:
        assert len(mine) == 2


def test_a_forked_child_that_outlives_its_parent_keeps_no_lease(pool, process):
    other = process(
        "with pool.lease(2):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        sys.stdin.read(); os._exit(0)\n"
        "    say(child); time.sleep(1000)"
    )
    child = int(other.stdout.readline())
    other.send_signal(signal.SIGKILL)
    with pool().lease(2):
        os.kill(child, 0)  # it lives


def test_no_two_processes_ever_have_the_same_gpu(pool, process, tmp_path):
    code = (
        "import random\n"
        "draw = random.Random(os.getpid())\n"
        "for _ in range(25):\n"
        "    with pool.lease(draw.choice((1, 1, 2, 3))) as mine:\n"
        "        for id in mine: log(f'+ {id}')\n"
        "        time.sleep(draw.random() / 200)\n"
        "        for id in mine: log(f'- {id}')\n"
    )
    others = [process(code, count=3) for _ in range(4)]
    assert [other.wait() for other in others] == [0] * 4
    had: set[str] = set()
    lines = (tmp_path / "journal").read_text().splitlines()
    for sign, id in map(str.split, lines):
        assert (id in had) == (sign == "-"), "somebody else has it"
        had ^= {id}
    assert not had
    assert len(lines) >= 4 * 25 * 2
    assert not list((tmp_path / "locks").glob("wait-*"))


def test_who_wants_several_is_not_starved_by_those_who_want_one(pool, process, tmp_path):
    done = tmp_path / "done"
    # Each of them has one of the two nearly always. They end only when the large ask was served.
    code = f"while not os.path.exists({os.fspath(done)!r}):\n    with pool.lease(1): say('have'); time.sleep(0.02)"
    others = [process(code) for _ in range(3)]
    for other in others:
        other.stdout.readline()
    with pool().lease(2):
        done.touch()
    for other in others:
        other.communicate()
        assert other.returncode == 0


def test_a_dead_harness_holds_up_no_queue(pool, process, tmp_path):
    here = pool()
    with here.lease(2):
        other = process("say('asking')\nwith pool.lease(2): pass")
        other.stdout.readline()
        while not list((tmp_path / "locks").glob("wait-*")):
            time.sleep(0.01)
        other.send_signal(signal.SIGKILL)
        other.wait()
    with here.lease(2):
        assert not [path for path in (tmp_path / "locks").glob("wait-*") if path.stat().st_size == 0]
    assert not list((tmp_path / "locks").glob("wait-*"))


# --- a directory that everybody may write ---


def test_others_can_use_the_directory_and_its_locks_too(pool, tmp_path):
    before = os.umask(0o077)
    try:
        with pool().lease(1) as mine:
            lock = tmp_path / "locks" / f"{mine[0]}.lock"
            assert stat.S_IMODE(lock.stat().st_mode) == 0o666
            assert stat.S_IMODE(lock.parent.stat().st_mode) == 0o1777
    finally:
        os.umask(before)


@pytest.mark.parametrize("plant", ["symlink", "hard link", "fifo", "directory"])
def test_what_others_planted_is_not_followed(pool, tmp_path, plant):
    (tmp_path / "locks").mkdir()
    mine = tmp_path / "mine"
    mine.write_text("precious")
    lock = tmp_path / "locks" / f"{ids[0]}.lock"
    match plant:
        case "symlink":
            lock.symlink_to(mine)
        case "hard link":
            lock.hardlink_to(mine)
        case "fifo":
            os.mkfifo(lock)
        case "directory":
            lock.mkdir()
    with pytest.raises(RunnerError, match="locks cannot be kept in") as raised, pool().lease(1):
        pass
    assert "\n" not in str(raised.value)
    assert mine.read_text() == "precious"


def test_a_directory_that_is_a_link_is_not_followed(pool, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "locks").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunnerError, match="locks cannot be kept in"):
        pool().check(1)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_lock_is_had_once(tmp_path):
    with LockDirectory(tmp_path / "locks") as place:
        first = place.lock("a")
        assert first is not None
        assert place.lock("a") is None
        place.release(first)
        second = place.lock("a")
        assert second is not None
        place.release(second)
        assert place.holder("a") is None


def test_ids_cannot_lead_out_of_the_directory(tmp_path):
    with LockDirectory(tmp_path / "locks") as place:
        fd = place.lock("MIG-GPU-1/../../x/1/0")
        assert fd is not None
        place.release(fd)
    assert [path.name for path in (tmp_path / "locks").iterdir()] == ["MIG-GPU-1_.._.._x_1_0.lock"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["locks"]


def test_gpus_that_an_engine_gave_are_leased_under_the_same_locks(pool):
    here, other = pool(4), pool(4)
    given = here.named(("2", "GPU-00000001"), 2)
    assert given == (ids[2], ids[1])
    with here.lease(ids=given) as held, other.lease(2) as rest:
        assert held == given
        assert set(rest) == {ids[0], ids[3]}
    with pytest.raises(RunnerError, match=r"2 GPUs are asked for, the engine gave: 1; of 4 on this machine"):
        here.named(("1",), 2)
    with pytest.raises(RunnerError, match=r"the engine gave: 7; of 4 on this machine"):
        here.named(("7",), 1)
