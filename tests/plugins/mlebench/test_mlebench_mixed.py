"""What the declared recipe and grader cannot say for texts and sounds: code of single competitions, its errors too."""

import shutil
import zipfile

import pandas as pd
import pytest

from mleb_core.errors import InvalidSubmissionError, PreparationError
from mleb_core.grading.protocol import GradingTask
from mleb_core.prepare import prepare
from mleb_core.registry import Registry


@pytest.fixture(scope="module")
def registry():
    return Registry()


@pytest.fixture
def raw(shared, tmp_path):
    """Unpacks the golden raw data of a competition."""

    def unpack(id):
        with zipfile.ZipFile(shared / "golden" / id / "raw.zip") as archive:
            archive.extractall(tmp_path / "raw")
        return tmp_path / "raw"

    return unpack


@pytest.fixture
def fails(registry, raw, tmp_path):
    """Prepares what `change` made of the raw data; gives the message of the error, and finds nothing left behind."""

    def fail(id, change):
        change(raw(id))
        with pytest.raises(PreparationError) as caught:
            prepare(registry.competition(id), tmp_path / "data", raw_dir=tmp_path / "raw", verify=False)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "data" / id / "prepared").exists()
        return str(caught.value)

    return fail


def test_sounds_without_their_labels(fails):
    message = fails("freesound-audio-tagging-2019", lambda raw: (raw / "FSDKaggle2019.meta.zip").unlink())
    assert "Zenodo record 3612637" in message


def test_sounds_with_another_sample(fails):
    def shorten(raw):
        table = pd.read_csv(raw / "sample_submission.csv")
        table.iloc[1:].to_csv(raw / "sample_submission.csv", index=False)

    assert "sample_submission.csv does not list the clips" in fails("freesound-audio-tagging-2019", shorten)


def test_clips_of_three_days(fails):
    message = fails(
        "the-icml-2013-whale-challenge-right-whale-redux",
        lambda raw: _repack(raw / "train2.zip", lambda name: not name.startswith("train2/20090331")),
    )
    assert "clips of four days are expected, it has 3" in message


def test_a_clip_under_another_name(fails):
    def add(raw):
        with zipfile.ZipFile(raw / "train2.zip", "a") as archive:
            archive.writestr("train2/odd.aif", b"x")

    message = fails("the-icml-2013-whale-challenge-right-whale-redux", add)
    assert "'train2/odd.aif' is not named" in message


def test_requests_that_are_no_json(fails):
    assert "train.json is no JSON" in fails("random-acts-of-pizza", lambda raw: (raw / "train.json").write_text("[{"))


def test_an_array_cut_short(fails):
    def cut(raw):
        path = raw / "timit_11" / "timit_11" / "train_11.npy"
        path.write_bytes(path.read_bytes()[:1000])

    assert "train_11.npy is no array" in fails("ml2021spring-hw2", cut)


def test_a_page_that_is_no_picture(fails):
    def spoil(raw):
        with zipfile.ZipFile(raw / "train_cleaned.zip") as archive:
            members = {name: b"junk" for name in archive.namelist() if not name.endswith("/")}
        with zipfile.ZipFile(raw / "train_cleaned.zip", "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)

    assert "is no picture" in fails("denoising-dirty-documents", spoil)


def test_days_are_split(registry, raw, tmp_path):
    id = "the-icml-2013-whale-challenge-right-whale-redux"
    data = prepare(registry.competition(id), tmp_path / "data", raw_dir=raw(id), verify=False)
    days = {}
    for part in ("train2", "test2"):
        with zipfile.ZipFile(data.public / f"{part}.zip") as archive:
            days[part] = {name.removeprefix(f"{part}/").partition("_")[0] for name in archive.namelist()}
    assert len(days["train2"]) == len(days["test2"]) == 2
    assert max(days["train2"]) < min(days["test2"])


@pytest.fixture
def decide(registry, tmp_path):
    """Grades a table against 40 answers, half of them toxic, all mentioning one group or none."""
    competition = registry.competition("jigsaw-unintended-bias-in-toxicity-classification")
    groups = competition.spec.grading.options["extras"]["subgroups"]
    folder = tmp_path / "graded"
    folder.mkdir()
    answers = pd.DataFrame({"id": range(40), "toxicity": [0.0, 0.5] * 20})
    for group in groups:
        answers[group] = [0.5, 0.5, 0.0, 0.0] * 10
    answers.to_csv(folder / "test.csv", index=False)
    answers[["id"]].assign(prediction=0.0).to_csv(folder / "sample_submission.csv", index=False)
    grader = registry.graders[competition.spec.grading.grader]
    task = GradingTask(competition.id, 1, competition.spec.grading, folder, folder)

    def grade(table):
        table.to_csv(tmp_path / "submission.csv", index=False)
        return grader.grade(tmp_path / "submission.csv", task)

    return grade, answers[["id"]]


def test_bias_is_that_of_decisions(decide):
    grade, ids = decide
    assert grade(ids.assign(prediction=[0.49, 0.5] * 20)) == 1
    assert grade(ids.assign(prediction=[0.1, 0.4] * 20)) == 0.5
    assert grade(ids.assign(toxicity=[0.0, 1.0] * 20)) == 1
    with pytest.raises(InvalidSubmissionError, match="both there"):
        grade(ids.assign(prediction=0.5, toxicity=0.5))
    with pytest.raises(InvalidSubmissionError, match="'prediction' is missing"):
        grade(ids.assign(other=0.5))


def test_many_gaps_are_no_and_few_are_an_accident(decide):
    grade, ids = decide
    assert grade(ids.assign(prediction=None)) == 0.5
    assert grade(ids.assign(prediction=[None, 1.0] * 20)) == 1
    with pytest.raises(InvalidSubmissionError, match=r"row 3 \(id 2\), column 'prediction': the cell is empty"):
        grade(ids.assign(prediction=[0.0, 1.0, None, None, *[0.0, 1.0] * 18]))
    assert grade(ids.assign(prediction=[None, 1.0, None, 1.0, None, *[1.0, 0.0] * 17, 1.0])) == 1


def _repack(path, keep):
    old = path.with_suffix(".old")
    shutil.move(path, old)
    with zipfile.ZipFile(old) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            if keep(name):
                target.writestr(name, source.read(name))
    old.unlink()
