"""What a run of a group costs on the local runner beyond its agent's own time: ledger, gateway, grading and report too.

python bench/local_group.py [RUNS]

The agent is a shell that copies the sample submission; its own time, alone, is taken off. One run at a time. The cost
of a run is the difference of a long group and a short one, so that what a group costs once (its plan, the checksums of
its data, the servers, the child that grades) is told apart. A group's first run is told apart as well: its cost is that
of the others, and what it took longer than their median until its submission was there to be graded.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import seconds, table

from mleb_core.evaluate import EvalRequest, evaluate
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.run import Limits, Run, RunStatus

COMPETITIONS = ("diabetes-progression", "handwritten-digits")
COMMAND = 'cp "$MLEB_DATA/sample_submission.csv" "$MLEB_SUBMISSION/submission.csv"'
SHORT = 5
TARGET_MS = 30.0


def main() -> None:
    """Measure and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    registry, rows = Registry(), []
    with tempfile.TemporaryDirectory() as root:
        place = Path(root)
        for id in COMPETITIONS:
            public = prepare(registry.competition(id), place / "data").public
            own = agent_alone(public, place)
            short = [group(registry, id, place, SHORT) for _ in range(5)]
            long, _ = group(registry, id, place, SHORT + runs)
            brief = statistics.median(taken for taken, _ in short)
            cost = (long - brief) / runs
            once = brief - SHORT * cost
            first = cost - own + statistics.median(more for _, more in short)
            files = sum(1 for path in public.rglob("*") if path.is_file())
            rows.append(
                [f"{id} ({files:,} files)", *(f"{part * 1000:.1f}" for part in (own, cost, cost - own, first, once))],
            )
    head = ["data", "agent alone, ms", "a run, ms", "beyond its agent, ms", "the first run, ms", "a group once, ms"]
    table(f"Groups of {runs} runs, one at a time; target: at most {TARGET_MS:g} ms beyond the agent", head, rows)


def agent_alone(public: Path, place: Path) -> float:
    """Seconds that the agent takes without a harness."""
    env = {"MLEB_DATA": str(public), "MLEB_SUBMISSION": str(place), "PATH": "/usr/bin:/bin"}
    return seconds(lambda: subprocess.run(["/bin/sh", "-c", COMMAND], check=True, env=env), 50)


def group(registry: Registry, id: str, place: Path, runs: int) -> tuple[float, float]:
    """Seconds that a group takes from its plan to its report, and how many its first run takes more than the others."""
    changes: dict[int, list[float]] = {}

    def told(run: Run) -> None:
        if run.status in {RunStatus.PREPARING, RunStatus.GRADING}:
            changes.setdefault(run.key.seed, []).append(time.perf_counter())

    request = EvalRequest(
        agents=("command",),
        competitions=(id,),
        data_dir=place / "data",
        output=place / "runs",
        seeds=runs,
        workers=1,
        settings={"command": COMMAND},
        limits=Limits(time_s=60),
    )
    start = time.perf_counter()
    report = evaluate(request, registry, on_change=told)
    taken = time.perf_counter() - start
    assert all(run.status is RunStatus.FINISHED for run in report.runs)
    first, *others = [graded - begun for _, (begun, graded) in sorted(changes.items())]
    return taken, first - statistics.median(others)


if __name__ == "__main__":
    main()
