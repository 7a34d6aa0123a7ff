"""Runs agents as plain processes of this machine."""

from mleb_core.run import Limits, Outcome
from mleb_core.runner.protocol import Isolation, Job, Stop

__all__ = ["LocalRunner"]


class LocalRunner:
    """Runs agents as plain processes of this machine."""

    id = "local"
    summary = "a process on this machine; keeps time and memory, does not isolate"
    isolation = Isolation(files=False, network=False, memory=False, processes=False)

    def check(self, limits: Limits) -> None:
        """See `Runner.check`."""

    def run(self, job: Job, stop: Stop) -> Outcome:
        """See `Runner.run`."""
        raise NotImplementedError
