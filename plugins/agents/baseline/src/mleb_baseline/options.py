"""What the agent process is told by its environment."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Options", "OptionsError"]

DEFAULT_SECONDS = 24 * 3600.0
RESERVE = 0.15
"""Share of the time that is never planned with: reading, writing, and fits that take longer than foreseen."""


class OptionsError(Exception):
    """The environment is not one of a run; the message is one line."""


@dataclass(frozen=True)
class Options:
    """Where to read and write, and how long."""

    data: Path
    """The competition's public data."""
    submission: Path
    """Directory for submission.csv."""
    code: Path | None
    """Directory for solution.py."""
    logs: Path | None
    """Directory for journal.json."""
    seed: int
    """Seeds all that is random."""
    seconds: float
    """Wall-clock seconds in all."""
    models: tuple[str, ...] | None
    """Families of models to try; None: all."""
    n_jobs: int
    """Threads."""

    @property
    def working_seconds(self) -> float:
        """Seconds to plan with, the reserve taken off."""
        return self.seconds * (1 - RESERVE)

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Options":
        """Read the environment.

        Raises:
            OptionsError: MLEB_DATA or MLEB_SUBMISSION is not set, or a number or the settings cannot be read.
        """
        for name in ("MLEB_DATA", "MLEB_SUBMISSION"):
            if not environ.get(name):
                raise OptionsError(f"{name} is not set; start this agent with mleb eval")
        try:
            settings = json.loads(environ.get("MLEB_SETTINGS") or "{}")
            limits = [float(environ.get("TIME_LIMIT_SECS") or DEFAULT_SECONDS)]
            if settings.get("max_seconds") is not None:
                limits.append(float(settings["max_seconds"]))
            seed = int(environ.get("MLEB_SEED") or 0)
            models = tuple(settings["models"]) if settings.get("models") else None
            n_jobs = int(settings.get("n_jobs") or 1)
        except (ValueError, TypeError, AttributeError) as error:
            raise OptionsError(f"MLEB_SETTINGS, MLEB_SEED or TIME_LIMIT_SECS cannot be read: {error}") from None
        code, logs = environ.get("MLEB_CODE"), environ.get("MLEB_LOGS")
        return cls(
            data=Path(environ["MLEB_DATA"]),
            submission=Path(environ["MLEB_SUBMISSION"]),
            code=Path(code) if code else None,
            logs=Path(logs) if logs else None,
            seed=seed,
            seconds=max(min(limits), 0.1),
            models=models,
            n_jobs=n_jobs,
        )
