"""From grades and runs to reports. Everything is brought together by key, nothing by position."""

import csv
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mleb_core.errors import CompetitionError
from mleb_core.layout import CompetitionData, RunLayout
from mleb_core.leaderboard import standing
from mleb_core.report.models import (
    AgentResult,
    CompetitionReport,
    Counts,
    GradingReport,
    GroupReport,
    MissingRun,
    ResourceSummary,
    RunReport,
    SeedResult,
    UsageSummary,
)
from mleb_core.report.statistics import estimate, percentage
from mleb_core.run import Run, RunGroup, RunKey, RunStatus, now
from mleb_core.runner.resources import read_resources

if TYPE_CHECKING:
    from mleb_core.competition import Competition
    from mleb_core.grading.grade import Grade

__all__ = [
    "competition_report",
    "config_digest",
    "grading_report",
    "group_grading_report",
    "group_report",
    "human_scores",
    "ledgers_digest",
    "open_issues",
    "resource_summary",
    "run_report",
]


def competition_report(
    grade: "Grade", competition: "Competition", scores: Sequence[float] | None = None
) -> CompetitionReport:
    """What a grade is worth: medals by the thresholds of competition.toml, place and percentile by the scores.

    The score is rounded to 5 decimals before it is compared; to reach a threshold is enough; the median is strict.

    Args:
        grade: a grade of this competition and edition.
        competition: the competition, in the edition that was graded.
        scores: all scores of the leaderboard, in any order, where they are at hand (`human_scores`).

    Raises:
        CompetitionError: the grader's direction is not the leaderboard's.
        ValueError: the grade is of another competition.
    """
    if grade.competition != competition.label:
        raise ValueError(f"a grade of {grade.competition} is none of {competition.label}")
    spec = competition.spec
    facts = spec.leaderboard
    if grade.higher_is_better is not None and grade.higher_is_better != facts.higher_is_better:
        better = "higher" if grade.higher_is_better else "lower"
        raise CompetitionError(
            f"{competition.folder / 'competition.toml'}: leaderboard.higher_is_better: expected "
            f"{str(grade.higher_is_better).lower()}, since {better} is better for grader {grade.grader}"
        )
    score = round(grade.score, 5) if grade.valid and grade.score is not None else None
    thresholds = facts.thresholds
    medal = thresholds.medal(score)
    place = standing(score, scores, higher_is_better=facts.higher_is_better) if scores and score is not None else None
    return CompetitionReport(
        competition_id=competition.id,
        score=score,
        gold_threshold=thresholds.gold,
        silver_threshold=thresholds.silver,
        bronze_threshold=thresholds.bronze,
        median_threshold=thresholds.median,
        any_medal=medal != "none",
        gold_medal=medal == "gold",
        silver_medal=medal == "silver",
        bronze_medal=medal == "bronze",
        above_median=thresholds.above_median(score),
        submission_exists=grade.submission_exists,
        valid_submission=grade.valid,
        is_lower_better=not facts.higher_is_better,
        created_at=grade.graded_at,
        submission_path=str(grade.submission_path),
        edition=competition.edition,
        medal=medal,
        reason=grade.reason,
        grader_error=grade.grader_error,
        grader=grade.grader,
        leaderboard_kind=facts.kind,
        rank=place.place if place else None,
        teams=place.teams if place else None,
        percentile=place.percentile if place else None,
        submission_sha256=grade.sha256,
        known_issues=open_issues(competition),
    )


def open_issues(competition: "Competition") -> tuple[str, ...]:
    """Known faults and leaks of a competition that its edition does not repair, a sentence each."""
    return tuple(
        f"{issue.what} ({issue.issue})" if issue.issue else issue.what
        for issue in competition.spec.known_issues
        if issue.repaired_in is None or issue.repaired_in > competition.edition
    )


def human_scores(competition: "Competition", data_dir: Path) -> list[float] | None:
    """All scores of a competition's leaderboard: as fetched into the data directory, else as shipped.

    Returns:
        The scores in the order of the file; None where there is no such file.

    Raises:
        CompetitionError: the file that competition.toml names is missing, a file cannot be read, or a score in it
            is not a finite number (file and line are named).
    """
    fetched = CompetitionData.of(data_dir, competition.label).leaderboard
    if fetched.is_file():
        return _read_scores(fetched)
    shipped = competition.spec.leaderboard.scores
    return None if shipped is None else _read_scores(competition.folder / shipped)


def _read_scores(path: Path) -> list[float]:
    scores = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            if "score" not in (rows.fieldnames or ()):
                raise CompetitionError(f"{path}: a column `score` is expected, got {', '.join(rows.fieldnames or ())}")
            for row in rows:
                try:
                    score = float(row["score"])
                except (TypeError, ValueError):
                    score = math.nan
                if not math.isfinite(score):
                    raise CompetitionError(
                        f"{path}, line {rows.line_num}: a score is expected, got {row['score']!r:.60}"
                    )
                scores.append(score)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CompetitionError(f"{path} cannot be read: {error}") from None
    if not scores:
        raise CompetitionError(f"{path} holds no scores")
    return scores


