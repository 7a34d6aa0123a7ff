"""`mleb sweep`: studies from files, those of docs/studies among them, with real runs and a scripted provider."""

import json
import math
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import typer.main

from mleb.app import build
from mleb_core.report.formats import schema
from mleb_core.sweep_models import ArmOptions
from mleb_core.testing.model_server import ModelServer, Reply

TITANIC, DIABETES = "titanic-survival", "diabetes-progression"
FILES = sorted((Path(__file__).parents[2] / "docs/studies").glob("*.toml"))
STUDIES = [
    path for path in FILES if path.stem != "scaffolds"
]  # tests/integration has that one, with the scaffolds themselves
COPY = "```bash\ncp $MLEB_DATA/sample_submission.csv $MLEB_SUBMISSION/submission.csv\n```"
SMALL = """
title = "Does a pause help?"
baseline = "copy"

[all]
plugin = "command"
competition = "titanic-survival"
seeds = 2
time-limit = "1m"

[arms.copy]
set.agent.command = "cp $MLEB_DATA/sample_submission.csv $MLEB_SUBMISSION/submission.csv"
max-tokens = "1k"

[arms.idle]
set.agent.command = "echo nothing to say"
max-tokens = 500
"""


@pytest.fixture
def sweep(mleb, prepared_data, tmp_path):
    """Runs `mleb sweep` on a file, or on the study SMALL."""
    (mleb.here / "small.toml").write_text(SMALL)

    def run(*arguments, file="small.toml", **options):
        return mleb("sweep", file, "-d", prepared_data, "-o", tmp_path / "runs", *arguments, **options)

    return run


@pytest.fixture
def provider(mleb):
    """All providers that the studies ask, in one, which hands in the sample and is done."""

    def script(asked):
        return Reply(COPY if len(asked.body["messages"]) == 2 else "DONE", input_tokens=100, output_tokens=10)

    with ModelServer(script) as server:
        for name in ("OPENAI", "ANTHROPIC", "OPENROUTER"):
            mleb.env |= {f"{name}_BASE_URL": f"{server.url}/v1", f"{name}_API_KEY": "sk-scripted-0123456789"}
        yield server


@pytest.mark.parametrize("file", STUDIES, ids=lambda path: path.stem)
def test_a_study_of_the_paper_at_small_scale(sweep, provider, tmp_path, file):
    small = (
        "-c",
        TITANIC,
        "--runner",
        "local",
        "--gpus",
        "0",
        "-t",
        "90",
        "--set",
        "agent.steps=3",
        "--plugin",
        "react",
    )
    seeds = "2" if file.stem == "pass_at_k" else "1"
    result = sweep(*small, "--seeds", seeds, "--json", file=file)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert set(report) == set(schema("study-report")["properties"])
    assert (report["study"], report["not_begun"]) == (file.stem, []) and report["title"]
    assert len(report["arms"]) >= 2
    for arm in report["arms"]:
        assert (arm["agent"], arm["asked"], arm["graded"]) == ("react", int(seeds), int(seeds))
        assert arm["valid_submission_percentage"] == 100
        assert (arm["cost"]["steps"], arm["cost"]["tokens"]) == (2 * int(seeds), 220 * int(seeds))
        assert len(arm["pass_at_k"]) == (2 if seeds == "2" else 0)
        group = json.loads((tmp_path / "runs" / file.stem / arm["arm"] / "group.json").read_text())
        assert (group["name"], group["model"]) == (arm["arm"], arm["model"])
    asked = {request.body["model"] for request in provider.asked}
    if file.stem == "models":
        assert len(asked) == 4  # each arm keeps the model of the agent that another takes the place of
    if file.stem == "obfuscation":
        assert any("Titanic" in json.dumps(request.body) for request in provider.asked) is False
        versus = {arm["arm"]: arm["versus"] for arm in report["arms"]}
        assert versus["plain"] is None and versus["obfuscated"]["difference"] == 0


