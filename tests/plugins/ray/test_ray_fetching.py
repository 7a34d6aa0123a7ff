"""Prepared data is fetched once, whole, and only if it is the group's."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mleb_core.errors import NotPreparedError, SandboxError
from mleb_core.layout import CompetitionData
from mleb_core.prepare import data_digest, prepare
from mleb_core.registry import Registry
from mleb_ray.fetching import fetch

DIABETES = "diabetes-progression"


@pytest.fixture(scope="module")
def there(tmp_path_factory) -> Path:
    data_dir = tmp_path_factory.mktemp("there")
    prepare(Registry().competition(DIABETES), data_dir)
    return data_dir


@pytest.fixture(scope="module")
def digest(there) -> str:
    return data_digest(Registry().competition(DIABETES), there)


def content(data_dir: Path) -> dict[str, bytes]:
    root = CompetitionData.of(data_dir, DIABETES).prepared
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_data_is_fetched_whole_and_by_one_process_at_a_time(there, digest, tmp_path):
    code = "import sys; from pathlib import Path; from mleb_ray.fetching import fetch; "
    code += f"fetch({there.as_uri()!r}, Path({str(tmp_path / 'here')!r}), {DIABETES!r}, {digest!r})"
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait(120) for process in processes] == [0, 0, 0]
    assert content(tmp_path / "here") == content(there)
    assert data_digest(Registry().competition(DIABETES), tmp_path / "here") == digest
    assert not CompetitionData.of(tmp_path / "here", DIABETES).fetched.exists()


def test_what_is_there_is_not_fetched_again(there, digest):
    fetch("file:///nowhere", there, DIABETES, digest)


def test_a_file_that_is_not_what_the_manifest_says_is_refused(there, digest, tmp_path):
    shutil.copytree(there, tmp_path / "spoilt")
    train = CompetitionData.of(tmp_path / "spoilt", DIABETES).public / "train.csv"
    train.write_bytes(train.read_bytes()[:-1] + b"9")
    with pytest.raises(SandboxError, match=r"public/train\.csv is not what its manifest says"):
        fetch((tmp_path / "spoilt").as_uri(), tmp_path / "here", DIABETES, digest)
    assert not CompetitionData.of(tmp_path / "here", DIABETES).prepared.exists()
    fetch(there.as_uri(), tmp_path / "here", DIABETES, digest)  # what was left does no harm
    assert content(tmp_path / "here") == content(there)


def test_other_data_is_refused_and_what_is_here_is_never_removed(there, digest, tmp_path):
    with pytest.raises(SandboxError, match="is not that which the group began with"):
        fetch(there.as_uri(), tmp_path / "here", DIABETES, "0" * 64)
    with pytest.raises(NotPreparedError, match="is not the group's"):
        fetch(there.as_uri(), there, DIABETES, "0" * 64)
    mine = CompetitionData.of(tmp_path / "mine", DIABETES)
    mine.public.mkdir(parents=True)
    (mine.public / "train.csv").write_text("of mine")
    with pytest.raises(NotPreparedError, match="has no manifest"):
        fetch(there.as_uri(), tmp_path / "mine", DIABETES, digest)
    assert (mine.public / "train.csv").read_text() == "of mine"


@pytest.mark.parametrize("url", ["file:///nowhere/at/all", "nosuch://place"])
def test_a_place_that_is_not_there_is_told_in_one_line(url, digest, tmp_path):
    with pytest.raises(SandboxError) as told:
        fetch(url, tmp_path / "here", DIABETES, digest)
    assert url in str(told.value)
    assert "\n" not in str(told.value)
