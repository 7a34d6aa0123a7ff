"""On a machine with NVIDIA GPUs: are they found, leased to one process at a time, and sampled under load?

python bench/device_gpu.py [SECONDS]

Prints a table and exits with 1 if a check fails. The load is a matrix product with PyTorch where that is installed;
else nothing is computed and only the sensors are read. What nvidia-smi says is compared.
"""

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mleb_core.errors import RunnerError
from mleb_core.layout import RunLayout
from mleb_core.run import Limits, RunKey
from mleb_core.runner.gpus import GpuPool, NvmlDriver, find_gpus
from mleb_core.runner.local import LocalRunner
from mleb_core.runner.meters import Usage
from mleb_core.runner.protocol import Job, Stop
from mleb_core.runner.resources import ResourceRecorder

LOAD = """
import time, torch
a = torch.randn(4096, 4096, device="cuda")
assert torch.cuda.device_count() == 1, torch.cuda.device_count()
print("ready", flush=True)
end = time.monotonic() + {seconds}
while time.monotonic() < end:
    for _ in range(20):
        a = (a @ a).clamp(-1, 1)
    torch.cuda.synchronize()
"""
HOLD = """
import sys, time
from pathlib import Path
from mleb_core.runner.gpus import GpuPool
with GpuPool(locks=Path(sys.argv[1])).lease(1) as ids:
    print(ids[0], flush=True)
    time.sleep(600)
"""


