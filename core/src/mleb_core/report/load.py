"""Reading reports and run states back; a wrong file is told in one line."""

import json
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from mleb_core.errors import RunGroupError
from mleb_core.report.models import GroupReport, RunReport
from mleb_core.report.text import one_line

__all__ = ["OtherVersionError", "load_group_report", "load_model", "load_run_report", "parse_model"]

Model = TypeVar("Model", bound=BaseModel)


class OtherVersionError(RunGroupError):
    """A file was written in a format that this version of mleb does not read."""


def load_group_report(path: Path) -> GroupReport:
    """Read a group's report.json.

    Raises:
        RunGroupError: missing, unreadable, or not such a report; one line with the path and what is wrong.
    """
    return load_model(path, GroupReport, "a run group's report")


def load_run_report(path: Path) -> RunReport:
    """Read a run's report.json.

    Raises:
        RunGroupError: missing, unreadable, or not such a report; one line with the path and what is wrong.
    """
    return load_model(path, RunReport, "a run's report")


def load_model(path: Path, model: type[Model], what: str) -> Model:
    """Read a JSON file into a model that has a `format_version`.

    Args:
        path: the file.
        model: what it holds.
        what: name of such a file for the message, such as "a run's report".

    Raises:
        OtherVersionError: of another format version.
        RunGroupError: missing, unreadable, or not such a file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunGroupError(f"{path}: {what} is expected: {error.strerror or error}") from None
    return parse_model(path, content, model, what)


def parse_model(path: Path, content: bytes, model: type[Model], what: str) -> Model:
    """`load_model` of a file that has been read already.

    Raises:
        OtherVersionError: of another format version.
        RunGroupError: not such a file.
    """
    try:
        loaded = model.model_validate_json(content)
    except ValidationError as error:
        raise _fault(path, content, error, what) from None
    if (version := getattr(loaded, "format_version", 1)) != 1:
        raise _other_version(path, version)
    return loaded


def _fault(path: Path, content: bytes, error: ValidationError, what: str) -> RunGroupError:
    """What is wrong with a file, in one line."""
    if not content.strip():
        return RunGroupError(f"{path}: {what} is expected, the file is empty")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return RunGroupError(f"{path}: {what} is expected, the file is not whole JSON")
    version = document.get("format_version", 1) if isinstance(document, dict) else 1
    if version != 1:
        return _other_version(path, version)
    first = error.errors(include_url=False, include_input=False)[0]
    key = ".".join(map(str, first["loc"]))
    return RunGroupError(f"{path}: {what} is expected; " + one_line(f"{key + ': ' if key else ''}{first['msg']}"))


def _other_version(path: Path, version: object) -> OtherVersionError:
    shown = one_line(str(version))[:20]
    return OtherVersionError(f"{path}: format_version is {shown}, this mleb reads 1; use the mleb that wrote it")
