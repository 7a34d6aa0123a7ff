"""What holds is said to hold: groups of every age and state, whole, stopped, cut off."""

import fcntl
import hashlib
import json
import shutil
from pathlib import Path

import pytest
from verify_groups import (
    DIABETES,
    ISOLATION,
    close,
    cut_last_line,
    found,
    is_found,
    keep_ledger,
    places,
    rewrite,
    runs_of,
)

from mleb_core.errors import RunGroupError
from mleb_core.evaluate import EvalRequest, evaluate
from mleb_core.layout import GroupLayout, RunLayout, write_whole
from mleb_core.ledger import Kind, Ledger, read_ledger
from mleb_core.ledger_facts import (
    record_exchanges,
    start_details,
)
from mleb_core.report.build import group_report
from mleb_core.report.collect import collect_group, load_group, write_group_reports
from mleb_core.report.load import load_run_report
from mleb_core.run import Limits, Run
from mleb_core.runner.protocol import Stop
from mleb_core.verify import verify_group


def test_a_group_that_nobody_touched_holds(made, registry):
    told = []
    report = verify_group(made, registry, progress=told.append)
    assert found(report) == []
    assert report.holds
    assert (report.asked, report.there, report.graded_again, len(told)) == (4, 4, 4, 4)
    assert not (report.missing or report.unfinished or report.no_ledger or report.notes)
    assert report.ledgers == json.loads((made / "report.json").read_text())["ledgers"]
    assert report.ledgers in (made / "report.md").read_text()


def test_heads_stand_in_every_report(made):
    heads = [read_ledger(place.ledger)[-2].hash for place in places(made)]
    assert {run["ledger"] for run in json.loads((made / "report.json").read_text())["runs"]} == set(heads)
    table = (made / "report.csv").read_text()
    assert all(head in table for head in heads)
    lines = [f"{DIABETES} {agent} {seed} " for seed in (0, 1) for agent in ("worker", "worker/broken")]
    by_name = {f"{DIABETES} {run['key']['agent']} {run['key']['seed']} ": run["ledger"] for run in runs_of(made)}
    joined = "".join(f"{line}{by_name[line]}\n" for line in lines)
    assert hashlib.sha256(joined.encode()).hexdigest() in (made / "report.md").read_text()


def test_data_that_is_not_there_is_one_finding(group, registry, tmp_path):
    (line,) = found(verify_group(group, registry, tmp_path / "nowhere"))
    assert line.startswith(f"{DIABETES}: its submissions cannot be graded again")


def test_runs_with_no_ledger_are_counted_and_checked_as_far_as_they_go(registry, data_dir, tmp_path):
    request = EvalRequest(("worker",), (DIABETES,), data_dir, tmp_path, limits=Limits(time_s=60))
    evaluate(request, registry)
    (directory,) = tmp_path.iterdir()
    (place,) = places(directory)
    as_an_older_version_left_it(directory, place)
    report = verify_group(directory, registry)
    assert found(report) == []
    assert [str(key) for key in report.no_ledger] == [f"{DIABETES} worker seed 0"]
    assert (report.graded_again, report.ledgers) == (1, None)
    rewrite(place.report, exit_code=7)
    assert any(
        "it does not say what run.json says: exit_code" in line for line in found(verify_group(directory, registry))
    )


def as_an_older_version_left_it(directory: Path, place: RunLayout) -> None:
    """Without ledgers, in files that have no word of them."""
    place.ledger.unlink(missing_ok=True)
    report = load_run_report(place.report).model_copy(update={"ledger": None})
    write_whole(place.report, report.model_dump_json(indent=2, exclude={"ledger"}) + "\n")
    whole = group_report(*collect_group(directory), directory=directory)
    write_group_reports(directory, whole)
    exclude = {"ledgers": True, "runs": {"__all__": {"ledger"}}}
    layout = GroupLayout(directory)
    write_whole(layout.report_json, whole.model_dump_json(indent=2, exclude=exclude) + "\n")
    table = layout.report_csv.read_text().splitlines()
    write_whole(layout.report_csv, "".join(line.rpartition(",")[0] + "\n" for line in table))
    page = [line for line in layout.report_markdown.read_text().splitlines() if not line.startswith("- report.json")]
    write_whole(layout.report_markdown, "\n".join(page) + "\n")


LATER = ("imported", "usage", "resources", "privileged")
"""Fields that earlier versions of mleb did not have, all of them at their defaults in these groups."""


