"""Settings of OpenHands, as the harness checks them (`--set KEY=VALUE`).

The MLE-bench paper (arXiv 2410.07095, its appendix on scaffolds) ran OpenDevin's CodeActAgent with at most 500 steps in
24 hours. What it leaves open is as in openhands-sdk 1.58.0.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

__all__ = ["Settings"]

Requirement = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][^\s]*(==|@)\S+$")]


class Settings(BaseModel):
    """What a user may set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(default=500, ge=1)
    """Replies of the model at most, each with its commands (`max_iteration_per_run`; the published 500)."""
    nudges: int = Field(default=3, ge=0)
    """How often in a row the agent is asked to go on when it stops without having called `finish`, or without a
    submission, or goes round in circles. OpenHands alone would wait for its user."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """Temperature of the model (`LLM.temperature`); None: what the provider takes for one."""
    reasoning_effort: Literal["none", "low", "medium", "high", "xhigh"] | None = None
    """How long a model that reasons does so (`LLM.reasoning_effort`); None: `high`, as OpenHands has it, for models
    known to reason, and nothing is said to others."""
    api: Literal["auto", "chat", "responses"] = "auto"
    """Which of OpenAI's interfaces the model is asked by (`LLM.api_mode`); auto: as OpenHands does for this model."""
    native_tools: bool = True
    """Whether the model gets tools as such; else they are described in the prompt (`LLM.native_tool_calling`), for
    models that have none, such as o1-preview."""
    model_s: int = Field(default=1800, ge=1)
    """Wall-clock seconds of one reply at most (`LLM.timeout`; the SDK's own 300 cut off models that reason long)."""
    model_tries: int = Field(default=5, ge=1)
    """Requests in a row that may fail before OpenHands is ended (`LLM.num_retries`), beyond what the gateway
    tries again itself."""
    model_wait_s: int = Field(default=8, ge=0)
    """Seconds before the first of these tries; later ones wait up to eight times as long."""
    silent_s: int = Field(default=30, ge=1)
    """After so many seconds without output the agent is asked whether its command is to go on, unless it gave the
    command a time (`no_change_timeout_seconds`)."""
    packages: tuple[Requirement, ...] = ()
    """Further libraries for programs, pinned (`["lightgbm==4.7.0"]`), for the local runner; an image has those of the
    image that it is built on."""
