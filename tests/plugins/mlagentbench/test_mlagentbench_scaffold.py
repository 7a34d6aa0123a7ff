"""What the harness knows of the research agent, and how replies are read."""

import json
from pathlib import PurePosixPath

import pytest

from mleb_core import AgentPaths, LaunchContext, UsageError
from mleb_core.agent import environment_of, image_of
from mleb_mlagentbench.reply import HEADINGS, MalformedReply, parse
from mleb_mlagentbench.scaffold import MLAgentBench
from mleb_mlagentbench.settings import Settings


def launch(**changes):
    place = PurePosixPath("/home/x")
    given = {"variant": None, "model": None, "settings": {}, "step_limit": None} | changes
    paths = AgentPaths(place, place, place, place, place, place)
    return MLAgentBench().launch(LaunchContext("c", 0, time_limit_s=60, paths=paths, python="python3", **given))


def settings_of(**changes):
    return json.loads(launch(**changes).env["MLAGENTBENCH_SETTINGS"])


def test_it_runs_in_plain_python_with_the_published_step_limit():
    launched = launch(model="lab/small")
    assert list(launched.argv) == ["python3", "-m", "mleb_mlagentbench"]
    settings = settings_of(model="lab/small")
    assert settings == {**Settings().model_dump(), "model_name": "lab/small"}
    assert settings["steps"] == 2000
    assert image_of(MLAgentBench()).packages == ("mleb_mlagentbench",)
    assert image_of(MLAgentBench()).requirements == () and environment_of(MLAgentBench()) is None


def test_a_step_limit_holds():
    assert settings_of(model="lab/small", step_limit=7)["steps"] == 7
    assert settings_of(model="lab/small", step_limit=7, settings={"steps": 3})["steps"] == 3


def test_the_variant_stands_for_the_model_of_the_paper(registry):
    scaffold, agent_id = registry.scaffold("mlagentbench/gpt-4o")
    assert scaffold.models(agent_id.variant) == "openai/gpt-4o-2024-08-06"
    assert settings_of(variant="gpt-4o")["model_name"] == "openai/gpt-4o-2024-08-06"
    assert scaffold.models(None) is None
    assert "own implementation of the published loop" in scaffold.summary


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "the agent mlagentbench needs a model; use --model PROVIDER/NAME, or one of mlagentbench/gpt-4o"),
        ({"variant": "gpt-2"}, "no variant mlagentbench/gpt-2; there are mlagentbench/gpt-4o"),
        ({"variant": "gpt-4o", "model": "lab/small"}, "for lab/small use plain mlagentbench"),
        ({"model": "lab/small", "settings": {"steps": 0}}, "setting agent.steps of mlagentbench"),
    ],
)
def test_what_cannot_be_launched_is_refused(changes, told):
    with pytest.raises(UsageError, match=told):
        launch(**changes)


PLAIN = "".join(f"{heading}: {heading} text\n" for heading in HEADINGS[:4]) + "Action: Read File\nAction Input: "
GIVEN = {"file": "a.py"}


@pytest.mark.parametrize(
    "text",
    [
        PLAIN + '{"file": "a.py"}',
        PLAIN + '```json\n{\n  "file": "a.py"\n}\n```\n',
        PLAIN.replace("Action: Read File", "Action: **`Read File`**.") + '{"file": "a.py"} and so on',
        "".join(f"**{heading}:** {heading} text\n\n" for heading in HEADINGS[:4])
        + '**Action:** Read File\n\n**Action Input:** {"file": "a.py"}',
        "".join(f"## {heading}\n{heading} text\n" for heading in HEADINGS[:4])
        + '## action\nRead File\n## action input\n{"file": "a.py"}',
        PLAIN + '{"file": "a.py"}\nObservation: fine\n' + PLAIN.replace("Read File", "Write File") + "{}",
    ],
)
def test_replies_are_read_as_models_write_them(text):
    reply = parse(f"I begin.\n{text}")
    assert (reply.action, reply.given) == ("Read File", GIVEN)
    assert reply.sections == {heading: f"{heading} text" for heading in HEADINGS[:4]}
    assert parse(str(reply)) == reply


def test_a_text_may_hold_line_breaks_and_headings():
    reply = parse(PLAIN + '{"file": "a.py", "content": "x = 1\nThought: none\nAction: none\\n"}')
    assert reply.given["content"] == "x = 1\nThought: none\nAction: none\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no heading 'Reflection', "),
        (PLAIN.replace("Fact Check:", "Facts:") + "{}", "no heading 'Fact Check'"),
        (PLAIN.removesuffix("Action Input: "), "no heading 'Action Input'"),
        (PLAIN.replace("Action: Read File", "Action: ``") + "{}", "nothing stands after 'Action:'"),
        (PLAIN, "the Action Input is no JSON object"),
        (PLAIN + '{"file": "a.py"', "the Action Input is no JSON object: "),
        (PLAIN + '["a.py"]', "the Action Input is no JSON object"),
        (PLAIN + '{"a":' * 100_000, "the Action Input is no JSON object: "),
    ],
)
def test_what_is_wrong_with_a_reply_is_told(text, told):
    with pytest.raises(MalformedReply) as wrong:
        parse(text)
    assert str(wrong.value).startswith(told)


def test_the_last_try_needs_an_action_alone():
    text = 'Action: List Files\nAction Input: {"folder": "."}'
    with pytest.raises(MalformedReply):
        parse(text)
    assert parse(text, lenient=True).action == "List Files"
    with pytest.raises(MalformedReply, match="'Action Input'"):
        parse("Action: List Files", lenient=True)
