"""The agent's program as a plain process: what it tells its model, what it refuses, how it ends."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from mleb_core.testing.model_server import Failure, ModelServer, Reply

NOTHING = "no submission: nothing wrote submission/submission.csv"


def test_a_malformed_reply_is_asked_for_again(run_alone, place, scripts):
    no_json = scripts.FORM.format(number=1, action="List Files", given="the data folder")
    code, asked = run_alone(scripts.model_of(["Let me think.", no_json, scripts.step("List Files")]))
    assert code == 1
    assert place.last == f"mlagentbench: it gave its final answer after 2 steps; {NOTHING}"
    assert place.steps[0]["malformed_replies"] == 2
    assert "data/" in place.steps[0]["observation"]
    second, third = (scripts.prompt_of(one) for one in asked[1:3])
    assert second.startswith(scripts.prompt_of(asked[0])[:200])
    assert "no heading 'Reflection', 'Research Plan and Status', 'Fact Check'" in second
    assert "It began:\n\nLet me think." in second
    assert "the Action Input is no JSON object" in third
    assert "Let me think." not in scripts.prompt_of(asked[3])  # it is no part of the history


def test_replies_that_stay_malformed_end_it(run_alone, place, scripts):
    code, asked = run_alone(lambda asked: "I would rather talk.", reply_tries=3)
    assert (code, len(asked)) == (1, 3)
    assert place.last.startswith(
        "mlagentbench: the model's replies cannot be used (3 in a row; the last: no heading 'Act"
    )
    assert place.last.endswith(f" after 0 steps; {NOTHING}")


def test_the_last_try_counts_if_it_has_an_action(run_alone, place, scripts):
    bare = 'Action: Write File\nAction Input: {"file": "submission/submission.csv", "content": "id,y\\n"}'
    code, _ = run_alone(scripts.model_of([bare, bare]), reply_tries=2)
    assert code == 0
    assert (place.root / "submission" / "submission.csv").read_text() == "id,y\n"
    assert place.last.endswith("after 2 steps; submission.csv is handed in")


def test_actions_that_cannot_be_done_are_told_in_words(run_alone, place, scripts):
    step = scripts.step
    (place.root / "data" / "table.bin").write_bytes(b"a\0b")
    (place.root / "outside").mkdir()
    (place.root / "outside" / "secret.txt").write_text("not for you")
    link = "import os\nos.symlink(os.environ['TEST_ROOT'] + '/outside', 'out')\n"
    link += "os.symlink('loop', 'loop')\nos.mkfifo('pipe')"
    told = [
        (step("Dance"), "there is no action 'Dance'; there are List Files, "),
        (step("Read File"), 'Read File needs file; its input is a JSON object with "file"'),
        (step("Write File", file="a.py", content=["x"]), "content of Write File must be a text, got ['x']"),
        (step("Read File", file="none.txt"), "there is no file none.txt"),
        (step("Read File", file="/etc/passwd"), "/etc/passwd is an absolute name; give names relative"),
        (step("Read File", file="~/x"), "~/x is an absolute name"),
        (
            step("Read File", file="data/../../outside/secret.txt"),
            "leads out of the workspace; names must not hold '..'",
        ),
        (step("List Files", folder=".."), ".. leads out of the workspace"),
        (step("Write File", file="../x", content=""), "../x leads out of the workspace"),
        (
            step("Write File", file="data/train.csv", content=""),
            "data/train.csv cannot be written: the data is not to be",
        ),
        (step("Write File", file="data", content=""), "data cannot be written"),
        (step("Write File", file=".", content=""), ". is a folder"),
        (step("Write File", file="submission", content=""), "submission is a folder"),
        (step("Copy File", source="none", target="b"), "there is no file none"),
        (step("Execute Script", script="none.py"), "there is no script none.py"),
        (step("Write File", file="link.py", content=link), None),
        (step("Execute Script", script="link.py"), None),
        (step("Read File", file="out/secret.txt"), "out/secret.txt leads out of the workspace by a link"),
        (step("Write File", file="out/new.txt", content="x"), "out/new.txt leads out of the workspace by a link"),
        (step("Read File", file="loop"), "loop cannot be followed"),
        (step("Read File", file="pipe"), "pipe is no file"),
        (step("Read File", file="data/table.bin"), "data/table.bin is no text file; write a script that looks at it"),
        (step("Read File", file="x\0y"), "holds a zero byte"),
        (step("Write File", file="link.py/x", content=""), "link.py/x cannot be written: link.py is no folder"),
        (step("Write File", file="half\ud800", content="a"), "Write File: 'utf-8' codec can't encode"),
        (step("Write File", file="half.txt", content="\ud800").replace("I go on", "\ud800"), None),
        (step("Execute Script", script="data/train.csv"), "its name must end in .py or .sh"),
        (step("Inspect Script Lines", script="link.py", first_line=3, last_line=2), "lines 3 to 2: expected 1 or more"),
        (step("Inspect Script Lines", script="link.py", first_line=9, last_line=9), "there are 4 lines"),
        (step("Inspect Script Lines", script="link.py", first_line="a", last_line=2), "expected two line numbers"),
        (step("Inspect Script Lines", script="link.py", first_line=1, last_line=999), "are more than 200"),
        (step("Undo Edit Script", script="data/train.csv"), "data/train.csv cannot be written"),
        (step("Undo Edit Script", script="never.py"), "no action has changed never.py"),
        (
            step("Edit Script (AI)", script="link.py", instruction="Better."),
            "the edit gave no block of code; nothing has",
        ),
    ]
    run_alone(scripts.model_of([reply for reply, _ in told]), steps=len(told))
    assert len(place.steps) == len(told), place.output
    for one, (_, wrong) in zip(place.steps, told, strict=True):
        if wrong is not None:
            assert one["observation"].startswith("Error: ") and wrong in one["observation"], one
    assert "not for you" not in place.output
    assert [path.name for path in (place.root / "outside").iterdir()] == ["secret.txt"]
    assert (place.root / "data" / "train.csv").read_text() == "id,y\n1,2\n"
    assert "Traceback" not in place.output
    assert place.last.startswith("mlagentbench: its steps are used up after 34 steps; no submission")


def test_files_are_read_edited_and_undone(run_alone, place, scripts):
    step = scripts.step
    lines = "".join(f"line {number}\n" for number in range(1, 5))
    replies = [
        step("Write File", file="lib/a.py", content=lines),
        step("Append File", file="lib/a.py", content="line 5\n"),
        step("Edit Script Segment (AI)", script="lib/a.py", first_line=2, last_line="3", instruction="Shout."),
        step("inspect  script LINES", script="lib/a.py", first_line=2, last_line=3),
        step("Undo Edit Script", script="lib/a.py"),
        step("Undo Edit Script", script="lib/a.py"),
        step("Read File", file="./lib/a.py"),
        step("edit script", script="lib/a.py", instruction="Copy it.", save_as="b.py"),
        step("Undo Edit Script", script="b.py"),
        step("Undo Edit Script", script="b.py"),
        step("Undo Edit Script", script="lib/a.py"),
        step("Copy File", source="data/train.csv", target="submission/submission.csv"),
        step("Understand File", file="data/train.csv", question="Which columns?"),
        step("submit", answer="Done."),
    ]
    others = ["```python\nLINE 2\nLINE 3\n```", "Like this:\n\n```\nnew\n```\nI hope it helps.", "id and y"]
    code, asked = run_alone(scripts.model_of(replies, others))
    seen = [one["observation"] for one in place.steps]
    assert code == 0
    assert seen[0] == "lib/a.py is written, 28 bytes."
    assert "+line 5" in seen[1]
    assert "-line 2\n-line 3\n+LINE 2\n+LINE 3" in seen[2]
    assert seen[3] == "    2  LINE 2\n    3  LINE 3\n(5 lines in all)"
    assert "-LINE 2\n-LINE 3\n+line 2\n+line 3" in seen[4]
    assert "-line 5" in seen[5]
    assert seen[6] == lines
    assert seen[7] == "b.py is written, 4 bytes."
    assert seen[8] == "b.py is removed: it was not there before."
    assert seen[9].startswith("Error: no action has changed b.py")
    assert seen[10] == "lib/a.py is removed: it was not there before."
    assert seen[12] == "id and y"
    (edit,) = (
        scripts.prompt_of(one) for one in asked if "the lines 2 to 3 of the script lib/a.py" in scripts.prompt_of(one)
    )
    assert "\nline 2\nline 3\n" in edit and "line 4" not in edit and "Instruction: Shout." in edit
    assert [path.name for path in (place.root / "code").rglob("*")] == ["lib"]
    assert (place.root / "submission" / "submission.csv").read_text() == "id,y\n1,2\n"


def test_scripts_see_their_workspace_and_not_the_model(run_alone, place, scripts):
    step = scripts.step
    look = (
        "import os, sys\nprint(sorted(os.listdir('.')), [n for n in os.environ if 'OPENAI' in n or 'MLAGENT' in n])\n"
    )
    bars = "for i in range(5): print(i, end='\\r', flush=True)\nprint('x' * 5000)\nraise SystemExit(3)"
    sleeper = "import subprocess, time\nsubprocess.Popen(['sleep', '600'])\nprint('begun', flush=True)\ntime.sleep(600)"
    replies = [
        step("Write File", file="look.py", content=look),
        step("Execute Script", script="look.py"),
        step("Write File", file="bars.py", content=bars),
        step("Execute Script", script="bars.py"),
        step("Write File", file="sleep.py", content=sleeper),
        step("Execute Script", script="sleep.py"),
        step("Write File", file="check.sh", content="wc -l data/train.csv; kill -9 $$"),
        step("Execute Script", script="check.sh"),
    ]
    run_alone(scripts.model_of(replies), script_s=2, output_chars=400)
    seen = [one["observation"] for one in place.steps]
    assert seen[1].startswith("['data', 'look.py', 'submission'] []\n[exit code 0, after "), seen[1]
    assert "characters are left out" in seen[3] and "[exit code 3, after " in seen[3] and "\r" not in seen[3]
    assert seen[5].startswith("begun\n[stopped: longer than 2 s, after "), seen[5]
    assert "2 data/train.csv" in seen[7] and "[killed by signal 9, after " in seen[7]
    assert processes_of(place.root) == []


def test_older_steps_are_told_in_short(run_alone, place, scripts):
    replies = [scripts.step("Write File", number, file=f"f{number}.txt", content="x" * 50) for number in range(1, 6)]
    _, asked = run_alone(scripts.model_of(replies, summary="A file was written."), recent_steps=2)
    last = [scripts.prompt_of(one) for one in asked if scripts.is_step(one)][-1]
    assert "# Research log" in last
    assert "[Step 1] A file was written.\n[Step 2] A file was written.\n[Step 3] A file was written." in last
    assert "Step 4\nReflection: 4 is where I am." in last and "Observation: f5.txt is written" in last
    assert "3 is where I am" not in last
    summarised = [scripts.prompt_of(one) for one in asked if scripts.prompt_of(one).startswith("A researcher works")]
    assert ["f3.txt is written, 50 bytes." in prompt for prompt in summarised] == [False, False, True]
    assert "# Research log" not in scripts.prompt_of(asked[0])
    assert "Guess the {number}." in last and "Read ./data, write ./submission, leave code in .." in last


def test_a_log_that_grows_too_long_is_shortened(run_alone, place, scripts):
    def model(asked):
        if scripts.prompt_of(asked).startswith("Below is a researcher's log."):
            return "Much was done." if "Much was done." not in scripts.prompt_of(asked) else "y" * 5000
        return inner(asked)

    inner = scripts.model_of([scripts.step("List Files")] * 13, summary="z" * 240)
    _, asked = run_alone(model, recent_steps=1, log_chars=1000)
    logs = [scripts.prompt_of(one).split("# Research log")[-1] for one in asked if scripts.is_step(one)]
    assert any("\n\nMuch was done.\n" in log for log in logs)
    assert any("\n\n[...] " in log for log in logs)  # the second time it was not made shorter
    assert all(log.count("z") <= 1000 for log in logs)
    assert (place.root / "logs" / "research_log.md").read_text().count("z" * 240) == 12


def test_a_prompt_that_is_too_long_is_made_shorter(run_alone, place, scripts):
    steps = [
        scripts.step("Write File", file="long.txt", content="word " * 4000),
        scripts.step("Read File", file="long.txt"),
    ]
    inner = scripts.model_of(steps)

    def model(asked):
        if len(scripts.prompt_of(asked)) > 14_000:
            return Failure(400, "This model's maximum context length is 3000 tokens.", type="invalid_request_error")
        return inner(asked)

    run_alone(model)
    assert "the prompt is too long for the model; from now on " in place.output
    assert place.last.startswith("mlagentbench: it gave its final answer after 3 steps")


def test_a_model_that_takes_no_prompt_ends_it(run_alone, place):
    run_alone(lambda asked: Failure(413, "too large"))
    assert place.last.startswith("mlagentbench: the model takes no prompt of ")
    assert place.last.endswith(f" characters (too large) after 0 steps; {NOTHING}")


def test_passing_failures_are_borne_and_lasting_ones_end_it(run_alone, place, scripts):
    failures = [Failure(429), Failure(500), Failure(200, drop=True)]
    _, asked = run_alone(scripts.model_of([*failures, scripts.step("List Files")]), model_tries=4)
    assert len(asked) == 5
    assert "lab/small: status 429: scripted failure; again in 2 s" in place.output
    assert place.last.startswith("mlagentbench: it gave its final answer after 2 steps")


@pytest.mark.parametrize(
    ("failure", "tries", "told"),
    [
        (
            Failure(500, "down"),
            2,
            "mlagentbench: the model cannot be asked (lab/small: status 500: down 2 times) after 0",
        ),
        (
            Failure(400, "bad\nwords"),
            1,
            "mlagentbench: the model cannot be asked (lab/small: status 400: bad words) after",
        ),
        (
            Failure(502, "no", type="provider_refused_key"),
            1,
            "mlagentbench: the model cannot be asked (lab/small: status 502",
        ),
        (
            Failure(429, "used up", type="budget_reached"),
            1,
            "mlagentbench: the budget is reached (used up) after 0 steps; ",
        ),
        (
            Failure(418, body=b"tea"),
            1,
            "mlagentbench: the model cannot be asked (lab/small: status 418: tea) after 0 steps",
        ),
    ],
)
def test_why_the_model_cannot_be_asked_is_told(run_alone, place, failure, tries, told):
    code, asked = run_alone(lambda asked: failure, model_tries=2)
    assert (code, len(asked)) == (1, tries)
    assert place.last.startswith(told) and place.last.endswith(NOTHING)
    assert "Traceback" not in place.output


def test_when_the_time_is_up_it_says_so(run_alone, place, scripts):
    code, _ = run_alone(scripts.model_of([Reply(scripts.step("List Files"), delay_s=1.0)] * 9), time_limit_s=2)
    assert code == 1
    assert place.last.startswith("mlagentbench: time is up after ") and place.last.endswith(f"; {NOTHING}")


def test_a_crash_is_one_line(run_alone, place, scripts):
    (place.root / "data" / "description.md").unlink()
    code, asked = run_alone(scripts.model_of([]))
    assert (code, asked) == (1, [])
    assert place.last.startswith("mlagentbench: crashed (FileNotFoundError: ") and "Traceback" not in place.output
    assert "Traceback" in (place.root / "logs" / "crash.txt").read_text()


SLEEPER = """
import pathlib, subprocess, time
subprocess.Popen(["sleep", "600"])
pathlib.Path("started").touch()
time.sleep(600)
"""


def processes_of(root: Path) -> list[int]:
    """Processes whose environment is of the test."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"TEST_ROOT={root}".encode() in (folder / "environ").read_bytes() and (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it has ended, or is another user's
            continue
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_process_outlives_it(place, scripts):
    replies = [
        scripts.step("Write File", file="sleep.py", content=SLEEPER),
        scripts.step("Execute Script", script="sleep.py"),
    ]
    with ModelServer(scripts.model_of(replies)) as server:
        process = place.start(server.url)
        try:
            while not (place.root / "home" / "workspace" / "started").exists():
                assert process.poll() is None, place.output
                time.sleep(0.1)
            assert len(processes_of(place.root)) == 3
            process.send_signal(signal.SIGTERM)
            assert process.wait() == 1
            left = processes_of(place.root)
        finally:
            for number in processes_of(place.root):
                os.kill(number, signal.SIGKILL)
            process.wait()
    assert left == []
    assert place.last == f"mlagentbench: stopped after 1 step; {NOTHING}"
