"""The observer `mlflow`: a run group is a parent run, each of its runs a child of it."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mleb_core.errors import UsageError

if TYPE_CHECKING:
    from mleb_core.observing.protocol import Session, Watched
    from mleb_mlflow.settings import Settings

__all__ = ["Mlflow", "tracking_uri"]

_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")


class Mlflow:
    """Tells MLflow."""

    id = "mlflow"
    summary = "MLflow: a parent run with a child for each run: configuration, scores, medals, tokens and resources."

    @property
    def settings_type(self) -> "type[Settings]":
        """The model of the settings; imported late because pydantic costs 100 ms."""
        from mleb_mlflow.settings import Settings

        return Settings

    def check(self, settings: Mapping[str, Any]) -> None:
        """Look whether the place can be used.

        Raises:
            UsageError: the address holds a password, or is a database and the libraries for that are not installed.
        """
        uri = tracking_uri(self.settings_type.model_validate(dict(settings)).tracking_uri)
        try:
            parts = urlsplit(uri)
            password = parts.password
        except ValueError as error:
            raise UsageError(f"observer mlflow: the tracking URI is none: {error}") from None
        if password is not None:
            raise UsageError(
                "observer mlflow: the tracking URI holds a password; give it as MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD"
            )
        if parts.scheme.partition("+")[0] in _DATABASES and find_spec("sqlalchemy") is None:
            raise UsageError(f"observer mlflow: {parts.scheme} needs the whole of MLflow; pip install mlflow")

    def open(self, watched: "Watched") -> "Session":
        """Begin to observe: the experiment and the parent run are made, or found again."""
        from mleb_mlflow.session import MlflowSession

        return MlflowSession(watched, self.settings_type.model_validate(dict(watched.settings)))


def tracking_uri(given: str | None) -> str:
    """Where MLflow keeps runs: as given, else as the environment says, else `mlruns` in the current directory."""
    uri = given or os.environ.get("MLFLOW_TRACKING_URI") or "mlruns"
    return uri if "://" in uri or uri in ("databricks", "databricks-uc", "uc") else Path(uri).absolute().as_uri()
