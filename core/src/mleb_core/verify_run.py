"""One run against its ledger: what was kept, what its report says, and whether the chain holds."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from mleb_core.errors import RunGroupError
from mleb_core.layout import GroupLayout, RunLayout
from mleb_core.ledger import Chain, Entry, Kind, check_chain, standing
from mleb_core.ledger_facts import file_facts, kept_files, plugins_digest, transcript_lines
from mleb_core.report.build import resource_summary, run_report
from mleb_core.report.load import load_model
from mleb_core.report.models import CompetitionReport, RunReport
from mleb_core.report.usage import usage_summary
from mleb_core.run import Cause, Run, RunGroup, RunKey, Text

__all__ = ["CheckedRun", "Finding", "check_run", "differing"]

Model = TypeVar("Model", bound=BaseModel)


class Finding(BaseModel):
    """Something that does not hold, or that is worth knowing."""

    run: RunKey | None = None
    """Of which run; None: of the group."""
    file: Text
    """Which file or directory, from the run's directory on, or from the group's."""
    what: Text
    """What is wrong, in a few words."""

    def __str__(self) -> str:
        return f"{self.run}: {self.file}: {self.what}" if self.run else f"{self.file}: {self.what}"


class CheckedRun:
    """What became of one run's check."""

    def __init__(self, key: RunKey, layout: RunLayout) -> None:
        self.key, self.layout = key, layout
        self.findings: list[Finding] = []
        """What does not hold."""
        self.notes: list[Finding] = []
        """What is worth knowing."""
        self.run: Run | None = None
        """run.json, where it can be read."""
        self.report: RunReport | None = None
        """report.json, where it can be read."""
        self.there = False
        """Whether anything of the run is on disk."""
        self.has_ledger = False
        """Whether it has a ledger."""
        self.ledger_bytes = 0
        """Its size; a run that was cut off at its very start has an empty one, and no run.json."""
        self.graded: Entry | None = None
        """The ledger's entry on the verdict, where the chain holds."""

    def find(self, path: Path, what: str) -> None:
        """Note that something does not hold."""
        self.findings.append(self._told(path, what))

    def note(self, path: Path, what: str) -> None:
        """Note something worth knowing."""
        self.notes.append(self._told(path, what))

    def _told(self, path: Path, what: str) -> Finding:
        shown = path.relative_to(self.layout.root) if path.is_relative_to(self.layout.root) else path.name
        return Finding(run=self.key, file=str(shown), what=what)


def check_run(key: RunKey, group: RunGroup, layout: GroupLayout) -> CheckedRun:
    """Check a run: its files against its ledger, its report against its state; nothing is graded.

    Args:
        key: which run.
        group: what was asked for.
        layout: the group's directory.
    """
    place = layout.run(key.competition, key.agent, key.seed)
    checked = CheckedRun(key, place)
    checked.there = place.run.exists() or place.report.exists() or place.ledger.exists()
    if not checked.there:
        return checked
    checked.ledger_bytes = place.ledger.stat().st_size if place.ledger.is_file() else 0
    checked.run = _loaded(checked, place.run, Run, "a run's state")
    checked.report = _loaded(checked, place.report, RunReport, "a run's report")
    _compare_report_with_state(checked)
    try:
        chain = check_chain(place.ledger)
    except FileNotFoundError:
        if checked.report is not None and checked.report.ledger is not None:
            checked.find(place.ledger, "it is missing, though report.json names an entry of it")
        return checked
    except OSError as error:
        checked.find(place.ledger, f"it cannot be read: {error.strerror or error}")
        return checked
    checked.has_ledger = True
    try:
        if _chain_holds(checked, chain):
            _compare_starts(checked, chain.entries, group, layout)
            _compare_transcript(checked, chain.entries)
            _compare_result(checked, chain.entries)
    except OSError as error:
        checked.find(Path(error.filename or place.root), f"it cannot be read: {error.strerror or error}")
    return checked


def differing(first: BaseModel, second: BaseModel, names: Iterable[str]) -> list[str]:
    """Which of the fields have other values in the second model."""
    return [name for name in names if getattr(first, name) != getattr(second, name)]


def _loaded(checked: CheckedRun, path: Path, model: type[Model], what: str) -> Model | None:
    if not path.exists():
        return None
    try:
        return load_model(path, model, what)
    except RunGroupError as error:
        checked.find(path, str(error).removeprefix(f"{path}: "))
        return None


