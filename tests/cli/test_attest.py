"""`mleb attest`: what the page says, what a check finds, and signatures that the program minisign makes and takes."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mleb_core.report.formats import schema
from mleb_core.testing.model_server import ModelServer, Reply

minisign = pytest.importorskip("minisign", reason="py-minisign (mleb[attest]) is not installed")

TITANIC, DIABETES = "titanic-survival", "diabetes-progression"
KEY = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"
"""Anyone's public key."""
COPY = "```bash\ncp $MLEB_DATA/sample_submission.csv $MLEB_SUBMISSION/submission.csv\n```"


@pytest.fixture(scope="module")
def original(tmp_path_factory, prepared_data):
    """A finished group of two runs; tests take copies."""
    root = tmp_path_factory.mktemp("attested")
    env = {name: value for name, value in os.environ.items() if not name.startswith("MLEB_")} | {"HOME": str(root)}
    words = ["eval", "-p", "dummy", "-c", TITANIC, DIABETES, "-d", prepared_data, "-o", root / "runs"]
    program = Path(sys.executable).with_name("mleb")
    result = subprocess.run([program, *words], capture_output=True, text=True, cwd=root, env=env, timeout=240)
    assert result.returncode == 0, result.stderr
    (group,) = (root / "runs").iterdir()
    return group


@pytest.fixture
def group(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / original.name))


@pytest.fixture
def keys(tmp_path):
    """Secret and public key, as files."""
    pair = minisign.KeyPair.generate()
    secret, public = tmp_path / "a.key", tmp_path / "a.pub"
    secret.write_bytes(bytes(pair.secret_key) + b"\n")
    public.write_bytes(bytes(pair.public_key) + b"\n")
    return secret, public


@pytest.fixture
def signed(mleb, group, keys):
    """A group with its attestation, signed."""
    result = mleb("attest", group, "--key", keys[0], "--no-grade")
    assert result.returncode == 0, result.stderr
    return group


def gaps(document, kind):
    return [gap["what"] for gap in document["not_checked"] if gap["kind"] == kind]


