"""Flags win over the environment, that over the configuration file, that over the defaults."""

import json

import pytest


@pytest.fixture
def planned(mleb, prepared_data):
    """Runs `eval --dry-run` and gives the group that it plans."""

    def plan(*arguments, env=None, config=None):
        if config is not None:
            (mleb.here / "mleb.toml").write_text(config)
            arguments = ("--config", "mleb.toml", *arguments)
        base = ("--plugin", "dummy", "-c", "titanic-survival", "--data-dir", prepared_data)
        result = mleb("eval", "--dry-run", "--json", *base, *arguments, env=env)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)["group"]

    return plan


def test_precedence(planned):
    assert planned()["workers"] == 1
    assert planned(config="workers = 2")["workers"] == 2
    assert planned(config="workers = 2\n[eval]\nworkers = 3\n")["workers"] == 3
    assert planned(config="workers = 2", env={"MLEB_WORKERS": "4"})["workers"] == 4
    assert planned("-w", "5", config="workers = 2", env={"MLEB_WORKERS": "4"})["workers"] == 5
    assert planned(env={"MLEB_WORKERS": ""})["workers"] == 1


def test_values_of_every_kind_from_a_file(planned):
    group = planned(
        config="""
        retries = 0
        data-dir = "nowhere"
        raw-dir = "for another command"
        [eval]
        time_limit = "1h30m"
        memory-limit = "2GiB"
        steps = 7
        engine = "local"
        [prepare]
        force = true
        """
    )
    assert (group["retries"], group["limits"]["time_s"], group["limits"]["memory_bytes"]) == (0, 5400, 2 * 1024**3)
    assert (group["limits"]["steps"], group["engine"]) == (7, "local")


def test_lists_and_flags_from_a_file(mleb, prepared_data):
    (mleb.here / "c.toml").write_text(
        f"""
        data-dir = "{prepared_data}"
        json = true
        [eval]
        plugin = ["dummy", "baseline"]
        competition = ["titanic-survival", "diabetes-progression"]
        dry-run = true
        time-limit = 600
        """
    )
    result = mleb("eval", env={"MLEB_CONFIG": "c.toml"})
    assert result.returncode == 0, result.stderr
    group = json.loads(result.stdout)["group"]
    assert group["agents"] == ["dummy", "baseline"]
    assert group["competitions"] == ["titanic-survival", "diabetes-progression"]
    assert group["limits"]["time_s"] == 600


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("wrokers = 2", "c.toml: wrokers is no option of any command; did you mean workers?"),
        ("[eval]\nraw-dir = 'x'", "c.toml: eval.raw-dir is no option of `mleb eval`"),
        ("[evel]\nworkers = 2", "c.toml: evel is no option of any command; did you mean eval?"),
        ("eval = 3", "c.toml: eval: a table of options is expected, got 3"),
        ("workers = 'many'", "c.toml: workers: "),
        ("workers = 0", "c.toml: workers: "),
        ("[eval]\ntime-limit = 'soon'", "c.toml: eval.time-limit: 'soon' is no duration"),
        ("[eval]\ndry-run = 'yes'", "c.toml: eval.dry-run: true or false is expected, got 'yes'"),
        ("data-dir = ['a']", "c.toml: data-dir: one text or number is expected, got ['a']"),
        ("[eval]\nplugin = [['a']]", "c.toml: eval.plugin: a list of texts is expected"),
        ("workers = ", "c.toml cannot be read: "),
        ("x = " + "[" * 5000 + "]" * 5000, "c.toml cannot be read: "),
    ],
)
def test_a_wrong_file_is_told_with_file_and_key(mleb, content, words):
    (mleb.here / "c.toml").write_text(content)
    result = mleb("eval", "--config", "c.toml", "--plugin", "dummy", "-c", "titanic-survival", "--dry-run")
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_file_that_is_not_there_or_not_text(mleb):
    result = mleb("eval", "--config", "gone.toml")
    assert result.returncode == 2
    assert "gone.toml: there is no such file" in result.stderr
    (mleb.here / "c.toml").write_bytes(b"\xff\xfe")
    result = mleb("eval", "--config", "c.toml")
    assert result.returncode == 2
    assert "c.toml cannot be read" in result.stderr


def test_dotenv_is_read_and_overrides_nothing(planned, mleb):
    lines = ["MLEB_WORKERS=6", "export MLEB_RETRIES='1'", "# comment", "MLEB_TIME_LIMIT=${MLEB_WORKERS}m", ""]
    (mleb.here / ".env").write_text("\n".join(lines))
    group = planned(env={"MLEB_RETRIES": "4"})
    assert (group["workers"], group["retries"], group["limits"]["time_s"]) == (6, 4, 360)
    (mleb.here / ".env").write_bytes(b"A=\xff\n")
    result = mleb("eval")
    assert result.returncode == 2
    assert ".env cannot be read" in result.stderr


@pytest.mark.parametrize(
    ("pairs", "settings"),
    [
        ((), {}),
        (("agent.steps=20", "agent.deep.er=[1, 2]"), {"steps": 20, "deep": {"er": [1, 2]}}),
        (("command=./run.sh --fast", "agent.e="), {"command": "./run.sh --fast", "e": ""}),
        (('agent.text="20"', "agent.on=true"), {"text": "20", "on": True}),
        (("a=NaN", "b=-Infinity", "c=" + "[" * 9), {"a": "NaN", "b": "-Infinity", "c": "[" * 9}),
        (("deep=" + "[" * 50_000,), {"deep": "[" * 50_000}),
    ],
)
def test_settings(pairs, settings):
    from mleb.commands.eval import parse_settings

    assert parse_settings(pairs) == settings


@pytest.mark.parametrize("pairs", [["steps"], ["=3"], ["agent.=3"], ["a..b=1"], ["a=1", "agent.a=2"], ["a=1", "a.b=2"]])
def test_settings_that_are_none(pairs):
    from mleb.commands.eval import parse_settings
    from mleb_core.errors import UsageError

    with pytest.raises(UsageError, match="--set"):
        parse_settings(pairs)


def test_settings_of_an_agent_that_has_none_are_refused(mleb, prepared_data):
    arguments = ("--plugin", "dummy", "-c", "titanic-survival", "--data-dir", prepared_data, "--dry-run")
    result = mleb("eval", *arguments, "--set", "agent.nonsense_setting=3")
    assert result.returncode == 2
    assert "nonsense_setting" in result.stderr
    (mleb.here / "c.toml").write_text("[eval.set.agent]\nnonsense_setting = 3\n")
    assert "nonsense_setting" in mleb("eval", *arguments, "--config", "c.toml").stderr
