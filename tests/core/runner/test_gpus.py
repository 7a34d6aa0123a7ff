"""GPUs found: the driver is not here, so its answers are made up."""

import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from mleb_core.errors import RunnerError
from mleb_core.runner.gpus import Gpu, GpuLoad, GpuPool, NvmlDriver, find_gpus, visible

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
