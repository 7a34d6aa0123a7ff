"""What people see in a terminal; the only module that imports rich.

Where the output is no terminal, tables are plain aligned columns and progress is plain lines. Text of agents and
plugins never reaches rich as markup: it goes through `clean` into `Text`.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mleb.output import clean, print_error, print_notice, print_table
from mleb.units import format_duration
from mleb_core.kaggle.words import in_words, readable_size
from mleb_core.layout import GroupLayout
from mleb_core.report.models import CompetitionReport, RunReport
from mleb_core.run import Run, RunGroup, RunKey, RunStatus

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, RenderResult

__all__ = ["Progress", "Steps", "show_number", "show_table", "verdict"]

STYLES = {
    "gold": "bold yellow",
    "silver": "bold white",
    "bronze": "dark_orange",
    "finished": "green",
    "failed": "red",
    "timed_out": "yellow",
    "interrupted": "yellow",
    "invalid": "red",
    "ok": "green",
    "problem": "bold red",
}
"""Cells that hold exactly this word are set in this style."""
SHOWN_RUNNING = 12
"""Runs under way that a terminal shows; the rest are counted."""


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "") -> None:
    """A table on stdout. A number column is one whose cells are numbers or "-"."""
    if not sys.stdout.isatty():
        print_table(columns, rows)
        return
    table = Table(title=Text(clean(title)) if title else None, title_justify="left", box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        numeric = all(_is_number(row[index]) for row in rows)
        table.add_column(Text(column), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean(cell), style=STYLES.get(str(cell), "")) for cell in row))
    Console(highlight=False).print(table)


def show_number(value: float | None) -> str:
    """A score to five decimals, without the zeros at its end; "-" for none."""
    return "-" if value is None else f"{value:.5f}".rstrip("0").rstrip(".") if abs(value) < 1e7 else f"{value:g}"


def verdict(report: CompetitionReport) -> str:
    """Why there is no score, or that there is one."""
    if report.grader_error is not None:
        return f"grader failed: {report.grader_error}"
    if not report.submission_exists:
        return "no submission"
    return "valid" if report.valid_submission else f"invalid: {report.reason}"


class Steps:
    """Shows a command going through a number of things: a bar in a terminal, else a line for each news. Thread-safe."""

    def __init__(self, total: int) -> None:
        self._bar: RichProgress | None = None
        if sys.stderr.isatty():
            columns = (
                BarColumn(30),
                TextColumn("{task.fields[count]}", markup=False),
                TimeElapsedColumn(),
                TextColumn("{task.description}", markup=False),
            )
            self._bar = RichProgress(*columns, console=Console(stderr=True, highlight=False), transient=True)
            self._task = self._bar.add_task("", total=total, count=f"0/{total}")
        self._total, self._done, self._lock = total, 0, threading.Lock()
        self._transfers: dict[str, TaskID] = {}
        self._words: dict[str, Callable[[int, int | None], None]] = {}

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *details: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def tell(self, what: str, line: str, *, quiet: bool = False) -> None:
        """What goes on.

        Args:
            what: the thing at hand.
            line: a few words.
            quiet: of interest in a terminal only.
        """
        text = line if line.startswith(what) else f"{what}: {line}"
        if self._bar is not None:
            self._bar.update(self._task, description=clean(text))
        elif not quiet:
            print_notice(text)

    def transfer(self, what: str, done: int, total: int | None) -> None:
        """Bytes of a download, in a terminal a bar of its own.

        Args:
            what: the thing that is downloaded.
            done: bytes that are there.
            total: bytes that there will be, where known.
        """
        with self._lock:
            if self._bar is None:
                say = self._words.setdefault(what, in_words(partial(self.tell, what)))
            else:
                if what not in self._transfers:
                    self._transfers[what] = self._bar.add_task(clean(f"{what}: downloading"), total=total, count="")
                shown = readable_size(done) + (f"/{readable_size(total)}" if total else "")
                self._bar.update(self._transfers[what], completed=done, total=total, count=shown)
                return
        say(done, total)

    def end_transfer(self, what: str) -> None:
        """The download is over, in whatever way."""
        with self._lock:
            task = self._transfers.pop(what, None)
            if task is not None and self._bar is not None:
                self._bar.remove_task(task)

    def warn(self, line: str) -> None:
        """A line that the user should know; it stays."""
        if self._bar is not None:
            self._bar.console.print(Text(f"Warning: {clean(line)}"), soft_wrap=True)
        else:
            print_notice(f"Warning: {line}")

    def fail(self, line: str) -> None:
        """A line that says what went wrong; it stays."""
        if self._bar is not None:
            self._bar.console.print(Text(f"Error: {clean(line)}"), soft_wrap=True)
        else:
            print_error(line)

    def advance(self) -> None:
        """One of the things is done."""
        self._done += 1
        if self._bar is not None:
            self._bar.update(self._task, advance=1, count=f"{self._done}/{self._total}")


RUN_COLUMNS = ["competition", "agent", "seed", "status", "time", "score", "medal", "note"]


class Progress:
    """Shows a run group at work: a live display in a terminal, else a line for each change. Thread-safe.

    Everything goes to stderr: stdout is for results.
    """

    def __init__(self) -> None:
        self.directory: Path | None = None
        self._lock = threading.Lock()
        self._total = 0
        self._asked: set[RunKey] = set()
        self._running: dict[RunKey, tuple[RunStatus, float]] = {}
        self._ended: dict[RunKey, str] = {}
        self._started = time.monotonic()
        self._note = ""
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._live = (
            Live(self, console=self._console, refresh_per_second=4, transient=True) if sys.stderr.isatty() else None
        )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *details: object) -> None:
        if self._live is not None:
            self._live.stop()

    def begin_again(self) -> None:
        """What was shown of a group is over; another comes."""
        with self._lock:
            self._total = 0
            self._running.clear()
            self._ended.clear()

    def on_group(self, directory: Path, group: RunGroup) -> None:
        """The group is there; its runs come next."""
        self.directory = directory
        settled = _settled(directory, group)
        with self._lock:
            self._total = len(group.run_keys())
            self._ended.update(settled)
        kept = f", {len(settled)} of them done before" if settled else ""
        self.on_notice(f"{self._total} runs{kept}, in {directory}")

    def on_change(self, run: Run) -> None:
        """A run has another status."""
        line = ""
        with self._lock:
            if run.status.ended or run.status is RunStatus.INTERRUPTED:
                began = self._running.pop(run.key, None)
                if run.status.ended:
                    self._ended[run.key] = run.status
                line = f"{run.key}: {self._result(run)}"
                if began is None:
                    line = ""  # told before
            elif run.status is not RunStatus.PENDING:
                started = self._running.get(run.key, (run.status, time.monotonic()))[1]
                if run.key not in self._running and self._live is None:
                    line = f"{run.key}: started" + (f" (attempt {run.attempt})" if run.attempt > 1 else "")
                self._running[run.key] = (run.status, started)
            done = len(self._ended)
        if line:
            self.on_notice(f"[{done}/{self._total}] {line}")

    def on_notice(self, line: str) -> None:
        """Something that the user should know."""
        if self._live is None:
            print_notice(line)
        else:
            self._console.print(Text(clean(line)))

    def set_note(self, note: str) -> None:
        """A line that stays under the display. Safe in a signal handler: takes no lock."""
        self._note = note

    def __rich_console__(self, console: Console, options: "ConsoleOptions") -> "RenderResult":
        with self._lock:
            running, done = list(self._running.items()), len(self._ended)
        yield Group(*self._display(running, done))

    def _display(self, running: list[tuple[RunKey, tuple[RunStatus, float]]], done: int) -> Iterable[RenderableType]:
        clock = time.monotonic()
        head = Table.grid(padding=(0, 1))
        passed = format_duration(clock - self._started)
        head.add_row(
            ProgressBar(total=max(1, self._total), completed=done, width=30),
            Text(f"{done} of {self._total} runs done, {len(running)} under way, {passed}"),
        )
        if self._total:
            yield head
        else:
            yield Text(f"starting, {passed}")
        table = Table.grid(padding=(0, 2))
        for key, (status, since) in running[:SHOWN_RUNNING]:
            row = (f"  {key.competition}", key.agent, f"seed {key.seed}", status, format_duration(clock - since))
            table.add_row(*(Text(clean(cell) if i else "  " + clean(cell)) for i, cell in enumerate(row)))
        if running:
            yield table
        if len(running) > SHOWN_RUNNING:
            yield Text(f"  and {len(running) - SHOWN_RUNNING} more")
        if self._note:
            yield Text(self._note, style="yellow")

    def _result(self, run: Run) -> str:
        """How a run ended, in a few words; the score is in its report."""
        words = [run.status.replace("_", " ")]
        report = None
        if self.directory is not None:
            layout = GroupLayout(self.directory).run(run.key.competition, run.key.agent, run.key.seed)
            try:
                report = RunReport.model_validate_json(layout.report.read_bytes())
            except (OSError, ValueError):
                report = None
        if run.outcome is not None and run.status.ended:
            words[0] += f" after {format_duration(run.outcome.runtime_s)}"
        if report is not None and run.status.ended:
            words += [report.message] if report.message else []
        elif run.outcome is not None and run.outcome.message:
            words.append(run.outcome.message)
        if report is not None and run.status.ended and report.competition_report is not None:
            graded = report.competition_report
            if graded.score is not None:
                words.append(f"score {graded.score:g}")
            elif verdict(graded) not in report.message:
                words.append(verdict(graded))
            if graded.any_medal:
                words.append(f"{graded.medal} medal")
        return ", ".join(words)


def _settled(directory: Path, group: RunGroup) -> dict[RunKey, str]:
    """The runs of a group that are over already, with their status."""
    from mleb_core.planning import unsettled

    open_keys = set(unsettled(directory, group))
    return {key: "done" for key in group.run_keys() if key not in open_keys}


def _is_number(cell: object) -> bool:
    text = str(cell).partition(" ± ")[0]
    return text == "-" or text.replace(".", "", 1).replace("-", "", 1).isdigit()
