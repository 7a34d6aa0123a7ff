"""GPUs: found, leased among real processes. The driver is not here, so its answers are made up; the locks are real."""

import contextlib
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import pytest

from mleb_core.errors import RunnerError
from mleb_core.runner.gpus import Gpu, GpuLoad, GpuPool, NvmlDriver, find_gpus, visible
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
            "from test_gpus import GpuPool, Machine\n"
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


# --- finding ---


class FakeError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__({12: "NVML Shared Library Not Found", 9: "Driver Not Loaded"}.get(value, f"fault {value}"))
        self.value = value


def fake_pynvml(start_fault=None):
    """GPU 0 whole, GPU 1 divided into two parts, GPU 2 lost. Handles are ids."""

    def answer(known, fault=3):
        def call(handle, *_):
            if handle not in known:
                raise FakeError(fault)
            return known[handle]

        return call

    def start():
        if start_fault is not None:
            raise FakeError(start_fault)

    memory = {
        "GPU-0": types.SimpleNamespace(total=100, used=40),
        "GPU-1": types.SimpleNamespace(total=100, used=7),
        "MIG-a": types.SimpleNamespace(total=50, used=5),
    }
    return types.SimpleNamespace(
        NVMLError=FakeError,
        NVML_ERROR_LIBRARY_NOT_FOUND=12,
        NVML_ERROR_DRIVER_NOT_LOADED=9,
        nvmlInit=start,
        nvmlDeviceGetCount=lambda: 3,
        nvmlDeviceGetHandleByIndex=answer({0: "GPU-0", 1: "GPU-1"}, fault=15),
        nvmlDeviceGetHandleByUUID=answer({"GPU-0": "GPU-0", "MIG-a": "MIG-a"}),
        nvmlDeviceGetUUID=lambda handle: handle,
        nvmlDeviceGetName=lambda handle: b"NVIDIA T1" if handle == "GPU-0" else "NVIDIA T2 MIG 1g",
        nvmlDeviceGetMemoryInfo=answer(memory),
        nvmlDeviceGetMigMode=answer({"GPU-1": [1, 1]}),
        nvmlDeviceGetMaxMigDeviceCount=lambda handle: 7,
        nvmlDeviceGetMigDeviceHandleByIndex=lambda handle, n: answer({0: "MIG-a", 2: "MIG-b"}, fault=6)(n),
        nvmlDeviceGetUtilizationRates=answer({"GPU-0": types.SimpleNamespace(gpu=80)}),
        nvmlDeviceGetPowerUsage=answer({"GPU-0": 123456}),
    )


def test_a_divided_gpu_is_there_as_its_parts_and_a_lost_one_costs_no_other():
    driver = NvmlDriver(fake_pynvml())
    assert find_gpus(driver, {}) == [
        Gpu("GPU-0", 0, "NVIDIA T1", 100),
        Gpu("MIG-a", 1, "NVIDIA T2 MIG 1g", 50, "GPU-1"),
        Gpu("MIG-b", 1, "NVIDIA T2 MIG 1g", None, "GPU-1"),
    ]
    assert len(driver.faults) == 1
    assert "GPU 2 does not answer" in driver.faults[0]
    assert driver.absence is None


def test_sensors_that_fail_are_none():
    driver = NvmlDriver(fake_pynvml())
    assert driver.load("GPU-0") == GpuLoad(80.0, 40, 123.456)
    assert driver.load("MIG-a") == GpuLoad(None, 5, None)
    assert driver.load("GPU-gone") == GpuLoad()
    assert NvmlDriver(fake_pynvml(18)).load("GPU-0") == GpuLoad()


@pytest.mark.parametrize("fault", [12, 9])
def test_no_driver_no_gpus_no_error(fault, tmp_path):
    driver = NvmlDriver(fake_pynvml(fault))
    assert find_gpus(driver, {"CUDA_VISIBLE_DEVICES": "0"}) == []
    with pytest.raises(RunnerError, match=r"^1 GPU is asked for, none is here: NVIDIA's driver is not here; .*install"):
        GpuPool(driver, environ={}, locks=tmp_path / "locks").check(1)
    assert not (tmp_path / "locks").exists()


def test_a_driver_that_does_not_answer_is_an_error():
    with pytest.raises(RunnerError, match=r"driver does not answer \(fault 18\)"):
        find_gpus(NvmlDriver(fake_pynvml(18)), {})


def test_without_the_package_there_are_no_gpus_and_a_word_on_what_to_install():
    code = (
        "import sys; sys.modules['pynvml'] = None\n"
        "from mleb_core.runner.gpus import *\n"
        "driver = NvmlDriver(); print(find_gpus(driver), driver.absence)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.startswith("[] ")
    assert "pip install 'mleb-core[gpus]'" in said


def test_the_real_package_has_every_function_that_is_used():
    pynvml = pytest.importorskip("pynvml")
    assert [name for name in vars(fake_pynvml()) if not hasattr(pynvml, name)] == []
    source = Path(sys.modules[NvmlDriver.__module__].__file__).read_text()
    assert set(vars(fake_pynvml())) == set(re.findall(r"\blibrary\.(\w+)", source))


@pytest.mark.parametrize(
    ("setting", "left"),
    [
        (None, ["GPU-aa1", "GPU-ab2", "MIG-c1", "MIG-c2"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("1,0", ["GPU-ab2", "GPU-aa1"]),
        (" 0 , 0", ["GPU-aa1"]),
        ("0,9,1", ["GPU-aa1"]),
        ("2", ["MIG-c1", "MIG-c2"]),
        ("GPU-ab2", ["GPU-ab2"]),
        ("GPU-ab", ["GPU-ab2"]),
        ("GPU-a", []),
        ("MIG-c2,0", ["MIG-c2", "GPU-aa1"]),
        ("MIG-c", []),
        ("GPU-cc3", ["MIG-c1", "MIG-c2"]),
    ],
)
def test_cuda_visible_devices(setting, left):
    gpus = [
        Gpu("GPU-aa1", 0, "", 1),
        Gpu("GPU-ab2", 1, "", 1),
        Gpu("MIG-c1", 2, "", 1, "GPU-cc3"),
        Gpu("MIG-c2", 2, "", 1, "GPU-cc3"),
    ]
    assert [gpu.id for gpu in visible(gpus, setting)] == left


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
