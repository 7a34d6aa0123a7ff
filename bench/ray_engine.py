"""What the Ray engine costs: many short runs on a simulated cluster, next to the time that they take themselves.

    python bench/ray_engine.py --runs 200 --nodes 2 --cpus 2 --seconds 0.2
    python bench/ray_engine.py --runs 10000 --nodes 20 --cpus 4 --seconds 1     # what the engine is to hold: 16+ cores

A run here only sleeps: what is measured is handing out, hearing back and keeping count, not agents. `lost` is the share
of places x time, from the first run's start to the last one's end, in which no run slept. `memory` is the harness's
growth after the first tenth of the runs.
"""

import argparse
import os
import time

import psutil

from mleb_core.registry import Registry
from mleb_core.run import Run, RunKey, RunStatus, now
from mleb_core.runner.protocol import Stop

STORE = 80 * 1024**2


class Sleeper:
    """Sleeps, and says so."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self, key: RunKey, stop: Stop) -> Run:
        begun = now()
        time.sleep(self.seconds)
        return Run(key=key, group="bench", status=RunStatus.FINISHED, created_at=begun, started_at=begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--cpus", type=int, default=2, help="runs at a time on a node")
    parser.add_argument("--seconds", type=float, default=0.2)
    given = parser.parse_args()
    os.environ.update(RAY_AUTH_MODE="disabled", RAY_USAGE_STATS_ENABLED="0")
    from ray.cluster_utils import Cluster

    from mleb_ray.cluster import disconnect

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False},
    )
    for _ in range(given.nodes):
        cluster.add_node(num_cpus=given.cpus, object_store_memory=STORE)
    os.environ["MLEB_RAY_ADDRESS"] = cluster.address
    engine, process = Registry().engine("ray"), psutil.Process()
    places = given.nodes * given.cpus
    try:
        warm = [RunKey(competition="warm", agent="a", seed=seed) for seed in range(places * 4)]
        list(engine.spread(warm, Sleeper(0.5), workers=places * 2, stop=Stop()))
        keys = [RunKey(competition="bench", agent="a", seed=seed) for seed in range(given.runs)]
        begin, before = time.monotonic(), 0
        for number, _ in enumerate(engine.spread(keys, Sleeper(given.seconds), workers=places * 2, stop=Stop())):
            if number == given.runs // 10:
                before = process.memory_info().rss
        took = time.monotonic() - begin
    finally:
        disconnect()
        cluster.shutdown()
    ideal = given.runs * given.seconds / places
    print(
        f"{'runs':>8} {'places':>7} {'each':>7} {'took':>8} {'ideal':>8} {'a run more':>11} {'lost':>6} {'memory':>9}"
    )
    more = (took - ideal) * places / given.runs
    grown = (process.memory_info().rss - before) / 2**20
    print(
        f"{given.runs:>8} {places:>7} {given.seconds:>6.2f}s {took:>7.1f}s {ideal:>7.1f}s {more * 1000:>8.1f} ms "
        f"{1 - ideal / took:>6.1%} {grown:>5.1f} MiB"
    )


if __name__ == "__main__":
    main()
