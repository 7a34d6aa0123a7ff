"""`mleb grade --snapshots`: score over time."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mleb.output import print_json, print_notice, stdout_kept
from mleb.units import format_duration

if TYPE_CHECKING:
    from mleb_core.report.models import RunSnapshots

__all__ = ["grade_and_show"]


def grade_and_show(directory: Path, data_dir: Path | None, workers: int | None, *, as_json: bool) -> None:
    """Grade the snapshots of a run or of all runs of a group, and show them.

    Raises:
        UsageError: the directory is neither.
        NotPreparedError: a competition's data is not there.
        Exit: 1 where a snapshot has no verdict though there is a copy, or a run cannot be graded.
    """
    with stdout_kept():
        results, failures = _graded(directory, data_dir, workers)
    if as_json:
        print_json([result.model_dump(mode="json") for result in results])
    else:
        _show(results)
    unjudged = [
        f"{result.key}: {snapshot.file}: {snapshot.message}"
        for result in results
        for snapshot in result.snapshots
        if snapshot.valid is None and snapshot.file is not None
    ]
    for line in [*failures, *unjudged[:5]]:
        print_notice(line)
    if failures or unjudged:
        raise typer.Exit(1)


def _graded(directory: Path, data_dir: Path | None, workers: int | None) -> "tuple[list[RunSnapshots], list[str]]":
    from mleb_core.errors import MlebError
    from mleb_core.grading.pool import GradingPool
    from mleb_core.layout import GroupLayout, RunLayout, default_data_dir
    from mleb_core.prepare import require_prepared
    from mleb_core.registry import Registry
    from mleb_core.report.build import human_scores
    from mleb_core.report.collect import load_group
    from mleb_core.report.snapshots import grade_snapshots, load_run, runs_under

    registry = Registry()
    runs = [(layout, load_run(layout)) for layout in runs_under(directory)]
    if data_dir is None:
        group = directory if GroupLayout(directory).group.is_file() else directory.absolute().parents[2]
        data_dir = Path(load_group(group).data_dir) if GroupLayout(group).group.is_file() else default_data_dir()
    competitions = {label: registry.competition(label) for label in sorted({run.key.competition for _, run in runs})}
    for competition in competitions.values():
        require_prepared(competition, data_dir)
    scores = {label: human_scores(competition, data_dir) for label, competition in competitions.items()}
    number = max(1, min(workers or os.cpu_count() or 1, len(runs)))
    failures: list[str] = []
    with ThreadPoolExecutor(number) as threads, GradingPool(number) as pool:

        def work(layout: RunLayout, label: str, index: int) -> "RunSnapshots | None":
            try:
                return grade_snapshots(
                    layout, runs[index][1], competitions[label], data_dir, pool=pool, scores=scores[label]
                )
            except MlebError as error:  # one run must not cost the others their scores
                failures.append(str(error))
                return None

        given = [(layout, run.key.competition, index) for index, (layout, run) in enumerate(runs)]
        done = list(threads.map(lambda item: work(*item), given))
    return [result for result in done if result is not None], failures


def _show(results: "list[RunSnapshots]") -> None:
    from mleb.render import show_number, show_table

    rows: list[list[object]] = []
    for result in results:
        run = [result.key.competition, result.key.agent, result.key.seed]
        for one in result.snapshots:
            verdict = {True: "valid", False: "invalid", None: "no verdict"}[one.valid]
            rows.append(
                [
                    *run,
                    format_duration(one.elapsed_s),
                    show_number(one.score),
                    one.medal if one.valid else "-",
                    verdict + (f": {one.message}" if one.message else ""),
                ]
            )
        end = "the submission that counts" + ("" if result.snapshots else "; no snapshots")
        rows.append([*run, "end", show_number(result.final_score), result.final_medal, end])
    show_table(["competition", "agent", "seed", "time", "score", "medal", "result"], rows)
