"""Builds an image from its context on the engine (the classic builder), and cleans up after what fails."""

import contextlib
import io
import os
import re
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mleb_core.errors import RunnerError, SandboxError, UsageError
from mleb_core.runner.docker.client import telling
from mleb_core.runner.docker.images_context import HASH, Context

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["build", "find"]

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
"""Environment of this process that a build gets; the engine keeps it out of the image's history."""
PIP = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")
"""The same, but kept in the history: refused where they hold a password."""

_locks: dict[str, threading.Lock] = defaultdict(threading.Lock)


def find(client: "DockerClient", reference: str) -> dict[str, Any] | None:
    """What the engine says of an image that it has (`docker image inspect`); None: it has none of that name.

    Raises:
        SandboxError: the engine does not answer as it should.
    """
    import docker.errors

    with telling(f"image {reference} cannot be looked up"):
        try:
            found: dict[str, Any] = client.images.get(reference).attrs
        except docker.errors.ImageNotFound:
            return None
    return found


def build(
    client: "DockerClient", context: Context, *, tell: Callable[[str], None] | None = None, log_dir: Path | None = None
) -> dict[str, Any]:
    """The image of a context: the one that is there, else a new one.

    Threads that want the same image wait for the one that builds it. Two processes may build it twice: the later one
    has the tag, the other is left without a name until `mleb image prune`. The engine ends a build whose client dies.

    Args:
        client: the engine.
        context: what it is built from.
        tell: gets each line of the build's output.
        log_dir: where the log of a build that fails is kept; None: the directory for temporary files.

    Returns:
        As `find`.

    Raises:
        SandboxError: the engine does not answer as it should.
        RunnerError: it failed; the line names the step and the file with the whole log.
        UsageError: an index for pip in the environment has a password in it.
    """
    with _locks[context.reference]:
        found = find(client, context.reference)
        if found is None:
            _build(client, context, tell or (lambda line: None), log_dir)
            found = find(client, context.reference)
    if found is None:
        raise RunnerError(f"image {context.reference} was built and is gone again; build it once more")
    return found


def _build(client: "DockerClient", context: Context, tell: Callable[[str], None], log_dir: Path | None) -> None:
    arguments = _arguments(os.environ) if context.network else {}
    what = f"image of {context.name} cannot be built"
    output = _Output(tell)
    problem = "the engine ended the build without a result"
    try:
        with telling(what):
            stream = client.api.build(
                fileobj=io.BytesIO(context.archive()),
                custom_context=True,
                tag=context.reference,
                labels={HASH: context.hash},
                rm=True,
                forcerm=True,
                pull=False,
                decode=True,
                buildargs=arguments,
                network_mode=None if context.network else "none",
            )
            for message in stream:
                if "error" in message:  # the last one, but the answer is read to its end: else its socket stays open
                    problem = " ".join(str(message["error"]).split())
                output.take(str(message.get("stream") or message.get("status") or ""))
        if output.done:
            return
    except BaseException:  # also Ctrl-C: the engine ends a build whose client goes
        _remove_steps(client, output)
        raise
    _remove_steps(client, output)
    step = f" at {output.step}" if output.step else ""
    raise RunnerError(f"{what}{step}: {problem}{_keep(output, problem, context, log_dir)}")


class _Output:
    """What a build says, and what can be read from it."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.lines: list[str] = []
        self.step = ""
        self.made: list[str] = []
        self.done = False
        self._tell, self._cached, self._rest = tell, False, ""

    def take(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).replace("\r\n", "\n").split("\n")
        for line in filter(str.strip, lines):
            self.lines.append(line)
            self._tell(line)
            if re.match(r"Step \d+/\d+ : ", line):
                self.step, self._cached = line.replace("Step ", "step ", 1), False
            elif "Using cache" in line:
                self._cached = True
            elif (match := re.fullmatch(r" ---> ([0-9a-f]{12,64})", line)) and not self._cached:
                if not self.step.split(" : ")[-1].startswith("FROM"):
                    self.made.append(match[1])
            elif line.startswith("Successfully built "):
                self.done = True


def _remove_steps(client: "DockerClient", output: _Output) -> None:
    """Remove the images of the steps that a failed build has done, last first; one that others use stays."""
    for made in reversed(output.made):
        with contextlib.suppress(SandboxError), telling(made):
            client.api.remove_image(made, noprune=True)


def _keep(output: _Output, problem: str, context: Context, log_dir: Path | None) -> str:
    """Write the log of a failed build; the words that say where it is, none if it cannot be written."""
    if not output.lines:
        return ""
    try:
        handle, name = tempfile.mkstemp(prefix=f"mleb-image-{context.hash}-", suffix=".log", dir=log_dir)
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.writelines(f"{line}\n" for line in [*output.lines, problem])
    except OSError:
        return ""
    return f"; the whole log is {name}"


def _arguments(environment: Mapping[str, str]) -> dict[str, str]:
    for name in PIP:
        for url in environment.get(name, "").split():
            if "@" in urlsplit(url).netloc:
                raise UsageError(
                    f"{name} holds a password, which would stay in the image; give an index without one, or --base"
                )
    return {name: environment[name] for name in (*PROXIES, *PIP) if environment.get(name)}