def test_the_study_of_familiarity_ends_with_its_audit(sweep, mleb, prepared_data, tmp_path):
    pytest.importorskip("mleb_familiarity")

    def script(asked):
        if "messages" in asked.body:
            return Reply(COPY if len(asked.body["messages"]) == 2 else "DONE")
        prompt = asked.body["prompt"]
        known = math.log(0.8 if "ship" in prompt else 0.2)
        told = [(word, known if index else None) for index, word in enumerate(re.findall(r"\s*\S+|\s+$", prompt))]
        return Reply(" and", logprobs=[*told, (" and", -9.0)])

    for name, word in ((TITANIC, "ship"), (DIABETES, "blood")):
        (tmp_path / "passages").mkdir(exist_ok=True)
        (tmp_path / "passages" / f"{name}.txt").write_text(f"A tale of a {word} that many know. " * 10)
    small = ("-c", TITANIC, "-c", DIABETES, "--runner", "local", "--gpus", "0", "-t", "90", "--seeds", "1")
    with ModelServer(script) as server:
        mleb.env |= {"OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_API_KEY": "sk-scripted-0123456789"}
        file = next(path for path in FILES if path.stem == "familiarity")
        result = sweep(*small, "--plugin", "react", "--only", "gpt-4o", file=file)
        assert result.returncode == 0, result.stderr
        arm = tmp_path / "runs" / "familiarity" / "gpt-4o"
        words = ("--audit", "familiarity", "--set", f"familiarity.passages={tmp_path / 'passages'}")
        result = mleb("audit", "runs", arm, "-d", prepared_data, *words, "--json")
    assert result.returncode == 0, result.stderr
    (record,) = json.loads(result.stdout)
    values = [evidence["values"] for finding in record["findings"] for evidence in finding["evidence"]]
    measured = {value["competition"]: value["probability"] for value in values if "probability" in value}
    assert measured == pytest.approx({TITANIC: 0.8, DIABETES: 0.2})


def test_a_dry_run_tells_what_a_study_takes_at_most(sweep, mleb, tmp_path):
    result = sweep("--dry-run", "--json", "-t", "2h", "--max-cost", "3")
    assert result.returncode == 0, result.stderr
    plan = json.loads(result.stdout)
    assert (plan["runs"], plan["left"], plan["hours"], plan["gpu_hours"]) == (4, 4, 8, 0)
    assert (plan["cost_usd"], plan["tokens"]) == (12, 3000)
    assert [arm["tokens"] for arm in plan["arms"]] == [2000, 1000]
    table = sweep("--dry-run")
    assert "Does a pause help?" in table.stdout and "4 of 4 runs are left, at most 4m00s of runs" in table.stdout
    result = sweep("--dry-run", "--gpus", "64")
    assert result.returncode == 1  # no machine of the tests has so many
    assert "arm copy cannot be started here: " in result.stdout and "4m00s of runs, 4.3 GPU-hours" in result.stdout
    (mleb.here / "two.toml").write_text(SMALL.replace("max-tokens = 500", "gpus = 64"))
    result = sweep(file="two.toml")
    assert result.returncode == 1
    assert "Error: arm idle: " in result.stderr and "(others could start: --only copy)" in result.stderr
    assert not (tmp_path / "runs").exists()


def test_a_second_call_does_what_is_left(sweep, mleb, tmp_path):
    result = sweep("--only", "idle", "--workers", "2")
    assert result.returncode == 0, result.stderr
    root = tmp_path / "runs" / "small"
    assert json.loads((root / "idle" / "group.json").read_text())["workers"] == 2
    assert sorted(path.name for path in root.iterdir()) == ["idle", "report.json", "report.md"]
    idle = {path: path.stat().st_mtime_ns for path in (root / "idle").rglob("*")}
    result = sweep()
    assert result.returncode == 0, result.stderr
    assert "arm copy: 2 of 2 runs to do" in result.stderr and "arm idle: done before" in result.stderr
    assert {path: path.stat().st_mtime_ns for path in (root / "idle").rglob("*")} == idle
    rows = {line.split()[0]: line for line in result.stdout.splitlines() if "command" in line}
    assert "2 of 2" in rows["copy"] and "0.0 ± 0.0" in rows["idle"] and "p = 1.000" in rows["idle"]
    assert "| copy | command | 2 of 2 |" in (root / "report.md").read_text()
    (root / "copy" / TITANIC / "command" / "1" / "run.json").unlink()
    assert [arm["left"] for arm in json.loads(sweep("--dry-run", "--json").stdout)["arms"]] == [1, 0]
    assert "arm copy: 1 of 2 runs to do" in sweep("--workers", "2").stderr
    compared = mleb("compare", root / "copy", root / "idle", "--json")
    assert json.loads(compared.stdout)["runs"] == 2
    reports = json.loads(mleb("report", root, "--json").stdout)  # a study is its arms
    assert [report["group"]["name"] for report in reports] == ["copy", "idle"]


