"""`verify_group` on real groups: what holds is said to hold, and no change of what was kept goes unseen."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mleb_core
from mleb_core.competition import Competition
from mleb_core.errors import RunGroupError
from mleb_core.evaluate import EvalRequest, evaluate
from mleb_core.gateway.transcript import Secrets, Transcript
from mleb_core.layout import GroupLayout, RunLayout, write_whole
from mleb_core.ledger import Kind, Ledger, check_chain, read_ledger
from mleb_core.ledger_facts import (
    end_details,
    file_facts,
    gateway_details,
    record_end,
    record_exchanges,
    record_graded,
    record_report,
    start_details,
)
from mleb_core.planning import plugin_versions
from mleb_core.plugins import load_plugins
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.report.build import group_report, resource_summary, run_report
from mleb_core.report.collect import collect_group, load_group, write_group_reports
from mleb_core.report.load import load_run_report
from mleb_core.report.models import CompetitionReport
from mleb_core.run import Limits, Run, RunGroup
from mleb_core.runner.protocol import Isolation, Stop
from mleb_core.verify import VerifyReport, verify_group

DIABETES = "diabetes-progression"
ISOLATION = Isolation(files=False, network=False, memory=False, processes=False)


class Worker:
    """Hands in the sample submission, or something that is none, and leaves code and logs."""

    id = "worker"
    summary = "Leaves something in every place."

    def variants(self):
        return ("broken",)

    def launch(self, context):
        lines = [
            "import os, pathlib, shutil",
            "home = pathlib.Path(os.environ['HOME'])",
            "shutil.copy(home / 'data/sample_submission.csv', home / 'submission/submission.csv')",
            "(home / 'code/deep').mkdir(); (home / 'code/deep/a b.py').write_text('x = 1')",
            "(home / 'code/run.py').write_text('y = 2'); (home / 'logs/log.txt').write_text('done')",
            "print('hello')",
        ]
        if context.variant == "broken":
            lines.append("(home / 'submission/submission.csv').write_text('a,b\\n1,2\\n')")
        return mleb_core.Launch([context.python, "-c", "\n".join(lines)])

    @mleb_core.hookimpl
    def mleb_register_agents(self):
        return [self]


@pytest.fixture(scope="module")
def registry() -> Registry:
    manager = load_plugins()
    manager.register(Worker(), "worker")
    return Registry(manager)


@pytest.fixture(scope="module")
def data_dir(registry, tmp_path_factory) -> Path:
    data_dir = tmp_path_factory.mktemp("data")
    prepare(registry.competition(DIABETES), data_dir)
    return data_dir


def keep_ledger(place: RunLayout, directory: Path, group: RunGroup, registry: Registry) -> None:
    """Do to a finished run what a harness does while it goes on."""
    place.ledger.unlink(missing_ok=True)
    shutil.rmtree(place.snapshots, ignore_errors=True)
    run = Run.model_validate_json(place.run.read_bytes())
    report = load_run_report(place.report)
    competition = registry.competition(run.key.competition)
    with Ledger.open(place) as ledger:
        isolation, plugins = registry.runner("local").isolation, plugin_versions(registry)
        started = start_details(run, group, GroupLayout(directory), isolation=isolation, plugins=plugins)
        ledger.add(Kind.START, **started)
        if not place.transcript.exists():
            transcript = Transcript(place.transcript, 1 << 20)
            for number in (1, 2):
                facts = {"number": number, "endpoint": "/chat/completions", "model": "m", "status": 200, "error": None}
                facts |= {"tokens": {"input": 3, "output": 4}, "estimated": False, "cost_usd": None}
                line = transcript.add(facts, b'{"q": 1}', b'{"a": ", \\"request\\": "}', Secrets())
                ledger.add(Kind.GATEWAY, **gateway_details(line))
        place.snapshots.mkdir()
        shutil.copy(place.submission, place.snapshots / "0000001.csv")
        facts = file_facts(place.snapshots / "0000001.csv")
        ledger.add(Kind.SNAPSHOT, elapsed_s=1.0, file="0000001.csv", **facts)
        place.usage.write_text('{"requests": 2}')
        ledger.add(Kind.CHECK, sha256="0" * 64, bytes=3, valid=False)
        close(ledger, place, run, report.competition_report, competition, group, registry)


def close(
    ledger: Ledger,
    place: RunLayout,
    run: Run,
    graded: CompetitionReport | None,
    competition: Competition,
    group: RunGroup,
    registry: Registry,
) -> None:
    """The end of a run, as execute.py has it."""
    record_end(ledger, place, run)
    if graded is not None:
        record_graded(ledger, graded, competition, Path(group.data_dir), registry)
    write_whole(
        place.report, run_report(run, graded, ledger.result, resource_summary(place)).model_dump_json(indent=2) + "\n"
    )
    record_report(ledger, place)


@pytest.fixture(scope="module")
def made(registry, data_dir, tmp_path_factory) -> Path:
    """A group of four runs, two of them with a broken submission, all with ledgers."""
    output = tmp_path_factory.mktemp("runs")
    limits = Limits(time_s=60)
    request = EvalRequest(("worker", "worker/broken"), (DIABETES,), data_dir, output, seeds=2, limits=limits)
    evaluate(request, registry)
    (directory,) = output.iterdir()
    group = load_group(directory)
    for place in GroupLayout(directory).runs():
        keep_ledger(place, directory, group, registry)
    write_group_reports(directory, group_report(*collect_group(directory), directory=directory))
    return directory


@pytest.fixture
def group(made, tmp_path) -> Path:
    """A copy, for tests that change it; copies of groups hold as well."""
    return Path(shutil.copytree(made, tmp_path / made.name))


def places(group: Path) -> list[RunLayout]:
    return list(GroupLayout(group).runs())


def found(report: VerifyReport) -> list[str]:
    return [str(finding) for finding in report.findings]


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


def runs_of(group: Path) -> list[dict]:
    return json.loads((group / "report.json").read_text())["runs"]


def kept(group: Path) -> list[Path]:
    """Every file but the harness's working notes."""
    notes = {"events.jsonl", "run.json", "group.lock"}
    return sorted(path for path in group.rglob("*") if path.is_file() and path.name not in notes)


