"""What a local run costs beyond its agent's own time: 50 runs of /bin/true, and /bin/true alone beside it.

As in a group, runs leave their links to large data to the next one; in the last row there is none before.

python bench/local_runner.py [RUNS]
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mleb_core import Launch, LaunchContext
from mleb_core.layout import RunLayout
from mleb_core.run import Limits, RunKey
from mleb_core.runner.local import LocalRunner
from mleb_core.runner.protocol import Job, Stop

TARGET_MS = 30.0


class Nothing:
    """An agent that does nothing."""

    id = "nothing"
    summary = "does nothing"

    def variants(self) -> tuple[str, ...]:
        return ()

    def launch(self, context: LaunchContext) -> Launch:
        return Launch(["/bin/true"])


def main() -> None:
    """Measure and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    alone = [timed(lambda: subprocess.run(["/bin/true"], check=True)) for _ in range(runs)]
    with tempfile.TemporaryDirectory() as folder:
        few, many = Path(folder, "few"), Path(folder, "many")
        make_data(few, 3)
        make_data(many, 1800)
        rows = [("/bin/true alone", alone)]
        rows += [
            (name, [one_run(Path(folder), public, Path(folder, spare.format(number))) for number in range(runs)])
            for name, public, spare in (
                ("run, 3 data files", few, "spare-few"),
                ("run, 1,800 data files", many, "spare-many"),
                ("a group's first run", many, "spare-first-{}"),
            )
        ]
    own = statistics.median(alone)
    print(f"{'':24}{'median ms':>11}{'p95 ms':>11}{'overhead ms':>13}   target: at most {TARGET_MS:g} ms")
    for name, times in rows:
        p95 = statistics.quantiles(times, n=20)[-1]
        print(f"{name:24}{statistics.median(times):11.2f}{p95:11.2f}{statistics.median(times) - own:13.2f}")


def make_data(public: Path, files: int) -> None:
    """Write a competition's public data of some small files."""
    public.mkdir()
    for number in range(files):
        (public / f"{number}.csv").write_bytes(b"id,target\n" * 50)


def one_run(folder: Path, public: Path, spare: Path) -> float:
    """Milliseconds of one run from call to return; `spare` as in `Job`."""
    with tempfile.TemporaryDirectory(dir=folder) as root:
        job = Job(
            key=RunKey(competition="nothing", agent="nothing", seed=0),
            layout=RunLayout(Path(root)),
            public=public,
            description="",
            instructions="",
            scaffold=Nothing(),
            variant=None,
            model=None,
            settings={},
            limits=Limits(memory_bytes=1 << 30),
            env={},
            spare=spare,
        )
        return timed(lambda: LocalRunner().run(job, Stop()))


def timed(action: object) -> float:
    """Milliseconds that a call takes."""
    assert callable(action)
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1000


if __name__ == "__main__":
    main()