def _compare_report_with_state(checked: CheckedRun) -> None:
    """run.json and report.json tell of the same run and the same end."""
    run, report, place = checked.run, checked.report, checked.layout
    if run is not None and run.key != checked.key:
        checked.find(place.run, f"it is that of another run, {run.key}")
    if report is not None and report.key != checked.key:
        checked.find(place.report, f"it is that of another run, {report.key}")
    if run is None:
        if not place.run.exists() and (report is not None or checked.ledger_bytes):
            checked.find(place.run, "it is missing")
        return
    if not run.status.ended:
        return
    if not place.report.exists():
        checked.find(place.report, "it is missing, though the run has ended")
    if report is None:
        return
    try:
        usage = usage_summary(place) if report.usage is not None else None  # reports of earlier versions have none
        expected = run_report(run, report.competition_report, report.ledger, resource_summary(place), usage)
    except ValueError as error:
        checked.find(place.report, str(error))
        return
    names = [
        name for name in differing(expected, report, RunReport.model_fields) if name not in _not_the_agents(report, run)
    ]
    if names:
        checked.find(place.report, f"it does not say what run.json says: {', '.join(names)}")


def _not_the_agents(report: RunReport, run: Run | None) -> tuple[str, ...]:
    """Fields of a report that tell why nothing was graded instead of how the agent ended."""
    if report.competition_report is None and run is not None and run.ungraded and report.cause is Cause.HARNESS_FAILURE:
        return ("cause", "message")
    return ()


def _chain_holds(checked: CheckedRun, chain: Chain) -> bool:
    """Whether the chain holds; a torn end is no wonder where the run goes on."""
    over = checked.run is None or checked.run.status.ended
    if chain.torn and len(chain.problems) == 1 and not over:
        checked.note(checked.layout.ledger, "its last line is not whole; --resume mends that")
        return True
    for problem in chain.problems:
        checked.find(checked.layout.ledger, str(problem))
    if not chain.entries and not chain.problems and checked.report is not None:
        checked.find(checked.layout.ledger, "it is empty")
    return not chain.problems


def _compare_starts(checked: CheckedRun, entries: list[Entry], group: RunGroup, layout: GroupLayout) -> None:
    """Each attempt was one of this run, with this group's configuration."""
    frozen, plugins = file_facts(layout.group), plugins_digest(group.plugins)
    for entry in entries:
        details, line = entry.details, f"line {entry.seq}: "
        if entry.kind == Kind.SPOILT:
            checked.find(checked.layout.ledger, f"{line}the ledger before this one did not hold, and was set aside")
        if entry.kind == Kind.TORN:
            checked.note(checked.layout.ledger, f"{line}a line that was not whole was removed")
        if entry.kind != Kind.START:
            continue
        if details.get("run") != checked.key.model_dump():
            checked.find(checked.layout.ledger, f"{line}it is that of another run")
        if details.get("group") != frozen:
            checked.find(layout.group, f"it is not what attempt {details.get('attempt')} was started with")
        if details.get("data") != group.digests.get(checked.key.competition):
            checked.find(checked.layout.ledger, f"{line}the data was not that of group.json")
        if details.get("plugins") != plugins:
            attempt = details.get("attempt")
            checked.note(checked.layout.ledger, f"{line}attempt {attempt} had other plugin versions than group.json")


def _compare_transcript(checked: CheckedRun, entries: list[Entry]) -> None:
    """Line by line with the ledger's `gateway` entries."""
    path = checked.layout.transcript
    known = [entry for entry in entries if entry.kind == Kind.GATEWAY]
    number = 0
    for number, sha256 in enumerate(_line_digests(checked.layout), 1):
        if number > len(known):
            if checked.run is not None and not checked.run.status.ended:
                checked.note(path, f"line {number} and what follows are not in the ledger yet; --resume mends that")
            else:
                checked.find(path, f"line {number} and what follows are not in the ledger")
            return
        if known[number - 1].details.get("sha256") != sha256:
            checked.find(
                path, f"line {number} is not what line {known[number - 1].seq} of the ledger has the digest of"
            )
            return
    if number < len(known):
        checked.find(path, f"line {number + 1} is missing, which line {known[number].seq} of the ledger has")
    if late := sum(bool(entry.details.get("late")) for entry in known):
        checked.note(path, f"{late} lines came to the ledger only after the harness was killed")


def _line_digests(layout: RunLayout) -> Iterator[str]:
    import hashlib

    for line in transcript_lines(layout):
        yield hashlib.sha256(line).hexdigest()


