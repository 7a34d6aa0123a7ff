"""Reading what a run group left on disk, and writing the group's reports beside it."""

import fcntl
import hashlib
import os
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from mleb_core.audits.findings import findings_of
from mleb_core.errors import RunGroupError
from mleb_core.layout import GroupLayout, RunLayout, write_whole
from mleb_core.report.build import group_grading_report
from mleb_core.report.formats import to_csv, to_json, to_markdown
from mleb_core.report.load import load_model, parse_model
from mleb_core.report.models import GroupReport, RunReport
from mleb_core.report.text import one_line
from mleb_core.run import Cause, Outcome, Run, RunGroup, RunKey, RunStatus

__all__ = ["collect_group", "is_at_work", "load_group", "unreadable_runs", "write_group_reports"]

Model = TypeVar("Model", bound=BaseModel)


def load_group(group_dir: Path) -> RunGroup:
    """Read a group's group.json.

    Raises:
        RunGroupError: no such directory, no run group, a damaged one, or one of another format version.
    """
    path = GroupLayout(group_dir).group
    if not group_dir.is_dir():
        raise RunGroupError(f"{group_dir}: no such directory; a run group's directory is expected")
    if not path.exists():
        raise RunGroupError(f"{group_dir} is no run group: it has no {path.name}")
    return load_model(path, RunGroup, "a run group's configuration")


def collect_group(group_dir: Path) -> tuple[RunGroup, list[Run], dict[RunKey, RunReport]]:
    """Everything that a group left on disk; each file is read once.

    A report counts where it is of its run's latest attempt. Damage to one run costs no other: a run whose run.json
    is unreadable, of another format version or another run's comes as `interrupted`, one whose report is so comes
    without it, each with a message that says so; `group_report` then lists them as missing (see `unreadable_runs`).
    A run with no directory is in neither result. Where run.json says that a run is under way but no harness is at
    work on the group, as after SIGKILL or a second Ctrl-C, the run comes as `interrupted`.

    Returns:
        What was asked for; the runs that are there (asked for, in that order; then those that were not); the
        reports that are there.

    Raises:
        RunGroupError: no such directory, no run group, a damaged one, or one of another format version.
    """
    group = load_group(group_dir)
    at_work = is_at_work(group_dir)  # before the runs are read: what ends meanwhile is then shown as it ended
    layout = GroupLayout(group_dir)
    runs: list[Run] = []
    reports: dict[RunKey, RunReport] = {}
    asked: set[str] = set()
    findings = findings_of(layout)
    for key in group.run_keys():
        place = layout.run(key.competition, key.agent, key.seed)
        asked.add(os.fspath(place.run))
        run, report = _read(key, place, group)
        if run is not None:
            runs.append(run if at_work else _as_left(run))
        if report is not None:
            found = findings.get(key, ())
            reports[key] = report.model_copy(update={"findings": found}) if found else report
    known = {run.key for run in runs}
    for place in layout.runs():
        if os.fspath(place.run) not in asked:
            other = _parsed(place.run, Run, "a run's state")
            if isinstance(other, Run) and other.key not in known:
                known.add(other.key)
                runs.append(other)
    return group, runs, reports


def unreadable_runs(report: GroupReport) -> list[str]:
    """A line for each run of a group that is there but could not be read, in the order asked for."""
    reported = {run.key for run in report.runs}
    return [
        f"{run.key}: {run.note}"
        for run in report.missing
        if (run.status is RunStatus.INTERRUPTED and run.cause is Cause.HARNESS_FAILURE)
        or (run.status.ended and run.key not in reported)
    ]


def write_group_reports(group_dir: Path, report: GroupReport) -> None:
    """Write report.json, report.md, report.csv and grading_report.json, each whole.

    Raises:
        RunGroupError: the directory cannot be written, or the disk is full.
    """
    layout = GroupLayout(group_dir)
    try:
        write_whole(layout.grading_report, to_json(group_grading_report(report)))
        write_whole(layout.report_csv, to_csv(report))
        content = to_json(report).encode()
        write_whole(layout.report_markdown, to_markdown(report, hashlib.sha256(content).hexdigest()))
        write_whole(layout.report_json, content)
    except OSError as error:
        raise RunGroupError(f"{error.filename or group_dir}: cannot be written: {error.strerror or error}") from error


def is_at_work(group_dir: Path) -> bool:
    """Whether a harness is at work on a group; also where that cannot be told."""
    try:
        with GroupLayout(group_dir).lock.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:  # held, or a file system without locks
        return True
    return False


def _as_left(run: Run) -> Run:
    """A run whose harness is gone, whatever it wrote last."""
    if run.status.ended or run.status in (RunStatus.PENDING, RunStatus.INTERRUPTED):
        return run
    note = f"mleb was ended while it was {run.status}; --resume goes on"
    outcome = (run.outcome or Outcome(status=RunStatus.INTERRUPTED)).model_copy(update={"message": note})
    return run.model_copy(update={"status": RunStatus.INTERRUPTED, "outcome": outcome})


def _read(key: RunKey, place: RunLayout, group: RunGroup) -> tuple[Run | None, RunReport | None]:
    """One run's state and report, damage noted in the run's message."""
    run = _parsed(place.run, Run, "a run's state")
    report = _parsed(place.report, RunReport, "a run's report")
    if run is None and report is None:
        return None, None
    if run is None:
        return _damaged(key, group, f"{place.run.name} is missing beside {place.report.name}"), None
    if isinstance(run, str):
        return _damaged(key, group, run), None
    if run.key != key:
        return _damaged(key, group, f"{place.run.name} is that of another run: {one_line(str(run.key))}"), None
    if isinstance(report, str):
        return _noted(run, report), None
    if report is not None and report.key != key:
        return _noted(run, f"{place.report.name} is that of another run: {one_line(str(report.key))}"), None
    if report is not None and report.attempt != run.attempt:
        report = None  # of an attempt that failed and was started again
    if report is None and run.status.ended:
        return _noted(run, f"{place.report.name} is missing"), None
    return run, report


def _parsed(path: Path, model: type[Model], what: str) -> Model | str | None:
    """The model that a file holds; a line about what is wrong with it; None where there is no file."""
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return f"{path.name} cannot be read: {error.strerror or error}"
    try:
        return parse_model(path, content, model, what)
    except RunGroupError as error:
        return str(error)


def _damaged(key: RunKey, group: RunGroup, note: str) -> Run:
    outcome = Outcome(status=RunStatus.INTERRUPTED, cause=Cause.HARNESS_FAILURE, message=note)
    return Run(key=key, group=group.name, status=RunStatus.INTERRUPTED, outcome=outcome, created_at=group.created_at)


def _noted(run: Run, note: str) -> Run:
    """The run with a note before its message."""
    outcome = run.outcome or Outcome(status=run.status)
    message = f"{note}; {outcome.message}" if outcome.message else note
    return run.model_copy(update={"outcome": outcome.model_copy(update={"message": message})})
