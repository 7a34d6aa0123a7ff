"""One run from start to end: the states, the files, the retries.

What stands on disk is always enough to go on from: a run whose agent has ended is only graded, a run whose
report stands is only closed, any other is started again. Nothing is graded twice.

A run is cancelled by a file in its directory, `RunLayout.cancel`, which any process may put there: the harness at work
on the group sees it within about a second, ends the run's agent, and closes the run without grading it.
"""

import errno
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mleb_core.attempt import end_leftovers, open_ledger, run_agent
from mleb_core.competition import Competition
from mleb_core.data_watch import DataWatch
from mleb_core.errors import (
    CompetitionError,
    MlebError,
    NotPreparedError,
    PluginError,
    RunGroupError,
    SandboxError,
    UsageError,
)
from mleb_core.grading.pool import GradingPool
from mleb_core.layout import GroupLayout, RunLayout, remove_unfinished, write_whole
from mleb_core.ledger import Ledger
from mleb_core.ledger_facts import record_end, record_graded, record_report
from mleb_core.plugins import OBSERVER_S
from mleb_core.registry import Registry
from mleb_core.report.build import competition_report, human_scores, resource_summary, run_report
from mleb_core.report.load import OtherVersionError, parse_model
from mleb_core.report.models import CompetitionReport, RunReport
from mleb_core.report.usage import usage_summary
from mleb_core.run import Cause, Outcome, Run, RunGroup, RunKey, RunStatus, append_event, now
from mleb_core.runner.protocol import Stop
from mleb_core.services import Services

__all__ = ["Executor", "read_run"]

LASTING = (UsageError, PluginError, CompetitionError, NotPreparedError)
"""Failures that another try cannot mend."""
UNDER_WAY = (RunStatus.PREPARING, RunStatus.RUNNING, RunStatus.COLLECTING)
"""As a run stands on disk whose harness died while its agent may have been running."""


def read_run(layout: RunLayout) -> Run | None:
    """The state of a run, or None where there is none that can be read (it is then started afresh).

    Raises:
        OtherVersionError: it is of another format version: a later mleb's run is not to be run again.
    """
    try:
        content = layout.run.read_bytes()
    except OSError:
        return None
    try:
        return parse_model(layout.run, content, Run, "a run's state")
    except OtherVersionError:
        raise
    except RunGroupError:
        return None


def is_cancelled(layout: RunLayout) -> bool:
    """Whether somebody asks for a run to be cancelled."""
    try:
        return layout.cancel.exists()
    except OSError:  # an agent that is not isolated has spoilt the directory, which shows elsewhere
        return False


