"""Contract suites: what a plugin must keep, as test classes that its author subclasses.

    from mleb_core.testing import CompetitionContract

    class TestMyCompetition(CompetitionContract):
        id = "my-competition"

runs the whole suite under pytest (`pip install mleb-core[testing]`). The plugin must be installed, for it is
found over its entry point as a user's mleb would find it.

    competition.py   CompetitionContract     agent.py     AgentContract
    grader.py        GraderContract          runner.py    RunnerContract
    engine.py        EngineContract          audit.py     AuditContract
    tiny/            the small competition that agents and runners meet
    images.py        a container image made of this machine's files, for tests without a registry
"""

from mleb_core.testing.agent import AgentContract
from mleb_core.testing.audit import AuditContract
from mleb_core.testing.competition import CompetitionContract
from mleb_core.testing.engine import EngineContract
from mleb_core.testing.grader import GraderContract
from mleb_core.testing.runner import RunnerContract

__all__ = [
    "AgentContract",
    "AuditContract",
    "CompetitionContract",
    "EngineContract",
    "GraderContract",
    "RunnerContract",
]
