"""Runs a script of the workspace."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path, PurePosixPath

from mleb_mlagentbench.ends import ActionError
from mleb_mlagentbench.files import clipped

__all__ = ["execute"]

STARTERS = {".py": [sys.executable, "-u"], ".sh": ["/bin/sh"]}
OVERWRITTEN = re.compile(r"[^\n]*\r(?!\n)")
"""What a progress bar has written over."""


def execute(script: PurePosixPath, workspace: Path, timeout_s: float, chars: int) -> str:
    """Run it; what it printed, shortened, and how it ended. Nothing that it started is left.

    Args:
        script: relative to the workspace, in which it runs.
        workspace: where.
        timeout_s: wall-clock seconds at most.
        chars: of its output that are shown.

    Raises:
        ActionError: neither .py nor .sh.
    """
    starter = STARTERS.get(script.suffix)
    if starter is None:
        raise ActionError(f"{script} cannot be run: its name must end in {' or '.join(STARTERS)}")
    began = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [*starter, f"./{script}"], cwd=workspace, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True, env=environment(),
        )  # fmt: skip
        try:
            code = process.wait(timeout=max(1.0, timeout_s))
            ended = f"exit code {code}" if code >= 0 else f"killed by signal {-code}"
        except subprocess.TimeoutExpired:
            ended = f"stopped: longer than {timeout_s:.0f} s"
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # also what it left in the background
            process.wait()
        size = output.seek(0, os.SEEK_END)
        output.seek(0)
        text = output.read(8 * chars)
        if size > 16 * chars:
            output.seek(size - 8 * chars)
        text += output.read()
    shown = OVERWRITTEN.sub("", text.decode(errors="replace").replace("\r\n", "\n"))
    return f"{clipped(shown.strip(), chars)}\n[{ended}, after {time.monotonic() - began:.0f} s]"


def environment() -> dict[str, str]:
    """Without the way to the model: scripts have no business there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "ANTHROPIC_"))}
    kept.pop("MLAGENTBENCH_SETTINGS", None)
    return {"MPLBACKEND": "Agg", "TQDM_MININTERVAL": "30", **kept}
