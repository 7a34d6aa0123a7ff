"""Recorded runs repeat exactly, without a provider."""

import json
import shutil

import pytest

from mleb_core.errors import UsageError
from mleb_core.gateway import Gateway, providers_from
from mleb_core.testing.model_server import Failure, Reply, ToolCall


def conversation(at):
    """Three kinds of calls, two of them equal, one that fails."""
    message = {"model": "mleb-model", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "m"}]}
    replies = [
        at.chat("same"),
        at.chat("same"),
        at.chat("tools", stream=True),
        at.post("/v1/messages", message),
        at.chat("bad"),
        at.chat(f"look into {at.layout.root}/work, it took 3.21 s"),
        at.post("/v1/embeddings", {"model": "mleb-model", "input": "e"}),
    ]
    return [(reply.status_code, reply.content) for reply in replies]


SCRIPT = [
    Reply("first"),
    Reply("second"),
    Reply("t", [ToolCall("submit", {"a": 1})]),
    Reply("m", input_tokens=3),
    Failure(400, "no"),
    Reply("deep"),
]


@pytest.fixture
def recorded(serve, tmp_path):
    record = tmp_path / "record"
    with serve(list(SCRIPT), record=record) as at:
        said = conversation(at)
        usage = at.gateway.close_run(at.token)
    shutil.move(at.layout.root, tmp_path / "before")
    return record, said, usage


def test_the_same_run_gets_the_same_bytes_tokens_and_cost(serve, tmp_path, recorded):
    record, said, usage = recorded
    with serve(replay=record) as at:
        assert conversation(at) == said
        assert at.model.asked == []
        again = at.gateway.close_run(at.token)
    alike = {"seconds", "models"}
    assert again.model_dump(exclude=alike) == usage.model_dump(exclude=alike) and usage.requests == 7
    assert usage.cost_usd > 0


def test_numbers_that_differ_are_forgiven_when_nothing_fits_exactly(serve, recorded):
    record, said, _ = recorded
    with serve(replay=record) as at:
        reply = at.chat(f"look into {at.layout.root}/work, it took 4.5 s")
        assert (reply.status_code, reply.content) == said[5]


def test_what_was_not_recorded_is_a_clear_error(serve, recorded):
    record, _, _ = recorded
    with serve(replay=record) as at:
        assert at.chat("same").status_code == at.chat("same").status_code == 200
        for reply in (at.chat("same"), at.chat("never asked")):
            assert reply.status_code == 404 and reply.json()["error"]["type"] == "not_recorded"
            assert "2 of 7 recorded exchanges of iris aide/test seed 0 are used" in reply.text
        token, _ = at.register(1)
        other = at.post("/v1/chat/completions", {"model": "mleb-model", "messages": []}, token)
        assert "0 of 0 recorded exchanges" in other.text
        assert at.gateway.usage(at.token).failed == 2


def test_a_replay_needs_no_key(tmp_path, recorded):
    record, _, _ = recorded
    with Gateway("openai/gpt-4o", providers=providers_from({}), replay=record) as gateway:
        gateway.check()
    with pytest.raises(UsageError, match="no key for provider openai; set OPENAI_API_KEY"):
        Gateway("openai/gpt-4o", providers=providers_from({})).check()


def test_a_new_attempt_replaces_the_recording_of_the_one_before(serve, tmp_path):
    record = tmp_path / "record"
    with serve([Reply("broken off"), Reply("new")], record=record) as at:
        at.chat()
        at.gateway.close_run(at.token)
        at.token = at.gateway.register_run(at.run_key, at.layout)
        at.chat()
    (kept,) = record.rglob("*.json")
    assert "new" in json.loads(kept.read_text())["body"]


def test_recordings_that_are_broken_are_told(serve, recorded):
    record, _, _ = recorded
    for path in record.rglob("*.json"):
        path.write_text("[]")
    with pytest.raises(AssertionError), serve(replay=record) as at:
        assert at.chat("same").status_code == 500
        assert "is no recording" in at.gateway.problems[0]


def test_record_and_replay_exclude_each_other(tmp_path):
    with pytest.raises(UsageError, match="not both"):
        Gateway("openai/gpt-4o", record=tmp_path, replay=tmp_path)
