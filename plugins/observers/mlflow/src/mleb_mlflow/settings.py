"""What `--observe-set mlflow.KEY=VALUE` may say."""

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Settings"]


class Settings(BaseModel):
    """Keys are no settings: they come from the environment, as MLflow has it (MLFLOW_TRACKING_TOKEN and so on)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tracking_uri: str | None = Field(None, min_length=1)
    """The tracking server, or a directory; None: MLFLOW_TRACKING_URI, else `mlruns` in the current directory."""
    experiment: str = Field("mleb", min_length=1, max_length=500)
    """Experiment that the runs belong to; made if missing."""
    artifacts: bool = False
    """Whether the submission and the report of each run are kept there too."""
