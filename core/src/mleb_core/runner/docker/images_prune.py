"""Which images on the engine are mleb's, which of them are still of use, and the removal of the others.

An image is mleb's if it has the labels that mleb gives and a tag `mleb/<scaffold>:<hash>` that says the same, or if it
is what such a build left without a name. An image that somebody built on one of mleb's inherits its labels, but is
neither.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mleb_core.agent import Scaffold, image_of
from mleb_core.errors import PluginError, SandboxError
from mleb_core.runner.docker.client import telling
from mleb_core.runner.docker.images_base import base_context, base_name
from mleb_core.runner.docker.images_build import find
from mleb_core.runner.docker.images_context import BASE, HASH, LABELLED, SCAFFOLD, repository, scaffold_context

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["OwnImage", "own_images", "prune"]


@dataclass(frozen=True)
class OwnImage:
    """An image that mleb built."""

    reference: str
    """Its tag; its id where it has none."""
    scaffold: str
    """What it was built for: a scaffold's id, or the name of a base."""
    id: str
    """`sha256:...`."""
    size_bytes: int
    """With all that is under it, which it may share with others."""
    created: str
    """When, as the engine says."""
    state: str
    """current: what would be built today; in use: a container has it; old: something else would be built today; gone:
    its agent or its base is not here any more; broken off: left of a build that did not end."""

    @property
    def wanted(self) -> bool:
        """Whether `prune` keeps it."""
        return self.state in ("current", "in use")


def own_images(client: "DockerClient", scaffolds: Mapping[str, Scaffold]) -> list[OwnImage]:
    """Every image that mleb built on this engine, by name.

    Args:
        client: the engine.
        scaffolds: those that are installed, by id.

    Raises:
        SandboxError: the engine does not answer as it should.
    """
    with telling("images cannot be listed"):
        listed = client.api.images(filters={"label": f"{LABELLED}=1"})
        used = {container["ImageID"] for container in client.api.containers(all=True)}
    found = []
    for summary in listed:
        labels = summary.get("Labels") or {}
        details = find(client, summary["Id"])
        if details is None:
            continue  # removed meanwhile
        own = _own_tag(labels)
        if own in (summary.get("RepoTags") or ()):
            state = "in use" if summary["Id"] in used else _state(client, labels, scaffolds)
        elif details.get("RepoTags") or not _is_left_over(client, details, labels):
            continue
        else:
            own, state = summary["Id"], "in use" if summary["Id"] in used else "broken off"
        found.append(
            OwnImage(own, labels.get(SCAFFOLD, ""), summary["Id"], int(summary["Size"]), details["Created"], state)
        )
    return sorted(found, key=lambda image: image.reference)


def prune(client: "DockerClient", images: list[OwnImage]) -> tuple[list[OwnImage], list[str]]:
    """Remove those that are not wanted.

    Args:
        client: the engine.
        images: as `own_images` gives them.

    Returns:
        Those that were removed, and a line for each that could not be.
    """
    removed, failures = [], []
    # What stands on another first: an image that has others on it cannot be removed without a name.
    for image in sorted(images, key=lambda image: image.scaffold in _BASES):
        if image.wanted:
            continue
        try:
            with telling(f"image {image.reference} cannot be removed"):
                client.api.remove_image(image.reference)
        except SandboxError as error:
            if find(client, image.reference) is not None:
                failures.append(str(error))
                continue
        removed.append(image)
    return removed, failures


_BASES = (base_name(False), base_name(True))


def _own_tag(labels: Mapping[str, str]) -> str:
    return f"mleb/{repository(labels.get(SCAFFOLD, ''))}:{labels.get(HASH, '')}"


def _state(client: "DockerClient", labels: Mapping[str, str], scaffolds: Mapping[str, Scaffold]) -> str:
    """What has become of a tagged image that no container uses."""
    name, base = labels.get(SCAFFOLD, ""), labels.get(BASE)
    if base is None:
        return "current" if any(_own_tag(labels) == base_context(gpus).reference for gpus in (False, True)) else "old"
    under = find(client, base)
    if name not in scaffolds or under is None or not under.get("RepoTags"):
        return "gone"
    base_labels = (under.get("Config") or {}).get("Labels") or {}
    if _own_tag(base_labels) in under["RepoTags"] and _state(client, base_labels, scaffolds) != "current":
        return "old"
    try:
        if image_of(scaffolds[name]).reference is not None:
            return "old"
        return "current" if scaffold_context(scaffolds[name], base).hash == labels.get(HASH) else "old"
    except PluginError:
        return "current"  # cannot be told while its plugin is broken


def _is_left_over(client: "DockerClient", details: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether an image without a name is a step of a build of mleb's, or the loser of two builds at once.

    The hash label is the last step of a build: what stands before it has that of the base, or none.
    """
    parent = find(client, details["Parent"]) if details.get("Parent") else None
    if parent is None:
        return False
    if labels.get(HASH) != _label(parent, HASH):
        return True
    base = find(client, labels[BASE]) if BASE in labels else None
    return labels.get(HASH) == (_label(base, HASH) if base else None)


def _label(details: Mapping[str, Any], label: str) -> str | None:
    value: str | None = ((details.get("Config") or {}).get("Labels") or {}).get(label)
    return value
