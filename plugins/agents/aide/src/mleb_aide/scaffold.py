"""What the harness knows of AIDE: its settings, its models, its environment, and how to start it."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mleb_core.agent import Environment, Image, Launch, LaunchContext
from mleb_core.errors import UsageError
from mleb_core.scaffolding import model_of, settings_of

if TYPE_CHECKING:
    from mleb_aide.settings import Settings

__all__ = ["Aide"]

AIDEML = "aideml==0.2.2"
CODE, FEEDBACK = "mleb-model", "mleb-feedback"
"""The gateway's names for the two models. Names that aideml knows (gpt-*, o1, claude-*, gemini-*) would go past it."""
REVIEWER = "openai/gpt-4o-2024-08-06"
"""What the paper had outputs reviewed by, whatever wrote the programs."""
VARIANTS = {
    "claude-3-5-sonnet": "anthropic/claude-3-5-sonnet-20240620",
    "gpt-4o": "openai/gpt-4o-2024-08-06",
    "llama-3.1-405b": "openrouter/meta-llama/llama-3.1-405b-instruct",
    "o1-preview": "openai/o1-preview",
}
"""The models of the paper's results."""
REASONING = re.compile(r"(^|/)(o\d|gpt-5)[^/]*$")
"""Models that take no temperature."""
NO_LONE_SYSTEM = re.compile(r"(^|/)(claude[^/]*|o1-(preview|mini)[^/]*)$")
"""Models that do not take a system message alone."""
PROGRAM = ".aide"
"""Folder of the agent's home for the program that runs AIDE."""
PARTS = ("__init__.py", "ends.py", "inside.py", "keep.py", "run.py")
IN_IMAGE = "/opt/aide/bin/python"


class Aide:
    """Weco AI's tree search: drafts, runs, reviews, debugs and improves whole programs; arXiv 2502.13138."""

    id = "aide"
    summary = "AIDE: a tree search over solutions that a language model writes (aideml 0.2.2)."

    @property
    def settings_type(self) -> "type[Settings]":
        """The model of the settings; imported late because pydantic costs 100 ms."""
        from mleb_aide.settings import Settings

        return Settings

    def variants(self) -> Iterable[str]:
        """The models of the paper."""
        return tuple(VARIANTS)

    def models(self, variant: str | None) -> Mapping[str, str] | None:
        """The model that writes programs, and the one that reviews their output, by the names that AIDE asks for."""
        if variant not in VARIANTS:
            return None
        return {CODE: VARIANTS[variant], FEEDBACK: REVIEWER}

    def environment(self, settings: Mapping[str, Any]) -> Environment:
        """What aideml imports, and itself alone: what it declares for its solutions is 3 GB."""
        further = tuple(settings.get("packages", ()))
        requirements = (*_lines("requirements.txt"), *_lines("libraries.txt"), *further)
        return Environment(
            "aide",
            requirements=requirements,
            alone=(AIDEML,),
            least=(3, 10),
            most=(3, 12),
            size="400 MB",
        )

    @property
    def image(self) -> Image:
        """An environment of aideml's own, which sees the libraries of the base image: solutions run in it."""
        # A .pth, as --system-site-packages would show the system's packages, not those of a base's own environment.
        sites = "import site; print(*site.getsitepackages(), sep=chr(10))"
        own = 'import sysconfig; print(sysconfig.get_path("purelib"))'
        make = (
            "RUN python3 -m venv /opt/aide \\\n"
            f"    && python3 -c '{sites}' > /tmp/base.pth \\\n"
            f"    && mv /tmp/base.pth \"$({IN_IMAGE} -c '{own}')/base.pth\""
        )
        alone = f"RUN {IN_IMAGE} -m pip install --no-cache-dir --disable-pip-version-check --no-deps {AIDEML}"
        return Image(
            dockerfile=f"{make}\nARG PIP_INDEX_URL\nARG PIP_EXTRA_INDEX_URL\n{alone}",
            requirements=_lines("requirements.txt"),
            python=IN_IMAGE,
        )

    def launch(self, context: LaunchContext) -> Launch:
        """Start `program`, put into the agent's home, by AIDE's interpreter, with the settings in AIDE_SETTINGS.

        Raises:
            UsageError: an unknown variant, a variant and a model, or neither.
        """
        code = model_of(self, context, VARIANTS)
        feedback = code if context.model is not None else REVIEWER
        settings = settings_of(self, context)
        role, temperatures = settings.pop("role"), (settings.pop("code_temp"), settings.pop("feedback_temp"))
        settings["models"] = {
            stage: {
                "model": CODE if context.model is not None or stage == "code" else FEEDBACK,
                "role": role or ("user" if NO_LONE_SYSTEM.search(name) else "system"),
                "temp": None if REASONING.search(name) else temp,
                "name": name,
            }
            for stage, name, temp in zip(("code", "feedback"), (code, feedback), temperatures, strict=True)
        }
        if settings.pop("packages") and context.python == IN_IMAGE:
            raise UsageError(
                "the setting packages of aide is for the local runner; put libraries into an image, --image"
            )
        from importlib import resources

        program = resources.files(__package__) / "program"
        files = {f"{PROGRAM}/mleb_aide/program/{name}": (program / name).read_bytes() for name in PARTS}
        files[f"{PROGRAM}/mleb_aide/__init__.py"] = b""
        files[f"{PROGRAM}/__main__.py"] = (program / "__main__.py").read_bytes()
        argv = [context.python, str(context.paths.home / PROGRAM)]
        return Launch(argv, env={"AIDE_SETTINGS": json.dumps(settings)}, files=files)


def _lines(name: str) -> tuple[str, ...]:
    from importlib import resources

    text = (resources.files(__package__) / name).read_text(encoding="utf-8")
    return tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))
