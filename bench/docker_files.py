"""A million small files from one agent in a container: what becomes of the run, and how long the harness takes.

python bench/docker_files.py [FILES [LIMIT]]
"""

import dataclasses
import shutil
import sys
import tempfile
import time
from pathlib import Path

import psutil
from common import table

from mleb_core.agent import Image
from mleb_core.run import Limits
from mleb_core.runner.docker import limits, runner
from mleb_core.runner.docker.runner import DockerRunner
from mleb_core.runner.protocol import Stop
from mleb_core.testing.images import make_test_image
from mleb_core.testing.runner import Script
from mleb_core.testing.tinies import tiny_job, tiny_prepared

CODE = """
import os
for n in range({files}):
    if n % 1000 == 0:
        os.mkdir(f"/home/code/{{n}}"); os.chdir(f"/home/code/{{n}}")
    os.close(os.open(str(n), os.O_CREAT))
open("/home/submission/submission.csv", "w").write("x")
"""


def main() -> None:
    """Run one agent that makes files."""
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    most = int(sys.argv[2]) if len(sys.argv) > 2 else limits.FILES
    bounds_of = limits.bounds_of
    runner.bounds_of = lambda asked: dataclasses.replace(bounds_of(asked), files=most)
    folder = Path(tempfile.mkdtemp(prefix="mleb-files-"))
    try:
        data, script = (
            tiny_prepared(folder / "data"),
            Script(CODE.format(files=files), Image(reference=make_test_image())),
        )
        job = tiny_job(folder / "group" / "tiny" / "script" / "0", data, script, limits=Limits(time_s=3600))
        before, started = psutil.Process().memory_info().rss, time.monotonic()
        outcome = DockerRunner().run(job, Stop())
        seconds = time.monotonic() - started
        rows = [
            ["how it ended", f"{outcome.status}: {outcome.message}"],
            ["seconds of the agent, and of all", f"{outcome.runtime_s:.0f}, {seconds:.0f}"],
            ["submission collected", str(job.layout.submission.is_file())],
            ["files of code collected", str(sum(path.is_file() for path in job.layout.code.rglob("*")))],
            ["refused", "; ".join(outcome.refused)],
            ["memory of the harness more by", f"{(psutil.Process().memory_info().rss - before) / 1e6:.0f} MB"],
        ]
        table(f"{files} small files, limit {most}", ["", "measured"], rows)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
