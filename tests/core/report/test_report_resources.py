"""What a run used, in its report."""

import json

import pytest

from mleb_core.layout import RunLayout
from mleb_core.report.build import resource_summary
from mleb_core.runner.meters import Usage
from mleb_core.runner.nvml import Gpu, GpuLoad
from mleb_core.runner.resources import ResourceRecorder


class TwoGpus:
    absence = None

    def devices(self):
        return [Gpu("GPU-a", 0, "NVIDIA T1", 100), Gpu("GPU-b", 1, "NVIDIA T1", 100)]

    def load(self, id):
        return GpuLoad(80.0, 70, 300.0) if id == "GPU-a" else GpuLoad(40.0, 90, 100.0)


@pytest.fixture
def recorded(tmp_path):
    layout = RunLayout(tmp_path)
    now = 0.0
    recorder = ResourceRecorder(
        layout, lambda: Usage(1.5 * now, 5000), gpus=["GPU-a", "GPU-b", "GPU-x"], driver=TwoGpus()
    )
    for now in range(1, 3601):
        recorder.sample(float(now))
    recorder.close(3600.0)
    return layout


def test_an_hour_with_three_gpus(recorded):
    found = resource_summary(recorded)
    assert found.cpu_cores_mean == 1.5
    assert found.memory_bytes_peak == 5000
    assert found.disk_bytes_peak is None
    assert found.gpus == ("NVIDIA T1", "NVIDIA T1", "GPU-x")
    assert found.gpu_hours == 3
    assert found.gpu_utilization_percent_mean == 53.333  # the third says 40 as well
    assert found.gpu_memory_bytes_peak == 90
    assert found.gpu_energy_kwh == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-5],
        lambda text: "[]",
        lambda text: '{"format_version": 1, "summary": 7}',
        lambda text: json.dumps(json.loads(text) | {"summary": {}}),
        lambda text: text.replace('"energy_j": ', '"energy_j": "much", "was": '),
        lambda text: text.replace('"memory_bytes_peak": 5000', '"memory_bytes_peak": -5'),
        lambda text: text.replace('"format_version": 1', '"format_version": 2'),
    ],
)
def test_a_damaged_record_is_none(recorded, damage):
    text = recorded.resources.read_text()
    changed = damage(text)
    assert changed != text
    recorded.resources.write_text(changed)
    assert resource_summary(recorded) is None


def test_nothing_recorded(tmp_path):
    assert resource_summary(RunLayout(tmp_path)) is None