def _compare_result(checked: CheckedRun, entries: list[Entry]) -> None:
    """What is kept and reported is what the entries of the last attempt say."""
    report, ledger = checked.report, checked.layout.ledger
    last = standing(entries)
    end, graded, reported = (last.get(kind) for kind in (Kind.END, Kind.GRADED, Kind.REPORT))
    if end is not None:
        _compare_files(checked, end.details)
        _compare_snapshots(checked, entries)
    checked.graded = graded
    if reported is not None:
        _compare_report_file(checked, reported, entries)
    if report is None:
        return
    result = graded or end
    if report.ledger is None:
        checked.find(checked.layout.report, "it names no entry of the ledger")
    elif result is None or report.ledger != result.hash:
        checked.find(ledger, "report.json names an entry that it does not have as its result")
    if end is None:
        checked.find(ledger, "it has no end of the run")
    else:
        said = {"attempt": report.attempt, "status": report.status, "cause": report.cause, "message": report.message}
        said |= {"exit_code": report.exit_code, "runtime_s": report.runtime_s}
        own = _not_the_agents(report, checked.run)
        _compare_details(checked, end, {name: value for name, value in said.items() if name not in own})
        faulty = report.cause in (Cause.SANDBOX_FAILURE, Cause.HARNESS_FAILURE, Cause.CANCELLED)  # may never have begun
        start = last.get(Kind.START)
        if not faulty and (start is None or start.details.get("attempt") != report.attempt):
            checked.find(ledger, f"it has no start of attempt {report.attempt}")
    if report.competition_report is not None:
        _compare_verdict(checked, report.competition_report, graded, entries)
    elif graded is not None:
        checked.find(checked.layout.report, f"it has no verdict, though line {graded.seq} of the ledger has one")
    if reported is None:
        over = checked.run is None or checked.run.status.ended
        what = "it has no entry on report.json" + ("; its end is missing" if over else " yet; --resume mends that")
        (checked.find if over else checked.note)(ledger, what)


def _compare_files(checked: CheckedRun, details: Mapping[str, Any]) -> None:
    recorded = details.get("files")
    recorded = recorded if isinstance(recorded, dict) else {}
    for path in kept_files(checked.layout):
        was, now = recorded.get(path.name), file_facts(path)
        if was != now:
            what = "it was not there when the run ended" if was is None else "it is not what the run left"
            checked.find(path, "it is missing" if now is None else what)
    if details.get("submission") != file_facts(checked.layout.submission):
        checked.find(checked.layout.submission, "it is not what the run handed in")


def _compare_snapshots(checked: CheckedRun, entries: list[Entry]) -> None:
    """Copies of the last attempt; the directory as a whole is compared with the others."""
    first = max((entry.seq for entry in entries if entry.kind == Kind.START), default=0)
    for entry in entries:
        name = entry.details.get("file")
        if entry.kind == Kind.SNAPSHOT and entry.seq > first and isinstance(name, str) and Path(name).name == name:
            facts = file_facts(checked.layout.snapshots / name)
            if facts is None or facts["sha256"] != entry.details.get("sha256"):
                checked.find(checked.layout.snapshots / name, f"it is not what line {entry.seq} of the ledger tells of")


def _compare_report_file(checked: CheckedRun, reported: Entry, entries: list[Entry]) -> None:
    facts = file_facts(checked.layout.report)
    if facts is None:
        checked.find(checked.layout.report, f"it is missing, though line {reported.seq} of the ledger tells of it")
    elif facts["sha256"] != reported.details.get("sha256"):
        checked.find(checked.layout.report, f"it is not what line {reported.seq} of the ledger has the digest of")
    if entries[-1] != reported:
        checked.find(checked.layout.ledger, f"line {reported.seq + 1}: something follows the entry on report.json")


def _compare_verdict(checked: CheckedRun, grade: CompetitionReport, graded: Entry | None, entries: list[Entry]) -> None:
    if graded is None:
        checked.find(checked.layout.ledger, "it has no verdict, though report.json has one")
        return
    said = {
        "score": grade.score,
        "medal": grade.medal,
        "valid": grade.valid_submission,
        "submission_exists": grade.submission_exists,
        "submission_sha256": grade.submission_sha256,
        "reason": grade.reason,
        "grader_error": grade.grader_error,
        "graded_at": grade.created_at,
        "competition": grade.label,
        "grader": grade.grader,
    }
    _compare_details(checked, graded, said)
    same = ("submission_sha256", "grader_version", "answers", "competition", "grader_error")
    for entry in entries:
        alike = entry.kind == Kind.GRADED and all(entry.details.get(name) == graded.details.get(name) for name in same)
        if alike and entry.details.get("score") != graded.details.get("score"):
            checked.find(checked.layout.ledger, f"lines {entry.seq} and {graded.seq} have two scores of one thing")


def _compare_details(checked: CheckedRun, entry: Entry, said: Mapping[str, Any]) -> None:
    if names := [name for name, value in said.items() if entry.details.get(name) != value]:
        what = f"it does not say what line {entry.seq} of the ledger says: {', '.join(names)}"
        checked.find(checked.layout.report, what)
