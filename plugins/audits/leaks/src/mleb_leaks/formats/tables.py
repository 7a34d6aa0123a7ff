"""Tables, piece by piece: CSV, TSV, parquet, numpy arrays."""

import io
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from mleb_leaks.formats.record import Record, Unreadable, plain

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["frames", "read_arrays"]

_CHUNK = 50_000


def frames(stream: IO[bytes], suffix: str, most_bytes: int) -> "Iterator[pd.DataFrame]":
    """Pieces of a table, all cells as text, missing ones empty.

    Raises:
        Unreadable: no table, or a parquet file that is too large or for which pyarrow is not installed.
    """
    import pandas as pd

    try:
        if suffix == ".parquet":
            content = stream.read(most_bytes + 1)
            if len(content) > most_bytes:
                raise Unreadable("it is too large")
            yield pd.read_parquet(io.BytesIO(content)).astype(str)
        else:
            separator = "\t" if suffix == ".tsv" else ","
            yield from pd.read_csv(
                stream, sep=separator, dtype=str, keep_default_na=False, chunksize=_CHUNK, encoding_errors="replace"
            )
    except ImportError:
        raise Unreadable("pyarrow, which reads parquet files, is not installed") from None
    except (ValueError, pd.errors.ParserError, OSError) as error:
        raise Unreadable(f"it is no table ({type(error).__name__})") from None


def read_arrays(stream: IO[bytes], suffix: str, most_bytes: int) -> Record:
    """A .npy or .npz file as one record; nothing in it is executed.

    Raises:
        Unreadable: no such file, one with pickled objects, or too large.
    """
    import numpy as np

    content = stream.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise Unreadable("it is too large")
    try:
        found = np.load(io.BytesIO(content), allow_pickle=False)
        fields: dict[str, Any] = (
            {name: plain(found[name]) for name in found.files} if suffix == ".npz" else {"array": plain(found)}
        )
    except Exception as error:
        raise Unreadable(f"it cannot be read as arrays ({type(error).__name__})") from None
    return Record(fields)
