"""Tables kept as hashes of their cells, to compare test with train: equal rows, near-equal texts, groups."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mleb_core.audits.findings import Evidence, Finding, Severity
from mleb_leaks.giveaway import CHANCE
from mleb_leaks.truth import MISSING, is_missing

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["Kept", "compare", "group_like"]

_CELLS = 20_000_000
_SKETCH = 40
_WORDS = 5
_MOST_TEXTS = 50_000
_BITS = 24
_GROUP = re.compile(
    r"(?:^|[^a-z])(?:patient|subject|person|user|speaker|sentence|session|recording|group|study|series|video|sequence"
    r"|document|essay|case|family|household|driver|molecule|prompt|conversation|lesion|individual|participant|breath|trip)"
    r"s?(?:[^a-z]*(?:id|no|num|number|name|key|uid|index|instance|hash))*$"
)


def group_like(name: str) -> bool:
    """Whether a column's name says that its rows belong together (`PatientID`, `SentenceId`, `speaker`)."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return _GROUP.search(spaced) is not None


@dataclass
class Kept:
    """A table of which the hashes of the cells are kept."""

    name: str
    """The file."""
    columns: list[str]
    """Names, in order."""
    test_rows: int = 0
    """Rows that name a test id."""
    rows: int = 0
    """Rows that were read."""
    cut: bool = False
    """Whether there were more."""
    hashes: "list[np.ndarray[Any, Any]]" = field(default_factory=list)
    """Pieces of rows x columns."""
    absent: "list[np.ndarray[Any, Any]]" = field(default_factory=list)
    """Whether cells stand for nothing, likewise."""
    texts: dict[str, list[tuple[int, ...]]] = field(default_factory=dict)
    """Sketches of the texts in a column: the smallest hashes of its runs of 5 words."""
    samples: dict[str, list[str]] = field(default_factory=dict)
    """The first cells of a column, to be shown."""

    def add(self, frame: "pd.DataFrame") -> None:
        """Keep a piece. Rows beyond 20 million cells are left out."""
        import numpy as np
        import pandas as pd

        room = _CELLS // max(1, len(self.columns)) - self.rows
        if room < len(frame):
            self.cut = True
        frame = frame.iloc[: max(0, room)]
        if not len(frame) or list(map(str, frame.columns)) != self.columns:
            return
        cells = [pd.util.hash_array(frame[column].to_numpy(dtype=object)) for column in frame.columns]
        self.hashes.append(np.column_stack(cells))
        gone = [frame[column].isin(MISSING).to_numpy(dtype=bool) for column in frame.columns]
        self.absent.append(np.column_stack(gone))
        for column in map(str, frame.columns):
            self.samples.setdefault(column, [*frame[column].iloc[:200]])
            if _is_text(frame[column]) and self.rows < _MOST_TEXTS:
                sketches = self.texts.setdefault(column, [])
                sketches += [sketch(text) for text in frame[column].iloc[: _MOST_TEXTS - self.rows]]
        self.rows += len(frame)

    def column(self, name: str) -> "np.ndarray[Any, Any]":
        """Hashes of a column."""
        import numpy as np

        at = self.columns.index(name)
        return np.concatenate([piece[:, at] for piece in self.hashes])


def sketch(text: str) -> tuple[int, ...]:
    """The smallest hashes of a text's runs of 5 words; none for a text of fewer than 9 words."""
    import zlib

    words = re.findall(r"[\w']+", text.lower())
    if len(words) < _WORDS + 4:
        return ()
    runs = {
        zlib.crc32(" ".join(words[at : at + _WORDS]).encode()) * 2654435761 % (1 << 32)
        for at in range(len(words) - _WORDS + 1)
    }
    return tuple(sorted(runs)[:_SKETCH])


def compare(test: Kept, train: Kept, ids: Sequence[str], targets: Sequence[str]) -> list[Finding]:
    """What rows of a test table are also in a train table.

    Rows are equal where all columns agree that both have, ids and targets aside. Texts are nearly equal where at least
    80 % of the runs of 5 words of the test row stand in one train row. Groups are columns named like one.
    """
    shared = [column for column in test.columns if column in train.columns and column not in {*ids, *targets}]
    if not test.hashes or not train.hashes or not shared:
        return []
    return [*_equal_rows(test, train, shared), *_near_texts(test, train, shared), *_groups(test, train, shared)]


def _equal_rows(test: Kept, train: Kept, shared: Sequence[str]) -> list[Finding]:
    import numpy as np

    def rows(table: Kept) -> "np.ndarray[Any, Any]":
        found = np.zeros(table.rows, dtype=np.uint64)
        for column in shared:
            found = found * np.uint64(1099511628211) ^ table.column(column)
        return found

    with np.errstate(over="ignore"):
        ours, theirs = rows(test), rows(train)
    distinct = len(np.unique(ours))
    if distinct < 0.5 * len(ours) or _poor(test, shared):
        return []  # rows that say so little recur by chance
    empty = np.concatenate([piece[:, [test.columns.index(c) for c in shared]].all(axis=1) for piece in test.absent])
    same = np.flatnonzero(np.isin(ours, theirs) & ~empty)
    if len(same) < 10 or len(same) < 0.05 * len(ours):
        return []
    first = int(same[0])
    evidence = (
        Evidence(file=test.name, row=first, values={"columns": list(shared)[:20]}),
        Evidence(file=train.name, row=int(np.flatnonzero(theirs == ours[first])[0])),
    )
    text = f"{len(same)} of {len(ours)} rows of the test table are in the train table too, target aside."
    return [Finding(rule="test-rows-in-train", severity="warning", message=text, evidence=evidence)]


