"""What the harness knows of the command agent: its settings, and how to start it."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mleb_core.agent import Image, Launch, LaunchContext
from mleb_core.errors import UsageError
from mleb_core.scaffolding import no_variant

if TYPE_CHECKING:
    from mleb_command.settings import Settings

__all__ = ["Command"]


class Command:
    """Runs a command line that the user gives."""

    id = "command"
    summary = "Any program: --set command='./my_agent.sh', with files or an image of its own."

    @property
    def settings_type(self) -> "type[Settings]":
        """The model of the settings; imported late because pydantic costs 100 ms."""
        from mleb_command.settings import Settings

        return Settings

    def variants(self) -> Iterable[str]:
        """None."""
        return ()

    def image(self, settings: Mapping[str, Any]) -> Image:
        """The image that the user names, else mleb's base image as it is."""
        return Image(reference=settings.get("image"))

    def launch(self, context: LaunchContext) -> Launch:
        """Start the command line by /bin/sh.

        Raises:
            UsageError: a variant was given, no command, or files that are too large or cannot be read.
        """
        no_variant(self, context)
        if "command" not in context.settings:
            raise UsageError("the agent command needs a command; use --set command='./my_agent.sh'")
        settings = self.settings_type.model_validate(dict(context.settings))
        try:
            files = settings.content()
        except (ValueError, OSError) as error:
            raise UsageError(f"the agent command: {error}") from error
        return Launch(["/bin/sh", "-c", _runnable(settings.command, files)], env=settings.env, files=files)


def _runnable(command: str, files: Mapping[str, bytes]) -> str:
    """The command line; files are put into the home without their execute bits, so scripts get theirs back first."""
    scripts = [f"'{name}'" for name, content in files.items() if content[:2] == b"#!" and "'" not in name]
    scripts += [f"'{name}'" for name, content in files.items() if content[:4] == b"\x7fELF" and "'" not in name]
    return f"chmod +x {' '.join(scripts)}; {command}" if scripts else command
