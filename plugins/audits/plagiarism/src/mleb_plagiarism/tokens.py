"""Normalised tokens: what renaming and reformatting leave as it is.

Python, by what a name is:

- keywords, builtins and operators stand as they are; comments, blanks, line breaks, docstrings, trailing commas,
  brackets that only group, and import statements leave nothing;
- an imported name stands under its own name, whatever it is imported as (`pd` is pandas);
- names behind a dot and keywords of calls stand as they are, unless the source itself defines them;
- every other name, which its author may change as he likes, is V; every number is N, every text S, and texts written
  side by side are one.

Other languages, by pygments: names that are called and not assigned stand, all others are V; else as above. Some of
its expressions take time that grows with the square of a text or worse, so what is long, or made to be slow, is read as
Python, which takes time in proportion.
"""

import builtins
import keyword
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from mleb_plagiarism.lexer import NAME, NUMBER, OPERATOR, STRING, Lexeme, statements

__all__ = ["VERSION", "Tokens", "normalised"]

VERSION = 1
"""Raised when the same source gives other tokens than before."""
MOST_OTHER = 200_000
"""Characters of a source that pygments reads."""
OTHER_S = 10.0
"""Processor seconds that it gets."""
VARIABLE, ANY_NUMBER, ANY_TEXT = "V", "N", "S"
_KEYWORDS = frozenset(keyword.kwlist)
_FIXED = _KEYWORDS | frozenset(name for name in dir(builtins) if not name.startswith("_")) | {"print"}


@dataclass(frozen=True)
class Tokens:
    """A source as it is compared."""

    texts: list[str] = field(default_factory=list)
    """What is compared."""
    lines: list[int] = field(default_factory=list)
    """The line where each stands, from 1."""

    def __len__(self) -> int:
        return len(self.texts)


def normalised(text: str, language: str = "python") -> Tokens:
    """The tokens of a source.

    Args:
        text: lines end with line feeds.
        language: "python", or what pygments calls it, such as "r"; one that pygments does not know is read as Python.
    """
    if language != "python" and (found := _of_other(text, language)) is not None:
        return found
    return _of_python(statements(text))


def _of_python(found: Sequence[Sequence[Lexeme]]) -> Tokens:
    imported: dict[str, str] = {}
    own: set[str] = set()
    kept = []
    for statement in found:
        kind, word, _, _ = statement[0]
        if kind == NAME and word in ("import", "from"):
            imported |= _imports(statement)
        elif kind != STRING or any(token[0] != STRING for token in statement):  # a docstring, or code put out of use
            own |= _own_names(statement)
            kept.append(statement)
    tokens = Tokens()
    add, add_line = tokens.texts.append, tokens.lines.append
    for statement in kept:
        behind = ""
        last = len(statement) - 1
        calls: list[bool] = []
        for index, (kind, word, line, depth) in enumerate(statement):
            text = word
            if kind == NAME:
                if behind == "." or (depth and behind in ("(", ",") and index < last):
                    if behind != "." and statement[index + 1][1] != "=":  # no keyword of a call
                        text = word if word in _FIXED else imported.get(word, VARIABLE)
                    elif word in own:
                        text = VARIABLE
                elif word not in _FIXED:
                    text = imported.get(word, VARIABLE)
                if word[:2] == "__" == word[-2:]:  # Python gives it its meaning
                    text = word
            elif kind == STRING:
                if index and statement[index - 1][0] == STRING:
                    continue
                text = ANY_TEXT
            elif kind == NUMBER:
                text = ANY_NUMBER
            elif word == "," and index < last and statement[index + 1][1] in (")", "]", "}"):
                continue
            elif word == "(":
                kind_before = statement[index - 1][0] if index else OPERATOR
                calls.append(
                    (kind_before == NAME and behind not in _KEYWORDS)
                    or (kind_before == OPERATOR and behind in (")", "]"))
                )
                behind = word
                if not calls[-1]:
                    continue
            elif word == ")" and calls and not calls.pop():
                behind = word
                continue
            behind = word
            add(text)
            add_line(line)
    return tokens


def _imports(statement: Sequence[Lexeme]) -> dict[str, str]:
    """What an import statement calls things, and their own names: the last part of a dotted one."""
    found: dict[str, str] = {}
    words = [word for kind, word, _, _ in statement if kind == NAME or word in (",", ".")]
    if words[0] == "from" and "import" in words:
        words = words[words.index("import") :]
    entry: list[str] = []
    for word in [*words[1:], ","]:
        if word != ",":
            entry.append(word)
            continue
        names = [name for name in entry if name != "."]
        if len(names) >= 3 and names[-2] == "as":
            found[names[-1]] = names[-3]
        elif names:  # `import a.b` makes a known; `a.b.c` is read name by name
            found[names[0]] = names[0]
        entry = []
    return found


def _own_names(statement: Sequence[Lexeme]) -> set[str]:
    """Attributes, methods and parameters that a statement defines."""
    found: set[str] = set()
    words = [word for _, word, _, _ in statement[:3]]
    if words[0] == "async":
        words = words[1:]
    if len(words) > 1 and words[0] in ("def", "class"):
        found.add(words[1])
        if words[0] == "def":
            found |= {
                name
                for (_, sign, _, _), (kind, name, _, depth) in pairwise(statement)
                if kind == NAME and depth == 1 and sign in ("(", ",", "*", "**")
            }
    elif "." in words:  # self.model = ...; further targets of one statement are rare
        for (_, dot, _, _), (kind, name, _, depth), (_, sign, _, _) in zip(
            statement, statement[1:], statement[2:], strict=False
        ):
            if sign == "=" and dot == "." and kind == NAME and not depth:
                found.add(name)
    return found


def _of_other(text: str, language: str) -> Tokens | None:
    from pygments.lexers import get_lexer_by_name
    from pygments.token import Comment, Literal, Name, Number, String
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_by_name(language, stripnl=False)
    except ClassNotFound:
        return None
    if len(text) > MOST_OTHER:
        return None
    found: list[tuple[str, str, int]] = []
    line, ends = 1, time.thread_time() + OTHER_S
    for kind, word in lexer.get_tokens(text):
        if time.thread_time() > ends:
            return None
        if kind in String:
            if not found or found[-1][0] != STRING:
                found.append((STRING, ANY_TEXT, line))
        elif kind in Number or kind in Literal:
            found.append((NUMBER, ANY_NUMBER, line))
        elif kind in Name:
            found.append((NAME, word, line))
        elif kind not in Comment and (plain := word.strip()):
            found.append((OPERATOR, plain, line))
        line += word.count("\n")
    assigned = {
        name for (kind, name, _), (_, sign, _) in pairwise(found) if kind == NAME and sign in ("=", "<-", "<<-", ":=")
    }
    called = {name for (kind, name, _), (_, sign, _) in pairwise(found) if kind == NAME and sign.startswith("(")}
    kept = called - assigned
    return Tokens(
        [word if kind != NAME or word in kept else VARIABLE for kind, word, _ in found], [line for _, _, line in found]
    )
