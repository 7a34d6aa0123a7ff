import pytest

from mleb_core.ledger import check_chain
from mleb_rules.reached import MODEL_HOSTS, by_ledger, host_in


def start(network=True, files=True, hosts=()):
    return {"isolation": {"network": network, "files": files}, "terms": {"network": list(hosts)}}


@pytest.fixture
def signs(layout):
    return lambda: [
        (s.rule, s.level, s.message, s.evidence) for s in by_ledger(check_chain(layout.ledger).entries, "l")
    ]


def test_a_closed_run_has_no_signs(note, signs):
    note("start", **start())
    note("gateway", model="lab/own", sha256="x")
    note("end", status="finished")
    assert signs() == []


def test_hosts_that_were_reached_or_refused(note, signs):
    note("start", **start(hosts=["*.kaggle.com", "pkg.example"]))
    note("network", host="www.kaggle.com", port=443, allowed=True)
    note("network", host="www.kaggle.com", port=443, allowed=True)
    note("network", host="api.openai.com", port=443, allowed=False)
    note("network", host="pkg.example", port=443, allowed=True)
    found = signs()
    assert [one[:3] for one in found] == [
        ("solutions-sought", "serious", "the agent reached www.kaggle.com, where solutions are public"),
        ("other-model", "warning", "the agent tried to reach api.openai.com, which runs models"),
        ("solutions-sought", "info", "the agent reached or tried to reach 1 further hosts"),
    ]
    assert [(one.place, one.text) for one in found[0][3]] == [("line 2", "www.kaggle.com:443 allowed")]
    assert found[1][3][0].text == "api.openai.com:443 refused"


def test_what_the_runner_did_not_keep_is_told(note, signs):
    note("start", **start(network=False, files=False))
    assert [(rule, level) for rule, level, _, _ in signs()] == [
        ("solutions-sought", "info"),
        ("answers-sought", "info"),
    ]


def test_an_open_network_is_told(note, signs):
    note("start", **start(hosts=["*"]))
    assert signs()[0][2] == "the network was open, so what it reached is not known"


def test_only_the_last_attempt_counts(note, signs):
    note("start", **start(network=False))
    note("network", host="kaggle.com", port=443, allowed=True)
    note("start", **start())
    assert signs() == []


def test_several_models_are_named(note, signs):
    note("start", **start())
    note("gateway", model="lab/own", sha256="x")
    note("gateway", model="lab/review", sha256="y")
    rule, level, message, evidence = signs()[0]
    assert (rule, level, message) == ("other-model", "info", "the run had 2 models: lab/own, lab/review")
    assert [one.place for one in evidence] == ["line 2", "line 3"]


def test_hosts_are_compared_by_their_parts():
    assert host_in("API.OpenAI.com.", MODEL_HOSTS)
    assert host_in("eu.api.openai.com", MODEL_HOSTS)
    assert not host_in("notapi.openai.com.example", MODEL_HOSTS)
    assert not host_in("myapi.openai.com", MODEL_HOSTS)