def test_what_is_flipped_below_covers_every_kind_of_file(made):
    names = {path.name for path in kept(made)}
    assert names >= {"ledger.jsonl", "submission.csv", "transcript.jsonl", "agent.log", "usage.json", "resources.json"}
    assert names >= {"group.json", "report.json", "report.md", "report.csv", "grading_report.json", "0000001.csv"}
    assert names >= {"a b.py", "run.py", "log.txt"}


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0), at=st.integers(0), flip=st.integers(1, 255))
def test_a_changed_byte_is_found_in_any_kept_file(made, registry, which, at, flip):
    files = kept(made)
    path = files[which % len(files)]
    content = path.read_bytes()
    at %= len(content)
    try:
        path.write_bytes(content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :])
        assert is_found(made, registry), (path, at, flip)
    finally:
        path.write_bytes(content)


def is_found(group: Path, registry: Registry) -> bool:
    try:
        return not verify_group(group, registry, grade=False, workers=1).holds
    except RunGroupError:  # group.json itself cannot be read
        return True


@pytest.mark.parametrize("name", ["report.json", "report.md", "report.csv", "grading_report.json", "group.json"])
def test_every_third_byte_of_the_groups_files_counts(made, registry, name):
    path = made / name
    content = path.read_bytes()
    try:
        for at in range(0, len(content), max(3, len(content) // 150)):
            path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            assert is_found(made, registry), (name, at)
    finally:
        path.write_bytes(content)


def test_every_byte_of_a_runs_report_and_transcript_counts(made, registry):
    place = places(made)[0]
    for path in (place.report, place.transcript):
        content = path.read_bytes()
        try:
            for at in range(0, len(content), 7):
                path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
                assert is_found(made, registry), (path, at)
        finally:
            path.write_bytes(content)


def test_a_finding_names_run_file_and_what(group, registry):
    place = places(group)[0]
    place.submission.write_text(place.submission.read_text().replace("1", "2", 1))
    (first, second) = (line for line in found(verify_group(group, registry, grade=False)))
    assert first == f"{DIABETES} worker seed 0: submission: it is not what the run left"
    assert second == f"{DIABETES} worker seed 0: submission/submission.csv: it is not what the run handed in"


def rewrite(path: Path, **changes: object) -> None:
    document = json.loads(path.read_text())
    write_whole(path, json.dumps({**document, **changes}, indent=2) + "\n")


def test_a_better_score_is_found_though_all_else_was_made_to_fit(group, registry):
    """Somebody rewrites report, ledger and the group's reports consistently: grading again still tells."""
    place, frozen = places(group)[0], load_group(group)
    document = json.loads(place.report.read_text())
    document["competition_report"]["score"] = 0.5
    place.report.write_text(json.dumps(document))
    place.transcript.unlink()
    keep_ledger(place, group, frozen, registry)
    write_group_reports(group, group_report(*collect_group(group), directory=group))
    assert verify_group(group, registry, grade=False).holds
    (line,) = found(verify_group(group, registry))
    assert re.search(r"report.json: its score is 0\.5, graded again it is \d+\.\d+", line)


def cut_last_line(place: RunLayout) -> None:
    place.ledger.write_bytes(b"".join(place.ledger.read_bytes().splitlines(keepends=True)[:-1]))


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda place: place.ledger.unlink(), "ledger.jsonl: it is missing, though report.json names"),
        (cut_last_line, "ledger.jsonl: it has no entry on report.json; its end is missing"),
        (lambda place: place.ledger.write_bytes(b""), "ledger.jsonl: it is empty"),
        (lambda place: place.submission.unlink(), "submission/submission.csv: it is not what the run handed in"),
        (lambda place: shutil.rmtree(place.code), "code: it is missing"),
        (lambda place: (place.code / "more.py").write_text(""), "code: it is not what the run left"),
        (lambda place: place.transcript.unlink(), "transcript.jsonl: line 1 is missing"),
        (lambda place: place.report.unlink(), "report.json: it is missing, though line"),
        (lambda place: place.run.unlink(), "run.json: it is missing"),
        (lambda place: place.run.write_text("{"), "run.json: a run's state is expected"),
        (lambda place: rewrite(place.run, attempt=2), "report.json: it does not say what run.json says: attempt"),
        (lambda place: (place.snapshots / "0000001.csv").unlink(), "snapshots/0000001.csv: it is not what line"),
        (lambda place: place.usage.write_text("{}"), "usage.json: it is not what the run left"),
    ],
)
def test_harm_to_a_run_is_told_in_a_line(group, registry, harm, told):
    harm(places(group)[0])
    lines = found(verify_group(group, registry, grade=False))
    assert any(told in line for line in lines), lines
    assert all("\n" not in line for line in lines)


