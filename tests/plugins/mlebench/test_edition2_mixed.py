"""Edition 2 of competitions on texts and sounds: each fault that it says it repairs is gone."""

import json
import zipfile

import numpy as np
import pandas as pd
import pytest

WORDS = ("NA", "N/A", "null", "nan", "None", "n/a", "NULL")


def read(path, **options):
    """A table with its texts as they stand."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""], **options)


def test_each_insult_is_there_once(made):
    def twins(raw):
        table = read(raw / "test_with_solutions.csv", dtype=str)
        again = table.head(3).assign(Insult=1 - table["Insult"].head(3).astype(int))
        words = table.head(2).assign(Comment=["NA", "null"])
        pd.concat([table, again, words]).to_csv(raw / "test_with_solutions.csv", index=False)

    first, _ = made("detecting-insults-in-social-commentary", 1, change=twins)
    assert read(first.public / "test.csv")["Comment"].duplicated().any()
    data, grade = made("detecting-insults-in-social-commentary")
    test, answers = read(data.public / "test.csv"), read(data.private / "gold_submission.csv")
    assert test["Comment"].is_unique
    assert {"NA", "null"} <= set(test["Comment"]) == set(answers["Comment"])
    assert "Insult" not in test
    assert grade(answers).score == 1
    assert grade(answers.sample(frac=1, random_state=1)).score == 1
    assert grade(answers.assign(Insult=1 - answers["Insult"])).score == 0


@pytest.mark.parametrize(
    ("id", "column"),
    [
        ("jigsaw-toxic-comment-classification-challenge", "comment_text"),
        ("jigsaw-unintended-bias-in-toxicity-classification", "comment_text"),
    ],
)
def test_words_for_missing_values_are_kept(made, id, column):
    first, _ = made(id, 1)
    assert not read(first.public / "test.csv")[column].isin(WORDS).any()
    assert read(first.public / "test.csv")[column].isna().any()
    data, _ = made(id)
    test = read(data.public / "test.csv")
    assert test[column].isin(WORDS).any()
    assert test[column].notna().all()


def test_toxicity_is_ranked_by_scores(made):
    _, published = made("jigsaw-unintended-bias-in-toxicity-classification", 1)
    data, grade = made("jigsaw-unintended-bias-in-toxicity-classification")
    answers = read(data.private / "test.csv")
    low = answers[["id"]].assign(prediction=answers["toxicity"] / 4)
    assert published(low).score == 0.5
    assert grade(low).score == 1
    gaps = low.assign(prediction=low["prediction"].where(low.index % 2 == 0))
    assert published(gaps).valid
    assert "the cell is empty" in grade(gaps).reason


def test_essays_have_a_scale(made):
    data, grade = made("learning-agency-lab-automated-essay-scoring-2")
    answers = read(data.private / "answers.csv")[["essay_id", "score"]]
    assert grade(answers).score == 1
    assert "is above 6" in grade(answers.assign(score=100)).reason
    assert "is below 1" in grade(answers.assign(score=0)).reason


def test_sentences_are_on_one_side(made):
    first, _ = made("movie-review-sentiment-analysis-kernels-only", 1)
    assert _sentences(first, "train") & _sentences(first, "test")
    data, grade = made("movie-review-sentiment-analysis-kernels-only")
    assert _sentences(data, "train")
    assert _sentences(data, "test")
    assert not _sentences(data, "train") & _sentences(data, "test")
    answers = read(data.private / "answers.csv")
    assert grade(answers[["PhraseId", "Sentiment"]]).score == 1
    with zipfile.ZipFile(data.public / "test.tsv.zip") as archive, archive.open("test.tsv") as stream:
        assert list(pd.read_csv(stream, sep="\t")) == ["PhraseId", "SentenceId", "Phrase"]


def _sentences(data, part):
    with zipfile.ZipFile(data.public / f"{part}.tsv.zip") as archive, archive.open(f"{part}.tsv") as stream:
        return set(pd.read_csv(stream, sep="\t")["SentenceId"])


def test_nobody_knows_the_giver(made):
    first, _ = made("random-acts-of-pizza", 1)
    assert "giver_username_if_known" in (first.public / "test.json").read_text()
    data, grade = made("random-acts-of-pizza")
    for name in ("train", "test"):
        text = (data.public / f"{name}.json").read_text()
        assert "giver_username_if_known" not in text
        with zipfile.ZipFile(data.public / f"{name}.zip") as archive:
            assert archive.read(f"{name}.json").decode() == text
    answers = read(data.private / "test.csv")
    assert [request["request_id"] for request in json.loads(text)] == list(answers["request_id"])
    assert grade(answers).score == 1


def test_no_frame_is_on_both_sides(made):
    def ordered(raw):
        """Frames in their order: each row is 11 of them, 39 numbers each, and the next row starts a frame later."""
        folder = raw / "timit_11" / "timit_11"
        rows = len(np.load(folder / "train_11.npy"))
        frames = np.repeat(np.arange(rows + 10, dtype=np.float32), 39)
        windows = np.stack([frames[39 * row : 39 * (row + 11)] for row in range(rows)])
        np.save(folder / "train_11.npy", windows)

    def frames_in(data, part):
        return set(np.load(data.public / "timit_11" / "timit_11" / f"{part}_11.npy").ravel().tolist())

    first, _ = made("ml2021spring-hw2", 1, change=ordered)
    assert frames_in(first, "train") & frames_in(first, "test")
    data, grade = made("ml2021spring-hw2")
    assert not frames_in(data, "train") & frames_in(data, "test")
    folder = data.public / "timit_11" / "timit_11"
    assert len(np.load(folder / "train_label_11.npy")) == len(np.load(folder / "train_11.npy"))
    answers = read(data.private / "answers.csv")
    assert len(answers) == len(np.load(folder / "test_11.npy")) == len(read(first.private / "answers.csv"))
    assert grade(answers).score == 1


def test_segments_keep_their_headers(made):
    first, _ = made("mlsp-2013-birds", 1)
    data, grade = made("mlsp-2013-birds")
    for name, start in (
        ("histogram_of_segments", "rec_id,[histogram"),
        ("segment_features", "rec_id,segment_id,["),
        ("segment_rectangles", "rec_id,segment_id,xmin"),
    ):
        old, new = (d.public / "supplemental_data" / f"{name}.txt" for d in (first, data))
        assert old.read_text().startswith("rec_id,[histogram")
        assert new.read_text().startswith(start)
        assert old.read_text().splitlines()[1:] == new.read_text().splitlines()[1:]
    labels = (data.public / "essential_data" / "rec_labels_test_hidden.txt").read_text().splitlines()[1:]
    answers = read(data.private / "answers.csv")
    hidden = {int(line.partition(",")[0]) for line in labels if line.endswith("?")}
    assert hidden == set(answers["Id"] // 100)
    assert grade(answers).score == 1


def test_speakers_are_on_one_side_and_labels_are_twelve(made):
    id = "tensorflow-speech-recognition-challenge"
    first, _ = made(id, 1)
    assert len(set(read(first.private / "test.csv")["label"])) > 12
    data, grade = made(id)
    answers = read(data.private / "test.csv")
    asked = {"yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "silence", "unknown"}
    assert set(answers["label"]) <= asked
    assert "unknown" in set(answers["label"])
    assert grade(answers).score == 1

    # Clips of the golden case differ, so a test clip's speaker is found by its bytes in edition 1's files.
    clips = {}
    for path in (first.public / "train" / "audio").rglob("*.wav"):
        clips[path.read_bytes()] = path.stem.partition("_nohash_")[0]
    shown = {path.stem.partition("_nohash_")[0] for path in (data.public / "train" / "audio").rglob("*.wav")}
    tested = {clips.get(path.read_bytes()) for path in (data.public / "test" / "audio").iterdir()} - {None}
    assert tested
    assert not tested & shown
    assert len(list((data.public / "test" / "audio").iterdir())) == len(answers)
    assert (data.public / "train" / "LICENSE").is_file()
    for name in ("validation_list.txt", "testing_list.txt"):
        path = data.public / "train" / name
        for line in path.read_text().splitlines() if path.is_file() else ():
            assert (data.public / "train" / "audio" / line).is_file()


def test_contact_is_yes_or_no(made):
    data, grade = made("nfl-player-contact-detection")
    answers = read(data.private / "test.csv")[["contact_id", "contact"]]
    assert grade(answers).score == 1
    assert "is below 0" in grade(answers.assign(contact=-1)).reason
    assert "is above 1" in grade(answers.assign(contact=2)).reason


def test_an_eeg_is_asked_once_and_patients_are_on_one_side(made):
    id = "hms-harmful-brain-activity-classification"
    first, _ = made(id, 1)
    assert read(first.public / "test.csv")["eeg_id"].duplicated().any()
    data, grade = made(id)
    train, test, answers = (
        read(path) for path in (data.public / "train.csv", data.public / "test.csv", data.private / "test.csv")
    )
    assert test["eeg_id"].is_unique
    assert list(test["eeg_id"]) == list(answers["eeg_id"])
    assert list(test["eeg_label_offset_seconds"]) == list(answers["eeg_label_offset_seconds"])
    assert not set(train["patient_id"]) & set(test["patient_id"])
    assert not [name for name in test if name.endswith("_vote")]
    assert {path.stem for path in (data.public / "test_eegs").iterdir()} == set(test["eeg_id"].astype(str))
    assert {path.stem for path in (data.public / "test_spectrograms").iterdir()} == set(
        test["spectrogram_id"].astype(str)
    )
    gold = read(data.private / "gold_submission.csv")
    assert grade(gold).score == 0
    assert grade(gold.sample(frac=1, random_state=1)).score == 0
