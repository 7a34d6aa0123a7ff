"""Many short runs in one group on the Docker engine: the time of one, memory of the harness, and what is left behind.

python bench/docker_group.py [RUNS [AT_ONCE]]
"""

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
from common import table

from mleb_core.evaluate import EvalRequest, evaluate
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.run import Limits, Run, RunStatus
from mleb_core.runner.docker.client import connect
from mleb_core.terms import Terms
from mleb_core.testing.images import make_test_image

COMPETITION = "diabetes-progression"
COMMAND = 'cp "$MLEB_DATA/sample_submission.csv" "$MLEB_SUBMISSION/submission.csv"'


def main() -> None:
    """Run a group of short runs and count."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    at_once = int(sys.argv[2]) if len(sys.argv) > 2 else 16
    registry, process, client = Registry(), psutil.Process(), connect()
    with tempfile.TemporaryDirectory(prefix="m") as name:
        os.environ["XDG_RUNTIME_DIR"] = name
        place = Path(name)
        prepare(registry.competition(COMPETITION), place / "data")
        request = EvalRequest(
            agents=("command",),
            competitions=(COMPETITION,),
            data_dir=place / "data",
            output=place / "runs",
            seeds=runs,
            workers=at_once,
            runner="docker",
            terms=Terms(image=make_test_image()),
            settings={"command": COMMAND},
            limits=Limits(time_s=600, memory_bytes=128 * 1024**2),
        )
        memory: list[float] = []
        ended = threading.Lock()
        count = 0

        def on_change(run: Run) -> None:
            nonlocal count
            if run.status.ended:
                with ended:
                    count += 1
                    if count in {runs // 10, runs // 2, runs}:
                        memory.append(process.memory_info().rss / 1e6)

        started = time.monotonic()
        report = evaluate(request, registry, on_change=on_change)
        seconds = time.monotonic() - started
        left = client.api.containers(all=True, filters={"label": "mleb.run"})
        own = [one for one in left if Path(one["Labels"]["mleb.group"]).is_relative_to(place)]
        good = sum(run.status is RunStatus.FINISHED for run in report.runs)
    rows = [
        ["runs that finished", f"{good} of {runs}"],
        ["seconds a run", f"{seconds / runs:.3f}"],
        ["harness after a tenth, half, all of them", ", ".join(f"{size:.0f} MB" for size in memory)],
        ["containers left", str(len(own))],
        ["threads left", str(threading.active_count() - 1)],
        ["open files left", str(process.num_fds())],
    ]
    table(f"{runs} short runs in one group, {at_once} at once", ["", "measured"], rows)


if __name__ == "__main__":
    main()
