"""Signing files, and checking signatures, as minisign does: Ed25519, `FILE.minisig`, keys of `minisign -G`.

The Python package py-minisign (extra `attest`) is imported when it is first needed. Signatures made here hold for the
program `minisign`, and the other way round. https://jedisct1.github.io/minisign has the format.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mleb_core.errors import MlebError, UsageError
from mleb_core.layout import write_whole
from mleb_core.report.text import one_line, shorten

if TYPE_CHECKING:
    from minisign import PublicKey, SecretKey

__all__ = ["SignatureError", "check_signature", "public_key", "secret_key", "sign_file", "signature_of"]

_MOST_BYTES = 1 << 20


class SignatureError(MlebError):
    """A key or a signature that is none, or a signature that does not hold."""


def secret_key(path: Path, password: Callable[[], str]) -> "SecretKey":
    """Read a secret key.

    Args:
        path: file of `minisign -G`.
        password: asked for the key's password, if it has one.

    Raises:
        UsageError: py-minisign is not installed.
        SignatureError: no such file, no secret key, or a wrong password.
    """
    library = _library()
    try:
        key: SecretKey = library.SecretKey.from_bytes(_read(path))
        if key.is_encrypted():
            key.decrypt(password())
    except (ValueError, MemoryError) as error:
        raise SignatureError(f"{path}: a minisign secret key is expected: {error}") from None
    return key


def public_key(text: str) -> "PublicKey":
    """Read a public key.

    Args:
        text: path of a file of `minisign -G`, or the key itself, as its second line has it (`RW...`).

    Raises:
        UsageError: py-minisign is not installed.
        SignatureError: neither a file nor a key.
    """
    library, path = _library(), Path(text)
    try:
        if is_file := _is_file(path):
            found: PublicKey = library.PublicKey.from_bytes(_read(path))
        else:
            found = library.PublicKey.from_base64(text.strip())
    except ValueError as error:
        what = "a minisign public key" if is_file else "a file, or a minisign public key (RW...),"
        raise SignatureError(f"{shorten(one_line(text), 100)}: {what} is expected: {error}") from None
    return found


def signature_of(path: Path) -> Path:
    """Where the signature of a file stands: beside it, with `.minisig` behind its name."""
    return path.with_name(f"{path.name}.minisig")


def sign_file(path: Path, key: "SecretKey") -> Path:
    """Sign a file; gives the signature's file.

    The trusted comment, which is signed, too, has the time and the file's name, as minisign's own.

    Raises:
        OSError: the file cannot be read, or its signature not be written.
    """
    name = shorten(one_line(path.name), 255).encode("ascii", "backslashreplace").decode()
    comment = f"timestamp:{int(time.time())}\tfile:{name}\thashed"
    made = key.sign(path.read_bytes(), trusted_comment=comment)
    write_whole(signature_of(path), bytes(made) + b"\n")
    return signature_of(path)


def check_signature(content: bytes, signature: Path, key: "PublicKey") -> str:
    """Check what a file held; gives the signature's trusted comment.

    Args:
        content: of the file that was signed.
        signature: its signature's file.
        key: of who is said to have signed it.

    Raises:
        SignatureError: there is no signature, it is none, is by another key, or is of another content.
    """
    library = _library()
    try:
        made = library.Signature.from_bytes(_read(signature))
        key.verify(content, made)
    except ValueError as error:
        what = {
            "incompatible key identifiers": "it was made with another key",
            "signature verification failed": "it does not hold: the file, or the signature, was changed",
        }
        raise SignatureError(f"{signature}: {what.get(str(error), f'no minisign signature: {error}')}") from None
    return str(made.trusted_comment)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_MOST_BYTES)
    except OSError as error:
        raise SignatureError(f"{path}: {error.strerror or error}") from None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no path at all
        return False


def _library() -> Any:
    try:
        import minisign
    except ImportError as error:
        raise UsageError(f"signatures need py-minisign: pip install 'mleb[attest]' ({error})") from None
    if not hasattr(minisign, "SecretKey"):
        raise UsageError("another package named minisign is installed; signatures need py-minisign: mleb[attest]")
    return minisign
