"""Registers the graders of this pack. The metrics themselves load when a submission is graded."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mleb_core import hookimpl

if TYPE_CHECKING:
    from mleb_core.grading.protocol import Grader

HIGHER, LOWER = True, False
TEXT: Mapping[str, object] = {"type": "text"}
CELL: Mapping[str, object] = {"type": "text", "missing": True}
NUMBERS: Mapping[str, object] = {
    "type": "text",
    "missing": True,
    "pattern": r"\s*(?:[+-]?\d+(?:_\d+)*(?:\s+[+-]?\d+(?:_\d+)*)*\s*)?",
}
"""What Python's int() reads, separated by white space."""


@hookimpl
def mleb_register_graders() -> "list[Grader]":
    """All graders of the pack."""
    from mleb_core.grading.table import TableGrader
    from mleb_text.graders import OrderGrader, SpanGrader

    return [
        TableGrader(
            "mean-levenshtein",
            "mleb_text.distance:mean_levenshtein",
            LOWER,
            "mean over rows of the edit distance of texts, in characters",
            TEXT,
        ),
        TableGrader(
            "normalized-levenshtein",
            "mleb_text.distance:normalized_levenshtein",
            LOWER,
            "edit distances of lists of numbers, summed, per number of the truth",
            NUMBERS,
        ),
        TableGrader(
            "mean-word-jaccard",
            "mleb_text.words:mean_word_jaccard",
            HIGHER,
            "mean over rows of the Jaccard similarity of sets of words",
            CELL,
        ),
        OrderGrader(
            "pooled-kendall-tau",
            "mleb_text.orders:pooled_kendall_tau",
            HIGHER,
            "Kendall's tau of orders, their pairs pooled over all rows",
            TEXT,
        ),
        SpanGrader(
            "span-micro-f1",
            "mleb_text.spans:span_micro_f1",
            HIGHER,
            "micro F1 of answers that are token spans, YES, NO or blank",
            CELL,
        ),
    ]
