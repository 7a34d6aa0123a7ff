"""Many short runs in one group on the Docker engine: the time of one, memory of the harness, and what is left behind.

What is left is counted before and after: containers, networks and volumes of the engine, threads and open files of the
harness, temporary files. One run goes ahead of the first count, for what a process makes once and keeps.

python bench/docker_group.py [RUNS [AT_ONCE]]
"""

import dataclasses
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from common import table

from mleb_core.evaluate import EvalRequest, evaluate
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.run import Limits, Run, RunStatus
from mleb_core.runner.docker.client import connect
from mleb_core.terms import Terms
from mleb_core.testing.images import make_test_image

if TYPE_CHECKING:
    from docker import DockerClient

COMPETITION = "diabetes-progression"
COMMAND = 'cp "$MLEB_DATA/sample_submission.csv" "$MLEB_SUBMISSION/submission.csv"'


def counts(client: "DockerClient", process: psutil.Process, temporary: Path, place: Path) -> dict[str, int]:
    """What could leak, by kind."""
    found = client.api.containers(all=True, filters={"label": "mleb.run"})
    return {
        "containers": sum(Path(one["Labels"]["mleb.group"]).is_relative_to(place) for one in found),
        "networks": len(client.api.networks()),
        "volumes": len(client.api.volumes()["Volumes"] or ()),
        "threads": threading.active_count(),
        "open files": process.num_fds(),
        "temporary files": len(list(temporary.rglob("*"))),
        "places of agents": len(list(place.glob("runs/*/.places/*"))),
    }


def main() -> None:
    """Run a group of short runs and count."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    at_once = int(sys.argv[2]) if len(sys.argv) > 2 else 16
    registry, process, client = Registry(), psutil.Process(), connect()
    with tempfile.TemporaryDirectory(prefix="m") as name:
        place, temporary = Path(name), Path(name, "t")
        temporary.mkdir()
        os.environ["XDG_RUNTIME_DIR"] = tempfile.tempdir = str(temporary)
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

        evaluate(dataclasses.replace(request, seeds=1), registry)
        before = counts(client, process, temporary, place)
        started = time.monotonic()
        report = evaluate(request, registry, on_change=on_change)
        seconds = time.monotonic() - started
        ends = time.monotonic() + 30
        while (after := counts(client, process, temporary, place)) != before and time.monotonic() < ends:
            time.sleep(1)  # connections that are being closed
        good = sum(run.status is RunStatus.FINISHED for run in report.runs)
    rows = [
        ["runs that finished", f"{good} of {runs}"],
        ["seconds a run", f"{seconds / runs:.3f}"],
        ["harness after a tenth, half, all of them", ", ".join(f"{size:.0f} MB" for size in memory)],
        *([f"{kind}, before and after", f"{number}, {after[kind]}"] for kind, number in before.items()),
    ]
    table(f"{runs} short runs in one group, {at_once} at once", ["", "measured"], rows)


if __name__ == "__main__":
    main()
