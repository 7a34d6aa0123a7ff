"""Words of many cells at once, against Python's sets a row at a time, on ordinary and on nasty texts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mleb_metrics.ranking import map_at_k
from mleb_metrics.tags import tag_micro_f1, tag_sample_f1
from mleb_metrics.words import pieces, read_words

WORDS = ["a", "b", "B", "0", "00", "abcdefgh", "abcdefghi", "abcdefgi", "x" * 16, "x" * 17, "x" * 64, "-1", "a,b", '"']
ODD = ["", " ", "\t", "\n", "\r", "\x0b", "\x1c", "\x1f", "\x01", "\0", "é", "\u3000", "\x85", "x" * 65, "日本"]
blank = st.sampled_from([" ", "  ", "\t", "\n", " \x1d"])
plain = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
nasty = st.lists(st.sampled_from(WORDS + ODD) | blank, max_size=12).map("".join)
spaced = st.tuples(st.lists(st.sampled_from(WORDS[:4]), max_size=40), blank).map(lambda pair: pair[1].join(pair[0]))


def tables(cell):
    return st.lists(st.tuples(cell, cell), min_size=1, max_size=8)


any_table = tables(plain) | tables(nasty) | tables(spaced)


def column(cells):
    return np.array([*cells, None], dtype=object)[:-1]


def precision(truth, predicted, k, separator):
    wanted, hits, total = set(truth.split()), 0, 0.0
    size = min(len(wanted), k)
    for rank, item in enumerate(predicted.split(separator)[:k], 1):
        if item in wanted:
            wanted.remove(item)
            hits += 1
            total += hits / rank
    return total / size if size else 0.0


@settings(deadline=None, max_examples=150)
@given(any_table, st.booleans())
def test_sets_of_tags(rows, ignore_unknown):
    known = set(" ".join(t for t, _ in rows).split())
    truth = [set(t.split()) for t, _ in rows]
    found = [set(p.split()) & known if ignore_unknown else set(p.split()) for _, p in rows]
    both = [len(t & p) for t, p in zip(truth, found, strict=True)]
    sizes = [len(t) + len(p) for t, p in zip(truth, found, strict=True)]
    arguments = column(t for t, _ in rows), column(p for _, p in rows)
    expected = 2 * sum(both) / sum(sizes) if sum(sizes) else 0.0
    assert tag_micro_f1(*arguments, ignore_unknown=ignore_unknown) == expected
    each = [2 * b / s if s else 0.0 for b, s in zip(both, sizes, strict=True)]
    assert tag_sample_f1(*arguments, ignore_unknown=ignore_unknown) == float(np.mean(each))


@settings(deadline=None, max_examples=150)
@given(any_table, st.integers(1, 14), st.sampled_from([None, " ", ","]))
def test_ranked_lists(rows, k, separator):
    expected = float(np.mean([precision(t, p, k, separator) for t, p in rows]))
    assert map_at_k(column(t for t, _ in rows), column(p for _, p in rows), k=k, separator=separator) == expected


def test_many_rows_are_taken_in_pieces():
    draw = np.random.default_rng(0)
    texts = [[" ".join(map(str, draw.integers(0, 30, n))) for n in draw.integers(0, 8, 45_000)] for _ in range(2)]
    texts[0][30_000] = "é é"  # a piece that is not plain
    truth, found = ([set(text.split()) for text in side] for side in texts)
    sizes = [len(t) + len(p) for t, p in zip(truth, found, strict=True)]
    both = [len(t & p) for t, p in zip(truth, found, strict=True)]
    assert tag_micro_f1(column(texts[0]), column(texts[1])) == 2 * sum(both) / sum(sizes)
    each = [precision(t, p, 5, None) for t, p in zip(*texts, strict=True)]
    assert map_at_k(column(texts[0]), column(texts[1]), k=5) == float(np.mean(each))
    assert [(part.start, part.stop) for part in pieces(45, 20)] == [(0, 20), (20, 40), (40, 45)]


@pytest.mark.parametrize("cell", ["é", "a\0b", "x" * 65, "a " * 257])
def test_what_is_not_plain_is_left_to_sets(cell):
    assert read_words(["a"], [cell]) is None
    assert read_words([cell], ["a"]) is None
    assert read_words(["a"], ["a"], separator=",") is None


def test_words_and_their_places():
    words = read_words(["b a", ""], [" a  c b b", ""], separator=" ")
    assert words is not None
    wanted, found = words
    assert wanted.counts.tolist() == [2, 0]
    assert found.present.tolist() == [
        [False, False],
        [True, False],
        [False, False],
        [True, False],
        [True, False],
        [True, False],
    ]
    assert found.distinct().among(wanted)[:, 0].tolist() == [False, True, False, False, True, False]
    known = found.known_to(wanted)
    assert known is not None
    assert known.counts.tolist() == [3, 0]
