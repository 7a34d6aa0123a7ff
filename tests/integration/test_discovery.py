"""Plugins as real packages: what works is found, what is broken is told and stops nothing else."""

import json
import shutil
from pathlib import Path

import pytest

BROKEN = {
    "mleb-broken-import": ("broken_import", "a_module_that_nobody_has"),
    "mleb-broken-nohooks": ("broken_nohooks", "implements no hook"),
    "mleb-broken-unmarked": ("broken_unmarked", "mleb_register_agents is not marked with @mleb_core.hookimpl"),
    "mleb-broken-hookname": ("broken_hookname", "there is no hook mleb_register_agnets"),
    "mleb-broken-argument": ("broken_argument", "reslt"),
    "mleb-broken-raises": ("broken_raises", "the shelf is empty"),
    "mleb-broken-shape": ("broken_shape", "'noagent' lacks launch, summary, variants"),
    "mleb-plugin-twin": ("twin", "agent 'parity' is registered by mleb-plugin-thirdparty already"),
}


@pytest.fixture(scope="module")
def crowded(make_environment):
    return make_environment("mleb-plugin-thirdparty", "mleb-plugin-usurper", *BROKEN)


@pytest.fixture(scope="module")
def listed(crowded):
    result = crowded.mleb("plugin", "list", "--json")
    assert result.returncode == 0, result.stderr
    return {plugin["distribution"]: plugin for plugin in json.loads(result.stdout)}


@pytest.mark.parametrize("distribution", BROKEN)
def test_a_broken_plugin_is_listed_with_its_version_and_error(listed, distribution):
    name, words = BROKEN[distribution]
    plugin = listed[distribution]
    assert (plugin["name"], plugin["version"]) == (name, "1.2.3")
    assert words in plugin["error"]
    assert "\n" not in plugin["error"]


def test_a_second_plugin_of_one_name_is_told_and_the_first_one_named(listed):
    assert listed["mleb-plugin-thirdparty"]["error"] is None
    assert "the name 'thirdparty' is taken by mleb-plugin-thirdparty 1.2.3" in listed["mleb-plugin-usurper"]["error"]


def test_broken_plugins_stop_nothing_else(crowded):
    result = crowded.mleb("list", "agents", "--json")
    assert result.returncode == 0, result.stderr
    ids = {agent["id"] for agent in json.loads(result.stdout)}
    assert {"dummy", "baseline", "twin-own"} <= ids
    assert "noagent" not in ids


@pytest.mark.parametrize(
    ("agent", "words"), [("broken_import", "a_module_that_nobody_has"), ("noagent", "lacks launch")]
)
def test_using_a_broken_plugin_gives_its_error_in_one_line(crowded, agent, words, tmp_path):
    result = crowded.mleb(
        "eval", "--plugin", agent, "-c", "iris", "--output", str(tmp_path), "--data-dir", str(tmp_path / "data")
    )
    assert result.returncode in (1, 2)
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert "Traceback" not in result.stderr


def test_unknown_ids_are_answered_with_close_ones(thirdparty, tmp_path):
    result = thirdparty.mleb("eval", "--plugin", "parityy", "-c", "thirdparty-parity", "--output", str(tmp_path))
    assert result.returncode == 2
    assert "did you mean parity?" in result.stderr
    result = thirdparty.mleb("eval", "--plugin", "parity", "-c", "thirdparty-party", "--output", str(tmp_path))
    assert result.returncode == 2
    assert "did you mean thirdparty-parity?" in result.stderr


def test_a_third_party_s_competition_agent_and_grader_make_a_graded_report(thirdparty, tmp_path):
    observed = tmp_path / "observed.txt"
    arguments = ["--plugin", "parity", "--plugin", "parity/inverted", "-c", "thirdparty-parity", "--seeds", "2"]
    result = thirdparty.mleb(
        "eval",
        *arguments,
        "--output",
        str(tmp_path / "runs"),
        "--data-dir",
        str(tmp_path / "data"),
        "--json",
        env={"THIRDPARTY_OBSERVED": str(observed), "THIRDPARTY_RAISES": "1"},
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    scores = {}
    for run in report["runs"]:
        scores[run["key"]["agent"], run["key"]["seed"]] = run["competition_report"]["score"]
    assert scores == {("parity", 0): 1.0, ("parity", 1): 1.0, ("parity/inverted", 0): 0.0, ("parity/inverted", 1): 0.0}
    # Each run was observed twice and the group once; an observer that raises lost none of them.
    seen = [line.split()[0] for line in observed.read_text().splitlines()]
    assert sorted(seen) == ["finished"] * 4 + ["group"] + ["started"] * 4
    assert seen[-1] == "group"
    events = [path.read_text() for path in (tmp_path / "runs").glob("*/*/*/*/events.jsonl")]
    assert len(events) == 4
    assert all("the observer is ill" in text for text in events)


def test_a_third_party_s_engine_spreads_the_runs(thirdparty, tmp_path):
    places = ["--output", str(tmp_path / "runs"), "--data-dir", str(tmp_path / "data")]
    asked = ["--plugin", "parity", "-c", "thirdparty-parity", "--seeds", "2", "--engine", "one-by-one"]
    result = thirdparty.mleb("eval", *asked, *places, "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["group"]["engine"] == "one-by-one"
    assert report["counts"]["valid"] == 2


def test_a_third_party_runs_the_contract_suites(thirdparty, tmp_path):
    """As CONTRIBUTING.md says: three lines each, found over entry points."""
    suites = Path(__file__).parents[1] / "fixtures/mleb-plugin-thirdparty/contracts.py"
    shutil.copy(suites, tmp_path / "test_contracts.py")
    result = thirdparty.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path))
    assert result.returncode == 0, result.stdout[-3000:]
    assert "passed" in result.stdout
