"""Text columns by their bytes, without a Python string for each cell.

pandas 3 keeps texts as Arrow does, all bytes in a row with offsets beside them, where pyarrow is installed. Where it is
not, or a column is kept otherwise, these functions say so (None), and callers take Python strings to the same end.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["is_kept_as_bytes", "joined", "same_width"]

Bytes = npt.NDArray[np.uint8]


def is_kept_as_bytes(values: object) -> bool:
    """Whether these are texts, of a column or as its array, that pandas keeps as Arrow does."""
    dtype = getattr(values, "dtype", None)
    return isinstance(dtype, pd.StringDtype) and dtype.storage == "pyarrow"


def joined(texts: Any) -> Bytes | None:
    """The bytes of all texts in a row, UTF-8, a NUL byte after each; None where they are not kept as bytes.

    Args:
        texts: a column or its array, n texts, none of them missing.
    """
    if not is_kept_as_bytes(texts):
        return None
    import pyarrow as pa
    import pyarrow.compute as pc

    end, nothing = (pa.scalar(text, pa.large_string()) for text in ("\0", ""))
    return _bytes(pc.binary_join_element_wise(_arrow(texts), nothing, end))


def same_width(texts: Any) -> Bytes | None:
    """The bytes of texts that are equally long, one row each, shape (n, width); None where they are not.

    Args:
        texts: a column or its array, n texts.
    """
    if not is_kept_as_bytes(texts) or not len(texts):
        return None
    import pyarrow.compute as pc

    values = _arrow(texts)
    width = pc.min_max(pc.binary_length(values)).as_py()
    if values.null_count or width["min"] != width["max"] or not width["min"]:
        return None
    return _bytes(values).reshape(len(values), -1)


def _arrow(texts: Any) -> Any:
    """A `pyarrow.ChunkedArray`."""
    import pyarrow as pa

    array = getattr(texts, "array", texts).__arrow_array__()
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def _bytes(values: Any) -> Bytes:
    """The bytes of all values of a `pyarrow.ChunkedArray` of texts without missing ones."""
    import pyarrow as pa

    parts = []
    for chunk in values.cast(pa.large_string()).chunks:
        _, offsets, data = chunk.buffers()
        ends = np.frombuffer(offsets, dtype=np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
        if len(chunk) and data is not None:
            parts.append(np.frombuffer(data, dtype=np.uint8)[ends[0] : ends[-1]])
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, dtype=np.uint8), *parts])
