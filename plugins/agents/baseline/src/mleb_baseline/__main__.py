"""The baseline agent: `python -m mleb_baseline` in the environment of a run."""

import json
import os
import sys


def main() -> int:
    """Set the number of threads before numpy is imported (it reads it once), then work.

    Returns:
        0 when a submission was left, else 1.
    """
    try:
        threads = str(int(json.loads(os.environ.get("MLEB_SETTINGS") or "{}").get("n_jobs") or 1))
    except (ValueError, AttributeError, TypeError):
        threads = "1"
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"):
        os.environ[name] = threads
    from mleb_baseline.guard import Guard

    guard = Guard(float("inf"))
    from mleb_baseline.agent import work

    return work(os.environ, guard)


if __name__ == "__main__":
    sys.exit(main())
