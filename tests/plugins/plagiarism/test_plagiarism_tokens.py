import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mleb_plagiarism.tokens import normalised
from mleb_plagiarism.winnow import GUARANTEED, K, fingerprints


def texts(source, language="python"):
    return " ".join(normalised(source, language).texts)


def test_own_names_numbers_and_texts_are_alike():
    assert texts("total = price * 3 + 'x'") == texts('n = p * 0x1F\\\n + f"""y\n""" \'z\'') == "V = V * N + S"


def test_what_libraries_name_stands():
    assert texts("model.fit(x, sample_weight=w)") == "V . fit ( V , sample_weight = V )"
    assert texts("print(len(x)) if x is None else sorted(x)") == "print ( len ( V ) ) if V is None else sorted ( V )"


@pytest.mark.parametrize(
    "head",
    [
        "import numpy as np",
        "import numpy as quite_another",
        "import os, numpy as np, re",
        "from x import (numpy as np,)",
    ],
)
def test_imports_leave_nothing_and_aliases_are_seen_through(head):
    alias = "quite_another" if "quite" in head else "np"
    assert texts(f"{head}\ny = {alias}.log1p(x)") == "V = numpy . log1p ( V )"


def test_names_that_the_source_defines_are_its_own_also_behind_dots():
    one = "class A:\n  def step(self, rate=1):\n    self.size = rate\n    return self.size\nA().step(rate=2)"
    other = one.replace("step", "go").replace("size", "width").replace("rate", "speed").replace("A", "Bee")
    assert texts(one) == texts(other)
    assert texts(one).endswith("V ( ) . V ( V = N )")
    assert "__init__" in texts("class A:\n  def __init__(self): pass")


def test_formatting_comments_docstrings_and_magics_leave_nothing():
    plain = "def f(a, b):\n    return g(a, b)\nx = f(1, 2)"
    dressed = '''
%load_ext autoreload
!pip install x
%%time
def f(a,   # first
      b,
      ):
        """What it does,
        in words."""
        return g( a
            , b , )   ;


x = \\
   f(1, 2); # done
f?
'''
    assert texts(plain) == texts(dressed)


def test_brackets_that_only_group_leave_nothing():
    assert texts("(a, b) = ((c + d)) * e\nreturn (f(a))\nfor (i, j) in z: pass") == texts(
        "a, b = c + d * e\nreturn f(a)\nfor i, j in z: pass"
    )
    assert texts("x[(1)] = f((a))(b)[0]((c))") == "V [ N ] = V ( V ) ( V ) [ N ] ( V )"


def test_lines_are_those_of_the_source():
    tokens = normalised('"""doc\nstring"""\n\nx = foo(\n  1,\n)\ny = """a\nb"""\nz')
    assert dict(zip(tokens.lines, tokens.texts, strict=True)) == {4: "(", 5: "N", 6: ")", 7: "S", 9: "V"}


def test_a_mistake_costs_its_own_statement_only():
    rest = "\ndef g(a):\n    return np.mean(a) + foo(a, axis=3)\n"
    whole = texts("import numpy as np" + rest)
    for mistake in ("x = foo(1, [2", "x = 'open", "print 'python 2', x", "    x = = 3", "x = $$ ? €", ")))"):
        assert texts("import numpy as np\n" + mistake + rest).endswith(whole)


def test_hostile_text_ends(tmp_path):
    for text in (
        '"""' * 20_000 + "\\",
        "'" + "\\'" * 50_000,
        "(" * 200_000,
        "x." * 100_000,
        "\\" * 100_000,
        "\0\x0c\r",
    ):
        normalised(text)


@given(st.text(st.sampled_from("ab1 .,;:=()[]{}\"'\\\\#\n%!?@\t"), max_size=60), st.sampled_from(["python", "r", "c"]))
def test_anything_has_tokens_with_lines_in_order(text, language):
    tokens = normalised(text, language)
    assert len(tokens.texts) == len(tokens.lines)
    assert tokens.lines == sorted(tokens.lines)
    assert all(1 <= line <= text.count("\n") + 1 for line in tokens.lines)


def test_other_languages():
    r = 'library(dplyr)\nmy_frame <- read.csv("a.csv") # load\nfit <- glm(y ~ x, data = my_frame)'
    other = 'library(dplyr)\nd <- read.csv("b.csv")\n\nm <- glm(target ~ x,\n   data = d)'
    assert texts(r, "r") == texts(other, "r")
    assert "glm" in texts(r, "r")
    assert texts("x = foo(1)", "no such language") == texts("x = foo(1)")


def test_what_is_made_to_be_slow_is_read_as_python(monkeypatch):
    monkeypatch.setattr("mleb_plagiarism.tokens.OTHER_S", 0.05)
    slow = "a b " * 20_000  # 35 s for the first quarter of it
    assert texts(slow, "java") == texts(slow)
    monkeypatch.setattr("mleb_plagiarism.tokens.MOST_OTHER", 5)
    assert texts("x <- foo(1)", "r") == texts("x <- foo(1)")


def test_fingerprints_are_stable_and_found_wherever_a_long_passage_stands():
    tokens = normalised("".join(f"x = lib.call_{i}(a, b)\n" for i in range(100)))
    hashes, places = fingerprints(tokens)
    assert hashes[0] == 4017368155445294  # an index on disk stays good
    assert (np.diff(hashes.astype(object)) > 0).all()
    assert len(hashes) == len(places) == len(np.unique(places))
    for start in range(0, 300, 7):  # the promise of winnowing, with other code around it
        part = normalised("".join(f"x = lib.call_{i}(a, b)\n" for i in range(start // 7, 100)))
        around = type(tokens)(["other"] * 5 + part.texts[:GUARANTEED] + ["end"] * 5, [1] * (GUARANTEED + 10))
        assert np.isin(fingerprints(around)[0], hashes).any()


def test_little_code_has_few_fingerprints():
    short = normalised("x = 1")
    assert len(fingerprints(short)[0]) == 0
    one = type(short)([str(i) for i in range(K)], [1] * K)
    assert len(fingerprints(one)[0]) == 1
    assert len(fingerprints(type(short)())[0]) == 0