def test_another_runs_ledger_is_found(group, registry):
    first, _, third, _ = places(group)
    for name in ("ledger", "report", "run"):
        shutil.copy(getattr(third, name), getattr(first, name))
    lines = found(verify_group(group, registry, grade=False))
    assert any("ledger.jsonl: line 1: it is that of another run" in line for line in lines), lines


def test_a_run_that_was_taken_away_is_found_by_the_groups_report(group, registry):
    shutil.rmtree(places(group)[3].root)
    report = verify_group(group, registry, grade=False)
    assert (report.asked, report.there, len(report.missing)) == (4, 3, 1)
    assert any(line.startswith("report.json: it is not what the runs make") for line in found(report))


def test_other_answers_are_told(group, registry, data_dir, tmp_path):
    copy = Path(shutil.copytree(data_dir, tmp_path / "data"))
    (answers,) = copy.glob("*/prepared/private/answers.csv")
    lines = answers.read_text().splitlines(keepends=True)
    answers.write_text("".join([*lines[:-1], re.sub(r"[0-9.]+$", "1", lines[-1].rstrip()) + "\n"]))
    (line,) = found(verify_group(group, registry, copy))
    assert "answers.csv changed since it was prepared" in line
    manifest = copy / DIABETES / "prepared.json"  # and where that was covered up
    document = json.loads(manifest.read_text())
    facts = file_facts(answers)
    document["files"]["private/answers.csv"] = facts
    manifest.write_text(json.dumps(document))
    told = found(verify_group(group, registry, copy))
    assert f"{DIABETES}: the data in {copy} is not the data that the group began with" in told
    assert any(f"the answers of {DIABETES} are not those that it was graded with" in line for line in told)
    assert any("report.json: its score is" in line for line in told)


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


# The steps of a run's end, cut off and taken up again


@pytest.fixture
def one(group, registry):
    """A run with its parts, and `again()`, which carries it to its end as often as one likes."""
    place, frozen = places(group)[0], load_group(group)
    run = Run.model_validate_json(place.run.read_bytes())
    graded = load_run_report(place.report).competition_report
    competition = registry.competition(DIABETES)

    def again() -> list[str]:
        with Ledger.open(place) as ledger:
            record_exchanges(ledger, place)
            close(ledger, place, run, graded, competition, frozen, registry)
        return [entry.kind for entry in read_ledger(place.ledger)]

    return place, again


BEFORE = ["start", "gateway", "gateway", "snapshot", "check"]


