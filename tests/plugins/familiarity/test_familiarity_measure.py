import json
import math

import pytest

from mleb_core.gateway import Budget, Endpoint
from mleb_core.gateway.asking import ModelError
from mleb_core.testing.model_server import Failure, Reply
from mleb_familiarity.measure import NoLogprobsError, familiarity, mode_of
from mleb_familiarity.passages import Passage

TEXT = "The competition asks for the labels of birds by their songs. " * 10


def raw(**reply):
    """A reply of any shape."""
    return Failure(200, body=json.dumps(reply).encode())


def test_the_mean_probability_of_tokens_and_then_of_passages(model, echo):
    known, unknown = Passage("known", "known " + TEXT), Passage("unknown", TEXT)
    script = echo(lambda prompt: 0.8 if prompt.startswith("known") else 0.2)
    with model(script) as (asked, server):
        assert mode_of(asked) == "echo"
        found = familiarity(asked, [known, unknown], "echo")
        assert len(server.asked) == 3
    assert found.probability == pytest.approx(0.5)
    assert found.logprob == pytest.approx((math.log(0.8) + math.log(0.2)) / 2)
    assert found.passages == (("known", pytest.approx(0.8), 111), ("unknown", pytest.approx(0.2), 110))
    assert found.tokens == 221


def test_it_is_the_mean_of_probabilities_not_of_their_logarithms(model):
    told = [("The", None), (" competition", math.log(0.9)), (" asks", math.log(0.1)), (" too", -1)]
    with model([Reply(" too", logprobs=told)]) as (asked, _):
        found = familiarity(asked, [Passage("p", "The competition asks")], "echo")
    assert (found.tokens, found.probability) == (2, pytest.approx(0.5))


def test_long_texts_go_in_pieces_and_every_token_but_the_firsts_counts(model, echo):
    text = " ".join(f"word{i}" for i in range(3000))
    with model(echo(lambda prompt: 0.5)) as (asked, server):
        found = familiarity(asked, [Passage("p", text)], "echo")
        pieces = [one.body["prompt"] for one in server.asked]
    assert len(pieces) > 3 and max(map(len, pieces)) <= 6000
    assert sorted("".join(sorted(pieces, key=text.index)).split()) == sorted(text.split())
    assert found.tokens == 3000 - len(pieces)


def test_other_shapes_of_echo(model):
    prompt = {"tokens": ["The", " cat", " sat"], "token_logprobs": [None, math.log(0.5), math.log(0.5)]}
    together = raw(prompt=[{"text": "The cat sat", "logprobs": prompt}], choices=[{"text": "!"}])
    plain = {"token_logprobs": [None, math.log(0.5), math.log(0.5), -3.0]}
    with model([together, raw(choices=[{"text": "x", "logprobs": plain}])]) as (asked, _):
        for _ in range(2):
            found = familiarity(asked, [Passage("p", "The cat sat")], "echo")
            assert (found.tokens, found.probability) == (2, pytest.approx(0.5))


@pytest.mark.parametrize(
    "reply",
    [
        raw(choices=[{"text": "x"}]),
        raw(choices=[]),
        raw(choices=[{"text": "x", "logprobs": {"token_logprobs": "many"}}]),
        raw(choices=[{"text": "x", "logprobs": {"token_logprobs": [-1.0], "text_offset": [0]}}]),  # not echoed
        raw(choices=[{"text": "x", "logprobs": {"token_logprobs": [None, None, None, None]}}]),
    ],
)
def test_a_provider_that_does_not_tell_is_told(model, reply):
    with model(lambda _: reply) as (asked, _), pytest.raises(NoLogprobsError, match="log-probabilities"):
        familiarity(asked, [Passage("p", TEXT)], "echo")


def chatting(goes_on):
    """A chat that tells the probabilities of first tokens, and has no text completions."""

    def answer(asked):
        if asked.path != "/v1/chat/completions":
            return Failure(404, "This is a chat model", type="invalid_request_error")
        body = asked.body
        assert body["logprobs"] is True and body["top_logprobs"] == 20 and body["max_tokens"] == 1
        tokens = goes_on(body["messages"][1]["content"])
        top = [{"token": token, "logprob": math.log(value)} for token, value in tokens.items()]
        return raw(choices=[{"message": {"content": "x"}, "logprobs": {"content": [{**top[0], "top_logprobs": top}]}}])

    return answer


def test_a_chat_is_asked_to_go_on_at_places_spread_over_the_text(model):
    text = " ".join(f"word{i:04}" for i in range(1000))

    def goes_on(before):
        following = f"word{int(before[-4:]) + 1:04}" if before[-4:].isdigit() else "The"
        return {"no": 0.3, following[:4]: 0.2, f" {following}": 0.3, "": 0.1, " ": 0.1}

    with model(chatting(goes_on)) as (asked, server):
        assert mode_of(asked) == "chat"
        found = familiarity(asked, [Passage("p", text)], "chat", places=30)
        shown = [one.body["messages"][1]["content"] for one in server.asked[2:]]
    assert (found.mode, found.tokens, found.logprob) == ("chat", 30, None)
    assert found.probability == pytest.approx(0.5)  # both tokens with which the text goes on
    places = sorted(text.index(one) + len(one) for one in shown)
    assert places[0] < len(text) / 8 and places[-1] > len(text) * 0.98
    assert max(map(len, shown)) <= 4000


def test_what_a_chat_does_not_expect_counts_as_nothing(model):
    with model(chatting(lambda before: {"never": 0.9})) as (asked, _):
        assert familiarity(asked, [Passage("p", TEXT)], "chat", places=5).probability == 0


def test_neither_way_is_told_with_both_reasons(model):
    script = lambda asked: Failure(400, "not here") if "chat" not in asked.path else Reply("x")  # noqa: E731
    told = r"text completions \(.*not here.*\) nor chats \(.*tells no"
    with model(script) as (asked, _), pytest.raises(NoLogprobsError, match=told):
        mode_of(asked)


def test_a_provider_without_the_endpoint_is_asked_to_chat(model):
    script = chatting(lambda before: {"lazy": 1.0})
    with model(script, endpoints=(Endpoint.CHAT,)) as (asked, server):
        assert mode_of(asked) == "chat"
        assert [one.path for one in server.asked] == ["/v1/chat/completions"]


def test_a_budget_that_is_reached_ends_it(model, echo):
    passages = [Passage(str(i), TEXT) for i in range(5)]
    with model(echo(lambda prompt: 0.5), Budget(requests=2)) as (asked, _), pytest.raises(ModelError) as failed:
        familiarity(asked, passages, "echo", at_once=1)
    assert failed.value.kind == "budget_reached"


def test_no_passages(model, echo):
    with model(echo(lambda prompt: 0.5)) as (asked, _), pytest.raises(ValueError, match="no passages"):
        familiarity(asked, [], "echo")
