"""Budgets are kept, also when many requests come at once."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from mleb_core.errors import UsageError
from mleb_core.gateway import Budget, Price, Usage, usage_in
from mleb_core.testing.model_server import Failure, Reply


def many(at, count, token=None, **more):
    body = {"model": "mleb-model", "messages": [{"role": "user", "content": "hi"}], **more}
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda _: at.post("/v1/chat/completions", body, token).status_code, range(count)))


def test_requests(serve):
    with serve(lambda _: Reply("x", delay_s=0.02), Budget(requests=7)) as at:
        statuses = many(at, 30)
        assert (statuses.count(200), statuses.count(429)) == (7, 23)
        assert len(at.model.asked) == 7
        usage = at.gateway.close_run(at.token)
        assert (usage.requests, usage.refused) == (7, 23)
        assert usage.budget_reached == "budget reached: this run has made 7 of 7 model calls"
        assert Usage.model_validate_json(at.layout.usage.read_bytes()) == usage


def test_tokens_are_passed_by_no_more_than_one_reply(serve):
    with serve(lambda _: Reply("x", input_tokens=60, output_tokens=40, delay_s=0.01), Budget(tokens=950)) as at:
        assert many(at, 40).count(200) == 10  # the tenth starts at 900 and ends at 1000
        assert at.gateway.usage(at.token).tokens.total == 1000


def test_requests_run_side_by_side_while_all_of_them_fit(serve):
    gate = threading.Barrier(8, timeout=30)

    def script(_):
        gate.wait()  # opens when eight are here at once
        return Reply("x", input_tokens=10, output_tokens=10)

    with serve(script, Budget(tokens=1_000_000)) as at, ThreadPoolExecutor(8) as pool:
        assert {reply.status_code for reply in pool.map(lambda _: at.chat(max_tokens=50), range(8))} == {200}


def test_money(serve):
    with serve(lambda _: Reply("x", input_tokens=0, output_tokens=1000), Budget(cost_usd=0.045)) as at:
        assert many(at, 12).count(200) == 5  # a cent each
        assert at.gateway.usage(at.token).cost_usd == pytest.approx(0.05)


def test_of_the_group_over_runs(serve):
    with serve(lambda _: Reply("x", delay_s=0.01), Budget(requests=100), group_budget=Budget(requests=9)) as at:
        other, layout = at.register(1)
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(lambda token: many(at, 10, token), [at.token, other])
        assert first.count(200) + second.count(200) == 9
        assert at.gateway.group_usage()[0] == 9
        reached = {at.gateway.budget_reached(at.token), at.gateway.budget_reached(other)}
        assert "budget reached: the run group has made 9 of 9 model calls" in reached
        assert usage_in(layout.transcript).requests == second.count(200)


def test_the_agent_reads_why_and_its_client_does_not_insist(serve):
    hit = []
    with serve(
        lambda _: Reply("x"), Budget(requests=1), on_budget=lambda key, line: hit.append((key.seed, line))
    ) as at:
        with openai.OpenAI(base_url=f"{at.gateway.url}/v1", api_key=at.token, max_retries=5) as client:
            asked = {"model": "mleb-model", "messages": [{"role": "user", "content": "hi"}]}
            client.chat.completions.create(**asked)
            assert at.gateway.budget_reached(at.token) is None
            with pytest.raises(openai.RateLimitError, match="1 of 1 model calls; no more model calls") as error:
                client.chat.completions.create(**asked)
        assert error.value.type == "budget_reached"
        assert at.gateway.usage(at.token).refused == 1
        assert hit == [(0, at.gateway.budget_reached(at.token))]


def test_one_who_waits_for_the_budget_and_leaves_is_forgotten(serve):
    go_on = threading.Event()

    def script(asked):
        if asked.number == 0:
            go_on.wait(30)
        return Reply("x", input_tokens=1, output_tokens=1)

    with serve(script, Budget(tokens=100)) as at, ThreadPoolExecutor(1) as pool:
        first = pool.submit(at.chat)
        at.until(lambda: at.model.asked)
        client = openai.OpenAI(base_url=f"{at.gateway.url}/v1", api_key=at.token, max_retries=0, timeout=0.3)
        with client, pytest.raises(openai.APITimeoutError):
            client.chat.completions.create(model="mleb-model", messages=[])
        go_on.set()
        assert first.result().status_code == 200
        assert at.chat().status_code == 200
        assert len(at.model.asked) == 2
        assert at.gateway.usage(at.token).requests == 2


def test_an_unknown_price_is_none_and_not_zero(serve):
    with serve(lambda _: Reply("x", input_tokens=10, output_tokens=5), models="strange/one") as at:
        at.chat()
        usage = at.gateway.close_run(at.token)
        assert (usage.cost_usd, usage.unpriced, usage.known_cost_usd, usage.tokens.total) == (None, 1, 0.0, 15)
        assert json.loads(at.layout.usage.read_bytes())["cost_usd"] is None


def test_a_budget_in_money_wants_a_price(serve):
    told = pytest.raises(UsageError, match="the price of strange/one is unknown")
    with serve(lambda _: Reply("x"), models="strange/one") as at, told:
        at.register(1, Budget(cost_usd=1))
    own = {"strange/one": Price(input=1.0, output=2.0)}
    script = [Reply("x", input_tokens=1_000_000, output_tokens=0)]
    with serve(script, Budget(cost_usd=1), models="strange/one", prices=own) as at:
        assert many(at, 3).count(200) == 1
        assert at.gateway.usage(at.token).cost_usd == pytest.approx(1.0)


def test_tokens_that_the_provider_does_not_tell_are_estimated_and_said_to_be(serve):
    script = [Reply("x" * 400, usage=False), Reply("y" * 400, usage=False), Failure(400, "no")]
    with serve(script, models="openai/gpt-4o") as at:
        at.chat("a" * 1000)
        at.chat("a" * 1000, stream=True)
        at.chat()
        usage = at.gateway.usage(at.token)
        assert (usage.requests, usage.estimated, usage.failed) == (3, 2, 1)
        assert usage.tokens.input > 500 and usage.tokens.output > 200
        assert at.transcript()[2]["tokens"]["input"] == 0


def test_hanging_up_early_does_not_hide_tokens(serve):
    with serve(lambda _: Reply("word " * 200, input_tokens=50, output_tokens=200, pieces=50, pause_s=0.005)) as at:
        with openai.OpenAI(base_url=f"{at.gateway.url}/v1", api_key=at.token, max_retries=0) as client:
            stream = client.chat.completions.create(model="mleb-model", messages=[], stream=True)
            next(iter(stream))
            stream.close()
        at.until(lambda: at.gateway.usage(at.token).requests)
        usage = at.gateway.usage(at.token)
        assert (usage.tokens.input, usage.tokens.output, usage.estimated) == (50, 200, 0)


def test_a_run_that_goes_on_after_the_harness_was_killed_keeps_its_count(serve):
    with serve(lambda _: Reply("x", input_tokens=5, output_tokens=5), Budget(requests=5)) as at:
        assert many(at, 3) == [200] * 3
        token, kept = at.token, at.layout.transcript.read_bytes()
        at.gateway.close_run(token)
        at.layout.transcript.write_bytes(kept + b'{"time": "cut in the mid')
        again = at.gateway.register_run(at.run_key, at.layout, Budget(requests=5), token=token)
        assert again == token and at.gateway.usage(token).requests == 3
        assert many(at, 4).count(200) == 2
        assert sorted(line["number"] for line in at.transcript()) == [1, 2, 3, 4, 5]
        assert at.gateway.usage(token).tokens.total == 50
