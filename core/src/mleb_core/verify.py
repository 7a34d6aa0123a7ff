"""Whether what a run group left can be believed: what can be recomputed from the kept files is, and is compared.

For each run its ledger's chain, the digests in it, its report and, graded anew from the kept submission, its verdict;
then the group's reports, made again from those of the runs. docs/ledger.md says what this shows, and what it cannot.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from mleb_core.errors import MlebError, RunGroupError, UsageError
from mleb_core.grading.pool import GradingPool
from mleb_core.layout import GroupLayout
from mleb_core.ledger_facts import answers_digest
from mleb_core.prepare import data_digest
from mleb_core.registry import Registry
from mleb_core.report.build import competition_report, group_grading_report, group_report, human_scores, ledgers_digest
from mleb_core.report.collect import collect_group, load_group
from mleb_core.report.formats import to_csv, to_json, to_markdown
from mleb_core.report.load import load_group_report
from mleb_core.report.models import CompetitionReport, GroupReport
from mleb_core.run import RunGroup, RunKey, RunStatus
from mleb_core.verify_run import CheckedRun, Finding, check_run, differing

__all__ = ["Finding", "VerifyReport", "verify_group"]

_VERDICT = (
    "score",
    "medal",
    "submission_exists",
    "valid_submission",
    "submission_sha256",
    "any_medal",
    "gold_medal",
    "silver_medal",
    "bronze_medal",
    "above_median",
    "is_lower_better",
    "gold_threshold",
    "silver_threshold",
    "bronze_threshold",
    "median_threshold",
    "grader",
)
"""What grading a submission again must give again."""
_OVER = tuple(status for status in RunStatus if status.ended)
_STANDING = ("rank", "teams", "percentile")
"""Taken among all human scores, which are not always at hand."""


class VerifyReport(BaseModel):
    """What `mleb verify` found."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    format_version: int = 1
    """Version of this format."""
    group: str
    """Name of the run group."""
    asked: int
    """Runs that the group asked for."""
    there: int
    """Runs of which anything is on disk."""
    missing: tuple[RunKey, ...]
    """Runs that were asked for and never started."""
    unfinished: tuple[RunKey, ...]
    """Runs that are there and have no report yet."""
    no_ledger: tuple[RunKey, ...]
    """Runs without a ledger, as earlier versions left them: nothing but their scores and reports is checked."""
    graded_again: int
    """Submissions that were graded again."""
    ledgers: str | None
    """The heads of the ledgers together, as in the group's report; None without ledgers."""
    findings: tuple[Finding, ...]
    """Everything that does not hold."""
    notes: tuple[Finding, ...]
    """What holds and is worth knowing all the same."""

    @property
    def holds(self) -> bool:
        """Whether everything that was looked at holds."""
        return not self.findings


def verify_group(
    directory: Path,
    registry: Registry,
    data_dir: Path | None = None,
    *,
    grade: bool = True,
    workers: int | None = None,
    progress: Callable[[RunKey], None] | None = None,
) -> VerifyReport:
    """Recompute a run group from the files that it kept. Nothing is written.

    Args:
        directory: the group's.
        registry: where competitions and graders are found.
        data_dir: where prepared data lies; None: where the group had it.
        grade: also grade the kept submissions again.
        workers: runs at a time; None: as many as there are processors.
        progress: told of each run that is done, from any thread.

    Raises:
        RunGroupError: no group, group.json cannot be read, or another mleb is at work on the group.
        UsageError: the group was imported.
    """
    group = load_group(directory)
    if group.imported is not None:
        raise UsageError(f"{directory} was imported from {group.imported}: mleb kept nothing that could be checked")
    layout, keys = GroupLayout(directory), group.run_keys()
    number = max(1, min(workers or os.cpu_count() or 1, len(keys)))
    with _left_alone(layout), ThreadPoolExecutor(number) as threads, GradingPool(number) as pool:
        judge = _Judge(group, registry, data_dir or Path(group.data_dir), pool) if grade else None

        def check(key: RunKey) -> CheckedRun:
            checked = check_run(key, group, layout)
            if judge is not None:
                judge.grade_again(checked)
            if progress is not None:
                progress(key)
            return checked

        runs = list(threads.map(check, keys))
        findings = [finding for run in runs for finding in run.findings]
        notes = [note for run in runs for note in run.notes]
        reports, remarks = _compare_group(directory, group, any(run.has_ledger for run in runs))
    unique: dict[str, Finding] = {}
    for finding in (*findings, *(judge.findings if judge else ()), *reports):
        unique.setdefault(str(finding), finding)
    return VerifyReport(
        group=group.name,
        asked=len(keys),
        there=sum(run.there for run in runs),
        missing=tuple(run.key for run in runs if not run.there),
        unfinished=tuple(run.key for run in runs if run.there and run.report is None),
        no_ledger=tuple(run.key for run in runs if run.there and run.report is not None and not run.has_ledger),
        graded_again=judge.graded if judge else 0,
        ledgers=ledgers_digest(run.report for run in runs if run.report is not None),
        findings=tuple(unique.values()),
        notes=(*notes, *(judge.notes if judge else ()), *remarks),
    )


