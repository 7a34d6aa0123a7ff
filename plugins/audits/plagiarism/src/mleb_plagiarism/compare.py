"""Similarity of a run's code to public solutions, in percent, and the passages behind it.

Of one source of a run and one reference, with F the source's fingerprints and R the reference's, both without those
that are common among the references:

    similarity = 100 |F and R| / |F|        how much of the run's source stands in the reference
    coverage   = 100 |F and R| / |R|        how much of the reference stands in the run's source

Copying with names, formatting or order changed leaves the similarity near 100; code of one's own around the copy
lowers it, which is what the coverage is for. A fingerprint is common if it stands in more than a fifth of the
references, and in three at least; near copies among the references count as one.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mleb_core.layout import RunLayout
from mleb_core.run_code.of_run import code_of_run
from mleb_core.run_code.sources import Source
from mleb_plagiarism.corpus import Corpus, Reference
from mleb_plagiarism.passages import Passage, passages
from mleb_plagiarism.tokens import normalised
from mleb_plagiarism.winnow import Hashes, fingerprints

__all__ = ["LEAST", "THRESHOLD", "TOGETHER", "Comparison", "Match", "compare", "compare_run"]

THRESHOLD = 60.0
"""Percent from which on a source is held for a copy, as in the MLE-bench paper (arXiv 2410.07095)."""
TOGETHER = "short ones together"
"""How the name of the source ends that is all short sources."""
LEAST = 20
"""Fingerprints that are not common which a source must have to be compared alone, about ten lines. Of fewer, any line
that two people write alike would be a large share."""


OTHERS_S = 60.0
"""Processor seconds that languages other than Python get in a run; the rest is read as Python."""


@dataclass(frozen=True)
class Match:
    """A source of a run beside the reference that it is most similar to."""

    source: str
    """The source's name."""
    reference: Reference
    """The public solution."""
    similarity: float
    """Percent of the source's counted fingerprints that the reference has."""
    coverage: float
    """Percent of the reference's counted fingerprints that the source has."""
    anywhere: float
    """Percent of the source's counted fingerprints that any of the references has."""
    counted: int
    """The source's fingerprints, without common ones."""
    passages: tuple[Passage, ...] = ()
    """What they share; only of matches at or above the threshold, and where the reference's file is still there."""

    def flagged(self, threshold: float) -> bool:
        """Whether the source is held for a copy of the reference, or holds nearly all of it."""
        return self.similarity >= threshold or self.coverage >= threshold


@dataclass(frozen=True)
class Comparison:
    """A run against all references."""

    matches: tuple[Match, ...]
    """For each source that was compared its most similar reference, most similar first."""
    short: int
    """Sources that are too short to be compared alone; together they are one more source."""
    notes: tuple[str, ...]
    """What of the run could not be read, a line each."""

    @property
    def similarity(self) -> float | None:
        """The highest similarity; None where nothing was compared."""
        return self.matches[0].similarity if self.matches else None


def compare_run(
    layout: RunLayout, corpus: Corpus, *, threshold: float = THRESHOLD, least: int = LEAST, most_passages: int = 5
) -> Comparison:
    """Compare all code of a run with all references.

    Args:
        layout: of the run.
        corpus: the references.
        threshold: percent from which on passages are given.
        least: counted fingerprints that a source must have.
        most_passages: of a match.
    """
    sources, notes = code_of_run(layout)
    found = compare(sources, corpus, threshold=threshold, least=least, most_passages=most_passages)
    return Comparison(found.matches, found.short, (*notes, *found.notes))


def compare(
    sources: Sequence[Source],
    corpus: Corpus,
    *,
    threshold: float = THRESHOLD,
    least: int = LEAST,
    most_passages: int = 5,
) -> Comparison:
    """Compare sources with all references. Arguments and result as in `compare_run`."""
    matches: dict[bytes, Match] = {}
    short: list[Hashes] = []
    spent = 0.0
    notes: list[str] = []
    for source in sources:
        language = source.language if spent <= OTHERS_S else "python"
        if language != source.language and not notes:
            told = f"{source.name} and what comes behind is read as Python"
            notes.append(f"{told}: what was before took more than {OTHERS_S:g} s")
        began = time.thread_time()
        prints = corpus.uncommon(fingerprints(normalised(source.text, language))[0])
        if language != "python":
            spent += time.thread_time() - began
        if len(prints) < least:
            short.append(prints)
        elif (key := prints.tobytes()) not in matches:  # the same code under another name
            matches[key] = _match(source, prints, corpus, threshold=threshold, least=least, most=most_passages)
    together = np.unique(np.concatenate(short)) if short else np.empty(0, np.uint64)
    if len(short) > 1 and len(together) >= least:
        name = f"{len(short)} {TOGETHER}"
        matches[b""] = _match(Source(name, ""), together, corpus, threshold=threshold, least=least, most=0)
    ordered = sorted(matches.values(), key=lambda match: (-match.similarity, -match.coverage, match.source))
    return Comparison(tuple(ordered), len(short), tuple(notes))


def _match(source: Source, prints: Hashes, corpus: Corpus, *, threshold: float, least: int, most: int) -> Match:
    shared, anywhere = corpus.shared(prints)
    similar = 100.0 * shared / len(prints)
    # Nearly nothing is left of some references without what is common; that it is there again says nothing.
    covered = np.where(corpus.counted >= least, 100.0 * shared / np.maximum(corpus.counted, 1), 0.0)
    best = int(np.lexsort((-covered, -similar))[0])
    if similar[best] < threshold <= covered.max(initial=0.0):
        best = int(covered.argmax())
    match = Match(
        source.name,
        corpus.references[best],
        float(similar[best]),
        float(covered[best]),
        100.0 * anywhere / len(prints),
        len(prints),
    )
    if not (most and match.flagged(threshold)) or (reference := corpus.source(best)) is None:
        return match
    found = passages(source, reference, corpus.common, most=most)
    return Match(**{**vars(match), "passages": tuple(found)})
