"""Keys of providers, from `.env` to the gateway and no further; `mleb doctor` on keys; what a run may spend."""

import json

import pytest

from mleb_core.testing.model_server import ModelServer, Reply

KEY = "sk-of-the-host-0123456789"
ASK = """import os, urllib.request as u
print(u.urlopen(u.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions",
    b'{"model": "mleb-model", "messages": [{"role": "user", "content": "hi"}]}',
    {"authorization": "Bearer " + os.environ["OPENAI_API_KEY"]})).read().decode())
"""


@pytest.fixture
def lab(mleb):
    """A provider `lab`, which `.env` alone knows of."""
    with ModelServer(lambda asked: Reply("hello", input_tokens=900, output_tokens=100), key=KEY) as server:
        (mleb.here / ".env").write_text(
            f"MLEB_PROVIDER_LAB_BASE_URL={server.url}/v1\nMLEB_PROVIDER_LAB_API_KEY={KEY}\nOPENAI_API_KEY=sk-{KEY}\n"
        )
        yield server


@pytest.fixture
def keys(mleb, tmp_path):
    """What `mleb doctor` finds of keys, by what was looked at."""

    def run(env=None, code=0):
        clean = {name: value for name, value in mleb.env.items() if not name.endswith(("_API_KEY", "_BASE_URL"))}
        mleb.env = clean | {"DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
        result = mleb("doctor", "--json", "-d", tmp_path / "data", env=env)
        assert result.returncode == code, result.stdout + result.stderr
        assert KEY not in result.stdout + result.stderr
        found = {finding["what"]: finding for finding in json.loads(result.stdout)}
        return {what: found[what] for what in found if "key" in what or what == ".env"}

    return run


def test_a_key_in_dotenv_reaches_the_gateway_and_never_the_agent(mleb, lab, prepared_data, tmp_path):
    folder = mleb.here / "agent"
    (folder / "deep").mkdir(parents=True)
    (folder / "ask.py").write_text(ASK)
    for place in (folder, folder / "deep"):
        (place / ".env").write_text((mleb.here / ".env").read_text())
    result = mleb(
        "eval", "-p", "command", "-m", "lab/small", "-c", "titanic-survival", "-d", prepared_data, "-t", "60", "-o",
        tmp_path / "runs", "--set", "agent.command=env; find . ; python3 ask.py; python3 ask.py", "--set",
        f"agent.files={folder}", "--max-tokens", "0.5k", "--json",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["group"]["terms"]["budget"] == {"tokens": 500, "cost_usd": None, "requests": None}
    (run,) = report["runs"]
    assert run["usage"]["model_calls"] == len(lab.asked) == 1  # it answered, so that the key was there
    assert run["cause"] == "budget_reached" and "after 1 model call: " in run["message"], run
    (log,) = (tmp_path / "runs").rglob("agent.log")
    assert "./ask.py\n" in log.read_text() and "/.env" not in log.read_text()
    for path in (tmp_path / "runs").rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes()


def test_money_is_limited_only_where_the_price_is_known(mleb, lab, prepared_data):
    asked = ("eval", "-p", "react", "-c", "titanic-survival", "-d", prepared_data, "--max-cost", "2.5", "--dry-run")
    result = mleb(*asked, "-m", "lab/small")
    assert result.returncode == 2 and "lab/small" in result.stderr
    result = mleb(*asked, "-m", "openai/gpt-4o", "--json")
    assert json.loads(result.stdout)["group"]["terms"]["budget"]["cost_usd"] == 2.5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--max-cost", "1", "--budget", "usd=2"], "--budget usd was given twice; --max-cost is the same"),
        (["--max-tokens", "1.5"], "--max-tokens 1.5: tokens are whole"),
        (["--max-tokens", "many"], "is no number"),
        (["--max-cost", "nan"], "is no number"),
        (["--budget", "tokens=many"], "expected tokens=N"),
    ],
)
def test_budgets_that_cannot_be(mleb, prepared_data, arguments, words):
    result = mleb("eval", "-p", "dummy", "-c", "titanic-survival", "-d", prepared_data, "--dry-run", *arguments)
    assert result.returncode == 2
    assert words in result.stderr and len(result.stderr.splitlines()) == 1


def test_no_keys_and_what_to_do(keys):
    found = keys()
    assert list(found) == ["model keys"]
    assert found["model keys"]["state"] == "absent"
    assert "anthropic (ANTHROPIC_API_KEY)" in found["model keys"]["found"]
    assert ".env" in found["model keys"]["advice"]


def test_whose_keys_are_there(keys, mleb, lab):
    (mleb.here / ".env").chmod(0o600)
    found = keys({"GEMINI_API_KEY": KEY, "MLEB_PROVIDER_OWN_BASE_URL": f"http://me:{KEY}@own.example/v1"})
    assert list(found) == ["model keys"]
    there, _, absent = found["model keys"]["found"].partition("; none for ")
    assert there == (
        "openai (OPENAI_API_KEY, .env), google (GEMINI_API_KEY), lab (MLEB_PROVIDER_LAB_API_KEY, .env), "
        "own (no key, at own.example)"
    )
    assert "anthropic" in absent and "gemini" not in absent
    (mleb.here / ".env").chmod(0o644)
    assert keys()[".env"]["advice"] == "chmod 600 .env"


def test_odd_keys_and_addresses(keys):
    found = keys({"GROQ_API_KEY": f"{KEY} {KEY}", "OPENAI_API_KEY": f"'{KEY}'"})
    assert found["key GROQ_API_KEY"]["found"] == "it holds a blank or line break"
    assert found["key OPENAI_API_KEY"]["found"] == "it holds quotes"
    assert keys({"OPENAI_BASE_URL": "nowhere"}, code=1)["model keys"]["state"] == "problem"
