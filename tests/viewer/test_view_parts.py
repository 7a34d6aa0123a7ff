"""The parts of the viewer that are hard to see from outside."""

import json
import random
import sys
import unicodedata

import pytest

from mleb.view.conversation import Part, asked, fresh, replied, shown
from mleb.view.files import FileProblem, listing, read
from mleb.view.index import GroupIndex, Index
from mleb.view.leaderboards import histogram
from mleb.view.passages import find, passage
from mleb.view.text import as_json, for_page, terminal, visible
from mleb.view.transcript import Transcripts
from mleb_core.report.build import group_report
from mleb_core.report.collect import collect_group
from mleb_core.testing.model_server import Reply, ToolCall
from mleb_core.testing.model_shapes import SHAPES

TITANIC, DIABETES = "titanic-survival", "diabetes-progression"


def test_every_hidden_character_is_made_visible():
    kinds = ("Cc", "Cf", "Cs", "Zl", "Zp")
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        hidden = unicodedata.category(character) in kinds and character not in "\n\t"
        if hidden or visible(character) != character:
            assert visible(character).startswith("\\") and visible(character).isascii(), hex(code)


def test_what_was_printed_for_a_terminal():
    assert terminal("\x1b[1;31mred\x1b[0m\x1b]8;;http://x\x07link\x1b]8;;\x1b\\") == "redlink"
    assert terminal("10%\r20%\r\n30%\r") == "10%\n20%\n30%\n"
    assert terminal("a\x08b\x1b") == "a\\x08b\\x1b"


def test_json_can_stand_in_a_page():
    text = as_json({"</script>\u2028": ["<!--", float("nan"), "\ud800", "&amp;", 10**400]})
    assert text.isascii() and not set("<>&") & set(text)
    assert json.loads(text) == {"</script>\\u2028": ["<!--", None, "\\ud800", "&amp;", 10**400]}
    assert for_page(("a", 1.5, None, True)) == ["a", 1.5, None, True]


@pytest.mark.parametrize("seed", range(20))
def test_passages_put_together_are_the_file(tmp_path, seed):
    chance = random.Random(seed)
    alphabet = ["a", "é", "\n", "語", "😀", "x" * 30]
    content = "".join(chance.choices(alphabet, k=400)).encode()
    path = tmp_path / "text"
    path.write_bytes(content)
    length = chance.randint(8, 200)
    at, forward = 0, ""
    while at < len(content):
        piece = passage(tmp_path, path, start=at, length=length)
        assert piece.end > piece.start == at
        at, forward = piece.end, forward + piece.text
    assert forward == content.decode()
    at, backward = len(content), ""
    while at > 0:
        piece = passage(tmp_path, path, end=at, length=length)
        assert piece.start < piece.end == at
        at, backward = piece.start, piece.text + backward
    assert backward == content.decode()


def test_passages_of_what_is_small_or_gone(tmp_path):
    path = tmp_path / "text"
    with pytest.raises(FileProblem) as caught:
        passage(tmp_path, path)
    assert caught.value.missing
    path.write_bytes(b"")
    assert passage(tmp_path, path).text == ""
    path.write_bytes(b"one\ntwo\n")
    assert passage(tmp_path, path, start=5).text == "wo\n"
    assert passage(tmp_path, path, start=5, align=True).text == "wo\n"
    assert passage(tmp_path, path, start=1, align=True).text == "two\n"
    assert passage(tmp_path, path, start=4).text == "two\n"
    assert passage(tmp_path, path, start=10**9).text == ""
    assert passage(tmp_path, path, end=4, length=4).text == "one\n"


def test_words_are_found_across_steps(tmp_path):
    path = tmp_path / "text"
    for at in (0, (1 << 20) - 3, (1 << 20) - 1, 1 << 20, (2 << 20) + 5):
        path.write_bytes(b"." * at + b"NeeDle" + b"." * 100)
        assert find(tmp_path, path, "needle", 0) == at
        assert find(tmp_path, path, "needle", at) == at
        assert find(tmp_path, path, "needle", at + 1) is None
    assert find(tmp_path, path, "", 0) is None


