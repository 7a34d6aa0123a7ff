"""Grading 1,000 small submissions in the limited child process. Aim: at most 5 ms each beyond the metric."""

import tempfile
import time
from pathlib import Path

from common import table

from mleb_core.grading.grade import grade_submission
from mleb_core.grading.pool import GradingPool
from mleb_core.prepare import prepare
from mleb_core.registry import Registry

SUBMISSIONS = 1000


def main() -> None:
    """Print the table."""
    import numpy as np

    from mleb_metrics.classification import accuracy

    registry = Registry()
    competition = registry.competition("titanic-survival")
    with tempfile.TemporaryDirectory() as root:
        data_dir = Path(root)
        sample = prepare(competition, data_dir).public / competition.spec.grading.sample
        files = [Path(root) / f"{number}.csv" for number in range(SUBMISSIONS)]
        for path in files:
            path.write_bytes(sample.read_bytes())
        labels = np.zeros(524, dtype=int)
        start = time.perf_counter()
        for _ in files:
            accuracy(labels, labels)
        metric = time.perf_counter() - start
        rows = []
        for name, grade in {
            "in this process": lambda path: grade_submission(path, competition, data_dir, registry),
            "in a limited child": None,
        }.items():
            with GradingPool() as pool:
                call = grade or (lambda path, pool=pool: pool.grade(competition, path, data_dir))
                assert call(files[0]).valid  # the first one pays for imports
                start = time.perf_counter()
                assert all(call(path).valid for path in files)
                taken = time.perf_counter() - start
            rows.append((name, f"{taken:.2f}", f"{1000 * (taken - metric) / SUBMISSIONS:.2f}"))
    table(f"{SUBMISSIONS:,} submissions of 524 rows", ("where", "seconds", "ms each beyond the metric"), rows)


if __name__ == "__main__":
    main()
