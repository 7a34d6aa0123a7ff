"""MATLAB files up to version 7: nested structs as fields with dotted names; a struct array gives a tuple a field."""

import io
import warnings
from collections.abc import Iterator
from typing import IO, Any

from mleb_leaks.formats.record import Record, Unreadable, plain

__all__ = ["read_mat"]

_DEEP = 6


def read_mat(stream: IO[bytes], most_bytes: int) -> Record:
    """One record for the whole file.

    Raises:
        Unreadable: no such file, one of version 7.3 (HDF5), or too large.
    """
    from scipy.io import loadmat

    content = stream.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise Unreadable("it is too large")
    if content[:8] == b"\x89HDF\r\n\x1a\n" or content[512:520] == b"\x89HDF\r\n\x1a\n":
        raise Unreadable("MATLAB files of version 7.3 are not read")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            source: Any = io.BytesIO(content)
            found = loadmat(source, struct_as_record=True, squeeze_me=False)
    except Exception as error:
        raise Unreadable(f"it is no MATLAB file ({type(error).__name__})") from None
    fields: dict[str, Any] = {}
    for name, value in found.items():
        if not name.startswith("__"):
            fields.update(_flat(name, value, 0))
    return Record(fields)


def _flat(name: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """Fields of a value; an array of structs gives for each of their fields a tuple, in order."""
    import numpy as np

    if depth > _DEEP or not isinstance(value, np.ndarray):
        yield name, plain(value)
    elif value.dtype.names:
        items = value.ravel()
        for key in value.dtype.names:
            if len(items) == 1:
                yield from _flat(f"{name}.{key}", items[0][key], depth + 1)
            else:
                yield f"{name}.{key}", tuple(_scalar(item[key]) for item in items[:4096])
    elif value.dtype == object:
        items = value.ravel()
        if len(items) == 1:
            yield from _flat(name, items[0], depth + 1)
        else:
            yield name, tuple(_scalar(item) for item in items[:4096])
    else:
        yield name, plain(value)


def _scalar(value: Any) -> Any:
    found = plain(value)
    while isinstance(found, tuple) and len(found) == 1:
        found = found[0]
    return str(found) if isinstance(found, tuple) else found
