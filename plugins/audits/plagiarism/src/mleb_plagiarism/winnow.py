"""Fingerprints of a row of tokens by winnowing.

S. Schleimer, D. S. Wilkerson, A. Aiken: Winnowing: Local Algorithms for Document Fingerprinting, SIGMOD 2003. Every K
tokens in a row have a hash; of every WINDOW hashes in a row the least one is a fingerprint, the rightmost of equal
ones. So whatever two sources share of at least K + WINDOW - 1 tokens in a row gives both a common fingerprint, and
nothing shorter than K does.
"""

import hashlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mleb_plagiarism.tokens import Tokens

__all__ = ["GUARANTEED", "WINDOW", "Hashes", "K", "Positions", "fingerprints", "grams"]

K = 16
"""Tokens in a hash: two to three lines."""
WINDOW = 8
"""Hashes of which one is kept."""
GUARANTEED = K + WINDOW - 1
"""Tokens in a row that are never overlooked."""
Hashes = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.uint32]

_BASE = 0x9E3779B97F4A7C15
_POWERS = np.array([pow(_BASE, K - 1 - place, 2**64) for place in range(K)], dtype=np.uint64)


@lru_cache(maxsize=500_000)
def _word(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "little")


def fingerprints(tokens: Tokens) -> tuple[Hashes, Positions]:
    """The fingerprints of a source.

    Args:
        tokens: normalised.

    Returns:
        The hashes, each once and ascending; and for each the index of the token where it first begins. Both are empty
        for fewer than K tokens; a source of fewer than GUARANTEED has one.
    """
    found = grams(tokens)
    if not len(found):
        return found, np.empty(0, np.uint32)
    count = len(found)
    window = min(WINDOW, count)
    views = np.lib.stride_tricks.sliding_window_view(found, window)
    chosen = np.unique(np.arange(len(views)) + window - 1 - views[:, ::-1].argmin(axis=1))
    hashes, first = np.unique(found[chosen], return_index=True)
    return hashes, chosen[first].astype(np.uint32)


def grams(tokens: Tokens) -> Hashes:
    """The hash of every K tokens in a row; none for fewer than K tokens."""
    if len(tokens) < K:
        return np.empty(0, np.uint64)
    words = np.fromiter(map(_word, tokens.texts), np.uint64, len(tokens))
    count = len(words) - K + 1
    found = np.zeros(count, np.uint64)
    for place, power in enumerate(_POWERS):
        found += words[place : place + count] * power
    return _mixed(found)


def _mixed(values: Hashes) -> Hashes:
    """The finalizer of splitmix64: of a sum the low bits know nothing of the high ones."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Hashes = values ^ (values >> np.uint64(31))
    return mixed