def without(value, names):
    if isinstance(value, dict):
        return {name: without(inner, names) for name, inner in value.items() if name not in names}
    return [without(inner, names) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("names", [LATER[:1], LATER])
def test_a_group_of_before_a_field_was_there_holds_and_its_changes_are_found(group, registry, names):
    """Written by a mleb with ledgers that knew less of a run: group.json, its runs' reports, the group's report."""
    layout = GroupLayout(group)

    def shorten(path: Path) -> None:
        write_whole(path, json.dumps(without(json.loads(path.read_text()), names), indent=2, ensure_ascii=False) + "\n")

    shorten(layout.group)
    frozen = load_group(group)
    for place in places(group):
        place.resources.unlink()
        place.transcript.unlink()
        keep_ledger(place, group, frozen, registry, finish=shorten)
    write_group_reports(group, group_report(*collect_group(group), directory=group))
    was = hashlib.sha256(layout.report_json.read_bytes()).hexdigest()
    shorten(layout.report_json)
    assert not any(f'"{name}"' in path.read_text() for name in names for path in group.rglob("*.json"))
    now = hashlib.sha256(layout.report_json.read_bytes()).hexdigest()
    assert was != now
    page = layout.report_markdown.read_text()
    layout.report_markdown.write_text(page.replace(was, now))
    assert found(verify_group(group, registry)) == []
    content = layout.report_json.read_bytes()
    for at in range(0, len(content), max(3, len(content) // 60)):
        layout.report_json.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert is_found(group, registry), at
    shortened = without(json.loads(content), ("message",))
    layout.report_json.write_text(json.dumps(shortened, indent=2, ensure_ascii=False) + "\n")
    assert any(line.startswith("report.md: it is not what") for line in found(verify_group(group, registry)))


def test_a_group_that_was_stopped_holds(registry, data_dir, tmp_path):
    stop = Stop()
    stop.set()
    evaluate(EvalRequest(("worker",), (DIABETES,), data_dir, tmp_path, limits=Limits(time_s=60)), registry, stop=stop)
    (directory,) = tmp_path.iterdir()
    report = verify_group(directory, registry)
    assert found(report) == []
    assert (report.asked, report.graded_again) == (1, 0)


def test_a_run_cut_off_before_its_report_was_noted_is_unfinished_and_no_fault(group, registry):
    place = places(group)[0]
    cut_last_line(place)
    rewrite(place.run, status="grading")
    write_group_reports(group, group_report(*collect_group(group), directory=group))
    report = verify_group(group, registry, grade=False)
    assert found(report) == []
    assert any("--resume mends that" in str(note) for note in report.notes)


def test_a_run_cut_off_at_its_very_start_is_no_fault(group, registry):
    place = places(group)[0]
    shutil.rmtree(place.root)
    place.root.mkdir()
    place.ledger.write_bytes(b"")
    write_group_reports(group, group_report(*collect_group(group), directory=group))
    report = verify_group(group, registry, grade=False)
    assert found(report) == []
    assert [str(key) for key in report.unfinished] == [f"{DIABETES} worker seed 0"]


def test_a_ledger_that_was_set_aside_is_told(group, registry):
    place, frozen = places(group)[0], load_group(group)
    run, report = Run.model_validate_json(place.run.read_bytes()), load_run_report(place.report)
    place.ledger.unlink()
    with Ledger.open(place) as ledger:
        ledger.add(Kind.SPOILT, message="line 3: its hash is not that of its content")
        record_exchanges(ledger, place)
        ledger.add(Kind.START, **start_details(run, frozen, GroupLayout(group), isolation=ISOLATION, plugins={}))
        competition = registry.competition(DIABETES)
        close(ledger, place, run, report.competition_report, competition, frozen, registry)
    write_group_reports(group, group_report(*collect_group(group), directory=group))
    (line,) = found(verify_group(group, registry))
    assert line.endswith("ledger.jsonl: line 1: the ledger before this one did not hold, and was set aside")


def test_a_group_at_work_is_left_alone(group, registry):
    with (group / "group.lock").open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(RunGroupError, match="another mleb is at work"):
            verify_group(group, registry)
    (group / "group.lock").chmod(0o444)
    assert verify_group(group, registry, grade=False).holds


def test_nothing_is_written(group, registry):
    def state() -> dict[str, tuple[int, int]]:
        return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in group.rglob("*")}

    before = state()
    verify_group(group, registry)
    assert state() == before
