import csv
import io

import pytest
from markdown_it import MarkdownIt

from mleb_core.report.text import csv_cell, markdown, one_line, shorten

HOSTILE = [
    "a | b || c",
    "a\nb\r\n# heading\n\n- item",
    "`code` ``more`` ~~~ fence",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "&lt;b&gt; &amp; &#124;",
    "[click](javascript:alert(1)) ![x](http://evil.example/x.png)",
    "<http://evil.example>",
    "https://evil.example/?a=b www.evil.example",
    "**bold** __bold__ _it_ *it* ~~gone~~",
    "\\| \\` \\<b> \\\\",
    "# heading",
    "- item",
    "+ item",
    "= x",
    "1. item",
    "    indented code",
    "> quote",
    "| a | b |\n| --- | --- |",
    "[ref]: http://evil.example",
    "trailing backslash \\",
    "trailing space and break  \nnext",
    '=HYPERLINK("http://evil.example","x")',
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "-2+3",
    "\t=1+1",
    "\ufeff=1+1",
    "abc\u202egnp.exe \u2066x\u2069 zero\u200bwidth",
    "nul \x00 bell \x07 escape \x1b[31mred",
    "para\u2029line\u2028next\x85",
    'quotes " and "" and , and ;',
    "",
    "ü ß 漢字 🎉",
]


def cells(page: str) -> tuple[list[str], set[str]]:
    """The table cells' plain text of a rendered page, and all kinds of token in it."""
    texts, kinds, inside = [], set(), False
    for token in (
        MarkdownIt("commonmark", {"html": True, "linkify": False}).enable(["table", "strikethrough"]).parse(page)
    ):
        kinds.add(token.type)
        if token.type in ("th_open", "td_open"):
            inside = True
        elif token.type == "inline" and inside:
            kinds |= {child.type for child in token.children or []}
            texts.append("".join(child.content for child in token.children or []))
            inside = False
    return texts, kinds


@pytest.mark.parametrize("text", HOSTILE)
def test_in_a_markdown_table_a_text_stays_text(text: str):
    found, kinds = cells(f"| before | {markdown(text)} | after |\n| --- | --- | --- |\n| 1 | {markdown(text)} | 3 |\n")
    plain = one_line(text)
    assert found == ["before", plain, "after", "1", plain, "3"]
    assert kinds <= {
        *("table_open", "table_close", "thead_open", "thead_close", "tbody_open", "tbody_close"),
        *("tr_open", "tr_close", "th_open", "th_close", "td_open", "td_close", "inline", "text", "text_special"),
    }


@pytest.mark.parametrize("text", HOSTILE)
def test_in_a_markdown_list_a_text_stays_text(text: str):
    tokens = (
        MarkdownIt("commonmark").enable("strikethrough").parse(f"- {markdown('iris')}: {markdown(text)}\n\nafter\n")
    )
    kinds = {token.type for token in tokens}
    assert kinds == {
        *("bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close"),
        *("paragraph_open", "paragraph_close", "inline"),
    }
    children = {child.type for token in tokens for child in token.children or []}
    assert children <= {"text", "text_special"}


def test_links_are_not_made_of_bare_addresses():
    assert markdown("see https://evil.example") == "see https\\://evil.example"
    assert markdown("see www.evil.example") == "see www\\.evil.example"


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_comes_on_one_printable_line(text: str):
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert all(character.isprintable() for character in line)


def test_what_cannot_be_seen_is_shown():
    assert one_line("a\nb\tc\x00\u202e\U000e0001") == "a\\nb\\tc\\x00\\u202e\\U000e0001"
    assert one_line(b"caf\xe9".decode("utf-8", "surrogateescape")) == "caf\\udce9"


@pytest.mark.parametrize("text", HOSTILE)
def test_a_csv_cell_is_one_line_and_no_formula(text: str):
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow(["before", csv_cell(text), "after"])
    assert stream.getvalue().count("\n") == 1
    [(before, cell, after)] = csv.reader(io.StringIO(stream.getvalue()))
    assert (before, after) == ("before", "after")
    assert not cell.lstrip().startswith(("=", "+", "-", "@"))
    assert cell.removeprefix("'") == one_line(text)


def test_harmless_texts_stay_as_they_are():
    for text in ("plain words", "a-b+c", "1 = 1", "ü"):
        assert csv_cell(text) == markdown(text) == text


def test_a_long_text_is_cut_and_says_so():
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdefg", 6) == "abcde…"
    assert len(markdown("x" * 10_000)) == 300
