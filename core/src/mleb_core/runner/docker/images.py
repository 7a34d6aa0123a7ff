"""The image that an agent runs in: a base, and on it a layer for the scaffold, built once for the same content.

`image_of(scaffold)` says what a scaffold needs; images_context.py what that becomes, images_base.py what is under it.
Tags are `mleb/<scaffold>:<hash>`, so whatever is named by a tag has that content.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mleb_core.agent import Scaffold, image_of
from mleb_core.errors import RunnerError
from mleb_core.runner.docker.images_base import base_context
from mleb_core.runner.docker.images_build import build, find
from mleb_core.runner.docker.images_context import scaffold_context

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["BuiltImage", "build_base", "build_image", "ensure_image"]

Tell = Callable[[str], None]


@dataclass(frozen=True)
class BuiltImage:
    """An image that the engine has."""

    reference: str
    """Its name: a tag of mleb's, or what a scaffold or a user named."""
    digest: str
    """`sha256:...` of its content: the digest in its registry where it came from one, else the image's id."""
    python: str
    """The interpreter in it that has the scaffold's package."""


def ensure_image(
    client: "DockerClient",
    scaffold: Scaffold,
    *,
    base: str | None,
    gpus: bool,
    settings: Mapping[str, Any] | None = None,
) -> BuiltImage:
    """The image of a scaffold, ready to run. Cheap where it is there; thread-safe.

    It is built here only where that needs no network, which is where a scaffold asks for nothing but packages of
    this environment. An image that a scaffold names itself is taken as it is, whatever the base.

    Args:
        client: the engine.
        scaffold: whose image.
        base: image to build on instead of mleb's own.
        gpus: whether mleb's own base is the one for GPUs.
        settings: of the agent, on which its image may depend.

    Raises:
        RunnerError: an image is missing (the line has the command that helps), a build failed, no engine answers.
        PluginError: the scaffold's `image` asks for what cannot be.
    """
    image = image_of(scaffold, settings)
    if image.reference is not None:
        found = _present(client, image.reference, f"the image of agent {scaffold.id}")
        return BuiltImage(image.reference, _digest(found), image.python)
    context = scaffold_context(scaffold, _base(client, base, gpus), settings)
    made = find(client, context.reference)
    if made is None:
        if context.network:
            options = (f" --base {base}" if base else "") + (" --gpu" if gpus and not base else "")
            raise RunnerError(
                f"the image of agent {scaffold.id} is not built; run `mleb image build {scaffold.id}{options}`"
            )
        made = build(client, context)
    return BuiltImage(context.reference, _digest(made), image.python)


def build_image(
    client: "DockerClient", scaffold: Scaffold, *, base: str | None, gpus: bool, tell: Tell | None = None
) -> BuiltImage:
    """Build the image of a scaffold if it is not there, and mleb's base first; may use the network.

    Args:
        client: the engine.
        scaffold: whose image; one that it names itself must be there.
        base: image to build on instead of mleb's own; must be there.
        gpus: whether mleb's own base is the one for GPUs.
        tell: gets each line of the builds' output.

    Raises:
        RunnerError, PluginError: as `ensure_image`.
        UsageError: an index for pip in the environment has a password in it.
    """
    image = image_of(scaffold)
    if image.reference is None:
        if base is None:
            build_base(client, gpus=gpus, tell=tell)
        build(client, scaffold_context(scaffold, _base(client, base, gpus)), tell=tell)
    return ensure_image(client, scaffold, base=base, gpus=gpus)


def build_base(client: "DockerClient", *, gpus: bool, tell: Tell | None = None) -> BuiltImage:
    """Build mleb's base image if it is not there; needs the network.

    Args:
        client: the engine.
        gpus: the one for runs with GPUs.
        tell: gets each line of the build's output.

    Raises:
        RunnerError: it failed.
        UsageError: an index for pip in the environment has a password in it.
    """
    context = base_context(gpus)
    return BuiltImage(context.reference, _digest(build(client, context, tell=tell)), "python3")


def _base(client: "DockerClient", base: str | None, gpus: bool) -> str:
    """The id of the image to build on."""
    if base is not None:
        return str(_present(client, base, "the base image")["Id"])
    found = find(client, base_context(gpus).reference)
    if found is None:
        command = "mleb image build --gpu" if gpus else "mleb image build"
        raise RunnerError(f"mleb's base image is not built; run `{command}`, or name one that is here with --base")
    return str(found["Id"])


def _present(client: "DockerClient", reference: str, what: str) -> dict[str, Any]:
    found = find(client, reference)
    if found is None:
        raise RunnerError(f"{what} is not here; run `docker pull {reference}`")
    return found


def _digest(found: dict[str, Any]) -> str:
    digests = found.get("RepoDigests") or []
    return str(digests[0]).rpartition("@")[2] if digests else str(found["Id"])
