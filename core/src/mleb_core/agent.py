"""Scaffolds and agents: the programs that are measured.

A scaffold is an agent program (AIDE); an agent is a scaffold with a model and settings, id `aide/o1-preview`.
A scaffold never runs inside the harness: it describes a command, and a runner starts it where the run happens.

A whole plugin in two files:

    # mleb_hello/hooks.py                         # mleb_hello/__main__.py
    import mleb_core                              import os, shutil
                                                  shutil.copy(
    class Hello:                                      f"{os.environ['MLEB_DATA']}/sample_submission.csv",
        id = "hello"                                  f"{os.environ['MLEB_SUBMISSION']}/submission.csv")
        summary = "Hands in the sample."
        def variants(self):
            return ()
        def launch(self, context):
            return mleb_core.Launch([context.python, "-m", "mleb_hello"])

    @mleb_core.hookimpl
    def mleb_register_agents():
        return [Hello()]
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Protocol, runtime_checkable

from mleb_core.errors import MlebError, PluginError, UsageError

__all__ = [
    "AgentId",
    "AgentPaths",
    "Environment",
    "Image",
    "Launch",
    "LaunchContext",
    "Scaffold",
    "environment_of",
    "image_of",
    "launch_of",
]


@dataclass(frozen=True)
class AgentId:
    """`scaffold` or `scaffold/variant`."""

    scaffold: str
    variant: str | None = None

    @classmethod
    def parse(cls, text: str) -> "AgentId":
        """Read an agent id.

        Raises:
            UsageError: empty, or with characters that a directory name cannot hold.
        """
        scaffold, _, variant = text.partition("/")
        parts = [scaffold, variant] if "/" in text else [scaffold]
        for part in parts:
            if not part or part.startswith((".", "-")) or not all(c.isalnum() or c in "._-" for c in part):
                raise UsageError(
                    f"{text!r} is no agent id; expected SCAFFOLD or SCAFFOLD/VARIANT of letters, digits, . _ -"
                )
        return cls(scaffold, variant or None)

    def __str__(self) -> str:
        return self.scaffold if self.variant is None else f"{self.scaffold}/{self.variant}"


@dataclass(frozen=True)
class AgentPaths:
    """Where things are, as the agent sees them (a container's paths are not the host's)."""

    home: PurePosixPath
    """Private home directory, writable."""
    data: PurePosixPath
    """The competition's public data, with description.md; read-only where the runner can."""
    submission: PurePosixPath
    """Writable; `submission.csv` in it is what counts."""
    code: PurePosixPath
    """Writable; code worth keeping. Collected."""
    logs: PurePosixPath
    """Writable; logs and journals worth keeping. Collected."""
    instructions: PurePosixPath
    """The text file that tells the agent what to do."""
    validate: PurePosixPath | None = None
    """The script that asks the submission checker about a file; None: there is no checker."""


@dataclass(frozen=True)
class LaunchContext:
    """What a scaffold knows when it describes its command."""

    competition_id: str
    """Neutral when the run is obfuscated."""
    seed: int
    """Repetition index, 0-based."""
    variant: str | None
    """What stands behind the slash of the agent id."""
    model: str | None
    """Model asked for with --model."""
    settings: Mapping[str, Any]
    """Settings asked for with --set, validated against `settings_type` where the scaffold has one."""
    time_limit_s: float
    """Wall-clock seconds that the agent gets."""
    step_limit: int | None
    """Steps that the agent gets; None: as many as it likes."""
    paths: AgentPaths
    """Where things are."""
    python: str
    """A Python interpreter, where the run happens: in an image, the one that `Image.python` names; on this machine, the
    one of the scaffold's `environment`, else the harness's own, which has the scaffold's own package."""


@dataclass(frozen=True)
class Launch:
    """How to start an agent. The runner adds the environment of the run (MLEB_*, HOME, TIME_LIMIT_SECS, ...)."""

    argv: Sequence[str]
    """Program and arguments."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Further environment variables."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Files to put into the agent's home first, by relative path."""


