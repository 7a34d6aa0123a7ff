"""The place of a container on the host's disk, without an engine."""

import json

from mleb_core.layout import RunLayout
from mleb_core.runner.docker.labels import run_label
from mleb_core.runner.docker.place import read_record, remove_place


def test_the_place_of_a_former_version_goes_with_its_box(tmp_path):
    layout = RunLayout(tmp_path / "runs" / "g" / "birds" / "agent" / "0")
    box, other = tmp_path / "sockets" / f"mleb-{run_label(layout.root)[:16]}", tmp_path / "sockets" / "mleb-other"
    for folder in (layout.work_home, box, other):
        folder.mkdir(parents=True)
    for named in (box, other):
        layout.work.mkdir(exist_ok=True)
        (named / "helper.py").touch()
        layout.work_record.write_text(json.dumps({"log_start": 0, "log_limit": 9, "box": str(named)}))
        assert read_record(layout).place == str(layout.root)
        remove_place(layout)
        assert not layout.work.exists()
    assert [path.name for path in (tmp_path / "sockets").iterdir()] == ["mleb-other"]
