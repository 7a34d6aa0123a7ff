"""Edition 2 of competitions on texts and sequences: each fault that it says it repairs is gone."""

import io
import json
import tarfile
import zipfile

import numpy as np
import pandas as pd
import pytest
from scipy.io import loadmat, savemat

ALL = {"dtype": str, "keep_default_na": False}


def changed_csv(name, change):
    """A change of the raw data: of one of its tables."""

    def run(raw):
        table = pd.read_csv(raw / name, **ALL)
        change(table).to_csv(raw / name, index=False)

    return run


def zipped(path):
    with zipfile.ZipFile(path) as archive:
        (name,) = archive.namelist()
        return archive.read(name)


def test_imputed_sentences_have_single_blanks(made):
    def double_blanks(raw):
        text = zipped(raw / "train_v2.txt.zip").decode().replace(" ", "  ")
        with zipfile.ZipFile(raw / "train_v2.txt.zip", "w") as archive:
            archive.writestr("train_v2.txt", text)

    id = "billion-word-imputation"
    first, grade_first = made(id, 1, double_blanks)
    second, grade = made(id, 2)
    name = "test_v2.txt.zip"
    assert zipped(first.public / name) == zipped(second.public / name)
    then, now = (pd.read_csv(data.private / "test.csv") for data in (first, second))
    assert (then["sentence"] != now["sentence"]).any()
    assert not now["sentence"].str.contains("  ").any()
    # Who puts the right word in scores best, though the sentence as it was is not known.
    assert grade(now).score == 0
    assert grade_first(now).score > 0


def test_an_empty_molecule_costs_its_length(made):
    data, grade = made("bms-molecular-translation")
    answers = pd.read_csv(data.private / "test.csv")
    assert grade(answers).score == 0
    assert grade(answers.assign(InChI="")).score == pytest.approx(answers["InChI"].str.len().mean(), abs=1e-5)


def test_questions_on_one_context_stay_together(made):
    shared_contexts = changed_csv("train.csv", lambda t: t.assign(context=[f"context {i % 40}" for i in range(len(t))]))
    id = "chaii-hindi-and-tamil-question-answering"
    first, grade_first = made(id, 1, shared_contexts)
    data, grade = made(id)

    def overlap(data):
        train, test = (set(pd.read_csv(data.public / f"{part}.csv")["context"]) for part in ("train", "test"))
        return train & test

    assert overlap(first)
    assert not overlap(data)
    answers = pd.read_csv(data.private / "test.csv")
    assert grade(answers).score == 1
    numbers = answers.assign(PredictionString=range(len(answers)))
    assert grade(numbers).valid
    assert not grade_first(pd.read_csv(first.private / "test.csv").assign(PredictionString=1)).valid


def test_blank_and_odd_messages_are_scored(made):
    def odd(table):
        texts = ["", "NA", "null", "nan"]
        n = len(table)
        text = [texts[i % 4] if i % 2 else cell for i, cell in zip(range(n), table["text"], strict=True)]
        part = [t if i % 2 else cell for i, t, cell in zip(range(n), text, table["selected_text"], strict=True)]
        return table.assign(text=text, selected_text=part)

    def blank(table):
        return table.assign(selected_text=[texts[i % 4] for i in range(len(table))])

    texts = ["", "NA", "null", "nan"]
    _, grade_first = made("tweet-sentiment-extraction", 1, changed_csv("train.csv", blank))
    data, grade = made("tweet-sentiment-extraction")
    answers = pd.read_csv(data.private / "test.csv", **ALL)
    assert set(answers["selected_text"]) == set(texts)
    assert grade(answers).score == 1
    empty = answers.assign(selected_text="")
    assert grade(empty).score == pytest.approx((answers["selected_text"] == "").mean(), abs=1e-5)
    assert not grade_first(empty).valid


def test_blanks_that_are_right_do_not_count(made):
    id = "tensorflow2-question-answering"
    _, grade_first = made(id, 1)
    data, grade = made(id)
    gold = pd.read_csv(data.private / "gold_submission.csv", **ALL)
    assert grade(gold).score == 1
    empty = gold.assign(PredictionString="")
    assert grade_first(empty).score > 0.5
    assert grade(empty).score == 0
    half = gold.assign(PredictionString=np.where(np.arange(len(gold)) % 2, gold["PredictionString"], ""))
    found, lost = ((half["PredictionString"] != "").sum(), (half["PredictionString"] != gold["PredictionString"]).sum())
    assert grade(half).score == pytest.approx(2 * found / (2 * found + lost), abs=1e-5)


