"""Providers, prices, usage and streams, by themselves."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mleb_core.errors import UnknownIdError, UsageError
from mleb_core.gateway import Endpoint, Price, Tokens, providers_from, resolve, usage_in
from mleb_core.gateway.prices import cost_usd
from mleb_core.gateway.shapes import guess, hosted, tokens_of
from mleb_core.gateway.streams import Assembly, EventCutter
from mleb_core.testing.model_server import Reply, ToolCall
from mleb_core.testing.model_shapes import SHAPES

CHAT, RESPONSES, EMBEDDINGS, MESSAGES, COMPLETIONS = Endpoint


def test_providers_get_keys_and_addresses_from_the_environment():
    env = {
        "OPENAI_API_KEY": " sk-one ",
        "GOOGLE_API_KEY": "g",
        "GROQ_BASE_URL": "http://127.0.0.1:1/x/",
        "MLEB_PROVIDER_MY_LAB_BASE_URL": "http://lab:8000/v1",
    }
    known = providers_from(env)
    assert (known["openai"].key, known["gemini"].key, known["google"].key) == ("sk-one", "g", "g")
    assert known["groq"].base_url == "http://127.0.0.1:1/x" and known["my-lab"].base_url == "http://lab:8000/v1"
    known["my-lab"].check()
    for id in ("anthropic", "openrouter", "mistral", "together", "deepseek"):
        with pytest.raises(UsageError, match=f"no key for provider {id}; set {id.upper()}_API_KEY"):
            known[id].check()
    with pytest.raises(UsageError, match="OPENAI_BASE_URL is 'ftp://x'"):
        providers_from({"OPENAI_BASE_URL": "ftp://x"})


def test_models_are_named_by_provider_and_name():
    known = providers_from({})
    provider, name = resolve("together/meta-llama/Llama-3.3-70B-Instruct-Turbo", known)
    assert (provider.id, name) == ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo")
    with pytest.raises(UsageError, match="expected provider/name"):
        resolve("gpt-4o", known)
    with pytest.raises(UnknownIdError, match="did you mean openai"):
        resolve("opena/gpt-4o", known)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("openai/gpt-4o", 2.5 * 0.8 + 1.25 * 0.2 + 10),
        ("anthropic/claude-3-5-sonnet-20241022", 3 * 0.8 + 0.3 * 0.2 + 15),
        ("openai/no-such-model", None),
        ("my/gpt-4o", None),
    ],
)
def test_prices_of_a_million_tokens_each_way(model, expected):
    known = providers_from({"MLEB_PROVIDER_MY_BASE_URL": "http://x"})
    tokens = Tokens(input=1_000_000, output=1_000_000, cached=200_000)
    cost = cost_usd(*resolve(model, known), tokens)
    assert cost is None if expected is None else cost == pytest.approx(expected)


def test_own_prices_come_first():
    known = providers_from({})
    own = {"openai/gpt-4o": Price(input=1, output=2, cached=0.5)}
    tokens = Tokens(input=1_000_000, output=1_000_000, cached=500_000)
    assert cost_usd(*resolve("openai/gpt-4o", known), tokens, own) == pytest.approx(0.5 + 0.25 + 2)


@pytest.mark.parametrize(
    ("endpoint", "usage", "expected"),
    [
        (CHAT, {"prompt_tokens": 10, "completion_tokens": 5}, Tokens(input=10, output=5)),
        (CHAT, {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 40}, Tokens(input=10, output=30)),
        (CHAT, {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 4},
         Tokens(input=9, output=1, cached=4)),
        (RESPONSES, {"input_tokens": 8, "output_tokens": 6, "output_tokens_details": {"reasoning_tokens": 5}},
         Tokens(input=8, output=6, reasoning=5)),
        (EMBEDDINGS, {"prompt_tokens": 3, "total_tokens": 3}, Tokens(input=3)),
        (MESSAGES, {"input_tokens": 1, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 300,
                    "output_tokens": 4}, Tokens(input=321, output=4, cached=20, cache_written=300)),
        (MESSAGES, {"input_tokens": 1}, None),
        (CHAT, {"prompt_tokens": "many", "completion_tokens": True}, Tokens()),
        (CHAT, None, None),
        (CHAT, [], None),
    ],
)  # fmt: skip
def test_usage_of_each_shape(endpoint, usage, expected):
    assert tokens_of(endpoint, {"usage": usage}) == expected


@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=80),
    pieces=st.integers(1, 7),
    tools=st.lists(st.dictionaries(st.text("ab", min_size=1), st.integers(), max_size=2), max_size=3),
    cuts=st.lists(st.integers(0, 4000), max_size=12),
    path=st.sampled_from(sorted(SHAPES)),
)
def test_a_stream_however_it_is_cut_gives_the_reply_that_comes_unstreamed(text, pieces, tools, cuts, path):
    reply = Reply(text, [ToolCall("t", arguments) for arguments in tools], pieces=pieces)
    asked = {"model": "m", "stream_options": {"include_usage": True}}
    data = b"".join(SHAPES[path].events(asked, reply, 11, 7))
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    cutter, assembly = EventCutter(), Assembly(Endpoint(path.removeprefix("/v1")))
    for start, end in itertools.pairwise(bounds):
        for event in cutter.feed(data[start:end]):
            assembly.feed(event)
    whole, got = SHAPES[path].whole(asked, reply, 11, 7), assembly.reply()
    assert assembly.ended and cutter.rest == b""
    assert tokens_of(assembly.endpoint, got) == Tokens(input=11, output=7)
    if path == "/v1/chat/completions":
        expected, message = whole["choices"][0]["message"], got["choices"][0]["message"]
        assert (message.get("content") or None) == expected["content"]
        assert message.get("tool_calls", []) == expected.get("tool_calls", [])
    elif path == "/v1/completions":
        assert (got["object"], got["choices"][0]["text"]) == ("text_completion", text)
    else:
        part = "output" if path == "/v1/responses" else "content"
        assert got[part] == whole[part]


def test_what_text_completions_may_use_at_most():
    ask = {"prompt": "x" * 400, "max_tokens": 10, "n": 2, "best_of": 3}
    assert guess(COMPLETIONS, ask, 400) == Tokens(input=100, output=30)
    assert guess(COMPLETIONS, {"prompt": ["a", "b", "c"]}, 0).output == 48
    assert guess(COMPLETIONS, {"prompt": [1, 2, 3]}, 0).output == 16  # one prompt, as tokens
    assert guess(COMPLETIONS, {"prompt": "a", "max_tokens": 0}, 0).output == 0
    assert hosted(COMPLETIONS, {"prompt": "kept by the one who asks"}) is None
    assert hosted(RESPONSES, {"prompt": {"id": "kept at the provider"}}) == "'prompt' in a request"


@given(st.binary(max_size=300))
def test_streams_of_anything_do_no_harm(data):
    for endpoint in Endpoint:
        cutter, assembly = EventCutter(), Assembly(endpoint)
        for event in [*cutter.feed(data), b"data: " + data + b"\n\n"]:
            assembly.feed(event)
        json.dumps(assembly.reply())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["type", "index", "choices", "delta", "message", "usage", "content_block", "text", "error", "response",
             "tool_calls", "function", "content", "finish_reason", "x_groq"]
        ), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.lists(json_values, max_size=4))
def test_events_of_any_shape_do_no_harm(values):
    for endpoint in Endpoint:
        assembly = Assembly(endpoint)
        for value in values:
            assembly.feed(b"data: " + json.dumps(value).encode() + b"\n\n")
        json.dumps(assembly.reply())


def test_a_transcript_adds_up_and_what_is_no_exchange_counts_for_nothing(tmp_path):
    path = tmp_path / "t.jsonl"
    assert usage_in(path).requests == 0
    facts = {"model": "a/b", "tokens": {"input": 3, "output": 1}, "cost_usd": None, "estimated": True, "error": None}
    line = json.dumps({**facts, "retries": 2, "seconds": 0.5})
    path.write_text(f'{line}\nnonsense\n[]\n{{"model": "a/b"}}\n{line}\n')
    usage = usage_in(path)
    assert (usage.requests, usage.tokens.total, usage.retries, usage.estimated) == (2, 8, 4, 2)
    assert usage.cost_usd is None
