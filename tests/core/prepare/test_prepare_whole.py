"""Preparing a competition as a whole: what is made, checked, kept and refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mleb_core.competition import Competition
from mleb_core.errors import CompetitionError, NotPreparedError, PreparationError
from mleb_core.prepare import data_digest, prepare, require_prepared, sha256_of


def snapshot(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def leftovers(data_dir: Path) -> list[str]:
    return [p.name for p in data_dir.rglob(".*") if p.name != ".prepare.lock"]


def test_makes_public_private_and_manifest(make_competition, raw, tmp_path):
    competition = make_competition()
    before = snapshot(raw)
    data = prepare(competition, tmp_path / "data", raw_dir=raw)
    assert sorted(snapshot(data.public)) == ["description.md", "sample_submission.csv", "test.csv", "train.csv"]
    assert sorted(snapshot(data.private)) == ["answers.csv"]
    assert (data.public / "description.md").read_text() == competition.description
    manifest = json.loads(data.manifest.read_text())
    assert manifest["format_version"] == 1
    assert (manifest["competition"], manifest["edition"], manifest["version"]) == ("toy", 1, 1)
    for name, entry in manifest["files"].items():
        assert entry == {"sha256": sha256_of(data.prepared / name), "bytes": (data.prepared / name).stat().st_size}
    assert len(manifest["files"]) == 5
    assert snapshot(raw) == before
    assert leftovers(tmp_path / "data") == []
    assert require_prepared(competition, tmp_path / "data") == data


def test_same_bytes_and_digest_anywhere(make_competition, raw, tmp_path):
    competition = make_competition()
    one, two = (prepare(competition, tmp_path / name, raw_dir=raw) for name in ("one", "two"))
    assert snapshot(one.prepared) == snapshot(two.prepared)
    assert data_digest(competition, tmp_path / "one") == data_digest(competition, tmp_path / "two")
    (raw / "train.csv").write_text((raw / "train.csv").read_text().replace("39,", "99,"))
    prepare(competition, tmp_path / "two", raw_dir=raw, force=True)
    assert data_digest(competition, tmp_path / "one") != data_digest(competition, tmp_path / "two")


def test_finished_work_is_not_redone(make_competition, raw, tmp_path):
    competition = make_competition()
    data = prepare(competition, tmp_path / "data", raw_dir=raw)
    inode = data.prepared.stat().st_ino
    (raw / "train.csv").unlink()
    prepare(competition, tmp_path / "data", raw_dir=raw)
    assert data.prepared.stat().st_ino == inode


def test_a_new_version_is_prepared_again(make_competition, raw, tmp_path):
    prepare(make_competition(), tmp_path / "data", raw_dir=raw)
    newer = make_competition(version=2)
    with pytest.raises(NotPreparedError, match="prepared as version 1, it is 2 now; run: mleb prepare -c toy --force"):
        require_prepared(newer, tmp_path / "data")
    prepare(newer, tmp_path / "data", raw_dir=raw)
    require_prepared(newer, tmp_path / "data")


def test_raw_dir_may_hold_a_folder_of_the_id(make_competition, raw, tmp_path):
    (tmp_path / "all").mkdir()
    raw.rename(tmp_path / "all" / "toy")
    data = prepare(make_competition(), tmp_path / "data", raw_dir=tmp_path / "all")
    assert (data.public / "train.csv").is_file()


def test_raw_files_are_linked_only_where_the_user_says_so(make_competition, raw, tmp_path):
    (raw / "note.txt").write_text("kept\n")
    (raw / "note.txt").chmod(0o644)
    competition = make_competition(extra='\n[[prepare.copy]]\nfrom = "note.txt"\nto = "public/note.txt"\n')
    copied = prepare(competition, tmp_path / "data", raw_dir=raw).public / "note.txt"
    assert not copied.samefile(raw / "note.txt") and (raw / "note.txt").stat().st_mode & 0o777 == 0o644
    linked = prepare(competition, tmp_path / "other", raw_dir=raw, link_raw=True, keep_raw=False).public / "note.txt"
    assert linked.samefile(raw / "note.txt") and linked.stat().st_mode & 0o777 == 0o444


def test_raw_data_in_the_data_directory_is_used(make_competition, raw, tmp_path):
    competition = make_competition()
    (tmp_path / "data" / "toy").mkdir(parents=True)
    raw.rename(tmp_path / "data" / "toy" / "raw")
    data = prepare(competition, tmp_path / "data")
    assert data.raw.is_dir()
    prepare(competition, tmp_path / "data", force=True, keep_raw=False)
    assert not data.raw.exists()
    require_prepared(competition, tmp_path / "data")


def test_python_source_is_fetched_once(make_competition, raw, tmp_path):
    code = f"""
