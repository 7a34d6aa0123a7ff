"""Reports of groups as Parquet: the columns of the CSV, typed; texts as they are."""

import io
from collections.abc import Sequence
from typing import Any

from mleb_core.errors import UsageError
from mleb_core.report.models import GroupReport
from mleb_core.report.table import COLUMNS, values

__all__ = ["to_parquet"]

_TYPES = {
    "int64": (
        "edition",
        "seed",
        "attempt",
        "exit_code",
        "peak_memory_bytes",
        "rank",
        "teams",
        "steps",
        "model_calls",
        "failed_calls",
        "input_tokens",
        "output_tokens",
    ),
    "float64": (
        "score",
        "gold_threshold",
        "silver_threshold",
        "bronze_threshold",
        "median_threshold",
        "percentile",
        "runtime_s",
        "cost_usd",
        "known_cost_usd",
    ),
    "bool": (
        "graded",
        "is_lower_better",
        "any_medal",
        "above_median",
        "submission_exists",
        "valid_submission",
    ),
}
"""All other columns are strings."""


def to_parquet(reports: Sequence[GroupReport]) -> bytes:
    """One row for every run that was asked for, of all groups, in that order; what is not known is null.

    Raises:
        UsageError: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UsageError("Parquet needs pyarrow: pip install 'mleb-core[parquet]'") from None
    kinds = {column: kind for kind, columns in _TYPES.items() for column in columns}
    makers: dict[str, Any] = {"int64": pyarrow.int64(), "float64": pyarrow.float64(), "bool": pyarrow.bool_()}
    schema = pyarrow.schema([(column, makers.get(kinds.get(column, ""), pyarrow.string())) for column in COLUMNS])
    rows = [_typed(row) for report in reports for row in values(report)]
    stream = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), stream)
    return stream.getvalue()


def _typed(row: dict[str, object]) -> dict[str, object]:
    return {name: str(value) if isinstance(value, str) else value for name, value in row.items()}
