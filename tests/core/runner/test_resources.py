"""What a run uses over time: real processes and control groups; made-up GPUs and clocks."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mleb_core.layout import RunLayout
from mleb_core.runner.gpus import Gpu, GpuLoad
from mleb_core.runner.local import LocalRunner
from mleb_core.runner.meters import Usage, cgroup_reader, processes_reader
from mleb_core.runner.processes import RunProcesses
from mleb_core.runner.protocol import Stop
from mleb_core.runner.resources import ResourceRecorder, read_resources

GIB = 1 << 30


class Clock:
    """A machine whose figures follow from the time: 2 cores, memory that grows, a GPU that draws 100 W."""

    absence = None

    def __init__(self) -> None:
        self.now = 0.0
        self.cpu_s = 0.0

    def read(self):
        return Usage(self.cpu_s, int(self.now) * 1000)

    def devices(self):
        return [Gpu("GPU-a", 0, "Test GPU", GIB)]

    def load(self, id):
        assert id == "GPU-a"
        return GpuLoad(50.0 if self.now > 100 else 0.0, 7, 100.0)

    def run(self, recorder, until, step=0.1, cores=2.0):
        while self.now < until:
            self.now += step
            self.cpu_s += cores * step
            recorder.sample(self.now)


@pytest.fixture
def layout(tmp_path):
    return RunLayout(tmp_path)


def written(layout):
    return json.loads(layout.resources.read_text())


def columns(document):
    yield from (document[name] for name in ("cpu_cores", "memory_bytes", "disk_bytes"))
    for gpu in document["gpus"]:
        yield from (gpu[name] for name in ("utilization_percent", "memory_bytes", "power_w"))


def test_a_run_in_figures(layout):
    clock = Clock()
    recorder = ResourceRecorder(layout, clock.read, gpus=["GPU-a"], driver=clock, disk=lambda: 4096)
    clock.run(recorder, 200)
    assert recorder.close(200.0) is None
    summary = written(layout)["summary"]
    assert summary["elapsed_s"] == 200
    assert summary["cpu_cores_mean"] == pytest.approx(2, abs=0.01)
    assert summary["cpu_s"] == pytest.approx(400, rel=0.01)
    assert summary["memory_bytes_peak"] == pytest.approx(199_000, rel=0.01)
    assert summary["memory_bytes_mean"] == pytest.approx(100_000, rel=0.02)
    assert summary["disk_bytes_peak"] == 4096
    assert summary["gpu_seconds"] == 200
    assert summary["energy_j"] == pytest.approx(20_000, rel=0.01)
    (gpu,) = summary["gpus"]
    assert (gpu["id"], gpu["name"]) == ("GPU-a", "Test GPU")
    assert gpu["utilization_percent_mean"] == pytest.approx(25, abs=0.5)
    assert (gpu["utilization_percent_peak"], gpu["memory_bytes_peak"], gpu["power_w_mean"]) == (50, 7, 100)


@pytest.mark.parametrize("length", [5.0, 149.0, 151.0, 3_000.0, 90_000.0])
def test_a_series_never_grows_long_and_its_means_stay_true(layout, length):
    clock = Clock()
    recorder = ResourceRecorder(layout, clock.read, gpus=["GPU-a"], driver=clock)
    clock.run(recorder, length / 3, step=length / 9000)
    clock.run(recorder, length, step=length / 9000, cores=0.5)
    recorder.close(length)
    document = written(layout)
    times = document["t_s"]
    assert {len(column) for column in columns(document)} == {len(times)}
    assert (18 if length < 10 else 200) <= len(times) <= 600
    assert times == sorted(set(times))
    assert length - max(0.3, length / 100) <= times[-1] <= length * 1.001
    spans = [end - start for start, end in zip([0, *times], times, strict=False)]
    used = sum(cores * span for cores, span in zip(document["cpu_cores"], spans, strict=True))
    assert used == pytest.approx(length, rel=0.06)  # a third at 2 cores, two thirds at a half
    assert document["cpu_cores"][0] == pytest.approx(2, rel=0.02)
    assert document["cpu_cores"][-1] == pytest.approx(0.5, rel=0.02)
    assert layout.resources.stat().st_size < 100_000


def test_sensors_that_fail_are_null_and_cost_nothing_else(layout):
    clock = Clock()

    def broken(*_):
        raise OSError("gone")

    clock.load = broken
    recorder = ResourceRecorder(
        layout, lambda: Usage(None, 5), gpus=["GPU-a", "GPU-gone"], driver=clock, disk=lambda: float("nan")
    )
    clock.run(recorder, 10)
    assert recorder.close(10) is None
    document = written(layout)
    assert set(document["cpu_cores"]) == set(document["disk_bytes"]) == {None}
    assert set(document["memory_bytes"]) == {5}
    assert set(document["gpus"][0]["power_w"]) == {None}
    assert document["gpus"][1]["name"] is None
    assert document["summary"]["gpu_seconds"] == 20
    assert document["summary"]["energy_j"] is None


def test_a_run_too_short_to_be_seen(layout):
    recorder = ResourceRecorder(layout, Clock().read)
    recorder.sample(0.01)
    assert recorder.close(0.02) is None
    document = written(layout)
    assert document["t_s"] == []
    assert document["summary"]["elapsed_s"] == 0.02
    assert document["summary"]["cpu_s"] is None


def test_a_run_that_is_taken_up_goes_on_in_the_same_file(layout):
    clock = Clock()
    first = ResourceRecorder(layout, clock.read, gpus=["GPU-a"], driver=clock)
    clock.run(first, 60.5)  # then its harness is killed: it wrote at 30 and 60 seconds
    clock.now, clock.cpu_s = 160.0, clock.cpu_s + 99.5 * 4
    second = ResourceRecorder(layout, clock.read, gpus=["GPU-a"], driver=clock, take_up=True)
    clock.run(second, 220)
    second.close(220.0)
    document = written(layout)
    times, gpu = document["t_s"], document["gpus"][0]
    gap = next(index for index, t in enumerate(times) if t > 100)
    assert times[gap - 1] == pytest.approx(60, abs=0.5)
    assert times[gap] == pytest.approx(160, abs=0.5)
    assert document["cpu_cores"][gap] == pytest.approx(4, rel=0.02)  # its counter went on
    assert document["memory_bytes"][gap] is None
    assert gpu["power_w"][gap] is None
    summary = document["summary"]
    assert summary["cpu_s"] == pytest.approx(60.5 * 2 + 99.5 * 4 + 60 * 2, rel=0.01)
    assert summary["gpu_seconds"] == pytest.approx(220, abs=0.2)
    assert summary["energy_j"] == pytest.approx(120 * 100, rel=0.02)  # of what was seen


@pytest.mark.parametrize("content", ["", "{}", '{"format_version": 1}', '{"format_version": 1, "gpus": 3}', "[" * 9999])
def test_what_is_no_record_is_started_anew(layout, content):
    layout.resources.write_text(content)
    clock = Clock()
    clock.now, clock.cpu_s = 1000.0, 500.0
    recorder = ResourceRecorder(layout, clock.read, take_up=True)
    clock.run(recorder, 1010)
    assert recorder.close(1010.0) is None
    document = written(layout)
    assert document["t_s"][0] == pytest.approx(1000, abs=0.2)
    assert document["cpu_cores"][0] == pytest.approx(0.5, rel=0.01)
    assert document["memory_bytes"][0] is None


def test_other_gpus_than_before_are_not_mixed(layout):
    clock = Clock()
    first = ResourceRecorder(layout, clock.read, gpus=["GPU-a"], driver=clock)
    clock.run(first, 20)
    first.close(20)
    second = ResourceRecorder(layout, clock.read, driver=clock, take_up=True)
    clock.run(second, 30)
    second.close(30)
    assert written(layout)["gpus"] == []


def test_a_file_that_cannot_be_written_is_told_at_the_end(tmp_path):
    clock = Clock()
    recorder = ResourceRecorder(RunLayout(tmp_path / "gone"), clock.read)
    clock.run(recorder, 100)
    assert "No such file" in recorder.close(100.0)


def test_links_are_not_read(layout, tmp_path):
    (tmp_path / "other").write_text('{"format_version": 1}')
    layout.resources.symlink_to(tmp_path / "other")
    assert read_resources(layout) is None


# --- meters ---

BURN = (
    "import time; data = bytearray({size}); end = time.process_time() + {cpu}\nwhile time.process_time() < end: pass\n"
)


def test_processes_and_their_children_are_measured():
    code = (
        "import subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {BURN.format(size=0, cpu=0.3)!r}], check=True)\n"
        f"exec({BURN.format(size=50 << 20, cpu=0.2)!r})\n"
        "print('done', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, text=True
    ) as process:
        processes = RunProcesses()
        processes.adopt(process.pid)
        read = processes_reader(processes)
        first = read()
        assert process.stdout.readline() == "done\n"
        usage = read()
        processes.kill()
        last = read()
    assert first.cpu_s <= usage.cpu_s
    assert usage.cpu_s >= 0.45
    assert usage.memory_bytes > 50 << 20
    assert last.cpu_s >= usage.cpu_s
    assert last.memory_bytes == 0


@pytest.fixture
def control_group():
    """A control group of our own, of the version that is here: function that puts a process there, and its path."""
    name, root = f"mleb-test-{os.getpid()}", Path("/sys/fs/cgroup")
    second = (root / "cgroup.controllers").is_file()
    if os.geteuid():
        pytest.skip("control groups are root's to make")
    # Of version 2 the group may be one that a container's own root stands in: it is made beside its processes.
    folders = [root / name] if second else [root / controller / name for controller in ("cpuacct", "memory")]
    for folder in folders:
        folder.mkdir()
    if second and not (folders[0] / "memory.stat").is_file():
        (root / "cgroup.subtree_control").write_text("+memory")

    def put(pid):
        for folder in folders:
            (folder / "cgroup.procs").write_text(str(pid))

    yield put, f"/{name}"
    for folder in folders:
        for _ in range(100):
            with contextlib.suppress(OSError):
                folder.rmdir()
                break
            time.sleep(0.01)


def test_a_control_group_is_read(control_group):
    put, path = control_group
    code = (
        f"import sys; sys.stdin.readline()\n{BURN.format(size=60 << 20, cpu=0.3)}\nprint(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        put(process.pid)
        readers = cgroup_reader(process.pid), cgroup_reader(path)
        process.stdin.write("go\n")
        process.stdin.flush()
        process.stdout.readline()
        for read in readers:
            usage = read()
            assert usage.cpu_s >= 0.29
            # Less than 60 MiB may be told: the kernel adds up what each processor counts in batches.
            assert 56 << 20 < usage.memory_bytes < 200 << 20
        process.stdin.close()


def test_a_control_group_of_version_1(tmp_path):
    """Files as Linux 5.10 writes them."""
    proc, mount = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "17").mkdir()
    place = "/docker/0d3f"
    (proc / "17" / "cgroup").write_text(
        f"12:pids:{place}\n9:memory:{place}\n4:cpu,cpuacct:{place}\n1:name=systemd:{place}\n0::/system.slice\n"
    )
    (proc / "self" / "mountinfo").write_text(
        f"33 25 0:28 / {mount}/memory rw,nosuid shared:16 - cgroup cgroup rw,memory\n"
        f"34 25 0:29 / {mount}/cpu,cpuacct rw,nosuid shared:17 - cgroup cgroup rw,cpu,cpuacct\n"
    )
    memory, cpu = mount / f"memory{place}", mount / f"cpu,cpuacct{place}"
    memory.mkdir(parents=True)
    cpu.mkdir(parents=True)
    (cpu / "cpuacct.usage").write_text("2500000000\n")
    (memory / "memory.stat").write_text("cache 99999\nrss 7\nrss_huge 0\nshmem 1\ntotal_rss 4096\ntotal_shmem 100\n")
    assert cgroup_reader(17, proc=proc)() == Usage(2.5, 4196)
    assert cgroup_reader(place, proc=proc)() == Usage(2.5, 4196)


def test_a_control_group_of_version_2(tmp_path):
    """Files as Linux 6.1 writes them."""
    proc, mount = tmp_path / "proc", tmp_path / "my cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "17").mkdir()
    (proc / "17" / "cgroup").write_text("0::/system.slice/docker-abc.scope\n")
    (proc / "self" / "mountinfo").write_text(
        "25 30 0:23 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n"
        f"35 25 0:30 / {str(mount).replace(' ', chr(92) + '040')} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
    )
    group = mount / "system.slice" / "docker-abc.scope"
    group.mkdir(parents=True)
    (group / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\n")
    (group / "memory.stat").write_text("anon 4096\nfile 99999\nshmem 100\nanon_thp 0\n")
    assert cgroup_reader(17, proc=proc)() == Usage(1.5, 4196)
    assert cgroup_reader("/system.slice/docker-abc.scope", proc=proc)() == Usage(1.5, 4196)


def test_a_control_group_that_is_not_there_is_not_known():
    assert cgroup_reader(2**22 + 5)() == Usage(None, None)
    assert cgroup_reader("/no/such/group")() == Usage(None, None)
    assert cgroup_reader("/../../../../etc")() == Usage(None, None)


# --- the local runner ---


def test_a_local_run_is_recorded_and_told_its_gpus(make_job):
    code = (
        "import os, time; from pathlib import Path\n"
        "Path('submission/gpus').write_text(os.environ['CUDA_VISIBLE_DEVICES'])\n"
        "hold = bytearray(40 << 20); end = time.process_time() + 0.5\n"
        "while time.process_time() < end: pass\n"
    )
    job = dataclasses.replace(make_job(code, gpus=2), gpus=("GPU-a", "MIG-b"))
    outcome = LocalRunner().run(job, Stop())
    assert outcome.status == "finished", outcome.message
    assert (job.layout.submission_dir / "gpus").read_text() == "GPU-a,MIG-b"
    document = written(job.layout)
    assert document["summary"]["samples"] == len(document["t_s"]) > 0
    assert document["summary"]["cpu_s"] > 0.1
    assert document["summary"]["memory_bytes_peak"] > 40 << 20
    assert document["summary"]["elapsed_s"] >= round(outcome.runtime_s, 3)
    assert [gpu["id"] for gpu in document["gpus"]] == ["GPU-a", "MIG-b"]
    assert set(document["gpus"][0]["power_w"]) == {None}


def test_what_a_former_attempt_recorded_is_gone(make_job):
    job = make_job("pass")
    job.layout.resources.write_text("{}")
    assert LocalRunner().run(job, Stop()).status == "finished"
    assert written(job.layout)["format_version"] == 1
