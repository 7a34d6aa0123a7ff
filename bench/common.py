"""What the benchmarks share: a table, and the time and memory of a child process."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows in aligned columns."""
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    print(f"\n{title}")
    for row in cells:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def seconds(call: Callable[[], object], times: int = 5) -> float:
    """Median wall-clock seconds of a call."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def least(ways: Sequence[Callable[[], float]], turns: int) -> list[tuple[float, float, float]]:
    """Call ways in turns; of each: the least seconds of processor time, of wall-clock time, and what comes out."""
    found = [(float("inf"), float("inf"), float("nan"))] * len(ways)
    for _ in range(turns):
        for number, way in enumerate(ways):
            wall, start = time.perf_counter(), time.process_time()
            result = way()
            used, passed = time.process_time() - start, time.perf_counter() - wall
            found[number] = min(found[number][0], used), min(found[number][1], passed), result
    return found


def versus(name: str, count: int, slow: tuple[float, float, float], fast: tuple[float, float, float]) -> list[str]:
    """A row of a table that compares two ways, for the columns `VERSUS`."""
    times = (f"{slow[0]:.2f}", f"{fast[0]:.2f}", f"{slow[0] / fast[0]:.1f}", f"{slow[1] / fast[1]:.1f}")
    return [name, f"{count:,}", *times]


VERSUS = ("what", "rows", "plain, CPU s", "mleb, CPU s", "times less CPU", "times less wall clock")


def command(*arguments: str) -> tuple[float, float]:
    """Run a command.

    Returns:
        Wall-clock seconds and the peak resident memory in MB.
    """
    start = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""})
    _, status, usage = os.wait4(process.pid, 0)
    taken = time.perf_counter() - start
    if status:
        sys.exit(f"{' '.join(arguments)} failed")
    scale = 1024 if sys.platform != "darwin" else 1024 * 1024
    return taken, usage.ru_maxrss / scale
