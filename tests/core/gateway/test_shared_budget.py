"""A budget that gateways of several processes share: the bank alone, and real gateways in front of one provider."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mleb_core.gateway import Budget, Gateway
from mleb_core.gateway.shared_budget import Amount, SharedBudget, SharedMeter
from mleb_core.layout import RunLayout
from mleb_core.run import RunKey
from mleb_core.testing.model_server import Reply


class Bank:
    """The bank as two gateways of one process reach it; counts how often it is asked."""

    def __init__(self, shared, holder):
        self.shared, self.holder, self.asked = shared, holder, 0

    def lease(self, holder, used, need, *, alone):
        with LOCK:
            self.asked += 1
            return self.shared.lease(holder, used, need, alone=alone)

    def give_back(self, holder, used):
        with LOCK:
            self.shared.give_back(holder, used)


LOCK = threading.Lock()


@pytest.fixture
def two(serve, tmp_path):
    """two(script, budget) -> the bank, each gateway's bank, and a function that asks either gateway."""
    with contextlib.ExitStack() as stack:

        def make(script, budget):
            shared = SharedBudget(budget)
            banks = [Bank(shared, name) for name in ("first", "second")]
            meters = [SharedMeter("the run group", budget, bank) for bank in banks]
            at = stack.enter_context(serve(script, group_meter=meters[0]))
            other = Gateway("openai/gpt-4o", providers=at.gateway.providers, group_meter=meters[1])
            stack.enter_context(other)
            layout = RunLayout(tmp_path / "other")
            layout.root.mkdir()
            token = other.register_run(RunKey(competition="iris", agent="a", seed=1), layout)

            def ask(second):
                url, key = (other.url, token) if second else (at.gateway.url, at.token)
                body = {"model": "mleb-model", "messages": [{"role": "user", "content": "hi " * 100}], "max_tokens": 40}
                with httpx2.Client(timeout=60) as client:
                    headers = {"authorization": f"Bearer {key}"}
                    return client.post(f"{url}/v1/chat/completions", json=body, headers=headers)

            return shared, banks, ask

        yield make


def answers(ask, count):
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda number: ask(number % 2 == 1), range(count)))


def test_model_calls_of_both_together_are_as_many_as_the_budget_says(two):
    shared, _, ask = two(lambda _: Reply("x", delay_s=0.01), Budget(requests=31))
    replies = answers(ask, 60)
    assert [reply.status_code for reply in replies].count(200) == 31
    refused = [reply.text for reply in replies if reply.status_code == 429]
    assert len(refused) == 29
    assert all("the run group has made 31 of 31 model calls" in text for text in refused)
    assert shared.used.requests == 31


def test_tokens_of_both_are_passed_by_no_more_than_one_reply(two):
    # A request is estimated at more than the 100 tokens of its reply: an estimate below would let more of them pass.
    shared, _, ask = two(lambda _: Reply("x", input_tokens=60, output_tokens=40, delay_s=0.01), Budget(tokens=1950))
    assert [reply.status_code for reply in answers(ask, 40)].count(200) == 20
    assert shared.used.tokens == 2000


def test_within_its_share_a_gateway_asks_nobody(two):
    _, banks, ask = two(lambda _: Reply("x", input_tokens=10, output_tokens=10), Budget(tokens=1_000_000))
    for _ in range(20):
        assert ask(False).status_code == 200
    assert banks[0].asked < 10
    assert banks[1].asked == 0


def test_what_an_idle_gateway_held_is_free_for_another():
    shared = SharedBudget(Budget(tokens=1000), {"before": Amount(tokens=200)})
    one = shared.lease("one", Amount(), Amount(tokens=700), alone=True)
    assert one.granted.tokens == 700
    assert shared.lease("two", Amount(), Amount(tokens=200), alone=True).wait
    shared.give_back("one", Amount(tokens=100))
    assert shared.lease("two", Amount(), Amount(tokens=200), alone=True).granted.tokens >= 200
    assert shared.used == Amount(tokens=300)


def test_two_that_wait_for_what_the_other_does_not_use_do_not_wait_for_ever():
    shared = SharedBudget(Budget(tokens=100))
    assert shared.lease("one", Amount(), Amount(tokens=10), alone=True).granted.tokens > 10
    assert shared.lease("two", Amount(), Amount(tokens=1), alone=True).granted.tokens > 5
    first = shared.lease("one", Amount(tokens=10), Amount(tokens=100), alone=True)
    second = shared.lease("two", Amount(tokens=5), Amount(tokens=95), alone=True)
    assert first.wait and first.granted.tokens == 10
    assert second.granted.tokens == 95


def test_what_a_lost_gateway_used_is_counted_and_what_it_held_is_free():
    shared = SharedBudget(Budget(requests=10))
    shared.lease("lost", Amount(), Amount(requests=9), alone=True)
    assert shared.lease("two", Amount(), Amount(requests=4), alone=True).wait
    shared.forget("lost", Amount(requests=5))
    assert shared.lease("two", Amount(), Amount(requests=4), alone=True).granted.requests >= 4
    told = shared.lease("two", Amount(requests=5), Amount(requests=6), alone=True).reached
    assert told == "budget reached: the run group has made 10 of 10 model calls"


@given(st.integers(1, 200), st.lists(st.tuples(st.integers(0, 4), st.integers(1, 30)), max_size=60))
def test_never_is_more_granted_than_there_is_but_for_one_request_alone(budget, asks):
    """Each holder uses at once what it needs of its share, and keeps the rest."""
    shared = SharedBudget(Budget(tokens=budget))
    used, granted = [0] * 5, [0] * 5
    for who, size in asks:
        need = used[who] + size
        answer = shared.lease(str(who), Amount(tokens=used[who]), Amount(tokens=need), alone=True)
        granted[who] = answer.granted.tokens
        if not answer.wait and answer.reached is None:
            assert granted[who] >= need
            used[who] = need
        over = sum(granted) - budget
        assert over <= max(size for _, size in asks)
    assert sum(used) - budget <= max((size for _, size in asks), default=0)