import shutil
def fetch(raw):
    with open({str(tmp_path / "calls")!r}, "a") as log:
        log.write("x")
    shutil.copy({str(raw / "train.csv")!r}, raw)
"""
    competition = make_competition(kind="python", raw_code=code)
    prepare(competition, tmp_path / "data")
    prepare(competition, tmp_path / "data", force=True)
    assert (tmp_path / "calls").read_text() == "x"
    assert not (competition.folder / "__pycache__").exists()


def test_failed_fetch_leaves_nothing(make_competition, tmp_path):
    code = "def fetch(raw):\n    (raw / 'part').write_text('x')\n    1 / 0\n"
    competition = make_competition(kind="python", raw_code=code)
    with pytest.raises(PreparationError, match=r"raw\.py:3: ZeroDivisionError: division by zero"):
        prepare(competition, tmp_path / "data")
    assert not (tmp_path / "data/toy/raw").exists()
    assert leftovers(tmp_path / "data") == []


def test_missing_raw_data_says_where_it_belongs(make_competition, tmp_path):
    with pytest.raises(PreparationError) as caught:
        prepare(make_competition(), tmp_path / "data")
    text = str(caught.value)
    assert "no raw data of toy" in text
    assert str(tmp_path / "data/toy/raw") in text
    assert "--raw-dir" in text
    assert "\n" not in text


def test_code_goes_on_from_the_recipe(make_competition, raw, tmp_path):
    code = """
from dataclasses import dataclass
from mleb_core.prepare import Preparation, write_csv

@dataclass
class Row:
    id: int

def prepare(context: Preparation) -> None:
    recipe = context.recipe()
    first = Row(int(recipe.test["id"].iloc[0]))
    assert len(recipe.train) == 30 and len(recipe.parts.test) == 10
    (context.work / "scratch").write_text("x")
    sample = context.public / "sample_submission.csv"
    sample.unlink()
    write_csv(recipe.test[["id"]].assign(target=first.id), sample)
