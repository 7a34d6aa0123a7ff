"""Where the user's Kaggle credentials are.

In this order, as Kaggle's own client looks: $KAGGLE_API_TOKEN (a token, or the path of a file that holds one),
~/.kaggle/access_token, $KAGGLE_USERNAME with $KAGGLE_KEY, kaggle.json in $KAGGLE_CONFIG_DIR, else in ~/.kaggle, else in
~/.config/kaggle.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mleb_core.errors import PreparationError

__all__ = ["Credentials", "find_credentials", "how_to_get"]


@dataclass(frozen=True)
class Credentials:
    """Either a token or a user name with a key. Neither is ever shown."""

    place: str
    """Where they were found, for messages: "KAGGLE_API_TOKEN" or a path."""
    path: Path | None = None
    """The file, where they are in one."""
    token: str | None = field(default=None, repr=False)
    """Access token."""
    username: str | None = field(default=None, repr=False)
    """User name."""
    key: str | None = field(default=None, repr=False)
    """Key of the user."""


def find_credentials(env: Mapping[str, str], home: Path) -> Credentials | None:
    """The first credentials there are; None where there are none.

    Args:
        env: the environment.
        home: the user's home directory.

    Raises:
        PreparationError: a file of credentials is there and cannot be read or is not what it should be.
    """
    if given := env.get("KAGGLE_API_TOKEN", "").strip():
        path = Path(given)
        if not _is_file(path):
            return Credentials("KAGGLE_API_TOKEN", token=given)
        if token := _read(path).strip():
            return Credentials(str(path), path, token=token)
    for name in ("access_token", "access_token.txt"):
        path = home / ".kaggle" / name
        if _is_file(path) and (token := _read(path).strip()):
            return Credentials(str(path), path, token=token)
    username, key = env.get("KAGGLE_USERNAME"), env.get("KAGGLE_KEY")
    if username and key:
        return Credentials("KAGGLE_USERNAME and KAGGLE_KEY", username=username, key=key)
    path = _config_dir(env, home) / "kaggle.json"
    return _from_json(path) if _is_file(path) else None


def how_to_get(home: Path) -> str:
    """What to do where there are none."""
    return (
        f"make a token at https://www.kaggle.com/settings and put it into {home / '.kaggle' / 'access_token'} "
        "or KAGGLE_API_TOKEN"
    )


def _config_dir(env: Mapping[str, str], home: Path) -> Path:
    if given := env.get("KAGGLE_CONFIG_DIR"):
        return Path(given)
    usual = home / ".kaggle"
    other = Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "kaggle"
    return other if not usual.is_dir() and other.is_dir() else usual


def _from_json(path: Path) -> Credentials:
    try:
        content = json.loads(_read(path))
        username, key = content["username"], content["key"]
    except (ValueError, KeyError, TypeError):
        username = key = None
    if not (isinstance(username, str) and isinstance(key, str) and username and key):
        raise PreparationError(f'{path} holds no credentials; expected is {{"username": ..., "key": ...}}')
    return Credentials(str(path), path, username=username, key=key)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a token is no path: too long, or with a character that no path has
        return False


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text"
        raise PreparationError(f"{path} cannot be read: {reason}") from None