@contextlib.contextmanager
def _left_alone(layout: GroupLayout) -> Iterator[None]:
    """Keep harnesses off the group meanwhile; without writing, so that a group can be verified by whom may only read.

    Raises:
        RunGroupError: one is at work on it.
    """
    try:
        stream = layout.lock.open("rb")
    except OSError:  # there is none: nobody ever worked here, such as in a copy
        yield
        return
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunGroupError(f"{layout.root}: another mleb is at work on this group; wait for it") from None
        except OSError:
            pass  # a file system without locks
        yield


class _Judge:
    """Grades kept submissions again. Used from many threads."""

    def __init__(self, group: RunGroup, registry: Registry, data_dir: Path, pool: GradingPool) -> None:
        self.group, self.registry, self.data_dir, self.pool = group, registry, data_dir, pool
        self.findings: list[Finding] = []
        self.notes: list[Finding] = []
        self.graded = 0
        self._lock = threading.Lock()
        self._ready: dict[str, tuple[list[float] | None, str | None] | None] = {}

    def grade_again(self, checked: CheckedRun) -> None:
        """Grade a run's submission, where it has a verdict, and compare."""
        if checked.report is None or checked.report.competition_report is None or checked.report.key != checked.key:
            return
        was = checked.report.competition_report
        if was.grader_error is not None:
            checked.note(checked.layout.report, "the grader failed, so there is no verdict to compare with")
            return
        with self._lock:
            label = checked.key.competition
            if label not in self._ready:
                self._ready[label] = self._prepared(label)
            ready = self._ready[label]
        if ready is None:
            return
        try:
            competition = self.registry.competition(label)
            grade = self.pool.grade(competition, checked.layout.submission, self.data_dir)
            now = competition_report(grade, competition, ready[0])
        except (MlebError, OSError, ValueError) as error:
            checked.find(checked.layout.submission, f"it cannot be graded again: {error}")
            return
        with self._lock:
            self.graded += 1
        _compare_verdicts(checked, was, now)
        if checked.graded is not None and checked.graded.details.get("answers") != ready[1]:
            checked.find(checked.layout.ledger, f"the answers of {label} are not those that it was graded with")

    def _prepared(self, label: str) -> tuple[list[float] | None, str | None] | None:
        """A competition's human scores and the digest of its answers; None, and a finding, where it cannot grade."""
        try:
            competition = self.registry.competition(label)
            digest = data_digest(competition, self.data_dir)
            if digest != self.group.digests.get(label, digest):
                self._find(label, f"the data in {self.data_dir} is not the data that the group began with")
            return human_scores(competition, self.data_dir), answers_digest(competition, self.data_dir)
        except (MlebError, OSError) as error:
            self._find(label, f"its submissions cannot be graded again: {error}")
            return None

    def _find(self, label: str, what: str) -> None:
        self.findings.append(Finding(file=label, what=what))


def _compare_verdicts(checked: CheckedRun, was: CompetitionReport, now: CompetitionReport) -> None:
    path = checked.layout.report
    if now.grader_error is not None:
        checked.find(checked.layout.submission, f"it cannot be graded again: {now.grader_error}")
        return
    for name in differing(was, now, _VERDICT):
        checked.find(path, f"its {name} is {getattr(was, name)}, graded again it is {getattr(now, name)}")
    if was.reason != now.reason:
        checked.find(path, f"its reason is not the one that grading again gives: {now.reason}")
    for name in differing(was, now, _STANDING):
        what = f"its {name} is {getattr(was, name)}, now it is {getattr(now, name)}; have the human scores changed?"
        (checked.find if was.teams == now.teams else checked.note)(path, what)


