"""Core's own runner and engine keep the contracts that plugin authors run."""

from mleb_core.testing import EngineContract, RunnerContract


class TestLocalEngine(EngineContract):
    id = "local"


class TestLocalRunner(RunnerContract):
    id = "local"
