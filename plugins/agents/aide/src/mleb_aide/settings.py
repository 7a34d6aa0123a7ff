"""Settings of AIDE, as the harness checks them (`--set KEY=VALUE`).

Defaults are those that the MLE-bench paper (arXiv 2410.07095, its appendix on scaffolds) ran AIDE with: many steps, 9
hours for one program, deep and certain debugging. What it leaves open is as in aideml 0.2.2.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

__all__ = ["Settings"]

Requirement = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][^\s]*(==|@)\S+$")]


class Settings(BaseModel):
    """What a user may set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(default=500, ge=1)
    """Programs that AIDE writes at most (`agent.steps`; the published 500)."""
    exec_s: float = Field(default=32400, gt=0)
    """Wall-clock seconds of one program at most (`exec.timeout`; the published 9 hours), never more than are left."""
    max_debug_depth: int = Field(default=20, ge=0)
    """How often in a row a faulty program is debugged (`agent.search.max_debug_depth`; published 20, aideml's 3)."""
    debug_prob: float = Field(default=1.0, ge=0, le=1)
    """How likely a faulty program is debugged, not left (`agent.search.debug_prob`; published 1, aideml's 0.5)."""
    num_drafts: int = Field(default=5, ge=1)
    """First drafts before the search improves one (`agent.search.num_drafts`; aideml's own 5)."""
    k_fold_validation: int = Field(default=5, ge=1)
    """Folds that programs are asked to validate with; 1: AIDE does not say (`agent.k_fold_validation`)."""
    data_preview: bool = True
    """Whether the model is shown an overview of the data (`agent.data_preview`)."""
    expose_prediction: bool = False
    """Whether programs are asked for a function `predict` (`agent.expose_prediction`)."""
    code_temp: float = Field(default=0.5, ge=0, le=2)
    """Temperature of the model that writes programs; left out for models that take none, such as o1."""
    feedback_temp: float = Field(default=0.5, ge=0, le=2)
    """Temperature of the model that reviews their output."""
    role: Literal["system", "user"] | None = None
    """Role of AIDE's one message a request. aideml says `system`, which o1-preview and Anthropic's models do not take
    alone; None: `user` for those, `system` for the others."""
    copy_data: bool = False
    """Whether the data is copied for AIDE instead of linked; it takes the room and time of all of it."""
    model_tries: int = Field(default=8, ge=1)
    """Requests in a row that may fail before AIDE is ended, beyond what the gateway tries again itself; the pauses
    between them grow to 60 s. aideml alone tries for ever."""
    step_tries: int = Field(default=5, ge=1)
    """Steps in a row that may fail, as when a model's reply cannot be read, before AIDE is ended."""
    packages: tuple[Requirement, ...] = ()
    """Further libraries for programs, pinned (`["lightgbm==4.6.0"]`), for the local runner; an image has those of the
    image that it is built on."""