def _compare_group(directory: Path, group: RunGroup, ledgers: bool) -> tuple[list[Finding], list[Finding]]:
    """The group's reports are those that the reports of its runs make.

    Args:
        directory: the group's.
        group: its configuration.
        ledgers: whether any run has a ledger; without, the reports may be an earlier version's.

    Returns:
        What does not hold, and what is worth knowing.
    """
    layout = GroupLayout(directory)
    files = (layout.report_json, layout.report_markdown, layout.report_csv, layout.grading_report)
    there = [path for path in files if path.is_file()]
    if not there:
        return [], [Finding(file=layout.report_json.name, what="the group has no report yet; --resume makes it")]
    lost = [Finding(file=path.name, what="it is missing") for path in files if path not in there]
    try:
        expected = group_report(*collect_group(directory))
        if layout.report_json not in there:
            return lost, []
        standing = load_group_report(layout.report_json)
    except (RunGroupError, ValueError) as error:
        file = layout.report_json.name
        return [*lost, Finding(file=file, what=f"it cannot be compared with the runs: {error}")], []
    # When and where it was made is for report.md to confirm, which names the digest of report.json.
    expected = expected.model_copy(update={"created_at": standing.created_at, "directory": standing.directory})
    wrong = [
        Finding(file=path.name, what=what)
        for path in there
        if (what := _difference(path, layout, expected, standing, ledgers=ledgers))
    ]
    if any(run.status not in _OVER for run in expected.missing):
        hint = "; the group is not finished, --resume makes its report anew"
        wrong = [finding.model_copy(update={"what": finding.what + hint}) for finding in wrong]
    made_by = group.plugins.get("mleb-core")
    if wrong and expected == standing and made_by != version("mleb-core"):
        note = f"not as mleb-core {version('mleb-core')} writes it; the group is one of mleb-core {made_by}"
        return lost, [Finding(file=finding.file, what=note) for finding in wrong]
    return lost + wrong, []


def _difference(
    path: Path, layout: GroupLayout, expected: GroupReport, standing: GroupReport, *, ledgers: bool
) -> str | None:
    """What is wrong with one of the group's reports; None if nothing is."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"
    made = to_json(expected)
    if path == layout.report_json:
        if content == made.encode() or (
            standing == expected and (_shorter(content, made) if ledgers else _older(content))
        ):
            return None
        names = differing(standing, expected, GroupReport.model_fields)
        return f"it is not what the runs make: {', '.join(names) or 'not the bytes that mleb writes'}"
    if path == layout.report_markdown:
        with contextlib.suppress(OSError):
            written = layout.report_json.read_bytes()
            if standing == expected and _shorter(written, made):
                made = written.decode()
        digest = hashlib.sha256(made.encode()).hexdigest()
        texts = [to_markdown(expected, digest)] + ([] if ledgers else [to_markdown(expected)])
    elif path == layout.report_csv:
        table = to_csv(expected)
        texts = [table] + ([] if ledgers else [_without_last_column(table)])
    else:
        texts = [to_json(group_grading_report(expected))]
    return None if content in [text.encode() for text in texts] else "it is not what the runs make"


def _older(content: bytes) -> bool:
    """Whether a report is of a version that knew no ledgers."""
    try:
        return "ledgers" not in json.loads(content)
    except (ValueError, TypeError, RecursionError):
        return False


def _shorter(content: bytes, made: str) -> bool:
    """Whether a report lacks nothing of what is made now but fields that its version did not know, all at defaults.

    That those fields have their defaults is the caller's to see, by comparing the models.
    """

    def known(new: Any, old: Any) -> Any:
        if isinstance(new, dict) and isinstance(old, dict):
            return {name: known(value, old[name]) for name, value in new.items() if name in old}
        if isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
            return [known(*pair) for pair in zip(new, old, strict=True)]
        return new

    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return bool(found == known(json.loads(made), found))


def _without_last_column(table: str) -> str:
    """A CSV as a version without its last column wrote it; that column is empty, but for its name."""
    return "".join(line.rpartition(",")[0] + "\n" for line in table.splitlines())
