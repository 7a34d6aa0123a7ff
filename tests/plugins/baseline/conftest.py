"""Runs the baseline agent as a real process on made data."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

DIRECTORIES = {"HOME": "home", "TMPDIR": "tmp", "MLEB_DATA": "data", "MLEB_SUBMISSION": "submission",
               "MLEB_CODE": "code", "MLEB_LOGS": "logs"}  # fmt: skip


@dataclass
class Done:
    """What a run left."""

    code: int
    output: str
    root: Path

    @property
    def submission(self) -> pd.DataFrame:
        return pd.read_csv(self.root / "submission" / "submission.csv", dtype=str, keep_default_na=False)

    @property
    def journal(self) -> dict:
        return json.loads((self.root / "logs" / "journal.json").read_text())


def environment(root: Path, **settings: object) -> dict[str, str]:
    """The environment of a run whose directories are below `root`."""
    env = {"COMPETITION_ID": "made", "MLEB_SEED": "0", "MLEB_RUN_ID": "r", "TIME_LIMIT_SECS": "120"}
    for variable, name in DIRECTORIES.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        env[variable] = str(root / name)
    if settings:
        env["MLEB_SETTINGS"] = json.dumps(settings)
    return env


@pytest.fixture
def agent_environment(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """The environment of a run below tmp_path; keyword arguments are settings."""
    return lambda **settings: environment(tmp_path, **settings)


@pytest.fixture
def run_baseline(tmp_path: Path) -> Callable[..., Done]:
    """Run the agent on the data in tmp_path/data; keyword arguments are its settings."""

    def run(*, time_limit: float = 120, seed: int = 0, **settings: object) -> Done:
        env = environment(tmp_path, **({"models": ["linear", "neighbours"]} | settings))
        env |= {"TIME_LIMIT_SECS": str(time_limit), "MLEB_SEED": str(seed)}
        done = subprocess.run(
            [sys.executable, "-m", "mleb_baseline"],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        output = done.stdout.decode()
        assert "Traceback" not in output, output
        return Done(done.returncode, output, tmp_path)

    return run