@pytest.mark.parametrize("language", ["english", "russian"])
def test_tokens_that_look_missing_are_kept(made, language):
    id, code = f"text-normalization-challenge-{language}-language", language[:2]

    def odd(raw):
        name = f"{code}_train.csv"
        table = pd.read_csv(io.BytesIO(zipped(raw / f"{name}.zip")), **ALL)
        words = np.where(np.arange(len(table)) % 3 == 0, "null", np.where(np.arange(len(table)) % 3 == 1, "NA", "x"))
        with zipfile.ZipFile(raw / f"{name}.zip", "w") as archive:
            archive.writestr(name, table.assign(before=words, after=words).to_csv(index=False))

    first, grade_first = made(id, 1, odd)
    data, grade = made(id)
    answers = pd.read_csv(data.private / "answers.csv", **ALL)
    assert set(answers["after"]) == {"null", "NA", "x"}
    assert set(pd.read_csv(first.private / "answers.csv", **ALL)["after"]) == {"", "x"}
    test = pd.read_csv(io.BytesIO(zipped(data.public / f"{code}_test_2.csv.zip")), **ALL)
    assert list(test["before"]) == list(answers["after"])
    assert grade(answers).score == 1
    other = answers.assign(after=answers["after"].replace("NA", "null"))
    assert grade_first(other).score == 1
    assert grade(other).score == pytest.approx((answers["after"] != "NA").mean(), abs=1e-5)


@pytest.mark.parametrize("rare_is_in", ["both", "train"])
def test_answers_to_one_question_stay_together(made, rare_is_in):
    def questions(table):
        table = table.assign(url=[f"http://x/{i % 80}" for i in range(len(table))])
        if rare_is_in == "train":  # a single question, which falls into train and has to move
            table["question_type_spelling"] = np.where(
                table["url"] == "http://x/1", ["0.5", "0.25"] * (len(table) // 2), "0"
            )
        return table

    id = "google-quest-challenge"
    made(id, 1, changed_csv("train.csv", questions))
    data, grade = made(id)
    train, test = (pd.read_csv(data.public / f"{part}.csv") for part in ("train", "test"))
    assert not set(train["url"]) & set(test["url"])
    assert not set(train["qa_id"]) & set(test["qa_id"])
    assert len(train) + len(test) == 240
    answers = pd.read_csv(data.private / "test.csv")
    assert list(answers["qa_id"]) == list(test["qa_id"])
    assert answers["question_type_spelling"].nunique() > 1
    assert ("http://x/1" in set(test["url"])) or rare_is_in == "both"
    assert grade(answers).score == 1


def test_recordings_hold_no_labels(made):
    names = np.array([(f"gesture{i}", i, i + 5) for i in range(3)], dtype=[("Name", "O"), ("Begin", "O"), ("End", "O")])
    frames = np.array([(np.eye(3) * i,) for i in range(4)], dtype=[("Skeleton", "O")])

    def recording(old):
        result = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(old)) as source, zipfile.ZipFile(result, "w") as target:
            for name in source.namelist():
                content = source.read(name)
                if name.endswith(".mat"):
                    mat = io.BytesIO()
                    savemat(mat, {"Video": {"NumFrames": 4, "Labels": names, "Frames": frames}})
                    content = mat.getvalue()
                target.writestr(name, content)
        return result.getvalue()

    def real_mats(raw):
        path = raw / "training4.tar.gz"
        with tarfile.open(path) as tar:
            members = [(m.name, tar.extractfile(m).read()) for m in tar if m.isfile()]
        with tarfile.open(path, "w:gz") as tar:
            for number, (name, content) in enumerate(members):
                new = recording(content) if number else content  # the first MAT file stays as it is: it cannot be read
                info = tarfile.TarInfo(name)
                info.size = len(new)
                tar.addfile(info, io.BytesIO(new))

    id = "multi-modal-gesture-recognition"
    first, grade_first = made(id, 1, real_mats)
    data, grade = made(id)

    def recordings(data):
        with tarfile.open(data.public / "test.tar.gz") as tar:
            return {m.name: zipfile.ZipFile(io.BytesIO(tar.extractfile(m).read())) for m in tar if m.isfile()}

    def labels(data):
        found = []
        for archive in recordings(data).values():
            for name in archive.namelist():
                if name.endswith(".mat"):
                    content = archive.read(name)
                    try:
                        video = loadmat(io.BytesIO(content))["Video"]
                    except Exception:  # the one that is none
                        found.append(None)
                        continue
                    assert video["NumFrames"][0, 0] == 4
                    assert np.array_equal(video["Frames"][0, 0]["Skeleton"].ravel()[3], np.eye(3) * 3)
                    found.append(video["Labels"][0, 0].size)
        return found

    count = len(recordings(first))
    assert sorted(labels(first), key=str) == [3] * (count - 1) + [None]
    assert labels(data) == [0] * (count - 1)
    for name, archive in recordings(data).items():
        assert any(member.endswith(".wav") for member in archive.namelist()), name
    others = {path.name for path in data.public.iterdir()} - {"test.tar.gz"}
    assert others == {path.name for path in first.public.iterdir()} - {"test.tar.gz"}
    assert all((first.public / name).read_bytes() == (data.public / name).read_bytes() for name in others)

    answers = pd.read_csv(data.private / "test.csv", **ALL)
    assert grade(answers).score == 0
    short = answers.assign(Sequence=answers["Sequence"].where(answers.index > 0, ""))
    assert not grade_first(short).valid
    total = answers["Sequence"].str.split().str.len()
    assert grade(short).score == pytest.approx(total[0] / total.sum(), abs=1e-5)


