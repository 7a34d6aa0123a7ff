"""Python as tokens, broken Python too.

The standard library's tokenizer stops at what is no whole program, and differs between Python versions. Notebooks hold
shell lines, snippets are cut, old kernels are Python 2; so one scanner reads all of them alike: a mistake costs its own
statement and nothing behind it.
"""

import re

__all__ = ["NAME", "NUMBER", "OPERATOR", "STRING", "Lexeme", "statements"]

NAME, NUMBER, STRING, OPERATOR = "name", "number", "string", "operator"
Lexeme = tuple[str, str, int, int]
"""NAME, NUMBER, STRING or OPERATOR; the text; its line, from 1; how many brackets are open around it."""

_SCANNER = re.compile(
    r"""[ \t\f\r]*(?:
    (?P<string>[rRbBuUfFtT]{0,3}(?:
        \"\"\"(?:[^\\"]++|\\.|"(?!""))*+(?:\"\"\"|\Z)
      | '''(?:[^\\']++|\\.|'(?!''))*+(?:'''|\Z)
      | "(?:[^"\\\n]++|\\.)*+"?
      | '(?:[^'\\\n]++|\\.)*+'?))
  | (?P<name>[^\W\d]\w*)
  | (?P<number>(?:0[xXbBoO][0-9a-fA-F_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d[\d_]*)?)[jJlL]?)
  | (?P<blank>\\\r?\n|\#[^\n]*)
  | (?P<line>\n)
  | (?P<operator>\*\*=|//=|>>=|<<=|\.\.\.|->|:=|\*\*|//|<<|>>|<=|>=|==|!=|<>|[-+*/%@&|^]=|.)
    )""",
    re.VERBOSE | re.DOTALL,
)
_MAGIC = re.compile(r"^[ \t]*(?:[!?]|%{1,2}[A-Za-z]|[\w.]+\?{1,2}[ \t]*$).*", re.MULTILINE)
_STATEMENT = re.compile(r"(?:def|class|import|from|with|try|while|return)\b")


def statements(text: str) -> list[list[Lexeme]]:
    """The statements of a Python source: no comments, no blanks, no indentation, no IPython magics, none of them empty.

    Args:
        text: lines end with line feeds.
    """
    text = _MAGIC.sub("", text) + "\n"
    found: list[list[Lexeme]] = []
    statement: list[Lexeme] = []
    depth, line = 0, 1
    for match in _SCANNER.finditer(text):
        kind = match.lastgroup
        if kind == NAME:
            statement.append((NAME, match[NAME], line, depth))
        elif kind == OPERATOR:
            word = match[OPERATOR]
            if word in ")]}":
                depth = max(0, depth - 1)
            elif word == ";" and depth == 0:
                if statement:
                    found.append(statement)
                    statement = []
                continue
            statement.append((OPERATOR, word, line, depth))
            if word in "([{":
                depth += 1
        elif kind == "line":
            if depth and _STATEMENT.match(text, match.end()):
                depth = 0  # a bracket was never closed: that costs its own statement only
            if statement and not depth:
                found.append(statement)
                statement = []
            line += 1
        elif kind == "blank":
            line += match[0].endswith("\n")
        elif kind == STRING:
            statement.append((STRING, "", line, depth))
            line += match[0].count("\n")
        else:
            statement.append((NUMBER, "", line, depth))
    if statement:
        found.append(statement)
    return found
