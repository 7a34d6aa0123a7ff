"""Making texts of agents harmless where people and programs read them: one line, Markdown, CSV.

Messages, file names and paths may come from an agent, and an agent may try anything.
"""

import html
import re
import unicodedata

__all__ = ["csv_cell", "markdown", "one_line", "shorten"]

_MARKDOWN = re.compile(r"[\\`*_\[\]#|~@$]|^[-+=]")
_FORMULA = tuple("=+-@＝＋－＠")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def one_line(text: str) -> str:
    r"""The text on one line: control, format (bidirectional overrides, zero-width) and line-breaking characters, and
    what is no valid Unicode, become visible escapes such as `\n` or `\u202e`; outer blanks go.
    """
    text = text.strip()
    return text if text.isprintable() else "".join(_visible(character) for character in text)


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters, the last of them an ellipsis where something was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def markdown(text: str, limit: int = 300) -> str:
    """The text as plain words within Markdown, also in a table cell: on one line, at most `limit` characters, nothing
    in it taken as markup, HTML, link or mention.
    """
    plain = html.escape(shorten(one_line(text), limit), quote=False)
    # `://` and `www.` are made links by renderers even without any markup.
    return _MARKDOWN.sub(r"\\\g<0>", plain).replace("://", "\\://").replace("www.", "www\\.")


def csv_cell(text: str) -> str:
    """The text as a CSV cell (quoting is the writer's part): on one line, and never a formula.

    Spreadsheets run a cell that starts with = + - @ (their full-width forms too) as a formula; such a text gets an
    apostrophe in front, as OWASP advises ("CSV Injection"). A reader that wants the exact text takes report.json.
    """
    line = one_line(text)
    return "'" + line if line.startswith(_FORMULA) else line


def _visible(character: str) -> str:
    if character in _NAMED:
        return _NAMED[character]
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        code = ord(character)
        return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    return character
