"""mleb's own base images: what every agent finds beside its own program.

    base         CPU: Python 3.12 on Debian, and the libraries of dockerfiles/requirements.txt
    base-cuda    the same with NVIDIA's runtime libraries, Python 3.12 on Ubuntu

Both have the user `agent` (uid 1000), the folders of a run under /home, and `python3` first in PATH.
"""

from importlib import resources

from mleb_core.runner.docker.images_context import LABELLED, SCAFFOLD, Context
from mleb_core.runner.docker.images_packages import File

__all__ = ["base_context", "base_name"]

FILES = ("requirements.txt", "constraints.txt")


def base_name(gpus: bool) -> str:
    """Name of the base image for runs with or without GPUs."""
    return "base-cuda" if gpus else "base"


def base_context(gpus: bool) -> Context:
    """What the base image for runs with or without GPUs is built from."""
    name = base_name(gpus)
    folder = resources.files(__package__) / "dockerfiles"
    first, *lines = (folder / f"{name}.Dockerfile").read_text(encoding="utf-8").splitlines()
    text = "\n".join([first, f"LABEL {LABELLED}=1 {SCAFFOLD}={name}", *lines]) + "\n"
    return Context(name, text, {file: File((folder / file).read_bytes()) for file in FILES}, network=True)
