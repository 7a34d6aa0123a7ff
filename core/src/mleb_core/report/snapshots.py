"""Score over time: the snapshots of a run's submission, graded once the run is over.

A run's report is never touched: the last submission counts.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mleb_core.errors import MlebError, RunGroupError, UsageError
from mleb_core.grading.grade import Grade, unscored_grade
from mleb_core.layout import GroupLayout, RunLayout, write_whole
from mleb_core.leaderboard import Medal
from mleb_core.report.build import competition_report
from mleb_core.report.load import load_model, load_run_report
from mleb_core.report.models import CompetitionReport, RunSnapshots, SnapshotScore
from mleb_core.report.text import one_line
from mleb_core.run import Run, now
from mleb_core.runner.snapshots import Snapshot, read_snapshots

if TYPE_CHECKING:
    from mleb_core.competition import Competition
    from mleb_core.grading.pool import GradingPool

__all__ = ["grade_snapshots", "load_run", "runs_under"]


def runs_under(directory: Path) -> list[RunLayout]:
    """The runs of a directory, which is one run's or a run group's.

    Raises:
        UsageError: it is neither.
    """
    alone = RunLayout(directory)
    if alone.run.is_file():
        return [alone]
    group = GroupLayout(directory)
    if not group.group.is_file():
        raise UsageError(
            f"{directory} is neither a run nor a run group: it has no {alone.run.name}, no {group.group.name}"
        )
    return list(group.runs())


def load_run(layout: RunLayout) -> Run:
    """Read run.json.

    Raises:
        RunGroupError: missing, unreadable, or not such a file.
    """
    return load_model(layout.run, Run, "a run's state")


def grade_snapshots(
    layout: RunLayout,
    run: Run,
    competition: "Competition",
    data_dir: Path,
    *,
    pool: "GradingPool",
    scores: Sequence[float] | None = None,
) -> RunSnapshots:
    """Grade each snapshot of a run, equal ones once, and write the scores to `layout.snapshot_scores`.

    Snapshots that equal the submission of the run's report get the report's score.

    Args:
        layout: the run's directory.
        run: its state.
        competition: in the run's edition.
        data_dir: holds its prepared data.
        pool: does the work.
        scores: as in `competition_report`.

    Raises:
        RunGroupError: the run has not ended, its list cannot be read, or the scores cannot be written.
    """
    if not run.status.ended:
        raise RunGroupError(f"{layout.root}: the run has not ended yet ({run.status}); its snapshots are graded then")
    try:
        listed = read_snapshots(layout)
    except OSError as error:
        raise RunGroupError(f"{layout.snapshot_list} cannot be read: {error.strerror or error}") from None
    final = load_run_report(layout.report).competition_report if layout.report.is_file() else None
    known: dict[str, CompetitionReport] = {}
    if final is not None and final.graded and final.submission_sha256 is not None:
        known[final.submission_sha256] = final
    graded = []
    for snapshot in listed:
        report = known.get(snapshot.sha256)
        if report is None and snapshot.file is not None:
            report = competition_report(_grade(layout, snapshot, competition, data_dir, pool), competition, scores)
            if report.graded:
                known[snapshot.sha256] = report
        graded.append(_score(snapshot, report))
    result = RunSnapshots(
        key=run.key,
        graded_at=now(),
        is_lower_better=not competition.spec.leaderboard.higher_is_better,
        snapshots=tuple(graded),
        final_sha256=final.submission_sha256 if final else None,
        final_score=final.score if final else None,
        final_medal=final.medal if final else "none",
    )
    if listed:
        try:
            write_whole(layout.snapshot_scores, result.model_dump_json(indent=2) + "\n")
        except OSError as error:
            raise RunGroupError(f"{error.filename}: {error.strerror or error}") from None
    return result


def _grade(
    layout: RunLayout, snapshot: Snapshot, competition: "Competition", data_dir: Path, pool: "GradingPool"
) -> Grade:
    """One snapshot's grade; what keeps it from being graded stands in it."""
    path = layout.snapshots / Path(str(snapshot.file)).name
    try:
        grade = pool.grade(competition, path, data_dir)
    except MlebError as error:
        grade = unscored_grade(path, competition, grader_error=str(error))
    if grade.sha256 != snapshot.sha256:
        what = "the copy is gone" if grade.sha256 is None else "the copy is not what was taken (its sha256 differs)"
        return grade.model_copy(update={"valid": False, "score": None, "reason": None, "grader_error": what})
    return grade


def _score(snapshot: Snapshot, report: CompetitionReport | None) -> SnapshotScore:
    valid: bool | None = None
    score: float | None = None
    medal: Medal = "none"
    message = "not copied: the limit on snapshots was reached"
    if report is not None:
        message = one_line(report.grader_error or report.reason or "")
        if report.graded:
            valid, score, medal = report.valid_submission, report.score, report.medal
    return SnapshotScore(
        elapsed_s=snapshot.elapsed_s,
        time=snapshot.time,
        sha256=snapshot.sha256,
        file=snapshot.file,
        score=score,
        medal=medal,
        valid=valid,
        message=message,
    )
