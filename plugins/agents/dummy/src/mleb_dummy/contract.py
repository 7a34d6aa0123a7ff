"""What an agent can and cannot see: the contract of a run, looked at from inside.

Nothing outside is contacted and nothing but the run's own directories is written to.
"""

import os
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["EXPECTED", "OPTIONAL", "examine"]

EXPECTED = (
    "HOME",
    "TMPDIR",
    "COMPETITION_ID",
    "MLEB_SEED",
    "MLEB_RUN_ID",
    "MLEB_DATA",
    "MLEB_SUBMISSION",
    "MLEB_CODE",
    "MLEB_LOGS",
    "MLEB_INSTRUCTIONS",
    "TIME_LIMIT_SECS",
)
"""Variables that every run has."""
OPTIONAL = ("STEP_LIMIT",)
"""Variables that a run may have."""
SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL")
MAX_LISTED = 20


def examine(environ: Mapping[str, str]) -> dict[str, Any]:
    """Look around.

    Args:
        environ: the environment of the run. Of variables only names are kept, never values.

    Returns:
        JSON-ready: `format_version`; `environment` (`seen`, `missing`, `secret_like`: names); `paths` (for data,
        submission, code, logs, instructions, home, tmp: `path`, `exists`, `readable`, `writable`); `found`
        (`answers`, `runs`, `homes`: paths that an agent should not see); `network` (`interfaces`,
        `beyond_loopback`, `loopback_works`); `user` (`uid`, `root`); `lines`: the same for people.
    """
    seen = sorted(environ)
    missing = [name for name in EXPECTED if not environ.get(name)]
    secret = [name for name in seen if any(word in name.upper() for word in SECRET_WORDS)]
    paths = _paths(environ)
    found = _found(environ)
    network = _network()
    uid = os.getuid() if hasattr(os, "getuid") else None
    contract = {
        "format_version": 1,
        "environment": {"seen": seen, "missing": missing, "secret_like": secret},
        "paths": paths,
        "found": found,
        "network": network,
        "user": {"uid": uid, "root": uid == 0},
    }
    return {**contract, "lines": _lines(contract)}


def _paths(environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    variables = {
        "data": "MLEB_DATA",
        "instructions": "MLEB_INSTRUCTIONS",
        "submission": "MLEB_SUBMISSION",
        "code": "MLEB_CODE",
        "logs": "MLEB_LOGS",
        "home": "HOME",
        "tmp": "TMPDIR",
    }
    paths: dict[str, dict[str, Any]] = {}
    for name, variable in variables.items():
        value = environ.get(variable)
        if not value:
            paths[name] = {"path": None, "exists": False, "readable": False, "writable": False}
            continue
        path = Path(value)
        # The data may be shared with other runs, so it is asked about and never written to.
        writable = os.access(path, os.W_OK) if name in ("data", "instructions") else _can_write(path)
        paths[name] = {"path": value, "exists": path.exists(), "readable": _can_read(path), "writable": writable}
    return paths


def _can_read(path: Path) -> bool:
    try:
        if path.is_dir():
            next(iter(os.scandir(path)), None)
        else:
            path.open("rb").close()
    except OSError:
        return False
    return True


def _can_write(path: Path) -> bool:
    try:
        with tempfile.NamedTemporaryFile(dir=path, prefix=".mleb_dummy."):
            return True
    except OSError:
        return False


def _found(environ: Mapping[str, str]) -> dict[str, list[str]]:
    """Answers and other runs within sight: next to the parents of the data, the submission and the home.

    The nearest come first, so that a crowded directory far up does not push them off the list.
    """
    answers: dict[str, None] = {}
    runs: dict[str, None] = {}
    own = [Path(environ[v]).resolve() for v in ("MLEB_SUBMISSION", "HOME", "MLEB_LOGS") if environ.get(v)]
    starts = [Path(environ[v]) for v in ("MLEB_DATA", "MLEB_SUBMISSION", "HOME") if environ.get(v)]
    for start in starts:
        for parent in [start, start.resolve(), *list(start.resolve().parents)[:6]]:
            for entry in _listing(parent):
                path = Path(entry)
                name = path.name.lower()
                if name == "private" or "answers" in name:
                    if _can_read(path):
                        answers[entry] = None
                elif _is_run(path) and not _holds(path, own):
                    runs[entry] = None
    mine = Path(environ["HOME"]).resolve() if environ.get("HOME") else None
    homes = {e for e in _listing(Path("/home")) if Path(e).resolve() != mine and _can_read(Path(e))}
    if mine is not None:
        homes -= {str(p) for p in mine.parents}
    return {
        "answers": list(answers)[:MAX_LISTED],
        "runs": list(runs)[:MAX_LISTED],
        "homes": sorted(homes)[:MAX_LISTED],
    }


def _is_run(path: Path) -> bool:
    """A run group's file, or the directory of a run."""
    if path.name in ("group.json", "run.json"):
        return _can_read(path)
    return path.name.isdigit() and (path / "run.json").is_file()


def _holds(folder: Path, paths: list[Path]) -> bool:
    return any(path.is_relative_to(folder.resolve()) for path in paths)


def _listing(folder: Path) -> list[str]:
    try:
        return sorted(entry.path for entry in os.scandir(folder))[:1000]
    except OSError:
        return []


def _network() -> dict[str, Any]:
    interfaces = sorted(name for _, name in socket.if_nameindex()) if hasattr(socket, "if_nameindex") else []
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=1).close()
        loopback = True
    except OSError:
        loopback = False
    return {
        "interfaces": interfaces,
        "beyond_loopback": any(name not in ("lo", "lo0") for name in interfaces),
        "loopback_works": loopback,
    }


def _lines(contract: dict[str, Any]) -> list[str]:
    environment, found, network = contract["environment"], contract["found"], contract["network"]
    lines = [
        f"environment: {len(environment['seen'])} variables: {', '.join(environment['seen'])}",
        f"missing: {', '.join(environment['missing']) or 'none'}",
        f"names like secrets: {', '.join(environment['secret_like']) or 'none'}",
    ]
    for name, path in contract["paths"].items():
        state = ", ".join(
            [
                "there" if path["exists"] else "missing",
                "readable" if path["readable"] else "not readable",
                "writable" if path["writable"] else "not writable",
            ]
        )
        lines.append(f"{name}: {state}")
    lines += [
        f"answers within sight: {', '.join(found['answers']) or 'none'}",
        f"runs within sight: {', '.join(found['runs']) or 'none'}",
        f"other homes within sight: {', '.join(found['homes']) or 'none'}",
        "network: " + ("interfaces beside loopback" if network["beyond_loopback"] else "loopback only"),
        f"user: {'root' if contract['user']['root'] else 'not root'}",
    ]
    return lines
