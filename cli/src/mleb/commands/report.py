"""`mleb report`: results of run groups."""

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mleb.options import AsJson, Config, option
from mleb.output import print_json_text, print_notice, print_text, stdout_kept
from mleb_core.errors import MlebError, RunGroupError, UsageError

if TYPE_CHECKING:
    from mleb_core.report.statistics.models import ReportWithFigures
    from mleb_core.report.statistics.published import PublishedReport

__all__ = ["register"]


SHOWN = 10
"""Lines about runs that cannot be read."""


class Format(enum.StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"
    MARKDOWN = "markdown"
    LEADERBOARD = "leaderboard"
    MLE_BENCH = "mle-bench"


class Method(enum.StrEnum):
    """How percentages are taken."""

    MLEB = "mleb"
    MLE_BENCH = "mle-bench"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report_command)


def report_command(
    groups: Annotated[
        list[Path], typer.Argument(help="Directories of run groups, or of studies: all their arms.", metavar="GROUP")
    ],
    *,
    format: Annotated[
        Format,
        option("--format", "-f", help="How to write the results; mle-bench is its grading_report.json."),
    ] = Format.TABLE,
    method: Annotated[
        Method,
        option("--method", help="Over what was asked for, or over MLE-bench's whole splits, as its leaderboard does."),
    ] = Method.MLEB,
    pad_seeds: Annotated[
        int | None,
        option("--pad-seeds", help="With mle-bench: fill up with failing seeds to so many.", min=1, metavar="N"),
    ] = None,
    against: Annotated[
        str | None,
        option("--against", help="A published result to set beside; see mleb list standings.", metavar="NAME"),
    ] = None,
    file: Annotated[
        Path | None, option("--file", help="Write to a file instead of stdout; not for table.", metavar="FILE")
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show the results of run groups.

    JSON is one object for one group, a list for several; with --method mle-bench, --format leaderboard or --against it
    is one object for all. Exits with 1 where a group or a run is there but cannot be read; the others are shown all
    the same.
    """
    chosen = Format.JSON if as_json and format is not Format.MLE_BENCH else format
    published = method is Method.MLE_BENCH or format is Format.LEADERBOARD or against is not None
    if published and chosen in (Format.CSV, Format.PARQUET, Format.MLE_BENCH, Format.MARKDOWN):
        raise UsageError(f"the published aggregation comes as table, json or leaderboard, not as {chosen}")
    if pad_seeds is not None and not published:
        raise UsageError("--pad-seeds goes with --method mle-bench, --format leaderboard or --against")
    if file is not None and chosen is Format.TABLE:
        raise UsageError("--file needs a --format other than table")
    if chosen is Format.PARQUET and file is None:
        raise UsageError("--format parquet is binary and needs --file FILE")
    if against is not None:
        from mleb_core.report.standings import standing_named

        standing_named(against)  # a wrong name is told before anything is read
    with stdout_kept():
        groups = [group for directory in groups for group in _groups_in(directory)]
        reports, problems = _collect(groups)
    if published:
        _show_published(reports, chosen, pad_seeds=pad_seeds, against=against, file=file)
    else:
        _show(reports, chosen, file, several=len(groups) > 1)
    for line in problems[:SHOWN]:
        print_notice(line)
    if len(problems) > SHOWN:
        print_notice(f"and {len(problems) - SHOWN} more that cannot be read")
    if problems:
        raise typer.Exit(1)


def _groups_in(directory: Path) -> list[Path]:
    """The arms of a study; any other directory as it is, for whoever reads it to say what is wrong with it."""
    from mleb_core.layout import GroupLayout

    try:
        if not GroupLayout(directory).group.exists():
            return [path for path in sorted(directory.iterdir()) if GroupLayout(path).group.is_file()] or [directory]
    except OSError:
        pass  # told by whoever reads it
    return [directory]


def _collect(groups: list[Path]) -> "tuple[list[ReportWithFigures], list[str]]":
    """The groups that can be read, and a line for each group and run that cannot.

    Raises:
        RunGroupError: no group can be read.
    """
    from mleb_core.report.build import group_report
    from mleb_core.report.collect import collect_group, unreadable_runs
    from mleb_core.report.statistics.figures import with_figures

    reports: list[ReportWithFigures] = []
    problems: list[str] = []
    for directory in groups:
        try:
            plain = group_report(*collect_group(directory), directory=directory)
        except RunGroupError as error:
            if len(groups) == 1:
                raise
            problems.append(str(error))
            continue
        report, remarks = with_figures(plain, directory)
        reports.append(report)
        problems += [*unreadable_runs(plain), *remarks]
    if not reports:
        raise RunGroupError(f"none of {len(groups)} directories is a run group that can be read: {problems[0]}")
    return reports, problems


def _show(reports: "list[ReportWithFigures]", chosen: Format, file: Path | None, *, several: bool) -> None:
    """Results as asked for: every run counts that was asked for."""
    from mleb_core.report.build import grading_report, group_grading_report
    from mleb_core.report.formats import to_csv, to_json, to_markdown

    if chosen is Format.TABLE:
        from mleb.figures import show_figures
        from mleb.reports import show_group_reports

        show_group_reports(reports)
        show_figures(reports)
    elif chosen is Format.JSON:
        documents = [to_json(report).rstrip("\n") for report in reports]
        _json("[\n" + ",\n".join(documents) + "\n]\n" if several else documents[0] + "\n", file)
    elif chosen is Format.MARKDOWN:
        _text("\n".join(to_markdown(report) for report in reports), file)
    elif chosen is Format.PARQUET:
        from mleb_core.report.parquet import to_parquet

        _write(to_parquet(reports), file)
    elif chosen is Format.MLE_BENCH:
        each = [group_grading_report(report) for report in reports]
        graded = [entry for report in each for entry in report.competition_reports]
        _json(to_json(grading_report(graded, missing_runs=sum(report.missing_runs for report in each))), file)
    else:
        texts = [to_csv(report) for report in reports]
        _text(texts[0] + "".join(text.partition("\n")[2] for text in texts[1:]), file)  # one header for all


def _show_published(
    reports: "list[ReportWithFigures]",
    chosen: Format,
    *,
    pad_seeds: int | None,
    against: str | None,
    file: Path | None,
) -> None:
    """Results by the published aggregation."""
    from mleb_core.report.formats import to_json
    from mleb_core.report.leaderboard_row import to_leaderboard
    from mleb_core.report.standings import AgainstReport, standing_named
    from mleb_core.report.standings import against as beside
    from mleb_core.report.statistics.published import published_report

    with stdout_kept():
        published: PublishedReport = published_report(reports, _splits(), seeds=pad_seeds)
    rows = [beside(row, standing_named(against)) for row in published.rows] if against is not None else []
    if chosen is Format.JSON and against is not None:
        _json(to_json(AgainstReport(standing=standing_named(against), rows=tuple(rows))), file)
    elif chosen is Format.JSON:
        _json(to_json(published), file)
    elif chosen is Format.LEADERBOARD:
        _text(to_leaderboard(published), file)
    else:
        from mleb.figures import show_against, show_published

        if rows:
            show_against(rows)
        else:
            show_published(published)


def _splits() -> dict[str, list[str]]:
    """Competition ids of the published splits, as far as they are installed."""
    from mleb.summaries import competition_summaries
    from mleb_core.registry import Registry
    from mleb_core.report.statistics.published import SPLITS

    found: dict[str, list[str]] = {}
    for summary in competition_summaries(Registry().competitions.values()):
        for split in summary.get("splits", ()):
            if split in SPLITS:
                found.setdefault(split, []).append(summary["id"])
    return found


def _json(text: str, file: Path | None) -> None:
    print_json_text(text) if file is None else _write(text.encode(), file)


def _text(text: str, file: Path | None) -> None:
    print_text(text) if file is None else _write(text.encode(), file)


def _write(content: bytes, file: Path | None) -> None:
    from mleb_core.layout import write_whole

    assert file is not None
    try:
        write_whole(file, content)
    except OSError as error:
        raise MlebError(f"{file}: cannot be written: {error.strerror or error}") from None