def test_closing_a_closed_run_again_adds_nothing(one):
    place, again = one
    before = place.ledger.read_bytes()
    assert again() == [*BEFORE, "end", "graded", "report"]
    assert place.ledger.read_bytes() == before


@pytest.mark.parametrize("lines", range(1, 9))
@pytest.mark.parametrize("reported", [True, False])
def test_a_run_killed_after_any_entry_is_closed_with_one_result(one, group, registry, lines, reported):
    place, again = one
    kept_lines = place.ledger.read_bytes().splitlines(keepends=True)[:lines]
    place.ledger.write_bytes(b"".join(kept_lines) + (b'{"seq":99' if lines % 2 else b""))
    if not reported:
        place.report.unlink()
    kinds = again()
    for kind in ("end", "graded", "report"):
        assert kinds.count(kind) == 1
    assert kinds[-1] == "report"
    assert kinds.count("gateway") == 2  # what the ledger missed of the transcript is made good
    write_group_reports(group, group_report(*collect_group(group), directory=group))
    told = found(verify_group(group, registry, grade=False))
    # What nothing but the ledger knew is lost with its lines, and what else stands there must fit.
    assert [line for line in told if "snapshots/" not in line] == []


def test_a_run_graded_anew_has_a_new_verdict_and_a_new_report(one, registry, group):
    place, _ = one
    run = Run.model_validate_json(place.run.read_bytes())
    graded = load_run_report(place.report).competition_report
    later = graded.model_copy(update={"created_at": "2099-01-01T00:00:00.000+00:00"})
    with Ledger.open(place) as ledger:
        close(ledger, place, run, later, registry.competition(DIABETES), load_group(group), registry)
    assert [entry.kind for entry in read_ledger(place.ledger)][5:] == ["end", "graded", "report", "graded", "report"]
    write_group_reports(group, group_report(*collect_group(group), directory=group))
    assert found(verify_group(group, registry)) == []


def test_two_scores_of_one_submission_are_found(one, registry, group):
    place, _ = one
    run = Run.model_validate_json(place.run.read_bytes())
    graded = load_run_report(place.report).competition_report
    later = graded.model_copy(update={"created_at": "2099-01-01T00:00:00.000+00:00", "score": graded.score + 1})
    with Ledger.open(place) as ledger:
        close(ledger, place, run, later, registry.competition(DIABETES), load_group(group), registry)
    assert any("two scores of one thing" in line for line in found(verify_group(group, registry, grade=False)))


def test_the_digest_of_a_directory_is_that_of_sha256sum(one):
    place, _ = one
    document = (Path(__file__).parents[2] / "docs/ledger.md").read_text()
    (command,) = re.findall(r"^cd code && (.*)$", document, re.MULTILINE)
    text = subprocess.run(command, shell=True, cwd=place.code, capture_output=True, text=True, check=True).stdout
    assert text.split()[0] == file_facts(place.code)["sha256"]
    assert file_facts(place.code)["files"] == 2


def test_links_and_pipes_are_digested_without_being_opened(tmp_path):
    (tmp_path / "tree").mkdir()
    os.mkfifo(tmp_path / "tree/pipe")
    (tmp_path / "tree/link").symlink_to("/dev/zero")
    line = b"-" * 64 + b"  link\n" + b"-" * 64 + b"  pipe\n"
    assert file_facts(tmp_path / "tree") == {"sha256": hashlib.sha256(line).hexdigest(), "bytes": 0, "files": 2}


def test_details_of_an_exchange_are_those_of_its_line(one):
    place, _ = one
    first = next(entry for entry in read_ledger(place.ledger) if entry.kind == "gateway")
    line = place.transcript.read_bytes().splitlines(keepends=True)[0]
    assert first.details == {
        "number": 1,
        "endpoint": "/chat/completions",
        "model": "m",
        "status": 200,
        "tokens": {"input": 3, "output": 4},
        "estimated": False,
        "sha256": hashlib.sha256(line).hexdigest(),
    }
    assert gateway_details(b"no JSON\n") == {"sha256": hashlib.sha256(b"no JSON\n").hexdigest()}


def test_end_has_digests_of_all_that_is_there(one):
    place, _ = one
    details = end_details(place, Run.model_validate_json(place.run.read_bytes()))
    assert set(details["files"]) == {
        "agent.log",
        "submission",
        "code",
        "logs",
        "snapshots",
        "transcript.jsonl",
        "usage.json",
        "resources.json",
    }
    assert check_chain(place.ledger).problems == []
