"""`mleb grade` and `mleb grade-sample`: from submissions to scores and medals."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mleb.options import AsJson, Config, DataDir, Edition, Workers, option
from mleb.output import print_json, print_notice, stdout_kept
from mleb_core.errors import MlebError, UsageError

if TYPE_CHECKING:
    from mleb_core.competition import Competition
    from mleb_core.registry import Registry
    from mleb_core.report.models import CompetitionReport

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("grade")(grade_command)
    app.command("grade-sample")(grade_sample_command)


@dataclass(frozen=True)
class Line:
    """One line of the file with submissions."""

    number: int
    """In the file, from 1."""
    competition: "Competition"
    """In the edition to grade."""
    submission: Path
    """The file handed in; it may be missing."""


def grade_command(  # noqa: PLR0917
    submission: Annotated[
        Path | None,
        option(
            "--submission",
            "-s",
            help='File of JSON lines: {"competition_id": ..., "submission_path": ...}.',
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    output_dir: Annotated[
        Path | None,
        option("--output-dir", "-o", help="Where the report is written.", metavar="DIR", show_default=False),
    ] = None,
    snapshots: Annotated[
        Path | None,
        option(
            "--snapshots",
            help="Grade the earlier submissions of a run, or of all runs of a group, instead.",
            metavar="DIR",
            show_default=False,
        ),
    ] = None,
    data_dir: DataDir = None,
    edition: Edition = 1,
    workers: Workers = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Grade submissions that are listed in a file of JSON lines.

    Writes TIMESTAMP_grading_report.json. One report for each line, in order, also where a submission is broken;
    that is no failure of the command. It exits with 1 where a grader failed.

    With --snapshots: score over time, written to each run's snapshot_scores.json; reports do not change.
    """
    import tempfile

    if snapshots is not None:
        if submission is not None or output_dir is not None:
            raise UsageError("--snapshots goes without --submission and --output-dir")
        from mleb.snapshots import grade_and_show

        grade_and_show(snapshots, data_dir, workers, as_json=as_json)
        return
    if submission is None or output_dir is None:
        missing = ("--submission", "-s") if submission is None else ("--output-dir", "-o")
        variable = "MLEB_" + missing[0][2:].replace("-", "_").upper()
        names = " / ".join(f"'{name}'" for name in missing)
        raise UsageError(f"missing option {names} (env var: '{variable}'); or use --snapshots")

    from mleb_core.registry import Registry
    from mleb_core.report.build import grading_report
    from mleb_core.run import now

    with stdout_kept():
        lines = read_lines(submission, Registry(), edition)
        output_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output_dir):
            pass  # a directory that cannot be written is told before the work, not after it
        reports = _graded([(line.competition, line.submission) for line in lines], data_dir, workers)
        report = grading_report(reports).model_dump(mode="json")
        failure = None
        try:
            path = _write_new(output_dir, now(), report)
        except OSError as error:  # a full disk: what was graded is shown at least
            failure = error
    if as_json:
        print_json(report)
    else:
        from mleb.reports import show_grading_report

        show_grading_report(reports)
    if failure is not None:
        raise failure
    print_notice(f"report: {path}")
    _exit_where_a_grader_failed(reports)


