"""What providers do to the gateway: fail, stammer, break off, leak."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import openai
import pytest

from mleb_core.gateway import Gateway
from mleb_core.gateway.forward import retry_after
from mleb_core.testing.model_server import Failure, Reply


def test_failures_that_pass_are_tried_again(serve):
    soon = format_datetime(datetime.now(UTC) - timedelta(seconds=5), usegmt=True)
    script = [Failure(429, retry_after=0.01), Failure(500, drop=True), Failure(503, retry_after=soon), Reply("there")]
    with serve(script) as at:
        reply = at.chat()
        assert reply.status_code == 200 and len(at.model.asked) == 4
        usage = at.gateway.usage(at.token)
        assert (usage.requests, usage.retries, usage.failed) == (1, 3, 0)
        assert at.transcript()[0]["retries"] == 3


def test_a_reply_cut_in_the_middle_is_asked_again(serve):
    with serve([Reply("half", cut_after=1), Reply("whole")]) as at:
        assert at.chat().json()["choices"][0]["message"]["content"] == "whole"


def test_a_stream_starts_over_only_before_its_first_event(serve):
    with serve([Failure(500), Reply("streamed"), Reply("a b c d", cut_after=2), Reply("never asked for")]) as at:
        assert "[DONE]" in at.chat(stream=True).text
        with openai.OpenAI(base_url=f"{at.gateway.url}/v1", api_key=at.token, max_retries=0) as client:
            got = []
            with pytest.raises(openai.APIError, match="the stream was cut"):
                for chunk in client.chat.completions.create(model="mleb-model", messages=[], stream=True):
                    got.append(chunk.choices[0].delta.content)
        assert "".join(got) == "a "
        cut = at.transcript()[1]
        assert "the stream was cut" in cut["error"] and cut["estimated"]
        assert cut["reply"]["choices"][0]["message"]["content"] == "a "
        assert at.gateway.usage(at.token).failed == 1 and len(at.model.asked) == 3


def test_it_gives_up_in_the_end_and_says_so(serve):
    with serve(lambda _: Failure(500, "overloaded")) as at:
        reply = at.chat()
        assert (reply.status_code, reply.json()["error"]["message"]) == (500, "overloaded")
        assert reply.headers["x-should-retry"] == "false" and len(at.model.asked) == 4
        assert at.transcript()[0]["error"] == "overloaded"


@pytest.mark.parametrize(
    "failure",
    [
        Failure(400, "no such parameter"),
        Failure(429, "pay first", type="insufficient_quota"),
        Failure(429, "tomorrow", retry_after=86400),
    ],
    ids=["400", "quota", "tomorrow"],
)
def test_what_does_not_pass_is_told_at_once(serve, failure):
    with serve(lambda _: failure) as at:
        reply = at.chat()
        assert (reply.status_code, reply.json()["error"]["message"]) == (failure.status, failure.message)
        assert len(at.model.asked) == 1


def test_a_provider_that_is_not_there_is_one_line(serve, tmp_path):
    with serve() as at:
        gone = at.model.url
    with serve() as at:
        away = {"openai": replace(at.gateway.providers["openai"], base_url=f"{gone}/v1")}
        with Gateway("openai/gpt-4o", providers=away, limits=at.gateway.limits) as gateway:
            at.gateway = gateway
            at.token, at.layout = at.register(5)
            reply = at.chat()
            assert reply.status_code == 502
            assert reply.json()["error"]["message"].startswith("provider openai: the provider cannot be reached")
            assert gateway.usage(at.token).tokens.total == 0


def test_replies_that_are_no_json_pass_and_are_kept(serve):
    with serve([Failure(200, body=b"<html>\xff")]) as at:
        assert at.chat().content == b"<html>\xff"
        assert at.transcript()[0]["error"] == "the reply is no JSON"


def test_the_key_is_seen_nowhere(serve, tmp_path):
    def echo(asked):
        key = asked.headers["authorization"].removeprefix("Bearer ")
        return [
            Reply(f"your key is {key}"),
            Failure(400, f"bad key {key}"),
            Failure(401, f"Incorrect API key provided: {key}"),
            Reply(f"and in pieces {key}", pieces=1),
        ][asked.number]

    with serve(echo, record=tmp_path / "record") as at:
        replies = [at.chat("my token is " + at.token), at.chat(), at.chat(), at.chat(stream=True)]
        assert [reply.status_code for reply in replies] == [200, 400, 502, 200]
        assert "[removed]" in replies[0].text and "provider_refused_key" in replies[2].text
        assert all(at.key not in reply.text + str(reply.headers) for reply in replies)
        assert all("set-cookie" not in reply.headers for reply in replies)
        assert at.model.asked[0].headers["authorization"] == f"Bearer {at.key}"
        assert at.token not in json.dumps(at.model.asked[0].headers)
        at.gateway.close_run(at.token)
        assert at.key not in repr(at.gateway.providers)
        for path in tmp_path.rglob("*"):
            if path.is_file():
                assert at.key.encode() not in path.read_bytes() and at.token.encode() not in path.read_bytes(), path


def test_anthropic_is_asked_in_its_own_way(serve):
    with serve([Reply("x"), Reply("y")], models="anthropic/claude-3-5-sonnet-20241022") as at:
        body = {"model": "mleb-model", "max_tokens": 5, "messages": []}
        at.post("/v1/messages?beta=true", body, **{"anthropic-beta": "tools-2024-04-04", "x-evil": "1", "cookie": "a"})
        at.chat()
        asked, compatible = at.model.asked
        assert asked.headers["x-api-key"] == at.key and "authorization" not in asked.headers
        assert asked.headers["anthropic-version"] == "2023-06-01"
        assert asked.headers["anthropic-beta"] == "tools-2024-04-04"
        assert "x-evil" not in asked.headers and "cookie" not in asked.headers and asked.path == "/v1/messages"
        assert compatible.headers["authorization"] == f"Bearer {at.key}"
        assert at.gateway.usage(at.token).cost_usd > 0


def test_retry_after_in_all_its_forms():
    assert retry_after({"retry-after": "1.5"}) == 1.5
    assert retry_after({"retry-after-ms": "250"}) == 0.25
    assert retry_after({"retry-after": "-3"}) == 0
    assert retry_after({"retry-after": "soon"}) is None and retry_after({}) is None
    assert retry_after({"retry-after": "nan"}) is None and retry_after({"retry-after": "inf"}) is None
    ahead = datetime.now(UTC) + timedelta(seconds=100)
    assert 90 < retry_after({"retry-after": format_datetime(ahead, usegmt=True)}) <= 100