"""
    modules = set(sys.modules)
    data = prepare(make_competition(code=code), tmp_path / "data", raw_dir=raw)
    first = (data.private / "answers.csv").read_text().splitlines()[1].split(",")[0]
    rows = (data.public / "sample_submission.csv").read_text().splitlines()
    assert {row.split(",")[1] for row in rows[1:]} == {first}
    assert sorted(p.name for p in data.root.iterdir() if p.name != ".prepare.lock") == ["prepared", "prepared.json"]
    assert not any("toy" in name or name.startswith("_mleb") for name in set(sys.modules) - modules)


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ("def prepare(context):\n    x = {}\n    x['a']\n", PreparationError, r"prepare\.py:3: KeyError: 'a'"),
        ("def prepare(context):\n    open(context.raw / 'no')\n", PreparationError, r"prepare\.py:2: No such file"),
        ("def prepare(:\n", CompetitionError, r"prepare\.py:1: SyntaxError"),
        ("import no_such_module_here\n", CompetitionError, r"prepare\.py:1: ModuleNotFoundError"),
        ("x = 1\n", CompetitionError, r"prepare\.py: a function `prepare` is expected"),
    ],
)
def test_wrong_code_is_one_line(make_competition, raw, tmp_path, code, error, message):
    with pytest.raises(error, match=message) as caught:
        prepare(make_competition(code=code), tmp_path / "data", raw_dir=raw)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data/toy/prepared").exists()
    assert leftovers(tmp_path / "data") == []


WRITE = "from mleb_core.prepare import write_csv\ndef prepare(context):\n    recipe = context.recipe()\n    "


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("(context.private / 'answers.csv').unlink()", "private/answers.csv was not made; the answers is expected"),
        ("(context.public / 'sample_submission.csv').unlink()", "public/sample_submission.csv was not made"),
        ("(context.public / 'sample_submission.csv').write_text('id\\n1\\n')", r"\(sample submission\) has no column"),
        ("(context.private / 'answers.csv').write_text('id,target\\n')", r"\(answers\) has no rows"),
        ("(context.private / 'answers.csv').write_bytes(b'')", r"\(answers\) is empty"),
        ("(context.private / 'answers.csv').write_bytes(b'id,\\xff\\n')", r"\(answers\) cannot be read as a table"),
        (
            "import shutil; shutil.copy(context.private / 'answers.csv', context.public / 'oops.csv')",
            r"public/oops.csv holds the answers",
        ),
        ("(context.public / 'extra.txt').write_bytes(b'')", "public/extra.txt is empty"),
    ],
)
def test_outputs_are_checked(make_competition, raw, tmp_path, code, message):
    with pytest.raises(PreparationError, match=message) as caught:
        prepare(make_competition(code=WRITE + code + "\n"), tmp_path / "data", raw_dir=raw)
    assert "\n" not in str(caught.value)
    assert leftovers(tmp_path / "data") == []
    assert not (tmp_path / "data/toy/prepared").exists()


def test_published_checksums(make_competition, raw, tmp_path):
    wrong = '\n[checksums.public]\n"train.csv" = "%s"\n' % ("0" * 32)
    competition = make_competition(extra=wrong)
    with pytest.raises(
        PreparationError, match=r"public/train\.csv has md5 .*, published is 0{32}.*--skip-verification"
    ):
        prepare(competition, tmp_path / "data", raw_dir=raw)
    assert not (tmp_path / "data/toy/prepared").exists()
    prepare(competition, tmp_path / "data", raw_dir=raw, verify=False)


def test_failure_keeps_earlier_data(make_competition, raw, tmp_path):
    competition = make_competition()
    data = prepare(competition, tmp_path / "data", raw_dir=raw)
    before, digest = snapshot(data.prepared), data_digest(competition, tmp_path / "data")
    (raw / "train.csv").write_text("id,x\n1,2\n")
    with pytest.raises(PreparationError):
        prepare(competition, tmp_path / "data", raw_dir=raw, force=True)
    assert snapshot(data.prepared) == before
    assert data_digest(competition, tmp_path / "data") == digest


def test_published_layout_is_taken_over(make_competition, raw, tmp_path):
    competition = make_competition()
    data = prepare(competition, tmp_path / "data", raw_dir=raw)
    digest = data_digest(competition, tmp_path / "data")
    data.manifest.unlink()
    require_prepared(competition, tmp_path / "data")
    assert json.loads(data.manifest.read_text())["version"] is None
    assert data_digest(competition, tmp_path / "data") == digest


def test_what_is_not_prepared_names_the_command(make_competition, raw, tmp_path):
    competition = make_competition()
    with pytest.raises(NotPreparedError, match=r"toy is not prepared in .*; run: mleb prepare -c toy$"):
        require_prepared(competition, tmp_path / "data")
    data = prepare(competition, tmp_path / "data", raw_dir=raw)
    (data.private / "answers.csv").write_text("id,target\n1,1\n")
    with pytest.raises(NotPreparedError, match="changed since it was prepared"):
        require_prepared(competition, tmp_path / "data")
    (data.private / "answers.csv").unlink()
    with pytest.raises(NotPreparedError, match=r"answers\.csv is missing; run: mleb prepare -c toy --force"):
        data_digest(competition, tmp_path / "data")
    prepare(competition, tmp_path / "data", raw_dir=raw)
    require_prepared(competition, tmp_path / "data")


def test_broken_manifest_is_one_line(make_competition, raw, tmp_path):
    competition = make_competition()
    data = prepare(competition, tmp_path / "data", raw_dir=raw)
    data.manifest.write_text("{")
    with pytest.raises(NotPreparedError, match=r"prepared\.json cannot be read") as caught:
        require_prepared(competition, tmp_path / "data")
    assert "\n" not in str(caught.value)
    prepare(competition, tmp_path / "data", raw_dir=raw)
    require_prepared(competition, tmp_path / "data")


def test_editions_lie_side_by_side(make_competition, raw, tmp_path):
    competition = make_competition(extra="\n[editions.2.prepare.split]\nseed = 1\n")
    (tmp_path / "data" / "toy").mkdir(parents=True)
    raw.rename(tmp_path / "data" / "toy" / "raw")
    one = prepare(competition, tmp_path / "data")
    two = prepare(competition.in_edition(2), tmp_path / "data")
    assert (one.root.name, two.root.name) == ("toy", "toy@2")
    assert one.raw == two.raw
    assert (one.private / "answers.csv").read_text() != (two.private / "answers.csv").read_text()
    assert json.loads(two.manifest.read_text())["edition"] == 2


def test_a_place_that_cannot_be_written_is_one_line(make_competition, raw, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PreparationError, match=r"toy cannot be prepared in .*: Not a directory") as caught:
        prepare(make_competition(), tmp_path / "file" / "data", raw_dir=raw)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_data_directory_is_one_line(make_competition, raw, tmp_path):
    (tmp_path / "data").mkdir(mode=0o555)
    with pytest.raises(PreparationError, match=r"cannot be prepared in .*Permission denied.*--data-dir"):
        prepare(make_competition(), tmp_path / "data", raw_dir=raw)


AS_A_READER = """
import ctypes, sys
from pathlib import Path
from mleb_core.competition import Competition
from mleb_core.prepare import prepare
nothing = (ctypes.c_uint32 * 6)()   # not even root may then write what its mode protects
assert ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), nothing) == 0
folder, data = map(Path, sys.argv[1:])
for force in (False, True):
    try:
        print(prepare(Competition(folder), data, force=force).public)
    except Exception as error:
        print(type(error).__name__)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
