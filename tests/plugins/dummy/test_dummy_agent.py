"""The dummy agent as a real process."""

import gzip
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mleb_core import AgentPaths, LaunchContext, UsageError
from mleb_core.testing import AgentContract
from mleb_dummy.contract import EXPECTED
from mleb_dummy.sample import is_sample_name
from mleb_dummy.scaffold import Dummy

SAMPLE = b"id,target\n1,0.5\n2,0.5\n"


class TestContract(AgentContract):
    id = "dummy"


def run_dummy(root: Path, **changes: str) -> tuple[int, str, dict]:
    env = {"MLEB_SEED": "0", "MLEB_RUN_ID": "r", "COMPETITION_ID": "c", "TIME_LIMIT_SECS": "60"}
    names = {"HOME": "home", "TMPDIR": "tmp", "MLEB_DATA": "prepared/public"}
    names |= {f"MLEB_{name.upper()}": name for name in ("submission", "code", "logs")}
    for variable, name in names.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        env[variable] = str(root / name)
    (root / "instructions.txt").write_text("Do it.")
    env["MLEB_INSTRUCTIONS"] = str(root / "instructions.txt")
    env = {name: value for name, value in (env | changes).items() if value}
    done = subprocess.run(
        [sys.executable, "-m", "mleb_dummy"], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    contract = root / "logs" / "contract.json"
    return done.returncode, done.stdout.decode(), json.loads(contract.read_text()) if contract.exists() else {}


def data(root: Path) -> Path:
    folder = root / "prepared" / "public"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize(
    "name", ["sample_submission.csv", "sampleSubmission.csv", "en_sample_submission_2.csv", "SampleSubmission.CSV.gz",
             "sample_submission.csv.zip", "deep/er/sample_submission.csv"],
)  # fmt: skip
def test_hands_in_the_sample_byte_for_byte(tmp_path: Path, name: str) -> None:
    path = data(tmp_path) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(SAMPLE))
    elif name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("__MACOSX/sample_submission.csv", b"no")
            archive.writestr("anything.csv", SAMPLE)
    else:
        path.write_bytes(SAMPLE)
    code, output, contract = run_dummy(tmp_path)
    assert code == 0, output
    assert (tmp_path / "submission" / "submission.csv").read_bytes() == SAMPLE
    assert contract["sample"].startswith(name)
    assert sorted(p.name for p in (tmp_path / "submission").iterdir()) == ["submission.csv"]


def test_finds_the_sample_within_another_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(data(tmp_path) / "everything.zip", "w") as archive:
        archive.writestr("train.csv", b"id\n1\n")
        archive.writestr("x/sample_submission.csv", SAMPLE)
    code, output, _ = run_dummy(tmp_path)
    assert code == 0
    assert "handed in: everything.zip!x/sample_submission.csv" in output


@pytest.mark.parametrize("broken", [None, "sample_submission.zip", "sample_submission.csv.gz"])
def test_says_in_one_line_that_there_is_none(tmp_path: Path, broken: str | None) -> None:
    folder = data(tmp_path)
    (folder / "train.csv").write_text("id,y\n1,2\n")
    if broken:
        (folder / broken).write_bytes(b"\x1f\x8b not what it says")
    code, output, contract = run_dummy(tmp_path)
    assert code == 1
    assert "nothing handed in: " in output.splitlines()[-1]
    assert "Traceback" not in output
    assert contract["sample"] is None
    assert list((tmp_path / "submission").iterdir()) == []


def test_reports_what_it_sees_by_name_only(tmp_path: Path) -> None:
    (data(tmp_path) / "sample_submission.csv").write_bytes(SAMPLE)
    code, output, contract = run_dummy(tmp_path, OPENAI_API_KEY="sk-hidden", MLEB_RUN_ID="")
    assert code == 0
    assert contract["environment"]["missing"] == ["MLEB_RUN_ID"]
    assert contract["environment"]["secret_like"] == ["OPENAI_API_KEY"]
    assert "sk-hidden" not in output + json.dumps(contract)
    assert set(EXPECTED) - {"MLEB_RUN_ID"} <= set(contract["environment"]["seen"])
    for name in ("submission", "code", "logs", "home", "tmp"):
        assert contract["paths"][name]["writable"]
    assert contract["paths"]["data"]["readable"]
    assert contract["network"]["loopback_works"]


def test_sees_answers_and_other_runs_where_they_are_in_reach(tmp_path: Path) -> None:
    (data(tmp_path) / "sample_submission.csv").write_bytes(SAMPLE)
    _, _, before = run_dummy(tmp_path)
    private = tmp_path / "prepared" / "private"
    private.mkdir()
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "run.json").write_text("{}")
    _, output, after = run_dummy(tmp_path)
    assert str(private) not in before["found"]["answers"]
    assert str(private) in after["found"]["answers"]
    assert str(tmp_path / "1") in after["found"]["runs"]
    line = next(line for line in output.splitlines() if line.startswith("answers within sight: "))
    assert str(private) in line


def test_sample_names() -> None:
    good = ["sample_submission.csv", "Sample-Submission.csv", "sample_submission_null.csv", "sampleSubmission.csv.zip"]
    bad = ["train.csv", "sample.csv", "sample_submission.txt", "submission.csv"]
    assert [is_sample_name(n) for n in good] == [True] * 4
    assert [is_sample_name(n) for n in bad] == [False] * 4


@pytest.mark.parametrize(
    "change", [{"variant": "x"}, {"model": "gpt"}, {"settings": {"a": 1}}], ids=["variant", "model", "settings"]
)
def test_refuses_what_it_does_not_have(change: dict) -> None:
    from pathlib import PurePosixPath

    place = PurePosixPath("/x")
    given = {"variant": None, "model": None, "settings": {}} | change
    context = LaunchContext(
        competition_id="c", seed=0, time_limit_s=1, step_limit=None, python="python",
        paths=AgentPaths(place, place, place, place, place, place), **given,
    )  # fmt: skip
    with pytest.raises(UsageError, match="the agent dummy"):
        Dummy().launch(context)
