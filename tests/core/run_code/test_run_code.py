import json
import os

import pytest

from mleb_core.layout import RunLayout
from mleb_core.run_code import of_run
from mleb_core.run_code.of_run import code_of_run, file_and_line
from mleb_core.run_code.sources import Source, Unreadable, files_below, read_code


def test_cells_and_lines_have_places():
    source = Source("a.ipynb", "a\nb\nc\nd", cells=(1, 3))
    assert [source.place(line) for line in (1, 2, 3, 4)] == [
        "code cell 1, line 1",
        "code cell 1, line 2",
        "code cell 2, line 1",
        "code cell 2, line 2",
    ]
    assert Source("a.py", "x").place(7) == "line 7"


def test_notebooks_of_both_formats_and_other_languages(tmp_path):
    cells = [{"cell_type": "code", "source": ["x = 1\n", "y = 2"]}, {"cell_type": "markdown", "source": "z"}]
    four = {"cells": [*cells, {"cell_type": "code", "source": "w"}], "metadata": {"kernelspec": {"language": "R"}}}
    (tmp_path / "four.ipynb").write_text(json.dumps(four))
    three = {"worksheets": [{"cells": [{"cell_type": "code", "input": "old = 1"}]}], "nbformat": 3}
    (tmp_path / "three.ipynb").write_text(json.dumps(three))
    (source,) = read_code(tmp_path / "four.ipynb", "four.ipynb")
    assert (source.text, source.language, source.cells) == ("x = 1\ny = 2\nw", "r", (1, 3))
    (source,) = read_code(tmp_path / "three.ipynb", "three.ipynb")
    assert (source.text, source.language) == ("old = 1", "python")
    (tmp_path / "a.Rmd").write_text("words\n```{r setup}\nx <- 1\n```\nwords\n```{r}\ny <- 2\n```\n")
    assert read_code(tmp_path / "a.Rmd", "a")[0].text == "x <- 1\n\ny <- 2\n"
    (tmp_path / "a.txt").write_text("x = 1")
    assert read_code(tmp_path / "a.txt", "a") == []


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"cells": 3}', '{"worksheets": 3}', "[" * 100_000])
def test_a_broken_notebook_says_why(tmp_path, content):
    (tmp_path / "a.ipynb").write_text(content)
    with pytest.raises(Unreadable, match=r"^it is "):
        read_code(tmp_path / "a.ipynb", "a")


def test_no_link_is_followed(tmp_path):
    (tmp_path / "code" / "deep").mkdir(parents=True)
    (tmp_path / "code" / "deep" / "b.py").write_text("x")
    (tmp_path / "code" / "a.py").write_text("x")
    (tmp_path / "code" / "link.py").symlink_to("a.py")
    (tmp_path / "code" / "loop").symlink_to("..")
    assert [path.name for path in files_below(tmp_path / "code")] == ["a.py", "b.py"]
    with pytest.raises(Unreadable, match="cannot be read"):
        read_code(tmp_path / "code" / "link.py", "x")


def test_places_of_sources_are_files_of_the_run(tmp_path):
    layout = RunLayout(tmp_path)
    layout.code.mkdir()
    (layout.code / "a: b.py").write_text("x = 1\n")
    (layout.code / "journal.json").write_text(json.dumps({"nodes": [{"code": "a\nb\nc\n"}]}))
    text = "```python\na = 1\nb = 2\nc = 3\n```"
    line = json.dumps({"reply": {"choices": [{"message": {"content": text}}]}})
    layout.transcript.write_text("broken\n" + line + "\n")
    sources, notes = code_of_run(layout)
    assert [file_and_line(source.name, source.place(2)) for source in sources] == [
        ("code/a: b.py", 2),
        ("code/journal.json", None),
        ("transcript.jsonl", 2),
    ]
    assert notes == ["transcript.jsonl: 1 lines are no exchanges"]


def test_what_an_agent_wrote_to_harm_its_reader(tmp_path):
    layout = RunLayout(tmp_path)
    layout.code.mkdir()
    # Each of a hundred thousand elements would get the key's name: 200 GB.
    (layout.code / "wide.json").write_text(json.dumps({"k" * 2_000_000: [0] * 100_000, "code": "a\nb\nc\n"}))
    (layout.code / "sheets.ipynb").write_text('{"worksheets": [{"cells": 5}, {"cells": [5]}, 5]}')
    (layout.code / "half.json").write_text('{"code": "x = \\"\\ud800\\"\\n\\n\\n"}')
    (layout.code / os.fsdecode(b"\xff.py")).write_text("y = 1\n")
    sources, notes = code_of_run(layout)
    json.dumps([sources[0].__dict__, notes], ensure_ascii=False).encode()
    texts = {source.text: source.name.encode() for source in sources}
    assert texts == {
        "a\nb\nc\n": b"code/wide.json: code",
        'x = "\\ud800"\n\n\n': b"code/half.json: code",
        "y = 1\n": b"code/\\udcff.py",
    }
    assert notes == []


def test_an_unclosed_fence_is_read_in_time(tmp_path):
    layout = RunLayout(tmp_path)
    text = "```" + " " * 300_000 + "a" * 300_000
    layout.transcript.write_text(json.dumps({"request": {}, "reply": {"content": text}}) + "\n")
    assert code_of_run(layout) == ([], [])


def test_of_very_much_code_the_rest_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(of_run, "MOST_IN_ALL", 15)
    monkeypatch.setattr(of_run, "MOST_FILES", 2)
    layout = RunLayout(tmp_path)
    layout.code.mkdir()
    for name in "abcd":
        (layout.code / f"{name}.py").write_text(f"{name} = 1234\n")
    sources, notes = code_of_run(layout)
    assert [source.name for source in sources] == ["code/a.py"]
    assert notes == [
        "code/ holds more than 2 files; the others are not read",
        "code/b.py and what comes behind: only 15 characters of code are read",
    ]
