"""Near copies among the references: forks of a popular notebook say the same thing once, not a hundred times.

Each document has a sketch of SKETCH least values of its fingerprints under as many orders (Broder's min-wise hashing);
the share of equal values estimates the Jaccard index of two documents. Candidates are those that agree in a band of
BAND values; they are of one family where the estimate is at least SAME.
"""

import numpy as np
import numpy.typing as npt

from mleb_plagiarism.winnow import Hashes

__all__ = ["families"]

SKETCH, BAND, SAME = 32, 2, 0.5


def families(hashes: Hashes, offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The family of each document, numbered from 0.

    Args:
        hashes: fingerprints, document after document.
        offsets: where the fingerprints of each document begin; one more than there are documents.
    """
    count = len(offsets) - 1
    parents = np.arange(count)
    filled = np.flatnonzero(np.diff(offsets) > 0)
    if len(filled) > 1:
        _join(parents, filled, _sketches(hashes, offsets[:-1][filled]))
    roots = np.array([_root(parents, document) for document in range(count)], dtype=np.int64)
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)


def _sketches(hashes: Hashes, starts: npt.NDArray[np.int64]) -> Hashes:
    draw = np.random.default_rng(2003)
    sketches = np.empty((len(starts), SKETCH), np.uint64)
    for place in range(SKETCH):
        factor, mask = draw.integers(0, 2**63, 2, dtype=np.uint64)
        sketches[:, place] = np.minimum.reduceat((hashes ^ mask) * (factor | np.uint64(1)), starts)
    return sketches


def _join(parents: npt.NDArray[np.int64], filled: npt.NDArray[np.int64], sketches: Hashes) -> None:
    for first in range(0, SKETCH, BAND):
        seen: dict[bytes, int] = {}
        bands = np.ascontiguousarray(sketches[:, first : first + BAND])
        for row, document in enumerate(filled):
            earlier = seen.setdefault(bands[row].tobytes(), row)
            if earlier != row and (sketches[earlier] == sketches[row]).mean() >= SAME:
                one, other = _root(parents, int(document)), _root(parents, int(filled[earlier]))
                parents[max(one, other)] = min(one, other)


def _root(parents: npt.NDArray[np.int64], document: int) -> int:
    while parents[document] != document:
        parents[document] = parents[parents[document]]
        document = int(parents[document])
    return document
