"""Which row of a submission answers which row of the answers."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mleb_core.errors import GraderError, InvalidSubmissionError
from mleb_core.grading.ids import align_by_id


@pytest.mark.parametrize(
    ("answers", "submission"),
    [
        ("1,2,3", "3,1,2"),
        ("1,2,3", "3.0,1.0,2.0"),
        ("00001,00002,00003", "3,1,2"),  # numbers on both sides, as pandas reads them
        ("1,2,3", "003,1,2.0"),
        ("9007199254740993,9007199254740992,1", "1,9007199254740992,9007199254740993"),
        ("18446744073709551615,2,1", "1,18446744073709551615,2"),
        ("-1,-2,3", "-2,3,-1"),
        ("007,7,x", "x,7,007"),
        ("1e5,100000,x", "x,100000,1e5"),
        ("0.1,0.25,x", "x,0.25,0.1"),
        ("None,b,c", "c,None,b"),  # pandas takes it for a missing value
        ("True,False,x", "x,True,False"),
    ],
)
def test_ids_of_one_kind_are_found(grade, seen, answers, submission):
    grade(_table(submission), _table(answers), metric=seen)
    given, wanted = submission.split(","), answers.split(",")
    if set(given) == set(wanted):
        assert seen.predicted.tolist() == [given.index(id) for id in wanted]
    else:
        assert sorted(seen.predicted.tolist()) == [0, 1, 2]


@pytest.mark.parametrize(
    ("answers", "submission", "expected"),
    [
        ("007,8,x", "7,8,x", "row 1 (id '7'): the id is unknown"),
        ("1,2,3", "1,2,x", "row 3 (id 'x'): the id is unknown"),
        ("1,2,3", "1,2,2.5", "row 3 (id 2.5): the id is unknown"),
        ("a,b,c", "1,2,3", "row 1 (id 1): the id is unknown (3 such rows)"),
        ("1,2,3", "1,2,3.0000001", "unknown"),
        ("9007199254740993,2,1", "9007199254740992,2,1", "unknown"),
        ("18446744073709551615,2,1", "-1,2,1", "row 1 (id -1): the id is unknown"),
        ("1,2,3", "1,2,inf", "row 3 (id inf): the id is unknown"),
        ("1,2,3", f"1,2,{10**400}", "row 3 (id "),
    ],
)
def test_ids_that_are_not_the_same_are_not_taken_for_each_other(refusal, answers, submission, expected):
    assert expected in refusal(_table(submission), _table(answers))


def _table(ids):
    return "id,y\n" + "".join(f"{id},{row}\n" for row, id in enumerate(ids.split(",")))


def test_ids_of_several_columns(grade, refusal, seen):
    answers = "case,class,y\n1,x,1\n1,y,2\n2,x,3\n"
    grade("class,y,case\ny,20,1\nx,30,2\nx,10,1\n", answers, metric=seen, id=("case", "class"))
    assert seen.predicted.tolist() == [10, 20, 30]
    assert seen.truth.tolist() == [1, 2, 3]
    message = refusal("class,y,case\ny,20,1\nx,30,2\nx,10,2\n", answers, id=("case", "class"))
    assert message == "row 3 (case 2, class 'x'): the id stands in row 2 already"
    assert "row 2 (case 2, class 'y'): the id is unknown" in refusal(
        "class,y,case\ny,20,1\ny,30,2\nx,10,1\n", answers, id=("case", "class")
    )


def test_answers_with_repeated_ids_need_the_option(grade, refusal, seen, fault):
    answers = "id,y\na,1\na,2\nb,3\n"
    assert "not unique" in fault("id,y\nb,1\na,2\na,3\n", answers)
    options = {"repeated_ids": True}
    grade("id,y\nb,30\na,10\na,20\n", answers, metric=seen, options=options)
    assert seen.predicted.tolist() == [10, 20, 30]
    assert "stands there too often" in refusal("id,y\nb,3\nb,1\na,2\n", answers, options=options)
    assert "1 id is missing" in refusal("id,y\nb,3\na,2\n", answers, options=options)


def test_a_million_rows_in_any_order(grade, seen):
    n = 1_000_000
    ids = np.arange(n)
    shuffled = np.random.default_rng(0).permutation(n)
    answers = "id,y\n" + "\n".join(f"k{i},{i}" for i in ids) + "\n"
    grade("id,y\n" + "\n".join(f"k{i},{i}" for i in shuffled) + "\n", answers, metric=seen)
    assert bool((seen.truth == seen.predicted).all())


ids_of_a_kind = (
    st.lists(st.integers(-50, 50), min_size=1, max_size=12, unique=True)
    | st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=12, unique=True)
    | st.lists(st.sampled_from(["a", "b", "A", "07", "7", "7.0", "x y", "é", "日", "a" * 40]), min_size=1, unique=True)
)


@settings(deadline=None)
@given(ids_of_a_kind, st.randoms(use_true_random=False), st.integers(0, 3))
def test_rows_are_found_whatever_the_ids_are_like(ids, random, change):
    """However ids are looked up (by table, by hash, as codes), the outcome is that of a dictionary."""
    wanted, found = list(ids), list(ids)
    random.shuffle(found)
    if change == 1:
        found.append(random.choice(found))
    elif change == 2:
        found.pop()
    elif change == 3:
        found[0] = "z" if isinstance(found[0], str) else 1234
    answers, submission = (pd.DataFrame({"id": pd.Series(values)}) for values in (wanted, found))
    if sorted(map(str, wanted)) == sorted(map(str, found)):
        assert align_by_id(submission, answers, ["id"]).tolist() == [found.index(id) for id in wanted]
    else:
        with pytest.raises(InvalidSubmissionError, match=r"already|missing|unknown"):
            align_by_id(submission, answers, ["id"])
    with pytest.raises(GraderError, match="not unique"):
        align_by_id(submission.iloc[:0], pd.concat([answers, answers[:1]]), ["id"])
