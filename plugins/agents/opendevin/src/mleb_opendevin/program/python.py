"""A Python of the run's own for the agent's commands, on a machine that others share. Standard library alone.

It sees the libraries of the environment that runs OpenHands, which many runs share; what the agent installs goes into
its own, and is gone with the run.
"""

import os
import sysconfig
import venv
from pathlib import Path

__all__ = ["commands_env", "make_python"]

NOT_THEIRS = ("OPENAI_", "ANTHROPIC_", "OPENDEVIN_", "OPENHANDS_", "LITELLM_", "LOG_LEVEL")
"""Variables that the agent's commands have no business with: the way to the model, what is for OpenHands itself."""
PIP = """\
#!{python}
import sys
from pip._internal.cli.main import main
sys.exit(main())
"""


def make_python(home: Path) -> Path:
    """Make it below a directory.

    Returns:
        The directory of its programs, `python`, `python3` and `pip`.
    """
    place = home / "python"
    venv.create(place, symlinks=True, with_pip=False)
    own = Path(sysconfig.get_path("purelib", "venv", {"base": str(place)}))
    own.joinpath("shared.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    for name in ("pip", "pip3"):
        script = place / "bin" / name
        script.write_text(PIP.format(python=place / "bin" / "python3"), encoding="utf-8")
        script.chmod(0o755)
    return place / "bin"


def commands_env(programs: Path | None) -> None:
    """Make this process's environment the one that the agent's commands are to have.

    Args:
        programs: the directory that `make_python` gave; None: they find what PATH says.
    """
    for name in [name for name in os.environ if name.startswith(NOT_THEIRS)]:
        del os.environ[name]
    if programs is not None:
        os.environ["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
        os.environ["VIRTUAL_ENV"] = str(programs.parent)