def run_report(
    run: Run,
    competition_report: CompetitionReport | None,
    ledger: str | None = None,
    resources: ResourceSummary | None = None,
    usage: UsageSummary | None = None,
) -> RunReport:
    """A run's report.json.

    Args:
        run: in its final state.
        competition_report: None where the run was not graded.
        ledger: hash of the ledger's entry that the result hangs on (`Ledger.result`); None: there is no ledger.
        resources: what the run used (`resource_summary`).
        usage: how much its agent did (`report.usage.usage_summary`).

    Raises:
        ValueError: the graded submission is of another competition.
    """
    if competition_report is not None and competition_report.label != run.key.competition:
        raise ValueError(f"a report on {competition_report.label} is none of the run {run.key}")
    outcome = run.outcome
    return RunReport(
        key=run.key,
        group=run.group,
        status=run.status,
        cause=outcome.cause if outcome else None,
        message=outcome.message if outcome else "",
        attempt=run.attempt,
        created_at=run.created_at,
        started_at=run.started_at,
        ended_at=run.ended_at,
        runtime_s=outcome.runtime_s if outcome else None,
        exit_code=outcome.exit_code if outcome else None,
        peak_memory_bytes=outcome.peak_memory_bytes if outcome else None,
        resources=resources,
        usage=usage,
        refused=outcome.refused if outcome else (),
        privileged=outcome.privileged if outcome else False,
        competition_report=competition_report,
        ledger=ledger,
    )


def resource_summary(layout: RunLayout) -> ResourceSummary | None:
    """What a run used, from its resources.json; None where there is none, or none as `ResourceRecorder` writes it."""
    recorded = read_resources(layout)
    try:
        summary = recorded["summary"] if recorded is not None else None
        if summary is None:
            return None
        gpus = summary["gpus"]
        shares = [gpu["utilization_percent_mean"] for gpu in gpus if gpu["utilization_percent_mean"] is not None]
        memory = [gpu["memory_bytes_peak"] for gpu in gpus if gpu["memory_bytes_peak"] is not None]
        return ResourceSummary(
            cpu_cores_mean=summary["cpu_cores_mean"],
            memory_bytes_peak=summary["memory_bytes_peak"],
            disk_bytes_peak=summary["disk_bytes_peak"],
            gpus=tuple(gpu["name"] or gpu["id"] for gpu in gpus),
            gpu_hours=round(summary["gpu_seconds"] / 3600, 5),
            gpu_utilization_percent_mean=round(sum(shares) / len(shares), 3) if shares else None,
            gpu_memory_bytes_peak=max(memory, default=None),
            gpu_energy_kwh=round(summary["energy_j"] / 3.6e6, 6) if summary["energy_j"] is not None else None,
        )
    except (KeyError, TypeError, ValueError):  # of pydantic too
        return None


def ledgers_digest(runs: Iterable[RunReport]) -> str | None:
    """`GroupReport.ledgers` of a group's runs, in the order asked for."""
    lines = [
        f"{run.key.competition} {run.key.agent} {run.key.seed} {run.ledger}\n" for run in runs if run.ledger is not None
    ]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest() if lines else None


def config_digest(group: RunGroup) -> str:
    """sha256, in hexadecimal, of what a group measures.

    Taken of group.json as canonical JSON (sorted keys, no spaces, UTF-8) without name, time and place (`name`,
    `created_at`, `data_dir`, `observers`; `digests` stand for the data; `imported` only where something was).
    """
    left_out = {"name", "created_at", "data_dir", "observers"} | ({"imported"} if group.imported is None else set())
    document = group.model_dump(mode="json", exclude=left_out)
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def group_report(
    group: RunGroup, runs: Iterable[Run], reports: Mapping[RunKey, RunReport], *, directory: Path | None = None
) -> GroupReport:
    """A group's report: every run asked for is counted, whether it is there or not.

    Args:
        group: what was asked for.
        runs: the runs that are there, in any order.
        reports: the reports that are there, by run.
        directory: the group's directory, for the record.

    Raises:
        ValueError: a run is there twice, or a report stands under another run's key.
    """
    by_key: dict[RunKey, Run] = {}
    for run in runs:
        if run.key in by_key:
            raise ValueError(f"the run {run.key} is there twice")
        by_key[run.key] = run
    for key, report in reports.items():
        if report.key != key:
            raise ValueError(f"the report on {report.key} stands under {key}")
    asked = group.run_keys()
    wanted = set(asked)
    cells: dict[str, dict[int, list[RunKey]]] = {agent: {} for agent in group.agents}
    for key in asked:
        cells[key.agent].setdefault(key.seed, []).append(key)
    issues = {
        graded.label: graded.known_issues
        for key in asked
        if (found := reports.get(key)) and (graded := found.competition_report) and graded.known_issues
    }
    ungraded = [key for key in asked if (found := reports.get(key)) is None or not found.graded]
    there = tuple(reports[key] for key in asked if key in reports)
    return GroupReport(
        created_at=now(),
        directory=None if directory is None else str(directory),
        group=group,
        config_digest=config_digest(group),
        editions=tuple(sorted({_edition(label) for label in group.competitions})),
        counts=_counts(asked, by_key, reports),
        agents=tuple(_agent_result(agent, seeds, by_key, reports) for agent, seeds in cells.items()),
        missing=tuple(_missing(key, by_key.get(key), reports.get(key)) for key in ungraded),
        not_asked=tuple(key for key in dict.fromkeys((*by_key, *reports)) if key not in wanted),
        known_issues=issues,
        runs=there,
        ledgers=ledgers_digest(there),
    )


