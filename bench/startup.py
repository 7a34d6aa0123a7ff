"""How long `mleb --help` and `mleb list competitions` take, as a multiple of `python -c pass`. Aim: at most 8."""

import statistics
import sys
from pathlib import Path

from common import command, table

MLEB = str(Path(sys.executable).with_name("mleb"))


def main() -> None:
    """Print the table."""
    rows, base = [], 0.0
    for name, arguments in {
        "python -c pass": (sys.executable, "-c", "pass"),
        "mleb --help": (MLEB, "--help"),
        "mleb list competitions": (MLEB, "list", "competitions"),
        "mleb list agents": (MLEB, "list", "agents"),
        "mleb eval --help": (MLEB, "eval", "--help"),
    }.items():
        taken = statistics.median(command(*arguments)[0] for _ in range(15))
        base = base or taken
        rows.append((name, f"{1000 * taken:.1f}", f"{taken / base:.1f}"))
    table("Start-up", ("command", "ms (median)", "x python"), rows)


if __name__ == "__main__":
    main()