def test_tags_are_scored_by_question(made):
    def questions(raw):
        with zipfile.ZipFile(raw / "Train.zip") as archive:
            (name,) = archive.namelist()
            table = pd.read_csv(io.BytesIO(archive.read(name)), **ALL)
        n = len(table)
        table = table.assign(
            Title=[f"title {i % 61}" for i in range(n)], Tags=[["null", "a b", "c"][i % 3] for i in range(n)]
        )
        with zipfile.ZipFile(raw / "Train.zip", "w") as archive:
            archive.writestr(name, table.to_csv(index=False))

    id = "facebook-recruiting-iii-keyword-extraction"
    first, grade_first = made(id, 1, questions)
    data, grade = made(id)
    train, test = (pd.read_csv(data.public / f"{part}.csv", **ALL) for part in ("train", "test"))
    assert set(train["Title"]) & set(pd.read_csv(first.public / "test.csv")["Title"])
    assert not set(train["Title"]) & set(test["Title"])
    assert list(pd.read_csv(data.public / "sample_submission.csv")) == ["Id", "Tags"]

    answers = pd.read_csv(data.private / "test.csv", **ALL)[["Id", "Tags"]]
    assert set(answers["Tags"]) == {"null", "a b", "c"}
    assert grade(answers).score == 1
    assert grade(answers.assign(Tags=1)).score == 0
    unknown = answers.assign(Tags=answers["Tags"] + " unheard-of")
    size = answers["Tags"].str.split().str.len()
    assert grade(unknown).score == pytest.approx((2 * size / (2 * size + 1)).mean(), abs=1e-5)
    then = pd.read_csv(first.private / "test.csv", **ALL)[["Id", "Tags"]]
    assert grade_first(then.assign(Tags=then["Tags"] + " unheard-of")).score == 1


def test_reports_name_what_is_repaired(registry):
    ids = [
        "billion-word-imputation",
        "bms-molecular-translation",
        "chaii-hindi-and-tamil-question-answering",
        "tweet-sentiment-extraction",
        "tensorflow2-question-answering",
        "text-normalization-challenge-english-language",
        "text-normalization-challenge-russian-language",
        "google-quest-challenge",
        "multi-modal-gesture-recognition",
        "facebook-recruiting-iii-keyword-extraction",
    ]
    for id in ids:
        competition = registry.competition(id)
        assert competition.editions == (1, 2)
        assert {issue.repaired_in for issue in competition.spec.known_issues} == {2}
        assert json.dumps(competition.in_edition(2).spec.grading.model_dump()) != "{}"