def test_data_that_is_prepared_but_may_not_be_written_is_used(make_competition, raw, tmp_path):
    competition = make_competition()
    data = prepare(competition, tmp_path / "data", raw_dir=raw)
    places = [data.root, *data.root.rglob("*")]
    for path in places:
        path.chmod(path.stat().st_mode & ~0o222)
    done = subprocess.run(
        [sys.executable, "-c", AS_A_READER, competition.folder, tmp_path / "data"], capture_output=True, text=True
    )
    for path in places:
        path.chmod(path.stat().st_mode | 0o200)
    assert done.stdout.splitlines() == [str(data.public), "PreparationError"], done.stderr


LIMITED = """
import resource, signal, sys
from pathlib import Path
from mleb_core.competition import Competition
from mleb_core.errors import PreparationError
from mleb_core.prepare import prepare
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder, data, raw = map(Path, sys.argv[1:])
competition = Competition(folder)
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))   # as a full disk: writing fails half way through a file
try:
    prepare(competition, data, raw_dir=raw)
except PreparationError as error:
    print(error)
"""


def test_a_write_that_fails_half_way_is_one_line_and_leaves_nothing(make_competition, raw, tmp_path):
    competition = make_competition()
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, competition.folder, tmp_path / "data", raw],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done
    assert "toy cannot be prepared in" in lines[0]
    assert "File too large" in lines[0]
    assert not (tmp_path / "data/toy/prepared").exists()
    assert leftovers(tmp_path / "data") == []
    prepare(Competition(competition.folder), tmp_path / "data", raw_dir=raw)
