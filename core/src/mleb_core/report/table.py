"""A group's report as CSV: one line a run, missing runs included."""

import csv
import io
from collections.abc import Iterator

from mleb_core.report.models import GroupReport, MissingRun, RunReport
from mleb_core.report.text import csv_cell
from mleb_core.run import RunKey

__all__ = ["COLUMNS", "to_csv", "values"]

_RUN = (
    "status",
    "cause",
    "message",
    "attempt",
    "runtime_s",
    "exit_code",
    "peak_memory_bytes",
    "started_at",
    "ended_at",
)
_GRADE = (
    "score",
    "is_lower_better",
    "medal",
    "any_medal",
    "above_median",
    "submission_exists",
    "valid_submission",
    "reason",
    "grader_error",
    "gold_threshold",
    "silver_threshold",
    "bronze_threshold",
    "median_threshold",
    "leaderboard_kind",
    "rank",
    "teams",
    "percentile",
    "grader",
    "submission_sha256",
)
_USAGE = (
    "steps",
    "step_unit",
    "model_calls",
    "failed_calls",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "known_cost_usd",
)
COLUMNS = ("group", "competition", "edition", "agent", "seed", "graded", *_GRADE, *_RUN, *_USAGE, "ledger")
"""The header. Columns are named as the fields of `RunKey`, `CompetitionReport`, `RunReport` and `UsageSummary`."""


def to_csv(report: GroupReport) -> str:
    """One line for every run that was asked for, in that order, under a header (`COLUMNS`).

    Booleans are `true` / `false`, what is not known is empty; a missing run has its note as `message`. Texts are
    made safe as `csv_cell` describes.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in values(report):
        writer.writerow([_cell(row[column]) for column in COLUMNS])
    return stream.getvalue()


def values(report: GroupReport) -> Iterator[dict[str, object]]:
    """For every run that was asked for, in that order, its values by column; what is not known is None."""
    runs = {run.key: run for run in report.runs}
    missing = {run.key: run for run in report.missing}
    for key in report.group.run_keys():
        found = _row(report.group.name, key, runs.get(key), missing.get(key))
        yield {column: found.get(column) for column in COLUMNS}


def _row(group: str, key: RunKey, run: RunReport | None, missing: MissingRun | None) -> dict[str, object]:
    found: dict[str, object] = {
        "group": group,
        "competition": key.competition,
        "edition": int(key.competition.partition("@")[2] or 1),
        "agent": key.agent,
        "seed": key.seed,
        "graded": missing is None,
    }
    if run is not None:
        found |= {name: getattr(run, name) for name in (*_RUN, "ledger")}
        if run.usage is not None:
            found |= {name: getattr(run.usage, name) for name in _USAGE}
        if run.competition_report is not None:
            found |= {name: getattr(run.competition_report, name) for name in _GRADE}
    if missing is not None:
        found |= {"status": missing.status, "cause": missing.cause, "message": missing.note}
    return found


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return csv_cell(value) if isinstance(value, str) else repr(value)