@pytest.mark.parametrize("endpoint", sorted(SHAPES))
def test_replies_of_every_provider(endpoint):
    reply = Reply("I look.", tools=[ToolCall("shell", {"command": "ls"})] if endpoint != "/v1/completions" else [])
    parts = replied(json.loads(json.dumps(SHAPES[endpoint].whole({"model": "m"}, reply, 1, 1))))
    assert (parts[0].role, parts[0].kind, parts[0].text) == ("assistant", "text", "I look.")
    if reply.tools:
        (call,) = parts[1:]
        assert (call.kind, call.name, json.loads(call.text)) == ("call", "shell", {"command": "ls"})


def test_requests_of_every_provider():
    chat = {
        "messages": [
            {"role": "system", "content": "be good"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "x"}}],
            },
            {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "out"},
        ]
    }
    kinds = [(part.role, part.kind) for part in asked(chat)]
    assert kinds == [("system", "text"), ("user", "text"), ("user", "other"), ("assistant", "call"), ("tool", "result")]
    responses = {
        "instructions": "be good",
        "input": [
            {"role": "user", "content": "hi"},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "function_call", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "output": "out"},
        ],
    }
    kinds = [(part.role, part.kind) for part in asked(responses)]
    assert kinds[0] == ("system", "text") and kinds[1:] == [
        ("user", "text"), ("assistant", "reasoning"), ("assistant", "call"), ("tool", "result"),
    ]  # fmt: skip
    messages = {
        "system": [{"type": "text", "text": "be good", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "hm"}, {"type": "tool_use", "name": "f"}],
            },
            {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": "out"}]}]},
        ],
    }
    kinds = [(part.role, part.kind) for part in asked(messages)]
    assert kinds[1:] == [("user", "text"), ("assistant", "reasoning"), ("assistant", "call"), ("tool", "result")]
    assert asked({"input": "hi"}) == asked({"prompt": "hi"}) == [Part("user", "text", "hi")]


NO_CONVERSATIONS = (
    *(None, 1, "text", [], {}, [1], {"messages": 3}, {"messages": [[["x"]], None, 2]}),
    *({"choices": [1, {}]}, {"output": [None]}, {"content": {"a": 1}}, {"error": "no"}),
)


@pytest.mark.parametrize("value", NO_CONVERSATIONS)
def test_what_is_no_conversation_harms_nothing(value):
    for part in asked(value) + replied(value):
        assert isinstance(shown(part)["text"], str)


def test_only_what_is_new_is_shown():
    one, two, three = (Part("user", "text", word) for word in ("one", "two", "three"))
    assert fresh([one, two, three], [one, two]) == ([three], 2)
    assert fresh([two], [one, two]) == ([two], 0)
    assert shown(Part("user", "text", "x" * 30_000))["cut"] == 10_000


def test_a_transcript_may_grow_and_hold_anything(tmp_path):
    path = tmp_path / "transcript.jsonl"
    request = {"messages": [{"role": "user", "content": "hi"}]}
    line = json.dumps({"number": 1, "model": "m", "request": request, "reply": None})
    path.write_text(f"{line}\nnothing\n[]\n{line[:20]}")
    transcripts = Transcripts()
    found = transcripts.exchanges(tmp_path, path, 0, 100)
    assert (found["total"], [bool(item.get("problem")) for item in found["items"]]) == (3, [False, True, True])
    with path.open("a") as stream:
        stream.write(f"{line[20:]}\n")
    assert transcripts.exchanges(tmp_path, path, -1, 1)["items"][0]["number"] == 1
    path.write_text(f"{line}\n")
    assert transcripts.exchanges(tmp_path, path, 0, 100)["total"] == 1
    assert transcripts.exchanges(tmp_path, path, 50, 100)["items"] == []