@dataclass
class Executor:
    """Carries runs of one group through their states; one object for many threads."""

    group: RunGroup
    """What was asked for."""
    layout: GroupLayout
    """The group's directory."""
    registry: Registry
    """Where competitions, agents and runners are found."""
    pool: GradingPool
    """Where submissions are graded."""
    services: Services
    """What the harness offers to agents."""
    on_change: Callable[[Run], None] | None = None
    """Told of each change of a run's status, from the run's thread."""
    ready: Callable[[], None] | None = None
    """Raises where runs cannot happen here; called before an agent is run."""
    _scores: dict[str, list[float] | None] = field(default_factory=dict)
    _data: DataWatch = field(init=False)

    def __post_init__(self) -> None:
        self._data = DataWatch(Path(self.group.data_dir), self.group.digests)

    def __call__(self, key: RunKey, stop: Stop) -> Run:
        """Carry a run to its end, or to INTERRUPTED when `stop` is set, or to CANCELLED when its directory says so.

        Raises:
            RunGroupError: the run's directory cannot be written, or the disk is full.
        """
        layout = self.layout.run(key.competition, key.agent, key.seed)
        try:
            layout.root.mkdir(parents=True, exist_ok=True)
            remove_unfinished(layout.root)
            run = self._taken_up(key, layout)
            return self._carry(run, layout, stop.child(asked=lambda: is_cancelled(layout)))
        except OSError as error:
            where = error.filename or layout.root
            raise RunGroupError(f"{where}: {error.strerror or error}; mend that, then --resume") from error

    def lost(self, key: RunKey, message: str) -> Run | None:
        """Count the end of the process that carried a run as a failure of the sandbox.

        Args: message: what happened, in one line.

        Returns: the run where that was its last try, now closed; else None: it is to be carried again.

        Raises: as the call.
        """
        layout = self.layout.run(key.competition, key.agent, key.seed)
        try:
            run = read_run(layout)
            if run is None or run.key != key or run.status.ended:
                return None
            run, last = self._record_failure(run, layout, SandboxError(message))
            if not last:
                return None
            with open_ledger(layout) as ledger:
                return self._close(run, layout, ledger, None, fault=message)
        except OSError as error:
            where = error.filename or layout.root
            raise RunGroupError(f"{where}: {error.strerror or error}; mend that, then --resume") from error

    def _taken_up(self, key: RunKey, layout: RunLayout) -> Run:
        """The run as it stands on disk; one that failed through no fault of its agent gets new retries."""
        run = read_run(layout)
        if run is None or run.key != key:
            return Run(key=key, group=self.group.name, created_at=now())
        if run.ungraded:
            return run.model_copy(update={"status": RunStatus.GRADING, "failures": 0})
        if run.status.ended:
            return run.model_copy(update={"status": RunStatus.PENDING, "failures": 0})
        return run

    def _carry(self, run: Run, layout: RunLayout, stop: Stop) -> Run:
        """Start, and start again after failures that are not the agent's, until the run has ended."""
        while True:
            try:
                with open_ledger(layout) as ledger:
                    return self._step(run, layout, ledger, stop)
            except Exception as error:
                met: Exception = error
                if self._was_removed(layout):
                    layout.root.mkdir(parents=True)
                    met = SandboxError(f"{layout.root} was removed while the run went on; did the agent do that?")
                elif fatal := _disk_error(error, layout.root):
                    raise fatal from error
                run, last = self._record_failure(read_run(layout) or run, layout, met)
                if last:
                    with open_ledger(layout) as ledger:
                        return self._close(run, layout, ledger, None, fault=_told(met))
                if stop.is_set() and not is_cancelled(layout):
                    return self._change(run, layout, RunStatus.INTERRUPTED)

    def _step(self, run: Run, layout: RunLayout, ledger: Ledger, stop: Stop) -> Run:
        """Run the agent, if that is still to be done, grade what it left, and close the run."""
        if run.status is not RunStatus.GRADING or run.outcome is None:
            if is_cancelled(layout):
                return self._cancel(run, layout, ledger)
            run = self._run_agent(run, layout, ledger, stop)
            if run.status is RunStatus.INTERRUPTED:
                if is_cancelled(layout):
                    return self._cancel(run, layout, ledger)
                return self._change(run, layout, RunStatus.INTERRUPTED)
        return self._close(run, layout, ledger, self._graded(run, layout))

    def _cancel(self, run: Run, layout: RunLayout, ledger: Ledger) -> Run:
        """End a run without a verdict, because somebody asked for it. What its agent has left is kept.

        Raises:
            as `Runner.run`, which ends what a dead harness left running of it.
        """
        if run.status in UNDER_WAY:
            end_leftovers(run, layout, ledger, group=self.group, group_layout=self.layout, registry=self.registry)
        outcome = run.outcome or Outcome(status=RunStatus.CANCELLED)
        changes = {"status": RunStatus.CANCELLED, "cause": Cause.CANCELLED, "message": "cancelled by a person"}
        run = run.model_copy(update={"outcome": outcome.model_copy(update=changes)})
        return self._close(run, layout, ledger, None)

    def _was_removed(self, layout: RunLayout) -> bool:
        """Whether the run's directory is gone, which an agent that is not isolated can do, but not the group's."""
        return not layout.root.exists() and self.layout.group.exists()

    def _run_agent(self, run: Run, layout: RunLayout, ledger: Ledger, stop: Stop) -> Run:
        """Run the agent to its end. Gives the run as it then stands, which for INTERRUPTED is not yet written."""
        if self.ready is not None:
            self.ready()
        self._data.require(self.registry.competition(run.key.competition))
        take_up = run.status is RunStatus.RUNNING and self.registry.runner(self.group.runner).is_running(layout)
        if take_up:
            append_event(layout.events, "taken_up", attempt=run.attempt)
        else:
            changes = {"attempt": run.attempt + 1, "started_at": now(), "outcome": None, "ended_at": None}
            run = run.model_copy(update=changes)
            # Where run.json was lost, the attempt has the number of one whose report still stands.
            layout.report.unlink(missing_ok=True)
            layout.usage.unlink(missing_ok=True)
            run = self._change(run, layout, RunStatus.PREPARING, attempt=run.attempt)
            self._observe(layout, "mleb_run_started", run=run)
            run = self._change(run, layout, RunStatus.RUNNING)
        outcome = self._attempt(run, layout, ledger, stop, take_up=take_up)
        run = run.model_copy(update={"outcome": outcome})
        if outcome.status is RunStatus.INTERRUPTED:
            return run.model_copy(update={"status": RunStatus.INTERRUPTED})
        return self._change(run, layout, RunStatus.GRADING, outcome=outcome.status, message=outcome.message)

    def _attempt(self, run: Run, layout: RunLayout, ledger: Ledger, stop: Stop, *, take_up: bool) -> Outcome:
        return run_agent(
            run,
            layout,
            ledger,
            stop,
            group=self.group,
            group_layout=self.layout,
            registry=self.registry,
            services=self.services,
            take_up=take_up,
        )

    def _graded(self, run: Run, layout: RunLayout) -> CompetitionReport:
        """The grade of what the agent left; one that stands from before this attempt was cut off is kept."""
        standing = _standing_report(layout, run)
        graded = standing.competition_report if standing is not None else None
        if graded is not None and graded.grader_error is None:
            return graded
        competition = self.registry.competition(run.key.competition)
        self._data.require(competition)
        grade = self.pool.grade(competition, layout.submission, Path(self.group.data_dir))
        if grade.grader_error:
            self._data.require(competition)  # what a grader meets whose answers vanish is no fault of its own
            append_event(layout.events, "grader_error", message=grade.grader_error)
        return competition_report(grade, competition, self._human_scores(competition))

    def _close(
        self, run: Run, layout: RunLayout, ledger: Ledger, graded: CompetitionReport | None, *, fault: str = ""
    ) -> Run:
        """Write the report, then the final status: a run that has ended always has a report, and the ledger knows it.

        Args: fault: what of mleb's own or of the machine's failed at last, if anything.
        """
        assert run.outcome is not None
        # Where the agent has ended and only the grading failed, --resume grades what it left.
        ungraded = graded.grader_error is not None if graded else bool(fault) and run.status is RunStatus.GRADING
        changes = {"status": run.outcome.status, "ended_at": run.ended_at or now(), "ungraded": ungraded}
        run = run.model_copy(update=changes)
        record_end(ledger, layout, run)
        if graded is not None:
            competition = self.registry.competition(run.key.competition)
            record_graded(ledger, graded, competition, Path(self.group.data_dir), self.registry)
        report = run_report(run, graded, ledger.result, resource_summary(layout), usage_summary(layout))
        if ungraded and fault:
            report = report.model_copy(update={"cause": Cause.HARNESS_FAILURE, "message": f"not graded: {fault}"})
        write_whole(layout.report, report.model_dump_json(indent=2) + "\n")
        record_report(ledger, layout)
        run = self._change(run, layout, run.status, durable=True)
        if run.settled:
            layout.cancel.unlink(missing_ok=True)  # done, or too late
        self._observe(layout, "mleb_run_finished", run=run, result=report)
        return run

    def _record_failure(self, run: Run, layout: RunLayout, error: Exception) -> tuple[Run, bool]:
        """Record a failure that is not the agent's.

        Returns:
            The run, to be tried again, and whether that was its last try (then it is to be closed).
        """
        cause = Cause.SANDBOX_FAILURE if isinstance(error, SandboxError) else Cause.HARNESS_FAILURE
        message = _told(error)
        trace = "" if isinstance(error, MlebError | OSError) else "".join(traceback.format_exception(error))
        failures = run.failures + 1
        last = failures > self.group.retries or isinstance(error, LASTING)
        append_event(layout.events, "failure", cause=cause, message=message, retry=not last, traceback=trace)
        run = run.model_copy(update={"failures": failures})
        if last and (run.status is not RunStatus.GRADING or run.outcome is None):
            outcome = Outcome(status=RunStatus.FAILED, cause=cause, message=message)
            run = run.model_copy(update={"outcome": outcome})
        if last:
            return run, True
        # An agent that has ended keeps its outcome: only the grading is tried again.
        again = RunStatus.GRADING if run.status is RunStatus.GRADING else RunStatus.PENDING
        return self._change(run, layout, again), False

    def _human_scores(self, competition: Competition) -> list[float] | None:
        if competition.label not in self._scores:
            self._scores[competition.label] = human_scores(competition, Path(self.group.data_dir))
        return self._scores[competition.label]

    def _change(self, run: Run, layout: RunLayout, status: RunStatus, *, durable: bool = False, **details: Any) -> Run:
        """Write a new status. Only the last is flushed to disk: losing an earlier one to a power cut costs a step."""
        run = run.model_copy(update={"status": status})
        append_event(layout.events, "status", status=status, **details)
        write_whole(layout.run, run.model_dump_json(indent=2) + "\n", durable=durable)
        if self.on_change is not None:
            self.on_change(run)
        return run

    def _observe(self, layout: RunLayout, hook: str, **arguments: Any) -> None:
        for failure in self.registry.manager.observe(hook, within_s=OBSERVER_S, **arguments):
            append_event(layout.events, "observer_failed", message=failure)


def _told(error: Exception) -> str:
    """A failure in one line."""
    expected = isinstance(error, MlebError | OSError)
    return " ".join(str(error if expected else f"{type(error).__name__}: {error}").split())


def _standing_report(layout: RunLayout, run: Run) -> RunReport | None:
    """The run's report where a former harness wrote it for this very attempt, else None."""
    try:
        report = RunReport.model_validate_json(layout.report.read_bytes())
    except (OSError, ValueError):
        return None
    return report if (report.key, report.attempt) == (run.key, run.attempt) else None


def _disk_error(error: BaseException | None, root: Path) -> OSError | None:
    """The OSError behind an error that no retry can mend: the run's own files, or a full or read-only disk."""
    while error is not None:
        if isinstance(error, OSError):
            own = isinstance(error.filename, str) and Path(error.filename).is_relative_to(root)
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS) or own:
                return error
        error = error.__cause__
    return None