def grade_sample_command(  # noqa: PLR0917
    submission: Annotated[Path, typer.Argument(help="The submission file.", metavar="CSV")],
    competition: Annotated[str, typer.Argument(help="The competition, ID or ID@EDITION.", metavar="ID")],
    data_dir: DataDir = None,
    edition: Edition = 1,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Grade one submission of one competition."""
    from mleb.selection import in_edition
    from mleb_core.registry import Registry

    with stdout_kept():
        reports = _graded([(in_edition(Registry(), competition, edition), submission)], data_dir, 1)
    if as_json:
        print_json(reports[0].model_dump(mode="json"))
    else:
        from mleb.reports import show_competition_report

        show_competition_report(reports[0])
    _exit_where_a_grader_failed(reports)


def read_lines(path: Path, registry: "Registry", edition: int) -> list[Line]:
    """Read the file with submissions, all of it, before anything is graded.

    Raises:
        UsageError: names the line that cannot be used.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    lines = [
        _line(number, content, f"{path} line {number}", registry, edition)
        for number, content in enumerate(text.split("\n"), 1)
        if content.strip()
    ]
    if not lines:
        raise UsageError(f'{path} is empty; expected {{"competition_id": ..., "submission_path": ...}} a line')
    return lines


def _line(number: int, content: str, where: str, registry: "Registry", edition: int) -> Line:
    from mleb.selection import in_edition

    try:
        value: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UsageError(f"{where}: an object is expected, got {content.strip()!r:.60}")
    for key in ("competition_id", "submission_path"):
        if not isinstance(value.get(key), str) or not value[key]:
            got = f"got {value[key]!r:.60}" if key in value else f"got only {', '.join(map(str, value)) or 'nothing'}"
            raise UsageError(f"{where}: {key!r} is expected to be a text, {got}")
    if "\0" in value["submission_path"]:
        raise UsageError(f"{where}: 'submission_path' holds a NUL character, no file can have that name")
    try:
        competition = in_edition(registry, value["competition_id"], edition)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    return Line(number, competition, Path(value["submission_path"]))


def _graded(
    submissions: "list[tuple[Competition, Path]]", data_dir: Path | None, workers: int | None
) -> "list[CompetitionReport]":
    """Grade in order; all competitions are checked for prepared data first."""
    import os

    from mleb_core.grading.grade import unscored_grade
    from mleb_core.grading.pool import GradingPool
    from mleb_core.layout import default_data_dir
    from mleb_core.prepare import require_prepared
    from mleb_core.report.build import competition_report, human_scores

    data = data_dir or default_data_dir()
    from mleb.render import Steps

    competitions = {competition.label: competition for competition, _ in submissions}
    for competition in competitions.values():
        require_prepared(competition, data)
    scores = {label: human_scores(competition, data) for label, competition in competitions.items()}
    number = min(workers or os.cpu_count() or 1, len(submissions))
    with Steps(len(submissions)) as steps, ThreadPoolExecutor(number) as threads, GradingPool(number) as pool:

        def grade(item: "tuple[Competition, Path]") -> "CompetitionReport":
            competition, path = item
            steps.tell(competition.label, f"grading {path}", quiet=True)
            try:
                graded = pool.grade(competition, path, data)
            except MlebError as error:  # one that cannot be graded must not cost the others their reports
                graded = unscored_grade(path, competition, grader_error=str(error))
            report = competition_report(graded, competition, scores[competition.label])
            steps.advance()
            return report

        return list(threads.map(grade, submissions))


def _write_new(directory: Path, time: str, report: dict[str, Any]) -> Path:
    """Write a report whole, as `<timestamp>_grading_report.json`, where no other stands.

    Args:
        directory: where.
        time: ISO 8601, UTC.
        report: its content.
    """
    import os

    from mleb_core.layout import write_json

    stamp = time.partition(".")[0].replace(":", "-") + "-UTC"
    draft = directory / f".{os.getpid()}_grading_report.json"
    write_json(draft, report)
    try:
        number = 1
        while True:
            path = directory / f"{stamp}{'' if number == 1 else f'-{number}'}_grading_report.json"
            try:
                path.hardlink_to(draft)  # unlike a rename it never takes another's place
                return path
            except FileExistsError:
                number += 1
            except OSError:  # a file system without hard links
                if not path.exists():
                    return draft.rename(path)
                number += 1
    finally:
        draft.unlink(missing_ok=True)


def _exit_where_a_grader_failed(reports: "list[CompetitionReport]") -> None:
    failed = [report for report in reports if report.grader_error is not None]
    for report in failed[:5]:
        print_notice(f"{report.label}: {report.submission_path}: the grader failed: {report.grader_error}")
    if failed:
        print_notice(f"the grader failed on {len(failed)} of {len(reports)} submissions; that is no fault of theirs")
        raise typer.Exit(1)
