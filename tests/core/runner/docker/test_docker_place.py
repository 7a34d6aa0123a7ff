"""The place of a container on the host's disk, without an engine."""

import json
import shutil

from mleb_core.layout import RunLayout
from mleb_core.runner.docker.labels import run_label
from mleb_core.runner.docker.left import clear_leftovers
from mleb_core.runner.docker.place import Record, new_place, read_record, remove_place


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


def test_a_group_that_was_moved_or_copied_loses_its_own_places_and_no_others(tmp_path):
    """Each run's record names where the place stood when it was made."""
    layout = RunLayout(tmp_path / "g" / "birds" / "agent" / "0")
    place, box = new_place(layout), tmp_path / "sockets" / "box"
    for folder in (layout.work, place.work_agent, box.parent):
        folder.mkdir(parents=True)
    box = box.with_name(f"mleb-{place.root.name}")
    box.mkdir()
    (place.work_agent / "notes").touch()
    place.work_output.write_text("printed")
    Record(0, 1 << 20, str(box), str(place.root)).write(layout)

    shutil.copytree(tmp_path / "g", tmp_path / "copy", symlinks=True)
    clear_leftovers(RunLayout(tmp_path / "copy" / "birds" / "agent" / "0"))
    assert not (tmp_path / "copy" / ".places").exists() and not (tmp_path / "copy/birds/agent/0/work").exists()
    assert (place.work_agent / "notes").exists() and box.exists()

    (tmp_path / "g").rename(tmp_path / "moved")
    moved = RunLayout(tmp_path / "moved" / "birds" / "agent" / "0")
    moved.log.touch()
    clear_leftovers(moved)
    assert not moved.group.places.exists() and not moved.work.exists() and not box.exists()
    assert moved.log.read_text() == "printed"  # what the agent had printed last is kept