@dataclass(frozen=True)
class Image:
    """What a scaffold's container image holds beyond mleb's base image; container runners alone look at it."""

    packages: Sequence[str] = ()
    """Import packages that are copied into the image as they are installed here, such as the plugin's own."""
    requirements: Sequence[str] = ()
    """What pip installs for them, pinned (`aideml==0.2.2`)."""
    dockerfile: str = ""
    """Further Dockerfile instructions (RUN, COPY, ENV), before requirements and packages."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """What COPY can take, by relative path."""
    python: str = "python3"
    """The interpreter in the image that has the scaffold's package."""
    reference: str | None = None
    """An image that is used as it is instead of a built one; its Python is `python`."""
    privileged: bool = False
    """Needs a privileged container, which a user must allow and a report marks."""


@dataclass(frozen=True)
class Environment:
    """A Python environment that a scaffold's program needs for itself on this machine; runners without images make it
    on first use (`mleb_core.environments`), and `LaunchContext.python` is then its interpreter.
    """

    name: str
    """What it is called in messages and on disk; letters, digits and `-`."""
    requirements: Sequence[str]
    """What pip installs, each pinned with `==` or `@`; with all that they require."""
    alone: Sequence[str] = ()
    """What pip installs after that without what it requires, pinned: for a distribution that asks for too much."""
    least: tuple[int, int] = (3, 11)
    """The oldest Python that fits, (major, minor)."""
    most: tuple[int, int] = (3, 13)
    """The newest Python that fits."""
    size: str = ""
    """About how large it is, for people: `400 MB`."""


@runtime_checkable
class Scaffold(Protocol):
    """An agent program.

    Optional attributes: `settings_type`, a pydantic model class of its settings; `image`, an `Image` or a function of
    the settings that gives one (without it, the scaffold's own package on mleb's base image); `environment`, an
    `Environment` or a function of the settings that gives one (without it, the harness's own interpreter);
    `models(variant)`, the models that a variant stands for, as `provider/name` or such names by alias.
    """

    id: str
    """First part of its agents' ids."""
    summary: str
    """One line for listings."""

    def variants(self) -> Iterable[str]:
        """Variants known by name, such as models with published settings; may be empty."""
        ...

    def launch(self, context: LaunchContext) -> Launch:
        """Describe the command of one run; start nothing. Also asked before any run, to see what is refused.

        Raises:
            UsageError: the variant, model or settings are not usable.
        """
        ...


def launch_of(scaffold: Scaffold, context: LaunchContext) -> Launch:
    """Ask a scaffold for its command.

    Raises:
        MlebError: as the scaffold raises it, such as UsageError for a model that it does not take.
        PluginError: it raised anything else; one line.
    """
    try:
        return scaffold.launch(context)
    except MlebError:
        raise
    except Exception as error:
        text = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise PluginError(f"agent {scaffold.id} cannot say how it is started: {text}") from error


def image_of(scaffold: Scaffold, settings: Mapping[str, Any] | None = None) -> Image:
    """What a scaffold's image holds: what it declares, else the top package that its class comes from.

    Raises:
        PluginError: its `image` is no `Image` and gives none.
    """
    declared = getattr(scaffold, "image", None)
    if declared is None:
        return Image(packages=(type(scaffold).__module__.partition(".")[0],))
    image = declared(settings or {}) if callable(declared) else declared
    if not isinstance(image, Image):
        raise PluginError(f"agent {scaffold.id}: its image is a {type(image).__name__}, expected mleb_core.agent.Image")
    return image


def environment_of(scaffold: Scaffold, settings: Mapping[str, Any] | None = None) -> Environment | None:
    """The Python environment that a scaffold asks for on this machine; None: the harness's own does.

    Raises:
        PluginError: its `environment` is no `Environment` and gives none.
    """
    declared = getattr(scaffold, "environment", None)
    found = declared(settings or {}) if callable(declared) else declared
    if found is not None and not isinstance(found, Environment):
        kind = type(found).__name__
        raise PluginError(f"agent {scaffold.id}: its environment is a {kind}, expected mleb_core.agent.Environment")
    return found
