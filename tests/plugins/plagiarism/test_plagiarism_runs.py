import json

from mleb_core.run_code.of_run import code_of_run
from mleb_plagiarism.compare import compare_run
from mleb_plagiarism.corpus import open_corpus


def reply_line(reply):
    return (
        json.dumps({"number": 1, "endpoint": "/v1/chat/completions", "request": {"messages": []}, "reply": reply})
        + "\n"
    )


def fenced(text):
    return f"Here it is:\n\n```python\n{text}\n```\nand done."


def test_a_copy_is_found_wherever_it_stands(layout, references, solutions, ways):
    (layout.code / "main.py").write_text(ways["renamed"](solutions["forest"]))
    (layout.code / "deep").mkdir()
    (layout.code / "deep" / "try.ipynb").write_text(ways["notebook"](ways["renamed"](solutions["pipeline"])))
    journal = {"nodes": [{"step": 0, "code": "print(1)", "plan": "x"}, {"step": 1, "code": solutions["network"]}]}
    (layout.logs / "0-aide").mkdir()
    (layout.logs / "0-aide" / "journal.json").write_text(json.dumps(journal))
    message = {"choices": [{"message": {"role": "assistant", "content": fenced(solutions["boosting"])}}]}
    layout.transcript.write_text(reply_line(message))
    found = compare_run(layout, open_corpus(references))
    assert found.notes == ()
    assert {(match.source, match.reference.path.partition(".")[0]) for match in found.matches} == {
        ("code/main.py", "forest"),
        ("code/deep/try.ipynb", "pipeline"),
        ("logs/0-aide/journal.json: nodes[1].code", "network"),
        ("transcript.jsonl line 1, block 1", "boosting"),
    }
    assert min(match.similarity for match in found.matches) > 80


def test_code_in_replies_of_every_endpoint(layout, solutions):
    text = solutions["network"]
    call = {"function": {"name": "run", "arguments": json.dumps({"code": text + "\n# 1"})}}
    replies = [
        {"choices": [{"message": {"content": None, "tool_calls": [call]}}]},
        {"output": [{"type": "message", "content": [{"type": "output_text", "text": fenced(text + "\n# 2")}]}]},
        {"content": [{"type": "tool_use", "name": "write", "input": {"path": "a.py", "file_text": text + "\n# 3"}}]},
        {"content": [{"type": "text", "text": fenced(text + "\n# 4")}]},
        {"choices": [{"message": {"content": "a `b` ```x = 1``` ", "tool_calls": [{"function": {"arguments": "{"}}]}}]},
    ]
    layout.transcript.write_text("".join(map(reply_line, replies)) + "no JSON\n" + "[1]\n")
    sources, notes = code_of_run(layout)
    assert [source.text.strip()[-3:] for source in sources] == ["# 1", "# 2", "# 3", "# 4"]
    assert notes == ["transcript.jsonl: 2 lines are no exchanges"]


def test_the_same_code_is_there_once(layout, solutions):
    for name in ("a.py", "b.py"):
        (layout.code / name).write_text(solutions["forest"])
    assert [source.name for source in code_of_run(layout)[0]] == ["code/a.py"]


def test_what_cannot_be_read_is_a_note(layout, references, solutions):
    (layout.code / "broken.ipynb").write_text('{"cells": [')
    (layout.code / "main.py").write_text(solutions["forest"])
    (layout.code / "big.py").write_text("x = 1\n" * 1_000_000)
    (layout.logs / "deep.json").write_text('{"code": ' + "[" * 50_000)
    (layout.code / "link.py").symlink_to(layout.code / "main.py")
    found = compare_run(layout, open_corpus(references))
    assert found.similarity > 95
    assert sorted(note.partition(": ")[0] for note in found.notes) == [
        "code/big.py",
        "code/broken.ipynb",
        "logs/deep.json",
    ]


def test_a_run_without_code(layout, references, tmp_path):
    layout.code.rmdir()
    found = compare_run(layout, open_corpus(references))
    assert (found.matches, found.notes, found.short) == ((), (), 0)


def test_packages_of_others_are_not_the_runs_code(layout, solutions):
    (layout.code / "venv" / "lib").mkdir(parents=True)
    (layout.code / "venv" / "lib" / "x.py").write_text(solutions["forest"])
    assert code_of_run(layout)[0] == []
