"""Texts by their bytes say what the texts say; where pandas keeps Python's strings there is nothing to see."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mleb_core.errors import GraderError, InvalidSubmissionError
from mleb_core.grading.ids import align_by_id
from mleb_core.grading.texts import is_kept_as_bytes, joined, same_width

pytest.importorskip("pyarrow")

ids = st.lists(
    st.text("ab\0é", min_size=2, max_size=2) | st.sampled_from(["a", "ab" * 8, "aa" * 8]), min_size=1, max_size=6
)
wide = st.lists(st.integers(0, 9).map(lambda n: f"{n:019d}"), min_size=1, max_size=8)


def kept(texts, storage="pyarrow"):
    return pd.Series(texts, dtype=pd.StringDtype(storage, na_value=np.nan))


def outcome(answers, submission, storage, **options):
    tables = [pd.DataFrame({"id": kept(side, storage)}) for side in (submission, answers)]
    try:
        return align_by_id(*tables, ["id"], **options).tolist()
    except (InvalidSubmissionError, GraderError) as error:
        return str(error)


@settings(deadline=None)
@given(
    ids | wide, st.randoms(use_true_random=False), st.sampled_from(["as it is", "shuffled", "changed"]), st.booleans()
)
def test_ids_are_found_as_by_python_strings(answers, random, change, unique):
    answers = list(dict.fromkeys(answers)) if unique else answers
    submission = list(answers)
    if change != "as it is":
        random.shuffle(submission)
    if change == "changed":
        submission[0] = random.choice([*answers, "b" * 19, "é" * 3])
    for options in ({}, {"unknown": "ignored"}, {"repeated": True}):
        both = [outcome(answers, submission, storage, **options) for storage in ("pyarrow", "python")]
        assert both[0] == both[1]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=6), st.integers(0, 6))
def test_bytes_are_those_of_the_texts(texts, cut):
    column = kept(["x", *texts])
    for values in (column.iloc[1:], column.array[1:], pd.concat([column, column]).iloc[len(column) + 1 :]):
        assert is_kept_as_bytes(values)
        assert joined(values).tobytes() == "".join(f"{text}\0" for text in texts).encode()
        widths = {len(text.encode()) for text in texts}
        if len(widths) == 1 and widths != {0}:
            assert same_width(values).tobytes() == "".join(texts).encode()
            assert same_width(values).shape == (len(texts), *widths)
        else:
            assert same_width(values) is None


@pytest.mark.parametrize("values", [kept(["a"], "python"), np.array(["a"], dtype=object), pd.Series([1]), ["a"]])
def test_other_columns_are_left_to_python(values):
    assert not is_kept_as_bytes(values)
    assert joined(values) is None
    assert same_width(values) is None


def test_a_missing_text_has_no_width():
    assert same_width(kept(["ab", None])) is None
