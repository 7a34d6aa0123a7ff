"""Settings of the command agent, as the harness checks them (`--set KEY=VALUE`)."""

import os
import shlex
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

__all__ = ["MOST_BYTES", "Settings"]

MOST_BYTES = 64 * 1024**2
"""Largest size of the files that are put into an agent's home; larger things belong into an image."""


class Settings(BaseModel):
    """What a user may set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: str = Field(min_length=1)
    """A command line for /bin/sh."""
    files: str | None = Field(default=None, validate_default=True)
    """A file or folder on this machine, whose content is put into the agent's home."""
    image: str | None = None
    """A local container image to run in."""
    env: dict[str, str] = {}
    """Further environment variables."""

    @field_validator("env", mode="before")
    @classmethod
    def _texts(cls, value: object) -> object:
        """`env.N=3` arrives as a number from the command line."""
        if not isinstance(value, dict):
            return value
        return {name: one if isinstance(one, str) else str(one) for name, one in value.items()}

    @model_validator(mode="before")
    @classmethod
    def _own_file(cls, values: object) -> object:
        """A command that begins with a file that is here brings that file; paths become absolute, for a resume
        from elsewhere.
        """
        if not isinstance(values, dict):
            return values
        values = dict(values)
        command, files = values.get("command"), values.get("files")
        if isinstance(files, str):
            values["files"] = os.path.abspath(files)  # noqa: PTH100  # links are kept
        elif isinstance(command, str):
            try:
                first = shlex.split(command)[0]
            except (ValueError, IndexError):
                return values
            if first.startswith((".", "/")) and (path := Path(first)).is_file() and first in command:
                values["files"] = str(path.absolute())
                values["command"] = command.replace(first, f"./{path.name}", 1)
        return values

    @model_validator(mode="after")
    def _files_are_there(self) -> Self:
        if self.files is not None and not Path(self.files).exists():
            raise ValueError(f"files: {self.files} is not there")
        return self

    def content(self) -> dict[str, bytes]:
        """What is put into the home: bytes by relative path. Links are followed; caches, .git and .env* are left out.

        Raises:
            ValueError: it is more than MOST_BYTES.
            OSError: a file cannot be read.
        """
        if self.files is None:
            return {}
        root = Path(self.files)
        paths = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
        base = root.parent if root.is_file() else root
        found, size = {}, 0
        for path in paths:
            relative = path.relative_to(base)
            names = {*relative.parts, path.resolve().name}  # of a link, also the file behind it
            if {".git", "__pycache__"} & names or any(_holds_keys(name) for name in names):
                continue
            size += path.stat().st_size
            if size > MOST_BYTES:
                raise ValueError(f"files: {root} holds more than {MOST_BYTES // 1024**2} MiB; put it into an image")
            found[relative.as_posix()] = path.read_bytes()
        return found


def _holds_keys(name: str) -> bool:
    """Whether a file of this name holds keys, which agents never get: .env, .env.local and the like."""
    return name == ".env" or name.startswith(".env.")
