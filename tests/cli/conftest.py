"""The command as users have it: a process of its own, with a home of its own."""

import os
import pty
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

MLEB = Path(sys.executable).with_name("mleb")
"""The installed script."""


class CommandLine:
    """Runs `mleb` in an empty directory, with nothing of this process's environment that concerns mleb."""

    def __init__(self, root: Path) -> None:
        self.here = root / "here"
        self.here.mkdir()
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLEB_", "KAGGLE_", "DOCKER_", "XDG_"))}
        home = root / "home"
        home.mkdir()
        self.env = {**kept, "HOME": str(home), "COLUMNS": "200"}

    def __call__(
        self, *arguments: object, env: Mapping[str, str] | None = None, **options: object
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end; stdin is empty."""
        return subprocess.run(
            [MLEB, *map(str, arguments)],
            **{
                "capture_output": True,
                "text": True,
                "encoding": "utf-8",
                "cwd": self.here,
                "env": {**self.env, **(env or {})},
                "stdin": subprocess.DEVNULL,
                "timeout": 240,
                **options,
            },
        )  # type: ignore[call-overload,no-any-return]

    def start(self, *arguments: object, **options: object) -> "subprocess.Popen[bytes]":
        """Start and do not wait."""
        return subprocess.Popen([MLEB, *map(str, arguments)], cwd=self.here, env=self.env, **options)  # type: ignore[call-overload,no-any-return]

    def in_terminal(self, *arguments: object, env: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Run with a terminal for stdin, stdout and stderr.

        Returns:
            The exit code and everything that the terminal received.
        """
        outer, inner = pty.openpty()
        process = self.start(*arguments, stdin=inner, stdout=inner, stderr=inner)
        os.close(inner)
        received = self.read_terminal(outer)
        os.close(outer)
        return process.wait(timeout=60), received

    @staticmethod
    def read_terminal(outer: int, until: Sequence[str] = ()) -> str:
        """What a terminal receives until all its writers are gone, or until all the words have come."""
        received = b""
        while not until or not all(word.encode() in received for word in until):
            try:
                piece = os.read(outer, 65536)
            except OSError:  # Linux says so when the last writer has gone
                break
            if not piece:
                break
            received += piece
        return received.decode(errors="replace")


@pytest.fixture
def mleb(tmp_path: Path) -> CommandLine:
    """The command line."""
    return CommandLine(tmp_path)


@pytest.fixture(scope="session")
def prepared_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with two small competitions prepared."""
    root = tmp_path_factory.mktemp("prepared")
    result = CommandLine(root)("prepare", "titanic-survival", "diabetes-progression", "--data-dir", root / "data")
    assert result.returncode == 0, result.stderr
    return root / "data"


@pytest.fixture
def clitest(mleb: CommandLine) -> None:
    """The command line has the plugin of these tests: an agent `clitest`, a runner, a command."""
    mleb.env["PYTHONPATH"] = str(Path(__file__).parent / "plugin")
    mleb.env["PYTHONDONTWRITEBYTECODE"] = "1"