def _near_texts(test: Kept, train: Kept, shared: Sequence[str]) -> list[Finding]:
    findings = []
    for column in shared:
        ours, theirs = test.texts.get(column), train.texts.get(column)
        if not ours or not theirs:
            continue
        index: dict[int, list[int]] = {}
        for row, found in enumerate(theirs):
            for run in found:
                places = index.setdefault(run, [])
                if len(places) < 20:  # what stands in more texts is a phrase of the language
                    places.append(row)
        near, usable = [], 0
        for row, found in enumerate(ours):
            if not found:
                continue
            usable += 1
            votes = Counter(place for run in found for place in index.get(run, ()))
            if votes and votes.most_common(1)[0][1] >= 0.8 * len(found):
                near.append((row, votes.most_common(1)[0][0]))
        if len(near) >= 10 and len(near) >= 0.05 * usable:
            row, other = near[0]
            evidence = (
                Evidence(file=test.name, row=row, values={"column": column}),
                Evidence(file=train.name, row=other, values={"column": column}),
            )
            text = f"{len(near)} of {usable} texts in the test column {column} stand almost so in train."
            findings.append(Finding(rule="test-texts-in-train", severity="warning", message=text, evidence=evidence))
    return findings


def _groups(test: Kept, train: Kept, shared: Sequence[str]) -> list[Finding]:
    import numpy as np

    findings = []
    for column in shared:
        if not group_like(column):
            continue
        ours = test.column(column)[~np.concatenate([piece[:, test.columns.index(column)] for piece in test.absent])]
        finding = cut_group(column, ours, train.column(column), test.name, train.name)
        if finding is not None:
            cells = test.samples.get(column, [])
            known = set(train.column(column).tolist())
            import pandas as pd

            hashes = pd.util.hash_array(np.array(cells, dtype=object)).tolist()
            row = next((r for r, h in enumerate(hashes) if h in known and not is_missing(cells[r])), None)
            if row is not None:
                first = finding.evidence[0].model_copy(update={"row": row, "values": {column: cells[row]}})
                finding = finding.model_copy(update={"evidence": (first, *finding.evidence[1:])})
            findings.append(finding)
    return findings


def missing_tells(train: Kept, test: Kept, target: str) -> list[Finding]:
    """Columns that both tables have, and for which in train it says the answer whether a cell is there.

    Where it is (or is not), the answer is always the same, for at least 8 rows, and so many that this is less likely
    than one in 10,000 by the answers' shares (a warning; serious from one in a million on). By train, for labels are
    known there; what holds there, holds in test.
    """
    import numpy as np

    if target not in train.columns or not train.hashes or not test.hashes:
        return []
    answers = train.column(target)
    classes, counts = np.unique(answers, return_counts=True)
    if not 2 <= len(classes) <= 20:
        return []
    share = {name: count / len(answers) for name, count in zip(classes.tolist(), counts.tolist(), strict=True)}
    findings = []
    for column in train.columns:
        if column == target or column not in test.columns:
            continue
        gone = np.concatenate([piece[:, train.columns.index(column)] for piece in train.absent])
        in_test = np.concatenate([piece[:, test.columns.index(column)] for piece in test.absent])
        for what, chosen, there in (("there", ~gone, ~in_test), ("missing", gone, in_test)):
            found = np.unique(answers[chosen])
            number, told = int(chosen.sum()), int(there.sum())
            if len(found) != 1 or not 8 <= number < len(answers) or not told:
                continue
            # The rows of test that are alike count too: the same would hold for them.
            chance = share[int(found[0])] ** (number + told)
            if chance > 100 * CHANCE:
                continue
            severity: Severity = "serious" if chance < CHANCE else "warning"
            row = int(np.flatnonzero(there)[0])
            cell = train.samples[column][int(np.flatnonzero(chosen)[0])] if np.flatnonzero(chosen)[0] < 200 else ""
            where = (
                Evidence(file=test.name, row=row, values={"column": column, f"{what} in test": told}),
                Evidence(file=train.name, row=int(np.flatnonzero(chosen)[0]), values={column: str(cell)[:80]}),
            )
            text = (
                f"Where `{column}` is {what}, {target} is the same in all of {number} train rows; "
                f"it is {what} in {told} test rows."
            )
            findings.append(Finding(rule="missing-tells-target", severity=severity, message=text, evidence=where))
    return findings


def cut_group(
    column: str, ours: "np.ndarray[Any, Any]", theirs: "np.ndarray[Any, Any]", test: str, train: str
) -> Finding | None:
    """Groups of which some rows are in test and others in train, where at least a tenth of the test rows is of such."""
    import numpy as np

    groups = np.unique(ours)
    inside = np.isin(ours, theirs)
    if len(groups) < 5 or inside.sum() < max(3, 0.1 * len(ours)):
        return None
    both = len(np.intersect1d(groups, theirs))
    text = (
        f"{int(inside.sum())} of {len(ours)} test rows are of a {column} that is in train too "
        f"({both} of {len(groups)} values): the split cuts these groups."
    )
    evidence = (Evidence(file=test, values={"column": column}), Evidence(file=train, values={"column": column}))
    return Finding(rule="group-in-train-and-test", severity="warning", message=text, evidence=evidence)


def _is_text(cells: Any) -> bool:
    head = [str(cell) for cell in cells.iloc[:200]]
    return bool(head) and sum(len(cell.split()) >= 4 for cell in head) > 0.2 * len(head)


def _poor(table: Kept, shared: Sequence[str]) -> bool:
    """Whether rows hold so little (fewer than 24 bits, no text) that equal ones are to be expected."""
    import numpy as np

    if any(column in table.texts for column in shared):
        return False
    return sum(float(np.log2(len(np.unique(table.column(column))))) for column in shared) < _BITS