def main() -> None:
    """Check and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 8.0
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, check in checks(Path(folder), seconds):
            try:
                state, found = "ok", check()
            except Exception as error:
                state, found = "FAILED", f"{type(error).__name__}: {error}"
                failed += 1
            print(f"{name:34}{state:8}{found}", flush=True)
    sys.exit(1 if failed else 0)


def checks(folder: Path, seconds: float) -> Iterator[tuple[str, Callable[[], str]]]:
    """Every check by its name."""
    yield "found", found
    yield "the same as nvidia-smi", like_nvidia_smi
    yield "CUDA_VISIBLE_DEVICES", visible
    yield "more than there are", too_many
    yield "leased to one process at a time", lambda: exclusive(folder / "locks")
    yield "freed when the owner is killed", lambda: killed(folder / "locks")
    yield "cost of a sample", sample_cost
    yield "sampled under load", lambda: sampled(folder, seconds)
    yield "a local run with a GPU", lambda: local_run(folder, seconds)


def found() -> str:
    driver = NvmlDriver()
    gpus = driver.devices()
    assert gpus, driver.absence
    return "; ".join(f"{gpu.index}: {gpu.name}, {(gpu.memory_bytes or 0) / 1024**3:.0f} GiB, {gpu.id}" for gpu in gpus)


def like_nvidia_smi() -> str:
    rows = nvidia_smi("index,uuid,name,memory.total")
    wholes = {(gpu.index, gpu.id, gpu.name) for gpu in NvmlDriver().devices() if gpu.parent is None}
    known = {(int(index), uuid, name) for index, uuid, name, _ in rows}
    assert wholes <= known, f"{wholes} and {known}"
    return f"{len(rows)} GPUs, ids, names and order agree"


def visible() -> str:
    first = NvmlDriver().devices()[0]
    assert find_gpus(environ={"CUDA_VISIBLE_DEVICES": ""}) == []
    assert first in find_gpus(environ={"CUDA_VISIBLE_DEVICES": "0"})
    assert find_gpus(environ={"CUDA_VISIBLE_DEVICES": first.id}) == [first]
    return "none, by index, by id"


def too_many() -> str:
    try:
        GpuPool().check(1000)
    except RunnerError as error:
        return str(error)
    raise AssertionError("1000 GPUs were not refused")


def exclusive(locks: Path) -> str:
    count = len(GpuPool().gpus())
    with contextlib.ExitStack() as stack:
        owners = [stack.enter_context(holding(locks)) for _ in range(count)]
        ids = [owner.stdout.readline().strip() for owner in owners]  # type: ignore[union-attr]
        assert len(set(ids)) == count, ids
        one_more = stack.enter_context(holding(locks))
        time.sleep(1.0)
        assert one_more.poll() is None
        assert len(GpuPool(locks=locks).holders()) == count
        owners[0].kill()
        handed_on = one_more.stdout.readline().strip()  # type: ignore[union-attr]
        assert handed_on == ids[0], handed_on
    return f"{count} processes have {count}, one more waits for its turn"


def killed(locks: Path) -> str:
    pool = GpuPool(locks=locks)
    with holding(locks) as owner:
        assert owner.stdout.readline().startswith(("GPU-", "MIG-"))  # type: ignore[union-attr]
        before = time.monotonic()
        owner.send_signal(signal.SIGKILL)
        with pool.lease(len(pool.gpus())):
            return f"all of them leased {(time.monotonic() - before) * 1000:.0f} ms later"


def sample_cost() -> str:
    driver = NvmlDriver()
    id = driver.devices()[0].id
    driver.load(id)
    before = time.monotonic()
    for _ in range(20):
        load = driver.load(id)
    return f"{(time.monotonic() - before) / 20 * 1000:.2f} ms; {load}"


def sampled(folder: Path, seconds: float) -> str:
    layout = RunLayout(folder)
    pool = GpuPool()
    with pool.lease(1) as ids, loading(ids[0], seconds) as busy:
        recorder = ResourceRecorder(layout, Usage, gpus=ids, driver=pool.driver)
        start = time.monotonic()
        while (elapsed := time.monotonic() - start) < seconds - 1:
            recorder.sample(elapsed)
            time.sleep(0.05)
        complaint = recorder.close(elapsed)
        assert complaint is None, complaint
        (row,) = [row for row in nvidia_smi("uuid,utilization.gpu,memory.used,power.draw") if row[0] == ids[0]] or [[]]
    document = json.loads(layout.resources.read_text())
    (gpu,) = document["summary"]["gpus"]
    assert len(document["t_s"]) >= 3, document["t_s"]
    assert gpu["memory_bytes_peak"] is not None, gpu
    if busy:
        assert gpu["utilization_percent_mean"] > 30, gpu
        assert gpu["memory_bytes_peak"] > 64 << 20, gpu
    return (
        f"{'under load' if busy else 'idle (no PyTorch)'}, {len(document['t_s'])} points: "
        f"{gpu['utilization_percent_mean']} %, {gpu['memory_bytes_peak'] / 2**20:.0f} MiB, {gpu['power_w_mean']} W, "
        f"{gpu['energy_j']} J; nvidia-smi: {', '.join(row[1:])}"
    )


class Agent:
    """Loads its GPU, or looks at its environment alone where PyTorch is not here."""

    id = "load"
    summary = "loads a GPU"

    def __init__(self, code: str) -> None:
        self.code = code

    def variants(self) -> tuple[str, ...]:
        return ()

    def launch(self, context: object) -> object:
        from mleb_core import Launch

        return Launch([sys.executable, "-c", self.code])


def local_run(folder: Path, seconds: float) -> str:
    told = "import os; open('submission/gpus', 'w').write(os.environ['CUDA_VISIBLE_DEVICES'])\n"
    code = told + (LOAD.format(seconds=seconds) if has_torch() else f"import time; time.sleep({seconds})")
    root, public = folder / "run", folder / "public"
    root.mkdir()
    public.mkdir()
    with GpuPool().lease(1) as ids:
        job = Job(
            key=RunKey(competition="nothing", agent="load", seed=0),
            layout=RunLayout(root),
            public=public,
            description="",
            instructions="",
            scaffold=Agent(code),  # type: ignore[arg-type]
            variant=None,
            model=None,
            settings={},
            limits=Limits(gpus=1, time_s=seconds + 120),
            env={},
            gpus=ids,
        )
        outcome = LocalRunner().run(job, Stop())
    assert outcome.status == "finished", f"{outcome.message}: {job.layout.log.read_text()[-500:]}"
    assert (job.layout.submission_dir / "gpus").read_text() == ids[0]
    summary = json.loads(job.layout.resources.read_text())["summary"]
    return f"{summary['cpu_cores_mean']} cores, {summary['gpu_seconds']} GPU seconds, {summary['gpus'][0]}"


@contextlib.contextmanager
def holding(locks: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that leases one GPU and says which."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(locks)], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def loading(id: str, seconds: float) -> Iterator[bool]:
    """A process that computes on a GPU; False where it cannot."""
    if not has_torch():
        yield False
        return
    env = os.environ | {"CUDA_VISIBLE_DEVICES": id}
    code = LOAD.format(seconds=seconds + 5)
    with subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield True
        finally:
            process.kill()


def has_torch() -> bool:
    code = "import torch; assert torch.cuda.is_available()"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def nvidia_smi(what: str) -> list[list[str]]:
    command = ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [[cell.strip() for cell in row] for row in csv.reader(said.splitlines())]


if __name__ == "__main__":
    main()
