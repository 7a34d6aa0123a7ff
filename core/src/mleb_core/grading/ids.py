"""Columns and ids: which row of the submission answers which row of the truth."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from mleb_core.errors import GraderError, InvalidSubmissionError
from mleb_core.grading.read import short, to_numbers
from mleb_core.grading.texts import same_width

__all__ = ["align_by_id", "check_columns", "comparable_ids", "row_name"]

Positions = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

_DENSE = 16  # numbers from the least to the greatest id, for one that is there
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: Knuth's multiplicative hashing


def check_columns(
    submission: pd.DataFrame,
    ids: Sequence[str],
    targets: Sequence[str],
    *,
    extra: Literal["ignored", "refused"] = "ignored",
    order: Literal["free", "id_first", "fixed"] = "free",
) -> None:
    """Check that a submission has the columns that it must have.

    Args:
        submission: the table.
        ids: columns that name a row.
        targets: columns that are predicted.
        extra: what becomes of other columns.
        order: "free"; "id_first": the id columns stand first; "fixed": ids, then targets, in the order given.

    Raises:
        InvalidSubmissionError: names the first column that is missing, too much or out of place.
    """
    found = [str(name) for name in submission.columns]
    wanted = [*ids, *targets]
    have = set(found)
    if missing := [name for name in wanted if name not in have]:
        shown = ", ".join(short(name, 30) for name in found[:6]) + (", ..." if len(found) > 6 else "")
        more = f" ({len(missing) - 1} more)" if len(missing) > 1 else ""
        raise InvalidSubmissionError(f"column {short(missing[0])} is missing{more}; the file has {shown}")
    if extra == "refused" and (surplus := [name for name in found if name not in set(wanted)]):
        raise InvalidSubmissionError(f"column {short(surplus[0])} is not expected; hand in {len(wanted)} columns only")
    fixed = {"free": [], "id_first": list(ids), "fixed": wanted}[order]
    for place, (name, expected) in enumerate(zip(found, fixed, strict=False), 1):
        if name != expected:
            raise InvalidSubmissionError(f"column {place} is {short(name)} where {short(expected)} must stand")


def row_name(table: pd.DataFrame, ids: Sequence[str], row: int) -> str:
    """How messages name a row: `row 3 (id 'x')`.

    Args:
        table: the submission.
        ids: its id columns.
        row: position from 0; named from 1.
    """
    values = ", ".join(f"{name} {short(table[name].iloc[row])}" for name in ids if name in table)
    return f"row {row + 1} ({values})" if values else f"row {row + 1}"


def align_by_id(
    submission: pd.DataFrame,
    answers: pd.DataFrame,
    ids: Sequence[str],
    *,
    repeated: bool = False,
    unknown: Literal["refused", "ignored"] = "refused",
    optional: Mask | None = None,
    sample: Callable[[], pd.DataFrame | None] | None = None,
) -> Positions:
    """Find for each row of the answers the row of the submission that answers it.

    Ids are compared as pandas reads them: numbers by value (7, 7.0 and 007 are one id where the answers' ids are
    numbers), texts by their characters ('007' and '7' are two where any of the answers' ids is a text).

    Args:
        submission: has the id columns.
        answers: has the id columns; together unique, unless `repeated`.
        ids: the id columns.
        repeated: ids may stand several times in the answers: then as often in the submission, and the first pairs
            with the first, the second with the second.
        unknown: what becomes of rows whose id the answers do not have.
        optional: rows of the answers that need no answer, shape (n,); None: every row does.
        sample: gives the public sample submission, if there is one; a missing id is named only if it stands there.

    Returns:
        Positions in the submission, one for each row of the answers, shape (n,); -1 for an optional row without one.

    Raises:
        InvalidSubmissionError: an id is empty, repeated, unknown or missing; names the first such row.
        GraderError: the answers' ids are not unique.
    """
    if absent := [name for name in ids if name not in answers]:
        raise GraderError(f"the answers have no id column {absent[0]!r}; see grading.id in competition.toml")
    if len(ids) == 1 and not repeated:
        row = _of_one_width(answers[ids[0]], submission[ids[0]])
        if row is not None:
            return row
    wanted, found = comparable_ids(answers, submission, ids, repeated)
    if len(wanted) == len(found) and bool(np.all(wanted == found)):
        return np.arange(len(wanted), dtype=np.intp)  # as the sample submission has them: nothing to look up
    place = _places(wanted, found)
    if place is None:
        raise GraderError(f"the answers' ids ({', '.join(ids)}) are not unique; see grading.id in competition.toml")
    _refuse_empty(submission, answers, ids)
    if unknown == "refused":
        _refuse_unknown(place, submission, ids, len(wanted), repeated)
    row = np.full(len(wanted), -1, dtype=np.intp)
    known = np.flatnonzero(place >= 0)
    row[place[known]] = known
    if np.count_nonzero(row >= 0) < len(found):  # else each id has a row of its own
        _refuse_repeated(found, submission, ids)
    missing = row < 0 if optional is None else (row < 0) & ~optional
    if bool(missing.any()):
        _refuse_missing(np.flatnonzero(missing), submission, answers, ids, sample)
    return row


def comparable_ids(
    answers: pd.DataFrame, submission: pd.DataFrame, ids: Sequence[str], repeated: bool
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """One comparable key a row for both tables; the values themselves for a single column, else codes."""
    pairs = [_comparable(answers[name], submission[name]) for name in ids]
    if repeated:
        pairs.append((_occurrence(answers, ids, pairs, 0), _occurrence(submission, ids, pairs, 1)))
    if len(pairs) == 1:
        return pairs[0]
    n = len(answers)
    codes = np.zeros(n + len(submission), dtype=np.int64)
    for left, right in pairs:
        more, values = pd.factorize(np.concatenate([left, right]), use_na_sentinel=False)
        codes = pd.factorize(codes * max(len(values), 1) + more)[0]  # small again, so that nothing overflows
    return codes[:n], codes[n:]


def _of_one_width(answers: "pd.Series[Any]", submission: "pd.Series[Any]") -> Positions | None:
    """Where each of the answers' ids stands, if ids are texts of one width and both sides have the same, each once.

    None: they have to be looked at more closely.
    """
    wanted, found = same_width(answers), same_width(submission)
    if wanted is None or found is None or wanted.shape != found.shape:
        return None
    if np.array_equal(wanted, found):
        return np.arange(len(wanted), dtype=np.intp)
    index = pd.Index(_hashes(found))
    if not index.is_unique:
        return None
    row = np.asarray(index.get_indexer(pd.Index(_hashes(wanted))))
    taken = np.zeros(len(found), dtype=bool)
    taken[row[row >= 0]] = True
    return row if taken.all() and np.array_equal(wanted, found[row]) else None


def _hashes(texts: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """A number for each text, shape (n, width), that hardly another one has."""
    rest = -texts.shape[1] % 8
    whole = np.pad(texts, ((0, 0), (0, rest))) if rest else texts
    parts = np.ascontiguousarray(whole).view(np.uint64)
    hashes = parts[:, 0].copy()
    for part in parts[:, 1:].T:
        hashes = (hashes ^ (hashes >> np.uint64(29))) * _FACTOR + part
    return hashes.view(np.int64)


def _places(wanted: npt.NDArray[Any], found: npt.NDArray[Any]) -> Positions | None:
    """Where each found key stands among the wanted ones, -1 for nowhere; None where a wanted one stands twice."""
    if wanted.dtype == found.dtype == np.int64 and len(wanted) and len(found):
        low, high = int(wanted.min()), int(wanted.max())
        if high - low < _DENSE * len(wanted):  # a table of all keys between is quicker than one of hashes
            table = np.full(high - low + 2, -1, dtype=np.int64)
            rows = np.arange(len(wanted), dtype=np.int64)
            table[wanted - low] = rows
            if not np.array_equal(table[wanted - low], rows):
                return None
            return table[np.where((found >= low) & (found <= high), found - low, -1)]
    index = pd.Index(wanted)
    return np.asarray(index.get_indexer(pd.Index(found))) if index.is_unique else None


def _occurrence(
    table: pd.DataFrame, ids: Sequence[str], pairs: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]], side: int
) -> npt.NDArray[Any]:
    """How often each row's id has stood before."""
    frame = pd.DataFrame({number: pair[side] for number, pair in enumerate(pairs)})
    return frame.groupby(list(frame.columns), dropna=False, sort=False).cumcount().to_numpy()


def _comparable(answers: "pd.Series[Any]", submission: "pd.Series[Any]") -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Both columns as arrays of one type; texts may come as numbers that are equal where they are."""
    if all(isinstance(column.dtype, pd.StringDtype) and not column.hasnans for column in (answers, submission)):
        codes, _ = pd.factorize(pd.concat([answers, submission], ignore_index=True))
        return codes[: len(answers)].astype(np.int64), codes[len(answers) :].astype(np.int64)
    if not _is_number(answers):
        # A column of texts in the answers has at least one that is no number. A submission whose ids are all
        # numbers lacks it, so that what pandas lost of '007' cannot change the verdict.
        return _texts(answers), _texts(submission)
    if not _is_number(submission):
        submission = to_numbers(submission)  # what is no number becomes NaN: unknown
    left, right = answers.to_numpy(), submission.to_numpy()
    if left.dtype.kind == right.dtype.kind:
        return left, right
    for name in ("int64", "uint64"):  # floats from 2**53 on are not exact, so whole floats become integers
        a, b = _exactly(left, name), _exactly(right, name)
        if a is not None and b is not None:
            return a, b
    return left.astype(np.float64), right.astype(np.float64)


def _exactly(values: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any] | None:
    """The values as integers, None where that would change one."""
    if values.dtype.kind == "f" and not bool(np.all(np.isfinite(values) & (np.abs(values) < 2.0**63))):
        return None
    converted = values.astype(dtype)
    same = bool(np.array_equal(converted, values)) and bool(np.all((converted < 0) == (values < 0)))
    return converted if same else None


def _is_number(column: "pd.Series[Any]") -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _texts(column: "pd.Series[Any]") -> npt.NDArray[Any]:
    """Texts as objects; an empty cell becomes the empty text."""
    if _is_number(column):
        whole = _exactly(column.to_numpy(), "int64")
        column = column if whole is None else pd.Series(whole, index=column.index)
    texts = column.to_numpy(dtype=object)
    empty = pd.isna(texts)
    if pd.api.types.infer_dtype(texts, skipna=True) not in ("string", "empty"):
        texts = column.astype(str).to_numpy(dtype=object)
    if bool(empty.any()):
        texts = np.where(empty, "", texts)
    return texts


def _refuse_empty(submission: pd.DataFrame, answers: pd.DataFrame, ids: Sequence[str]) -> None:
    for name in ids:
        # An id that pandas takes for a missing value ("None" as a comment's text) is an id all the same.
        empty = submission[name].isna().to_numpy(dtype=bool)
        if bool(empty.any()) and not bool(answers[name].isna().any()):
            row = int(np.argmax(empty))
            raise InvalidSubmissionError(f"row {row + 1}, column {name!r}: the id is empty")


def _refuse_unknown(
    place: Positions, submission: pd.DataFrame, ids: Sequence[str], wanted: int, repeated: bool
) -> None:
    unknown = place < 0
    if not bool(unknown.any()):
        return
    count = int(unknown.sum())
    row = int(np.argmax(unknown))
    more = f" ({count} such rows)" if count > 1 else ""
    why = "is unknown, or stands there too often" if repeated else "is unknown"
    raise InvalidSubmissionError(
        f"{row_name(submission, ids, row)}: the id {why}{more}; "
        f"{len(submission):,} rows are given, {wanted:,} expected, with the sample submission's ids"
    )


def _refuse_repeated(found: npt.NDArray[Any], submission: pd.DataFrame, ids: Sequence[str]) -> None:
    codes, _ = pd.factorize(found, use_na_sentinel=False)
    again = pd.Series(codes).duplicated().to_numpy()
    if not bool(again.any()):
        return
    row = int(np.argmax(again))
    first = int(np.argmax(codes == codes[row]))
    count = int(again.sum())
    more = f" ({count} such rows)" if count > 1 else ""
    raise InvalidSubmissionError(f"{row_name(submission, ids, row)}: the id stands in row {first + 1} already{more}")


def _refuse_missing(
    lost: Positions,
    submission: pd.DataFrame,
    answers: pd.DataFrame,
    ids: Sequence[str],
    sample: Callable[[], pd.DataFrame | None] | None,
) -> None:
    what = "1 id is missing" if len(lost) == 1 else f"{len(lost):,} ids are missing"
    first = answers[list(ids)].iloc[[int(lost[0])]]
    public = sample() if sample else None
    name = ""
    if public is not None and _contains(public, first, ids):
        values = ", ".join(f"{column} {short(first[column].iloc[0])}" for column in ids)
        name = f", the first: {values}"
    raise InvalidSubmissionError(f"{what}{name} ({len(submission):,} rows are given, {len(answers):,} expected)")


def _contains(table: pd.DataFrame, row: pd.DataFrame, ids: Collection[str]) -> bool:
    """Whether a table has a row with these ids."""
    if any(name not in table for name in ids):
        return False
    same = np.ones(len(table), dtype=bool)
    for name in ids:
        values, (value,) = _comparable(table[name], row[name])
        same &= values == value
    return bool(same.any())
