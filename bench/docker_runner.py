"""What a run in a container costs beside plain `docker run` of the same image; needs a Docker engine.

python bench/docker_runner.py [RUNS [AT_ONCE]]
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import table

from mleb_core import Launch, LaunchContext
from mleb_core.agent import Image
from mleb_core.layout import RunLayout
from mleb_core.run import Limits, RunKey, RunStatus
from mleb_core.runner.docker.client import connect
from mleb_core.runner.docker.runner import DockerRunner
from mleb_core.runner.protocol import Job, Stop
from mleb_core.testing.images import make_test_image

TARGET = 1.5


class Nothing:
    """An agent that does nothing."""

    id = "nothing"
    summary = "does nothing"

    def __init__(self, reference: str) -> None:
        self.image = Image(reference=reference)

    def variants(self) -> tuple[str, ...]:
        return ()

    def launch(self, context: LaunchContext) -> Launch:
        return Launch(["true"])


def main() -> None:
    """Measure one way after the other in turn, so that what else the machine does falls on all alike."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    at_once = int(sys.argv[2]) if len(sys.argv) > 2 else 64
    reference = make_test_image()
    runner, client = DockerRunner(), connect()

    def by_command(network: str) -> None:
        subprocess.run(["docker", "run", "--rm", "--network", network, reference, "true"], check=True)

    def by_library(_: int = 0) -> None:
        made = client.api.create_container(
            reference, ["true"], host_config=client.api.create_host_config(network_mode="none")
        )
        client.api.start(made["Id"])
        client.api.wait(made["Id"])
        client.api.remove_container(made["Id"])

    with tempfile.TemporaryDirectory() as folder:
        public = Path(folder, "public")
        public.mkdir()
        for name in ("description.md", "train.csv", "test.csv"):
            (public / name).write_text("a,b\n" * 100)
        numbers = iter(range(10**6))

        def by_mleb(_: int = 0) -> None:
            layout = RunLayout(Path(folder, "runs", "c", "a", str(next(numbers))))
            layout.root.mkdir(parents=True)
            job = Job(
                key=RunKey(competition="c", agent="nothing", seed=0),
                layout=layout,
                public=public,
                description="",
                instructions="",
                scaffold=Nothing(reference),
                variant=None,
                model=None,
                settings={},
                limits=Limits(time_s=600, memory_bytes=1 << 30),
                env={},
            )
            outcome = runner.run(job, Stop())
            assert outcome.status is RunStatus.FINISHED, outcome.message

        ways: dict[str, Callable[[], object]] = {
            "docker run --rm": lambda: by_command("bridge"),
            "docker run --rm --network none": lambda: by_command("none"),
            "docker-py: create, start, wait, remove": by_library,
            "mleb": by_mleb,
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(runs + 1):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                if turn:  # the first warms up
                    taken[name].append((time.perf_counter() - start) * 1000)
        base = statistics.median(taken["docker run --rm --network none"])
        rows = [
            (name, f"{statistics.median(ms):.0f}", f"{max(ms):.0f}", f"{statistics.median(ms) / base:.2f}")
            for name, ms in taken.items()
        ]
        table(f"One at a time, {runs} runs; target: at most {TARGET}", ("", "median ms", "max ms", "ratio"), rows)

        rows, base = [], 0.0
        for name, way in (("docker-py", by_library), ("mleb", by_mleb)):
            start = time.perf_counter()
            with ThreadPoolExecutor(at_once) as pool:
                list(pool.map(way, range(at_once)))
            seconds = time.perf_counter() - start
            base = base or seconds
            rows.append((name, f"{seconds:.1f}", f"{seconds / at_once * 1000:.0f}", f"{seconds / base:.2f}"))
        table(f"{at_once} at once", ("", "s", "ms a run", "ratio"), rows)
    client.close()


if __name__ == "__main__":
    main()