def test_the_report_of_a_study_keeps_the_arms_that_a_call_leaves_out(sweep, tmp_path):
    def written():
        report = json.loads((tmp_path / "runs" / "small" / "report.json").read_text())
        return {arm["arm"]: arm["versus"] for arm in report["arms"]}, report["not_begun"]

    assert sweep("--only", "copy").returncode == 0
    assert written() == ({"copy": None}, ["idle"])
    result = sweep("--only", "idle", "--json")
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert ([arm["arm"] for arm in told["arms"]], told["not_begun"]) == (["idle"], [])
    arms, not_begun = written()
    assert set(arms) == {"copy", "idle"} and arms["idle"]["baseline"] == "copy" and not_begun == []
    (tmp_path / "runs" / "small" / "copy" / "group.json").write_text("{")
    assert sweep("--only", "idle").returncode == 0  # what is wrong with the other does not concern it
    assert set(written()[0]) == {"idle"}


def test_a_study_that_was_begun_is_not_continued_with_other_options(sweep):
    assert sweep("--only", "copy", "-n", "1").returncode == 0
    for arguments, words in (([], "seeds 1, now it is 2"), (["-n", "1", "-t", "2m"], "time_s 60.0, now it is 120.0")):
        result = sweep(*arguments)
        assert result.returncode == 2
        assert "Error: arm copy: " in result.stderr and words in result.stderr
    assert "arm copy cannot be started" in sweep("--dry-run").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "cpoy"], "did you mean copy?"),
        (["--plugin", "raect"], "arm copy: no agent 'raect'"),
        (["--set", "agent.colour=1"], "setting agent.colour of command"),
        (["-c", TITANIC, "-s", "samples"], "choose -c or --split"),
        (["--set", "nothing"], "expected agent.KEY=VALUE"),
        (["--plugin", "../x"], "--plugin"),
    ],
)
def test_what_cannot_be_is_told_before_anything_starts(sweep, tmp_path, arguments, words):
    result = sweep(*arguments, "--json")
    assert result.returncode == 2, result.stderr
    assert words in result.stderr and words in json.loads(result.stdout)["error"]["message"]
    assert not (tmp_path / "runs").exists()


def test_the_surroundings_do_not_change_a_study(sweep, mleb):
    (mleb.here / "mleb.toml").write_text("seeds = 9\n[sweep]\ntime-limit = '9h'\n")
    plan = json.loads(sweep("--dry-run", "--json", "--config", "mleb.toml", env={"MLEB_SEEDS": "7"}).stdout)
    assert (plan["runs"], plan["arms"][0]["time_s"]) == (4, 60)


def test_a_signal_stops_after_saving_and_the_same_command_goes_on(mleb, clitest, prepared_data, tmp_path):
    (tmp_path / "marks").mkdir()
    mleb.env["CLITEST_MARKER"] = f"{tmp_path}/marks/"
    (mleb.here / "s.toml").write_text(
        f"[all]\nplugin = 'clitest/resumed'\ncompetition = '{TITANIC}'\n[axes]\nsteps = [1, 2]\n"
    )
    arguments = ("sweep", "s.toml", "-d", prepared_data, "-o", tmp_path / "runs")
    process = mleb.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while not list((tmp_path / "marks").iterdir()):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
    finally:
        if not list((tmp_path / "marks").iterdir()):
            process.kill()
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert b"to go on: the same `mleb sweep` again" in stderr and b"not begun: steps-2" in stdout
    result = mleb(*arguments, "--json")
    assert result.returncode == 0, result.stderr
    assert [(arm["arm"], arm["graded"]) for arm in json.loads(result.stdout)["arms"]] == [
        ("steps-1", 1),
        ("steps-2", 1),
    ]


def test_every_option_of_eval_is_one_of_an_arm():
    command = typer.main.get_command(build(["eval"])).commands["eval"]
    names = {name[2:] for option in command.params for name in option.opts if name.startswith("--")}
    of_the_call = {"audit", "output", "data-dir", "resume", "dry-run", "config", "json", "help"}
    assert names - of_the_call <= {name.replace("_", "-") for name in ArmOptions.model_fields}
