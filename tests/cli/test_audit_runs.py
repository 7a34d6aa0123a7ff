"""`mleb audit runs` with the audits that come with mleb, as users run it."""

import json
from pathlib import Path

import pytest

from mleb_core.testing.model_server import ModelServer

TITANIC = "titanic-survival"
SOLUTION = (Path(__file__).parents[1] / "plugins" / "plagiarism" / "solutions" / "forest.py").read_text()


@pytest.fixture
def group(mleb, prepared_data, tmp_path):
    """A finished group of two runs that hand in the sample."""
    result = mleb("eval", "-p", "dummy", "-c", TITANIC, "--seeds", 2, "-d", prepared_data, "-o", tmp_path / "runs")
    assert result.returncode == 0, result.stderr
    (group,) = (tmp_path / "runs").iterdir()
    return group


def test_passages_stand_side_by_side(mleb, group, prepared_data, tmp_path):
    (tmp_path / "references").mkdir()
    (tmp_path / "references" / "forest.py").write_text(SOLUTION)
    code = group / TITANIC / "dummy" / "1" / "code"
    code.mkdir(exist_ok=True)
    (code / "main.py").write_text(SOLUTION.replace("combined", "everything"))
    settings = ("--set", f"plagiarism.corpus={tmp_path / 'references'}")
    result = mleb("audit", "runs", group, "-d", prepared_data, "--audit", "plagiarism", *settings)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    where = f"{TITANIC} dummy seed 1: warning: plagiarism/copied-code: 100 % of code/main.py stands in forest.py"
    assert where in lines
    assert any(line.startswith("    code/main.py, line 9: place line 9") for line in lines)
    assert any(
        "everything" in left and "combined" in right for left, _, right in (row.partition(" | ") for row in lines)
    )


def test_a_judge_reads_the_logs_and_the_group_still_holds(mleb, group, prepared_data):
    def script(asked):
        text = asked.body["messages"][1]["content"]
        quote = next(line for line in text.split("\n")[4:] if len(line) > 12)
        return json.dumps({"suspicions": [{"rule": "data-ignored", "quote": quote, "why": "It copies."}]})

    with ModelServer(script) as server:
        env = {"MLEB_PROVIDER_LAB_BASE_URL": f"{server.url}/v1"}
        arguments = ("--audit", "rules", "--set", "rules.judge=lab/judge", "--set", "rules.repeats=2")
        result = mleb("audit", "runs", group, "-d", prepared_data, *arguments, "--json", env=env)
        assert len(server.asked) >= 4
    assert result.returncode == 0, result.stderr
    kept = json.loads((group / "audits" / "rules.json").read_text())
    for run in kept["runs"]:
        found = [finding for finding in run["findings"] if "2 of 2 judgements" in finding["message"]]
        assert [(finding["rule"], finding["severity"]) for finding in found] == [("data-ignored", "warning")]
        assert found[0]["evidence"][0]["file"] == "agent.log"
    assert "100 % of pairs of judgements agree" in kept["findings"][0]["message"]
    assert mleb("verify", group, "-d", prepared_data).returncode == 0
