"""What the harness knows of OpenHands: its settings, its models, its environment, and how to start it."""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mleb_core.agent import Environment, Image, Launch, LaunchContext
from mleb_core.errors import UsageError
from mleb_core.scaffolding import model_of, settings_of

if TYPE_CHECKING:
    from mleb_opendevin.settings import Settings

__all__ = ["OpenHands"]

VERSION = "1.58.0"
ALONE = (f"openhands-sdk=={VERSION}", f"openhands-tools=={VERSION}", "litellm==1.105.3", "tokenizers==0.23.3")
"""Installed without what they ask for, such as browsers, Google's and Amazon's clients: 400 MB that are not used."""
VARIANTS = {
    "claude-3-5-sonnet": "anthropic/claude-3-5-sonnet-20240620",
    "gpt-4o": "openai/gpt-4o-2024-08-06",
    "llama-3.1-405b": "openrouter/meta-llama/llama-3.1-405b-instruct",
}
"""Models of the paper; it ran OpenDevin with gpt-4o."""
PROGRAM = ".opendevin"
"""Folder of the agent's home for the program that runs OpenHands."""
PARTS = ("__init__.py", "ends.py", "events.py", "faults.py", "inside.py", "python.py", "run.py")
IN_IMAGE = "/opt/openhands/bin/python"
CHOOSE = "import sys; sys.exit(not (3, 12) <= sys.version_info[:2] <= (3, 13))"
LACKS = "OpenHands needs Python 3.12 or 3.13, which this image lacks: use another with mleb image build --base"


class OpenHands:
    """All Hands' agent for software: a model with a terminal and an editor; arXiv 2407.16741."""

    def __init__(self, id: str) -> None:
        """Args:
        id: the name that it goes by.
        """
        self.id = id
        self.summary = f"OpenHands, once OpenDevin: a model with a terminal and an editor (openhands-sdk {VERSION})."

    @property
    def settings_type(self) -> "type[Settings]":
        """The model of the settings; imported late because pydantic costs 100 ms."""
        from mleb_opendevin.settings import Settings

        return Settings

    def variants(self) -> Iterable[str]:
        """The models of the paper that can use tools."""
        return tuple(VARIANTS)

    def models(self, variant: str | None) -> str | None:
        """The model that a variant stands for."""
        return VARIANTS.get(variant or "")

    def environment(self, settings: Mapping[str, Any]) -> Environment:
        """What OpenHands imports, itself alone, and libraries for the agent's programs."""
        further = tuple(settings.get("packages", ()))
        requirements = (*_lines("requirements.txt"), *_lines("libraries.txt"), *further)
        return Environment(
            "openhands",
            requirements=requirements,
            alone=ALONE,
            least=(3, 12),
            most=(3, 13),
            size="500 MB",
        )

    @property
    def image(self) -> Image:
        """An environment of OpenHands' own; the agent's commands find the Python of the base image instead."""
        pythons = "python3 python3.13 python3.12"
        make = (
            f"RUN for name in {pythons}; do \\\n"
            f"      if $name -c '{CHOOSE}' 2>/dev/null; then exec $name -m venv /opt/openhands; fi; \\\n"
            f"    done; echo '{LACKS}' >&2; exit 1"
        )
        alone = f"RUN {IN_IMAGE} -m pip install --no-cache-dir --disable-pip-version-check --no-deps {' '.join(ALONE)}"
        return Image(
            dockerfile=f"{make}\nARG PIP_INDEX_URL\nARG PIP_EXTRA_INDEX_URL\n{alone}",
            requirements=_lines("requirements.txt"),
            python=IN_IMAGE,
        )

    def launch(self, context: LaunchContext) -> Launch:
        """Start `program`, put into the agent's home, by OpenHands' interpreter, settings in OPENDEVIN_SETTINGS.

        Raises:
            UsageError: an unknown variant, a variant and a model, or neither.
        """
        model, settings = model_of(self, context, VARIANTS), settings_of(self, context)
        in_image = context.python == IN_IMAGE
        if settings.pop("packages") and in_image:
            raise UsageError(
                f"the setting packages of {self.id} is for the local runner; put libraries into an image, --image"
            )
        settings |= {"name": self.id, "model": model, "own_python": not in_image}
        from importlib import resources

        program = resources.files(__package__) / "program"
        files = {f"{PROGRAM}/mleb_opendevin/program/{name}": (program / name).read_bytes() for name in PARTS}
        files[f"{PROGRAM}/mleb_opendevin/__init__.py"] = b""
        files[f"{PROGRAM}/__main__.py"] = (program / "__main__.py").read_bytes()
        argv = [context.python, str(context.paths.home / PROGRAM)]
        return Launch(argv, env={"OPENDEVIN_SETTINGS": json.dumps(settings)}, files=files)


def _lines(name: str) -> tuple[str, ...]:
    from importlib import resources

    text = (resources.files(__package__) / name).read_text(encoding="utf-8")
    return tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))
