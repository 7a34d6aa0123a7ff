"""A model that mleb asks itself; text completions and log-probabilities on their way through the gateway."""

import json

import openai
import pytest

from mleb_core.errors import UsageError
from mleb_core.gateway import Budget, Endpoint, GatewayLimits, Provider, Retries
from mleb_core.gateway.asking import AskedModel, ModelError
from mleb_core.testing.model_server import Failure, ModelServer, Reply

QUICK = GatewayLimits(retries=Retries(most=1, first_s=0.01, longest_s=0.02))
SAID = [("The", None), (" cat", -0.25), (" sat", -1.5)]


def asked(server, folder, budget=None, **options):
    providers = {"lab": Provider("lab", f"{server.url}/v1", **options)}
    return AskedModel("lab/judge", folder, budget, providers=providers, limits=QUICK)


def test_it_answers_and_what_was_asked_is_kept(tmp_path):
    with (
        ModelServer([Reply("yes", input_tokens=10, output_tokens=2)]) as server,
        asked(server, tmp_path / "a" / "b") as m,
    ):
        reply = m.ask("/chat/completions", {"messages": [{"role": "user", "content": "well?"}]})
        assert reply["choices"][0]["message"]["content"] == "yes"
        assert m.usage.tokens.total == 12
        assert server.asked[0].body["model"] == "judge"
    kept = json.loads((tmp_path / "a" / "b" / "transcript.jsonl").read_text())
    assert kept["request"]["messages"][0]["content"] == "well?"
    assert json.loads((tmp_path / "a" / "b" / "usage.json").read_text())["requests"] == 1


def test_failures_are_one_line_with_their_kind(tmp_path):
    script = [Failure(400, "no such\nthing", type="invalid_request_error"), Failure(500), Failure(500), Reply("x")]
    with ModelServer(script) as server, asked(server, tmp_path, Budget(requests=3)) as m:
        with pytest.raises(ModelError, match=r"^lab/judge: no such thing \(status 400\)$") as failed:
            m.ask("/chat/completions", {"messages": []})
        assert failed.value.kind == "invalid_request_error"
        with pytest.raises(ModelError, match="scripted failure"):
            m.ask("/chat/completions", {"messages": []})
        assert m.ask("/chat/completions", {"messages": []})["choices"]
        with pytest.raises(ModelError, match="no more model calls") as failed:
            m.ask("/chat/completions", {"messages": []})
        assert failed.value.kind == "budget_reached"


def test_a_model_that_cannot_be_asked_is_refused_at_once(tmp_path):
    with (
        pytest.raises(UsageError, match="no key for provider openai"),
        AskedModel(
            "openai/gpt-4o", tmp_path, providers={"openai": Provider("openai", "http://127.0.0.1:9", key_names=("X",))}
        ),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_logprobs_of_chats_and_of_echoed_prompts_pass_through(tmp_path):
    with ModelServer(lambda _: Reply("sat", logprobs=SAID)) as server, asked(server, tmp_path) as m:
        chat = m.ask("/chat/completions", {"messages": [], "logprobs": True})
        assert [one["logprob"] for one in chat["choices"][0]["logprobs"]["content"]] == [None, -0.25, -1.5]
        text = m.ask("/completions", {"prompt": "The cat sat", "echo": True, "logprobs": 0, "max_tokens": 0})
        assert text["choices"][0]["logprobs"] == {
            "tokens": ["The", " cat", " sat"],
            "token_logprobs": [None, -0.25, -1.5],
            "text_offset": [0, 3, 7],
        }
        assert m.ask("/chat/completions", {"messages": []})["choices"][0].get("logprobs") is None
        assert m.usage.requests == 3 and m.usage.estimated == 0


def test_a_provider_without_text_completions_is_not_asked_for_them(tmp_path):
    with ModelServer([]) as server, asked(server, tmp_path, endpoints=(Endpoint.CHAT,)) as m:
        with pytest.raises(ModelError, match="has no /v1/completions") as failed:
            m.ask("/completions", {"prompt": "x"})
        assert failed.value.kind == "endpoint_not_found"
        assert server.asked == []


def test_openais_client_reads_text_completions_streamed_and_not(serve):
    with serve([Reply("one two"), Reply("three four", pieces=3)]) as at:
        with openai.OpenAI(base_url=f"{at.gateway.url}/v1", api_key=at.token, max_retries=0) as client:
            whole = client.completions.create(model="mleb-model", prompt="count")
            assert whole.choices[0].text == "one two"
            stream = client.completions.create(model="mleb-model", prompt="count", stream=True)
            assert "".join(chunk.choices[0].text for chunk in stream if chunk.choices) == "three four"
        assert at.transcript()[1]["reply"]["choices"][0]["text"] == "three four"
        assert at.gateway.usage(at.token).estimated == 0