def change(path):
    """Change one byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    place = len(content) // 2
    content[place] = ord("7") if content[place] != ord("7") else ord("3")
    path.write_bytes(content)


def test_the_page_says_what_ran_and_what_was_not_checked(mleb, group):
    result = mleb("attest", group, "--json")
    assert result.returncode == 0, result.stderr
    assert result.stdout == (group / "attestation.json").read_text()
    document = json.loads(result.stdout)
    assert set(document) == set(schema("attestation")["properties"])
    assert [c["label"] for c in document["competitions"]] == [TITANIC, DIABETES]
    assert all(c["edition"] == 1 and c["known_issues"] and len(c["data"]) == 64 for c in document["competitions"])
    assert document["seeds"] == [{"seed": 0, "asked": 2, "ended": 2, "graded": 2, "missing": 0}]
    assert (document["verified"]["holds"], document["verified"]["graded_again"]) == (True, 2)
    (machine,) = document["machines"]
    assert machine["runs"] == 2 and machine["facts"]["cores"] == os.cpu_count()
    assert machine["facts"]["memory_bytes"] > 1 << 28 and machine["facts"]["kernel"] == os.uname().release
    (isolation,) = document["isolation"]
    assert (isolation["runner"], isolation["kept"]) == ("local", [])
    assert len(gaps(document, "isolation")) == 4
    assert any("audit rules was not carried out" in line for line in gaps(document, "audit"))
    assert not gaps(document, "run") and not gaps(document, "ledger") and not gaps(document, "hardware")
    assert {"mleb-core", "mleb-plugin-dummy"} <= set(document["ran_with"]) & set(document["made_with"])
    page = (group / "attestation.md").read_text()
    assert hashlib.sha256(result.stdout.encode()).hexdigest() in page and document["heads"] in page
    assert "audit rules was not carried out" in page and "No audit of the runs was carried out" in page
    assert not list(group.glob("*.minisig"))


def test_heads_are_those_of_the_ledgers(mleb, group):
    document = json.loads(mleb("attest", group, "--no-grade", "--json").stdout)
    lines = ""
    for run in document["runs"]:
        key = run["key"]
        ledger = group / key["competition"] / key["agent"] / str(key["seed"]) / "ledger.jsonl"
        head = json.loads(ledger.read_text().splitlines()[-1])["hash"]
        assert run["head"] == head
        lines += f"{key['competition']} {key['agent']} {key['seed']} {head}\n"
    assert document["heads"] == hashlib.sha256(lines.encode()).hexdigest()
    assert document["ledgers"] == json.loads((group / "report.json").read_text())["ledgers"]
    assert gaps(document, "grade") == ["no submission was graded again"]


def test_an_attestation_of_an_untouched_group_holds(mleb, signed, keys):
    result = mleb("attest", "--check", signed / "attestation.json", "--public-key", keys[1], signed)
    assert (result.returncode, result.stderr) == (0, "")
    assert "the signature holds: timestamp:" in result.stdout and "the group is as it was attested" in result.stdout
    result = mleb("attest", "--check", signed, "--public-key", keys[1].read_text().splitlines()[1], "--json")
    document = json.loads(result.stdout)
    assert result.returncode == 0 and (document["signed"], document["holds"], document["compared"]) == (
        True,
        True,
        False,
    )
    assert set(document) - {"holds"} == set(schema("attestation-check")["properties"])


@pytest.mark.parametrize(
    "file",
    [
        "ledger.jsonl",
        "report.json",
        "submission/submission.csv",
        "agent.log",
        "../../../report.csv",
        "../../../group.json",
    ],
)
def test_a_changed_byte_is_found(mleb, signed, keys, file):
    place = signed / DIABETES / "dummy" / "0" / file
    change(place)
    result = mleb("attest", "--check", signed / "attestation.json", "--public-key", keys[1], signed, "--no-grade")
    assert result.returncode == 1
    assert place.name.removesuffix(".csv") in result.stdout + result.stderr
    assert len((result.stdout + result.stderr).splitlines()) < 20 and "Traceback" not in result.stderr


def test_a_run_made_anew_holds_for_verify_and_is_not_what_was_attested(mleb, signed, keys, prepared_data):
    shutil.rmtree(signed / TITANIC / "dummy" / "0")
    assert mleb("eval", "--resume", signed).returncode == 0
    assert mleb("verify", signed, "--no-grade").returncode == 0
    result = mleb("attest", "--check", signed, "--public-key", keys[1], signed, "--no-grade")
    assert result.returncode == 1
    assert f"{TITANIC} dummy seed 0: its ledger's head is " in result.stdout
    assert f"{DIABETES} dummy seed 0" not in result.stdout


def test_signatures_that_do_not_hold(mleb, signed, keys, tmp_path):
    def check(*words):
        result = mleb("attest", "--check", signed, "--public-key", *words)
        assert result.returncode == 1 and "Traceback" not in result.stderr
        return result.stdout + result.stderr

    other = tmp_path / "b.pub"
    other.write_bytes(bytes(minisign.KeyPair.generate().public_key) + b"\n")
    assert "it was made with another key" in check(other)
    (tmp_path / "wrong").write_text("nonsense\n")
    assert "a minisign public key is expected" in check(tmp_path / "wrong")
    assert "a file, or a minisign public key" in check("RWnonsense")
    document, signature = signed / "attestation.json", signed / "attestation.json.minisig"
    content, made = document.read_bytes(), signature.read_text()
    signature.write_text(made.replace("file:attestation", "file:attestatiom"))
    assert "it does not hold" in check(keys[1])
    signature.write_text("nothing\n")
    assert "no minisign signature" in check(keys[1])
    signature.unlink()
    assert "No such file" in check(keys[1])
    signature.write_text(made)
    document.write_bytes(re.sub(rb'"score": [0-9.]+', b'"score": 0.99', content, count=1))
    assert "it does not hold" in check(keys[1])
    document.write_bytes(content)
    page = signed / "attestation.md"
    page.write_text(page.read_text().replace("finished", "perfect"))
    told = check(keys[1])
    assert "it does not show what the attestation says" in told and "attestation.md.minisig: it does not hold" in told


def test_without_a_key_the_group_is_compared_all_the_same(mleb, group):
    assert mleb("attest", group, "--no-grade").returncode == 0
    result = mleb("attest", "--check", group / "attestation.md", group, "--no-grade")
    assert result.returncode == 0 and "no public key was given" in result.stderr
    path = group / "attestation.json"
    path.write_text(re.sub(r'"score": [0-9.]+', '"score": 0.99', path.read_text(), count=1))
    result = mleb("attest", "--check", group / "attestation.md", group, "--no-grade")
    assert result.returncode == 1 and "attested was 0.99" in result.stdout


def test_a_key_with_a_password(mleb, group, tmp_path):
    pair = minisign.KeyPair.generate()
    pair.secret_key.encrypt("open sesame", opslimit=1 << 16, memlimit=1 << 24)
    key = tmp_path / "locked.key"
    key.write_bytes(bytes(pair.secret_key) + b"\n")
    words = ("attest", group, "--no-grade", "--key", key)
    assert mleb(*words, env={"MLEB_ATTEST_PASSWORD": "open sesame"}).returncode == 0
    public = pair.public_key.to_base64().decode()
    assert mleb("attest", "--check", group, "--public-key", public).returncode == 0
    result = mleb(*words, env={"MLEB_ATTEST_PASSWORD": "open barley"})
    assert result.returncode == 1 and "wrong password" in result.stderr and len(result.stderr.splitlines()) == 1
    result = mleb(*words)
    assert result.returncode == 2 and "MLEB_ATTEST_PASSWORD" in result.stderr


@pytest.mark.skipif(shutil.which("minisign") is None and not os.environ.get("CI"), reason="minisign is not installed")
def test_the_program_minisign_takes_these_signatures_and_makes_such(mleb, group, tmp_path):
    def program(*words):
        return subprocess.run(["minisign", *map(str, words)], capture_output=True, text=True, timeout=60)

    secret, public = tmp_path / "m.key", tmp_path / "m.pub"
    assert program("-G", "-W", "-p", public, "-s", secret).returncode == 0
    assert mleb("attest", group, "--no-grade", "--key", secret).returncode == 0
    for name in ("attestation.json", "attestation.md"):
        result = program("-V", "-p", public, "-m", group / name)
        assert result.returncode == 0 and f"file:{name}" in result.stdout
        assert program("-S", "-s", secret, "-t", "by the program", "-m", group / name).returncode == 0
    result = mleb("attest", "--check", group, "--public-key", public)
    assert result.returncode == 0 and "the signature holds: by the program" in result.stdout
    change(group / "attestation.json")
    assert program("-V", "-p", public, "-m", group / "attestation.json").returncode == 1


def test_audits_and_their_findings_stand_on_the_page(mleb, group, prepared_data, keys):
    pytest.importorskip("mleb_rules")
    assert mleb("attest", group, "--no-grade", "-o", group.parent / "before").returncode == 0
    result = mleb("audit", "runs", group, "-d", prepared_data, "--audit", "rules")
    assert result.returncode in (0, 1) and (group / "audits" / "rules.json").is_file()
    document = json.loads(mleb("attest", group, "--no-grade", "--json").stdout)
    (audit,) = document["audits"]
    kept = json.loads((group / "audits" / "rules.json").read_text())
    assert (audit["audit"], audit["runs"]) == ("rules", 2)
    number = len(kept["findings"]) + sum(len(run["findings"]) for run in kept["runs"])
    assert len(audit["findings"]) == number > 0
    assert not any("audit rules" in line for line in gaps(document, "audit"))
    assert "**rules**" in (group / "attestation.md").read_text()
    result = mleb("attest", "--check", group.parent / "before.json", group, "--no-grade")
    assert "audit rules was carried out since" in result.stderr
    change(group / "audits" / "rules.json")
    result = mleb("attest", "--check", group, group, "--no-grade")
    assert result.returncode == 1 and "audits/rules.json" in result.stdout


def test_missing_runs_are_said_and_what_does_not_hold_is_attested_as_such(mleb, group):
    shutil.rmtree(group / TITANIC / "dummy" / "0")
    result = mleb("attest", group, "--no-grade")
    assert result.returncode == 1
    assert "not checked: run: 1 run without a verdict" in result.stdout and "does not hold" in result.stdout
    document = json.loads((group / "attestation.json").read_text())
    assert (document["counts"]["missing"], len(document["runs"])) == (1, 1)
    assert document["verified"]["holds"] is False and document["verified"]["findings"]
    assert "does not hold" in (group / "attestation.md").read_text()


def test_a_run_without_a_ledger_is_said(mleb, group):
    place = group / TITANIC / "dummy" / "0"
    (place / "ledger.jsonl").unlink()
    document = json.loads(mleb("attest", group, "--no-grade", "--json").stdout)
    assert gaps(document, "ledger") == ["1 run without a ledger: as good as their files"]
    assert gaps(document, "hardware") == ["1 run on hardware that was not recorded"]


def test_calls_to_models_and_unknown_prices(mleb, prepared_data, tmp_path):
    def script(asked):
        return Reply(COPY if len(asked.body["messages"]) == 2 else "DONE", input_tokens=100, output_tokens=10)

    with ModelServer(script) as server:
        env = {"MLEB_PROVIDER_LAB_BASE_URL": f"{server.url}/v1"}
        words = ("--plugin", "react", "--model", "lab/unheard-of", "-c", TITANIC, "-t", "90")
        result = mleb("eval", *words, "-d", prepared_data, "-o", tmp_path / "runs", env=env)
        assert result.returncode == 0, result.stderr
    (group,) = (tmp_path / "runs").iterdir()
    document = json.loads(mleb("attest", group, "--no-grade", "--json").stdout)
    (used,) = document["models"]
    assert (used["model"], used["calls"], used["tokens"], used["unpriced"]) == ("lab/unheard-of", 2, 220, 2)
    assert gaps(document, "price") == ["the price of a model is unknown, so what runs cost is, too"]
    assert "2 calls of unknown price" in (group / "attestation.md").read_text()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ((), 2, "which group?"),
        (("nowhere",), 1, "no such directory"),
        ((".", "--public-key", "x"), 2, "--public-key belongs to --check"),
        (("--check", "x"), 2, "--check needs --public-key"),
        (("--check", "x", "--key", "k"), 2, "leave out --output and --key"),
        (("--check", "nowhere.json", "--public-key", KEY), 1, "attestation is"),
        (("--check", "."), 2, "--check needs"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(mleb, words, code, told):
    result = mleb("attest", *words, "--json")
    assert result.returncode == code and told in result.stderr and len(result.stderr.splitlines()) == 1
    assert told in json.loads(result.stdout)["error"]["message"]


def test_a_key_that_is_none_is_told_before_the_work_begins(mleb, group, tmp_path):
    (tmp_path / "none").write_text("nothing\n")
    for path, told in ((tmp_path / "none", "a minisign secret key is expected"), (tmp_path / "lost", "No such file")):
        result = mleb("attest", group, "--key", path)
        assert result.returncode == 1 and told in result.stderr and len(result.stderr.splitlines()) == 1
    assert not (group / "attestation.json").exists()
