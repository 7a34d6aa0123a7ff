"""Reading a group from real files, damage and all; and writing its reports."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mleb_core.errors import RunGroupError
from mleb_core.layout import GroupLayout
from mleb_core.report.build import group_report, run_report
from mleb_core.report.collect import collect_group, load_group, unreadable_runs, write_group_reports
from mleb_core.report.formats import load_group_report
from mleb_core.report.models import GradingReport
from mleb_core.run import RunKey, RunStatus


@pytest.fixture
def whole(group, graded, finished, on_disk) -> Path:
    """A group of which every run is finished and graded."""
    runs = [finished(key) for key in group.run_keys()]
    return on_disk(group, runs, [run_report(run, graded(run.key.competition, "silver")) for run in runs])


def place(directory: Path, key: RunKey):
    return GroupLayout(directory).run(key.competition, key.agent, key.seed)


def missing(directory: Path) -> dict[RunKey, tuple[str, str]]:
    report = group_report(*collect_group(directory))
    assert report.counts.graded + report.counts.missing == report.counts.asked
    return {run.key: (run.status.value, run.note) for run in report.missing}


def one_line(error: pytest.ExceptionInfo[RunGroupError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_whole_group_comes_as_it_was_written(whole, group):
    found, runs, reports = collect_group(whole)
    assert found == load_group(whole) == group
    assert [run.key for run in runs] == group.run_keys() == list(reports)
    assert all(report.graded and report.key == key for key, report in reports.items())
    assert missing(whole) == {}


def test_runs_that_have_not_started_are_in_neither_but_missing(whole, group):
    gone = group.run_keys()[4]
    shutil.rmtree(place(whole, gone).root)
    place(whole, group.run_keys()[5]).root.joinpath("run.json").unlink()
    place(whole, group.run_keys()[5]).report.unlink()  # a directory alone is no run yet
    _, runs, reports = collect_group(whole)
    assert len(runs) == len(reports) == 16
    assert missing(whole) == dict.fromkeys(group.run_keys()[4:6], ("pending", "never started"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the file is empty"),
        (b'{"format_version": 1, "key"', "the file is not whole JSON"),
        (b"\x00\xff" * 50, "the file is not whole JSON"),
        (b'{"some": "thing else"}', "a run's state is expected; key: Field required"),
        (b"null", "a run's state is expected"),
    ],
)
def test_a_corrupt_run_costs_no_other(whole, group, content, told):
    key = group.run_keys()[7]
    place(whole, key).run.write_bytes(content)
    found = missing(whole)
    assert list(found) == [key]
    status, note = found[key]
    assert status == "interrupted" and told in note and str(place(whole, key).run) in note and "\n" not in note


@pytest.mark.parametrize("content", [b"", b'{"key": ', b"{}"])
def test_a_corrupt_report_costs_no_other(whole, group, content):
    key = group.run_keys()[2]
    place(whole, key).report.write_bytes(content)
    found = missing(whole)
    assert list(found) == [key]
    assert found[key][0] == "finished" and str(place(whole, key).report) in found[key][1]


def test_lost_files_are_noted(whole, group):
    first, second = group.run_keys()[:2]
    place(whole, first).run.unlink()
    place(whole, second).report.unlink()
    assert missing(whole) == {
        first: ("interrupted", "run.json is missing beside report.json"),
        second: ("finished", "report.json is missing"),
    }


def test_files_of_another_run_are_not_taken_for_its_own(whole, group):
    first, second, third = group.run_keys()[:3]
    shutil.copy(place(whole, third).run, place(whole, first).run)
    shutil.copy(place(whole, third).report, place(whole, second).report)
    assert missing(whole) == {
        first: ("interrupted", f"run.json is that of another run: {third}"),
        second: ("finished", f"report.json is that of another run: {third}"),
    }


def test_a_report_of_an_earlier_attempt_does_not_count(whole, group, finished):
    key = group.run_keys()[0]
    again = finished(key, RunStatus.INTERRUPTED, message="stopped", attempt=2)
    place(whole, key).run.write_text(again.model_dump_json())
    assert missing(whole) == {key: ("interrupted", "stopped")}


def test_a_report_that_stands_though_the_harness_died_before_the_last_status_counts(whole, group):
    key = group.run_keys()[0]
    state = json.loads(place(whole, key).run.read_text()) | {"status": "grading", "ended_at": None}
    place(whole, key).run.write_text(json.dumps(state))
    assert missing(whole) == {}
    assert group_report(*collect_group(whole)).counts.ended == 17


def test_a_run_file_that_is_a_directory(whole, group):
    key = group.run_keys()[0]
    place(whole, key).run.unlink()
    place(whole, key).run.mkdir()
    [(status, note)] = missing(whole).values()
    assert status == "interrupted" and "run.json cannot be read: Is a directory" in note


def test_runs_that_were_not_asked_for_are_shown(whole, group):
    key = RunKey(competition="iris", agent="stranger", seed=0)
    source, target = place(whole, group.run_keys()[0]), place(whole, key)
    target.root.mkdir(parents=True)
    target.run.write_text(source.run.read_text().replace('"dummy"', '"stranger"'))
    other = place(whole, RunKey(competition="iris", agent="stranger", seed=1))
    other.root.mkdir(parents=True)
    other.run.write_text("not ours")
    report = group_report(*collect_group(whole))
    assert report.not_asked == (key,)
    assert report.counts.asked == report.counts.graded == 18


def test_directories_that_are_no_groups(tmp_path):
    with pytest.raises(RunGroupError) as error:
        collect_group(tmp_path / "absent")
    assert one_line(error) == f"{tmp_path}/absent: no such directory; a run group's directory is expected"
    with pytest.raises(RunGroupError) as error:
        collect_group(tmp_path)
    assert one_line(error) == f"{tmp_path} is no run group: it has no group.json"
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(RunGroupError) as error:
        collect_group(file)
    assert one_line(error).startswith(str(file))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "a run group's configuration is expected, the file is empty"),
        ('{"name": "x"', "a run group's configuration is expected, the file is not whole JSON"),
        ("{}", "a run group's configuration is expected; name: Field required"),
        ('{"format_version": 7}', "format_version is 7, this mleb reads 1; use the mleb that wrote it"),
    ],
)
def test_a_damaged_or_foreign_group_json(whole, content, told):
    GroupLayout(whole).group.write_text(content)
    with pytest.raises(RunGroupError) as error:
        collect_group(whole)
    assert one_line(error) == f"{GroupLayout(whole).group}: {told}"


@pytest.mark.parametrize("name", ["run", "report"])
def test_a_run_of_a_later_format_costs_no_other(whole, group, name):
    key = group.run_keys()[3]
    path = getattr(place(whole, key), name)
    content = json.dumps(json.loads(path.read_text()) | {"format_version": 2})
    path.write_text(content)
    report = group_report(*collect_group(whole))
    assert (report.counts.graded, report.counts.missing) == (17, 1)
    told = f"{path}: format_version is 2, this mleb reads 1; use the mleb that wrote it"
    assert [line.removeprefix(f"{key}: ").partition("; finished")[0] for line in unreadable_runs(report)] == [told]
    assert path.read_text() == content


def test_a_group_of_a_later_format_is_refused_even_where_it_could_be_read(whole):
    path = GroupLayout(whole).group
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 2}))
    with pytest.raises(RunGroupError) as error:
        collect_group(whole)
    assert one_line(error) == f"{path}: format_version is 2, this mleb reads 1; use the mleb that wrote it"


@pytest.mark.parametrize("status", ["preparing", "running", "collecting", "grading"])
def test_a_run_under_way_is_interrupted_once_its_harness_is_gone(whole, group, status):
    key = group.run_keys()[3]
    path = place(whole, key).run
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": status, "attempt": 2}))
    with GroupLayout(whole).lock.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert missing(whole)[key][0] == status
    assert missing(whole)[key] == ("interrupted", f"mleb was ended while it was {status}; --resume goes on")
    assert unreadable_runs(group_report(*collect_group(whole))) == []


def test_the_words_format_version_in_a_path_are_nothing(whole, group):
    moved = whole.rename(whole.with_name("format_version 2"))
    place(moved, group.run_keys()[0]).run.write_text("{}")
    assert [status for status, _ in missing(moved).values()] == ["interrupted"]


def test_the_reports_of_a_group_are_written_and_read_back(whole):
    report = group_report(*collect_group(whole), directory=whole)
    write_group_reports(whole, report)
    layout = GroupLayout(whole)
    assert load_group_report(layout.report_json) == report
    assert report.directory == str(whole)
    grading = GradingReport.model_validate_json(layout.grading_report.read_bytes())
    assert (grading.total_runs, grading.total_silver_medals, grading.missing_runs) == (18, 18, 0)
    assert len(layout.report_csv.read_text().splitlines()) == 19
    assert layout.report_markdown.read_text().startswith("# Run group ")
    written = {"group.json", "report.json", "report.md", "report.csv", "grading_report.json"}
    assert {path.name for path in whole.iterdir() if path.is_file()} == written
    write_group_reports(whole, report)  # again, over what is there
    assert group_report(*collect_group(whole)).counts == report.counts


def test_a_directory_that_cannot_be_written_gives_one_line(whole):
    report = group_report(*collect_group(whole))
    GroupLayout(whole).report_csv.mkdir()
    with pytest.raises(RunGroupError) as error:
        write_group_reports(whole, report)
    assert "report.csv" in one_line(error) and "cannot be written" in one_line(error)


def test_a_full_disk_gives_one_line_and_keeps_the_old_report(whole):
    report = group_report(*collect_group(whole))
    write_group_reports(whole, report)
    before = GroupLayout(whole).report_json.read_bytes()
    program = (
        "import resource, sys; from pathlib import Path\n"
        "from mleb_core.errors import RunGroupError; from mleb_core.report.build import group_report\n"
        "from mleb_core.report.collect import collect_group, write_group_reports\n"
        "report = group_report(*collect_group(Path(sys.argv[1])))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n"
        "try: write_group_reports(Path(sys.argv[1]), report)\n"
        "except RunGroupError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, whole], capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1 and "cannot be written" in done.stdout
    assert GroupLayout(whole).report_json.read_bytes() == before
    assert not [path for path in whole.iterdir() if path.name.endswith(".tmp")]


def test_reporting_loads_no_heavy_package(whole):
    program = (
        "import sys; from pathlib import Path\n"
        "from mleb_core.report.build import group_report, competition_report, human_scores\n"
        "from mleb_core.report.collect import collect_group\n"
        "from mleb_core.report.formats import to_csv, to_json, to_markdown, schema\n"
        "report = group_report(*collect_group(Path(sys.argv[1])))\n"
        "to_csv(report), to_json(report), to_markdown(report), schema('group-report')\n"
        "print([name for name in ('pandas', 'sklearn', 'scipy.stats', 'rich', 'typer') if name in sys.modules])\n"
    )
    env = os.environ | {"PYTHONPATH": ""}
    done = subprocess.run([sys.executable, "-c", program, whole], capture_output=True, text=True, check=True, env=env)
    assert done.stdout == "[]\n"