def test_a_distribution_counts_every_score():
    chance = random.Random(1)
    scores = sorted([chance.gauss(0.8, 0.02) for _ in range(500)] + [-1e9, 3.0, 40.0, 1e12])
    found = histogram(scores, [0.7, 0.1], [0.9])
    assert found["ours_outside"] == 1
    assert sum(found["counts"]) + found["below"] + found["above"] == len(scores)
    assert found["edges"][0] <= 0.7 and found["edges"][-1] < 3 and len(found["edges"]) == len(found["counts"]) + 1
    for number, count in enumerate(found["counts"]):
        low, high = found["edges"][number : number + 2]
        last = number == len(found["counts"]) - 1
        assert count == sum(low <= score < high or (last and score == high) for score in scores)
    for same in ([5.0], [0.0] * 40, [1e300, 1e300]):
        assert sum(histogram(same, [], [])["counts"]) == len(same)


def test_the_index_says_what_the_report_says(own):
    dummy = own.root / own.group("dummy")
    (dummy / TITANIC / "dummy" / "0" / "report.json").unlink()
    state = json.loads((dummy / DIABETES / "dummy" / "0" / "run.json").read_text())
    state |= {"status": "running", "attempt": 2}
    (dummy / DIABETES / "dummy" / "0" / "run.json").write_text(json.dumps(state))
    for name in ("dummy", "baseline", "react"):
        directory = own.root / own.group(name)
        report = group_report(*collect_group(directory))
        index = GroupIndex(directory, directory.name)
        index.refresh()
        runs = {run.key: run.competition_report for run in report.runs}
        missing = {run.key: run.status.value for run in report.missing}
        for key, cell in zip(index.each(), index.cells(), strict=True):
            (found,) = [graded for k, graded in runs.items() if (k.competition, k.agent, k.seed) == (
                key.competition, key.agent, key.seed)] or [None]  # fmt: skip
            assert cell is not None and cell.score == (found.score if found else None)
            assert cell.medal == bool(found and found.any_medal)
            assert cell.graded == (found is not None)
        assert {cell.status for cell in index.cells() if cell and not cell.graded} == set(missing.values())


def test_only_what_changed_is_read_again(own, monkeypatch):
    import mleb.view.index

    index = GroupIndex(own.root / own.group("dummy"), "dummy")
    index.refresh()
    version, seen = index.version, []
    real = mleb.view.index.cell_of
    monkeypatch.setattr(mleb.view.index, "cell_of", lambda key, *files: seen.append(key) or real(key, *files))
    index.refresh(now=True)
    assert (seen, index.version) == ([], version)
    report = own.root / own.group("dummy") / TITANIC / "dummy" / "1" / "report.json"
    report.write_text(report.read_text() + " ")
    index.refresh(now=True)
    assert seen == [(TITANIC, "dummy", 1)] and index.version > version


def test_files_beneath_a_directory(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("12345")
    (tmp_path / "a" / "link").symlink_to("b/file")
    (tmp_path / "a" / "up").symlink_to("..")
    found, more = listing(tmp_path, tmp_path / "a", 10)
    shown_files = [(file.path, file.size, file.refused) for file in found]
    assert (shown_files, more) == ([("b/file", 5, ""), ("link", 0, "a link"), ("up", 0, "a link")], False)
    assert listing(tmp_path, tmp_path / "a", 2)[1]
    assert listing(tmp_path, tmp_path / "none", 2) == ([], False)
    with pytest.raises(FileProblem, match="more than the 4"):
        read(tmp_path, tmp_path / "a" / "b" / "file", 4)
    with pytest.raises(FileProblem, match="link"):
        read(tmp_path, tmp_path / "a" / "link", 100)
    with pytest.raises(FileProblem, match="link"):
        read(tmp_path, tmp_path / "a" / "up" / "a" / "b" / "file", 100)


def test_names_that_stand_in_no_address_are_left_out(tmp_path):
    (tmp_path / b"\xff\xfe".decode("utf-8", "surrogateescape")).mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "a b#?%&").mkdir()
    assert [group.name for group in Index(tmp_path).groups()] == ["a b#?%&"]
