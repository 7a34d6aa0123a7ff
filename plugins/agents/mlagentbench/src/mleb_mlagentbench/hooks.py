"""Entry point: registers the research agent of MLAgentBench."""

from collections.abc import Iterable

from mleb_core.hookspecs import hookimpl
from mleb_mlagentbench.scaffold import MLAgentBench


@hookimpl
def mleb_register_agents() -> Iterable[MLAgentBench]:
    """The research agent."""
    return [MLAgentBench()]
