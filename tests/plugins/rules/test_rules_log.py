import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mleb_rules.log import Line, Log, parts_of, read_log


def log(*texts):
    return Log(tuple(Line("agent.log", f"line {i}", text) for i, text in enumerate(texts, 1)), ())


def test_all_that_a_run_left_is_there_with_its_place(layout, exchange):
    layout.log.write_bytes(b"start\n\x1b[31mred\x1b[0m\r\n 10%\r 50%\r100%\n\xff\xfe\n" + b"y" * 5000 + b"\n")
    exchange([("system", "be good"), ("user", "go")], "I look at the data")
    exchange([("system", "be good"), ("user", "go"), ("assistant", "I look at the data"), ("tool", "a,b")], "done")
    (layout.code / "main.py").write_text("x = 1\ny = 2")
    found = read_log(layout)
    assert found.notes == ()
    rows = [(line.file, line.place, line.text) for line in found.lines]
    assert rows[:3] == [
        ("agent.log", "line 1", "start"),
        ("agent.log", "line 2", "red"),
        ("agent.log", "line 3", "100%"),
    ]
    assert rows[4][2] == "y" * 2000 + " [... 3000 more]"
    assert [(place, text) for file, place, text in rows if file == "transcript.jsonl"] == [
        ("exchange 1, system", "be good"),
        ("exchange 1, user", "go"),
        ("exchange 1, assistant", "I look at the data"),
        ("exchange 2, tool", "a,b"),
        ("exchange 2, assistant", "done"),
    ]
    assert rows[-2:] == [("code/main.py", "line 1", "x = 1"), ("code/main.py", "line 2", "y = 2")]


CALL = {"name": "run", "arguments": '{"cmd": "ls -l"}'}


@pytest.mark.parametrize(
    "reply",
    [
        {"choices": [{"message": {"content": "well", "tool_calls": [{"function": CALL}]}}]},
        {"content": [{"type": "text", "text": "well"}, {"type": "tool_use", "name": "run", "input": {"cmd": "ls -l"}}]},
        {"output": [{"content": [{"type": "output_text", "text": "well"}]}, {"type": "function_call", **CALL}]},
    ],
)
def test_replies_of_every_endpoint_with_their_tool_calls(layout, reply):
    layout.transcript.write_text(json.dumps({"request": {"input": "hello"}, "reply": reply}) + "\nbroken\n")
    found = read_log(layout)
    said = [line.text for line in found.lines]
    assert said[0] == "hello" and "well" in said and "run" in said and "cmd: ls -l" in said
    assert found.notes == ("transcript.jsonl: 1 lines are no exchanges",)


def test_a_run_that_left_nothing(layout):
    assert read_log(layout).lines == ()
    assert parts_of(read_log(layout)) == []


def test_quotes_are_found_where_they_stand():
    part = parts_of(log("first line", "", "   I labelled   the images", "by eye,  one by one", "x", "last"))[0]
    assert [line.place for line in part.find("I labelled the images")] == ["line 3"]
    assert [line.place for line in part.find("the images\n by eye, one")] == ["line 3", "line 4"]
    assert [line.place for line in part.find("first line I labelled")] == ["line 1", "line 3"]
    assert part.find("I labelled the pictures") == []
    assert part.find("i labelled the images") == []
    assert part.find("images") == []  # too short to be told from others, and no whole line
    assert [line.place for line in part.find("last")] == ["line 6"]
    assert part.find("  ") == []


@given(st.lists(st.text("ab \n", max_size=30), max_size=40), st.integers(10, 60), st.integers(0, 9))
def test_parts_hold_every_line_and_overlap(texts, characters, overlap):
    whole = log(*[text.replace("\n", "") for text in texts])
    parts = parts_of(whole, characters=characters, overlap=overlap)
    seen = 0
    for part in parts:
        assert part.lines == whole.lines[part.first : part.first + len(part.lines)]
        assert part.first <= seen
        assert part.first + len(part.lines) > seen
        assert len(part.lines) == 1 or sum(len(line.text) + 1 for line in part.lines) <= characters
        again = sum(len(line.text) + 1 for line in whole.lines[part.first : seen])
        assert again <= overlap
        seen = part.first + len(part.lines)
    assert seen == len(whole.lines)


def test_what_stands_on_a_border_is_whole_in_one_part():
    lines = [f"line number {i} of the log" for i in range(200)]
    parts = parts_of(log(*lines), characters=500, overlap=120)
    assert len(parts) > 5
    for one, two in itertools.pairwise(lines):
        assert any(part.find(f"{one} {two}") for part in parts)
    assert parts[1].text.startswith("=== agent.log ===\nline number")


def test_a_log_made_to_fill_memory_is_cut_openly(layout, monkeypatch):
    monkeypatch.setattr("mleb_rules.log.MOST_LINES", 5)
    monkeypatch.setattr("mleb_rules.log.MOST_READ", 10)
    layout.log.write_bytes(b"a\n\nb" + b"c" * 1000 + b"d\n" + b"\n" * 20)
    log = read_log(layout)
    assert [line.text for line in log.lines] == ["a", "", "bccccccccc [... 982 more] cccccccccd", "", ""]
    assert log.notes == ("only 5 lines were read, up to agent.log, line 6",)


def test_names_in_requests_cannot_harm_the_reader(layout):
    # Each of the texts would get the whole name: 20 GB.
    call = {"type": "tool_use", "input": {"k" * 200_000: ["a"] * 100_000}}
    message = {"role": "a\ud800\nb", "content": [call]}
    layout.transcript.write_text(json.dumps({"request": {"messages": [message]}, "reply": None}) + "\n")
    lines = read_log(layout).lines
    assert len(lines) == 100_000
    assert (lines[0].place, lines[0].text) == ("exchange 1, a  b", "k" * 100 + ": a")