def grading_report(reports: Iterable[CompetitionReport], *, missing_runs: int = 0) -> GradingReport:
    """MLE-bench's grading_report.json over submissions, in the order given."""
    all_reports = tuple(reports)
    return GradingReport(
        total_runs=len(all_reports),
        total_runs_with_submissions=sum(report.submission_exists for report in all_reports),
        total_valid_submissions=sum(report.valid_submission for report in all_reports),
        total_medals=sum(report.any_medal for report in all_reports),
        total_gold_medals=sum(report.gold_medal for report in all_reports),
        total_silver_medals=sum(report.silver_medal for report in all_reports),
        total_bronze_medals=sum(report.bronze_medal for report in all_reports),
        total_above_median=sum(report.above_median for report in all_reports),
        competition_reports=all_reports,
        missing_runs=missing_runs,
    )


def group_grading_report(report: GroupReport) -> GradingReport:
    """MLE-bench's grading_report.json of a group: its graded runs in the order asked for, seeds outermost."""
    graded = [run.competition_report for run in report.runs if run.competition_report is not None]
    return grading_report(graded, missing_runs=report.counts.asked - len(graded))


def _agent_result(
    agent: str,
    keys: Mapping[int, Sequence[RunKey]],
    runs: Mapping[RunKey, Run],
    reports: Mapping[RunKey, RunReport],
) -> AgentResult:
    """Args: keys: the agent's runs by seed."""
    seeds = tuple(_seed_result(seed, keys[seed], runs, reports) for seed in sorted(keys))
    return AgentResult(
        agent=agent,
        counts=_counts([key for seed in keys.values() for key in seed], runs, reports),
        seeds=seeds,
        any_medal_percentage=estimate([seed.any_medal_percentage for seed in seeds]),
        gold_percentage=estimate([seed.gold_percentage for seed in seeds]),
        silver_percentage=estimate([seed.silver_percentage for seed in seeds]),
        bronze_percentage=estimate([seed.bronze_percentage for seed in seeds]),
        above_median_percentage=estimate([seed.above_median_percentage for seed in seeds]),
        valid_submission_percentage=estimate([seed.valid_submission_percentage for seed in seeds]),
    )


def _seed_result(
    seed: int, keys: Sequence[RunKey], runs: Mapping[RunKey, Run], reports: Mapping[RunKey, RunReport]
) -> SeedResult:
    counts = _counts(keys, runs, reports)
    return SeedResult(
        seed=seed,
        counts=counts,
        any_medal_percentage=percentage(counts.medals, counts.asked),
        gold_percentage=percentage(counts.gold, counts.asked),
        silver_percentage=percentage(counts.silver, counts.asked),
        bronze_percentage=percentage(counts.bronze, counts.asked),
        above_median_percentage=percentage(counts.above_median, counts.asked),
        valid_submission_percentage=percentage(counts.valid, counts.asked),
    )


def _counts(keys: Sequence[RunKey], runs: Mapping[RunKey, Run], reports: Mapping[RunKey, RunReport]) -> Counts:
    there = [report.competition_report for key in keys if (report := reports.get(key)) is not None]
    graded = [report for report in there if report is not None and report.graded]
    return Counts(
        asked=len(keys),
        ended=sum(run.status.ended for key in keys if (run := runs.get(key)) is not None),
        graded=len(graded),
        missing=len(keys) - len(graded),
        submissions=sum(report is not None and report.submission_exists for report in there),
        valid=sum(report.valid_submission for report in graded),
        medals=sum(report.any_medal for report in graded),
        gold=sum(report.gold_medal for report in graded),
        silver=sum(report.silver_medal for report in graded),
        bronze=sum(report.bronze_medal for report in graded),
        above_median=sum(report.above_median for report in graded),
        cancelled=sum(runs[key].status is RunStatus.CANCELLED for key in keys if key in runs),
    )


def _missing(key: RunKey, run: Run | None, report: RunReport | None) -> MissingRun:
    outcome = run.outcome if run else None
    if report is not None and report.competition_report is not None:
        note = f"the grader failed: {report.competition_report.grader_error}"
    elif message := report.message if report is not None else outcome.message if outcome is not None else "":
        note = message
    else:
        note = "never started" if run is None or run.attempt == 0 else "no report"
    status = run.status if run else report.status if report else RunStatus.PENDING
    cause = report.cause if report else outcome.cause if outcome else None
    return MissingRun(key=key, status=status, cause=cause, note=note)


def _edition(label: str) -> int:
    number = label.partition("@")[2]
    return int(number or 1)
