"""Each kind of leak is found where it is, and not where the same data is shuffled."""

import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from mleb_core.competition import Competition
from mleb_core.testing import AuditContract
from mleb_leaks.formats.images import read_image

sys.path.insert(0, str(Path(__file__).parent))
from leaky import TOML, Leaky, bad, tfrecord

NUMBERS = {"a": 0, "b": 1, "c": 2}


class TestLeaks(AuditContract):
    id = "leaks"


@pytest.fixture
def leaky(tmp_path) -> Leaky:
    return Leaky(tmp_path)


def shown(findings):
    return [(finding.rule, finding.severity) for finding in findings]


def answers(leaky: Leaky, honest: bool) -> dict[str, str]:
    """The answers, or the same under other names."""
    labels = list(leaky.test.values())
    if honest:
        leaky.random.shuffle(labels)
    return dict(zip(leaky.test, labels, strict=True))


def test_nothing_is_found_in_data_that_gives_nothing_away(leaky):
    assert leaky.audit() == []


def in_csv(leaky, labels):
    leaky.write(leaky.public / "notes" / "more.csv", ["key", "hint"], labels.items())


def in_tsv_gz(leaky, labels):
    import gzip

    text = "key\thint\n" + "".join(f"{name}\t{label}\n" for name, label in labels.items())
    (leaky.public / "more.tsv.gz").write_bytes(gzip.compress(text.encode()))


def in_json(leaky, labels):
    (leaky.public / "more.json").write_text(json.dumps([{"who": {"key": n}, "hint": x} for n, x in labels.items()]))


def in_json_by_key(leaky, labels):
    (leaky.public / "more.json").write_text(json.dumps({name: {"hint": label} for name, label in labels.items()}))


def in_json_lines(leaky, labels):
    (leaky.public / "more.jsonl").write_text("".join(json.dumps({"k": n, "h": x}) + "\n" for n, x in labels.items()))


def in_json_files(leaky, labels):
    (leaky.public / "meta").mkdir()
    for name, label in labels.items():
        (leaky.public / "meta" / f"{name}.json").write_text(json.dumps({"made": {"by": "me", "as": label}}))


def in_tfrecords(leaky, labels):
    (leaky.public / "test00-60.tfrec").write_bytes(
        tfrecord({"id": n.encode(), "image": b"\xff" * 999, "t": NUMBERS[x]} for n, x in list(labels.items())[:60])
    )
    (leaky.public / "test01-60.tfrec").write_bytes(
        tfrecord({"id": n.encode(), "image": b"\xff" * 999, "t": NUMBERS[x]} for n, x in list(labels.items())[60:])
    )


def in_arrays(leaky, labels):
    for name, label in labels.items():
        np.savez(leaky.public / f"{name}.npz", wave=np.arange(9), target=np.array(NUMBERS[label]))


def in_png_texts(leaky, labels):
    for name, label in labels.items():
        facts = PngImagePlugin.PngInfo()
        facts.add_text("note", f"as {label}")
        Image.new("L", (8, 8)).save(leaky.public / f"{name}.png", pnginfo=facts)


def in_jpeg_comments(leaky, labels):
    for name, label in labels.items():
        Image.new("L", (8, 8)).save(leaky.public / f"{name}.jpg", comment=f"kind {label}".encode())


def in_texts(leaky, labels):
    words = {"a": "alpha", "b": "beta", "c": "gamma"}
    leaky.write(leaky.private / "answers.csv", ["name", "label"], ((n, words[x]) for n, x in leaky.test.items()))
    for name, label in labels.items():
        (leaky.public / f"{name}.txt").write_text(f"recorded on a monday\nclass: {words[label]};\n")


def in_a_zip_in_a_tar(leaky, labels):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("deep/more.csv", "key,hint\n" + "".join(f"{n},{x}\n" for n, x in labels.items()))
    with tarfile.open(leaky.public / "all.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("more.zip")
        info.size = len(inner.getvalue())
        archive.addfile(info, io.BytesIO(inner.getvalue()))


def in_unknown_files(leaky, labels):
    words = {"a": "alpha", "b": "beta", "c": "gamma"}
    leaky.write(leaky.private / "answers.csv", ["name", "label"], ((n, words[x]) for n, x in leaky.test.items()))
    for name, label in labels.items():
        (leaky.public / f"{name}.dcm").write_bytes(b"\0" * 128 + b"DICM\2\0" + words[label].encode() + b"\0\1\2")


PLACES = [
    in_csv, in_tsv_gz, in_json, in_json_by_key, in_json_lines, in_json_files, in_tfrecords, in_arrays, in_png_texts,
    in_jpeg_comments, in_texts, in_a_zip_in_a_tar, in_unknown_files,
]  # fmt: skip


@pytest.mark.parametrize("hide", PLACES, ids=lambda function: function.__name__)
def test_answers_are_found_in_files_of_any_kind(leaky, hide):
    hide(leaky, answers(leaky, honest=False))
    (finding,) = bad(leaky.audit())
    assert finding.severity == "serious"
    assert finding.rule in ("answers-in-file", "column-tells-target")
    place = finding.evidence[0]
    assert place.file.startswith("public/")
    assert (leaky.data.prepared / place.file.partition("!")[0]).is_file()
    assert place.values["id"] in leaky.test


@pytest.mark.parametrize("hide", PLACES, ids=lambda function: function.__name__)
def test_the_same_files_with_other_answers_are_no_leak(leaky, hide):
    hide(leaky, answers(leaky, honest=True))
    assert bad(leaky.audit()) == []


def test_a_column_that_is_there_for_one_answer_only_is_found(leaky):
    test = ["x" if label == "c" else "N/A" for label in leaky.test.values()]
    leaky.tables(test={"giver": test})
    (finding,) = bad(leaky.audit())
    assert (finding.rule, finding.severity) == ("column-tells-target", "serious")
    assert "`giver` is there for" in finding.message
    leaky.random.shuffle(test)
    leaky.tables(test={"giver": test})
    assert bad(leaky.audit()) == []


def test_a_column_that_is_there_for_one_answer_in_train_is_found_though_test_has_few(leaky):
    train = ["x" if label == "c" else "" for label in leaky.train.values()]
    test = [""] * 120
    test[list(leaky.test.values()).index("c")] = "y"
    leaky.tables(test={"giver": test}, train={"giver": train})
    (finding,) = bad(leaky.audit())
    assert (finding.rule, finding.severity) == ("missing-tells-target", "serious")
    leaky.random.shuffle(train)
    leaky.tables(test={"giver": test}, train={"giver": train})
    assert bad(leaky.audit()) == []


def test_a_column_with_the_answer_in_other_words_is_found(leaky):
    words = {"a": "red", "b": "green", "c": "blue"}
    leaky.tables(test={"colour": [words[label] for label in leaky.test.values()]})
    (finding,) = bad(leaky.audit())
    assert finding.rule == "column-tells-target"
    assert "in other words" in finding.message


def test_a_strong_feature_is_no_leak(leaky):
    """A column that is right nine times out of ten is what competitions are made of."""
    feature = [label if leaky.random.random() < 0.9 else "b" for label in leaky.test.values()]
    leaky.tables(test={"colour": feature})
    assert bad(leaky.audit()) == []


def test_numbers_in_the_order_of_the_answers_are_found(tmp_path):
    leaky = Leaky(tmp_path)
    scores = {name: leaky.random.random() for name in leaky.test}
    leaky.write(leaky.private / "answers.csv", ["name", "label"], scores.items())
    leaky.tables(test={"stamp": [1e6 + 3 * score**3 for score in scores.values()]})
    (finding,) = bad(leaky.audit())
    assert "orders the test ids as the answers do" in finding.message
    leaky.tables(test={"stamp": [score + 0.1 * leaky.random.random() for score in scores.values()]})
    assert bad(leaky.audit()) == []


def test_row_order_that_follows_the_target_is_found(leaky):
    by_label = dict(sorted(leaky.test.items(), key=lambda item: item[1]))
    leaky.test = by_label
    leaky.tables()
    findings = bad(leaky.audit())
    assert shown(findings) == [("order-or-size-follows-target", "warning")]
    assert "order of the rows" in findings[0].message


def test_ids_that_follow_the_target_are_found(tmp_path):
    leaky = Leaky(tmp_path)
    leaky.test = {f"x{NUMBERS[label]}{name[2:]}": label for name, label in leaky.test.items()}
    leaky.write(leaky.private / "answers.csv", ["name", "label"], leaky.test.items())
    leaky.tables()
    findings = bad(leaky.audit())
    assert shown(findings) == [("order-or-size-follows-target", "warning")]
    assert "the id, sorted as text," in findings[0].message


def test_times_in_an_archive_and_sizes_that_follow_the_target_are_found(leaky):
    def write(labels):
        with zipfile.ZipFile(leaky.public / "test.zip", "w") as archive:
            for at, (name, label) in enumerate(labels.items()):
                info = zipfile.ZipInfo(f"{name}.wav", (2020, 1 + NUMBERS[label], 1 + at % 28, at % 24, 0, 0))
                archive.writestr(info, b"\1" * (100 + 40 * NUMBERS[label] + at % 7))

    write(leaky.test)
    messages = [finding.message for finding in bad(leaky.audit())]
    assert len(messages) == 2
    assert any("time of the file" in message for message in messages)
    assert any("size of the file" in message for message in messages)
    write(answers(leaky, honest=True))
    assert bad(leaky.audit()) == []


def test_test_rows_that_are_in_train_are_found(leaky):
    rows = [f"{leaky.random.random()}" for _ in range(420)]
    texts = [f"r{leaky.random.random()}" for _ in range(420)]
    leaky.tables(test={"u": rows[:120], "v": texts[:120]}, train={"u": rows[120:], "v": texts[120:]})
    assert bad(leaky.audit()) == []
    table = (leaky.public / "train.csv").read_text().splitlines()
    copied = []
    for at, line in enumerate((leaky.public / "test.csv").read_text().splitlines()[1:31]):
        name, size, weight, u, v = line.split(",")
        copied.append(f"y{at}{name},{size},{weight},a,{u},{v}")
    (leaky.public / "train.csv").write_text("\n".join([*table, *copied]) + "\n")
    findings = bad(leaky.audit())
    assert shown(findings) == [("test-rows-in-train", "warning")]
    assert findings[0].message.startswith("30 of 120 rows")


def sentence(leaky, words=25):
    return " ".join(f"w{leaky.random.randrange(5000)}" for _ in range(words))


def test_texts_that_are_almost_in_train_are_found(leaky):
    test, train = [sentence(leaky) for _ in range(120)], [sentence(leaky, 40) for _ in range(300)]
    leaky.tables(test={"text": test}, train={"text": train})
    assert bad(leaky.audit()) == []
    for at in range(20):
        train[at] = f"first {test[at].upper()}! and {sentence(leaky, 5)}"
    leaky.tables(test={"text": test}, train={"text": train})
    findings = bad(leaky.audit())
    assert shown(findings) == [("test-texts-in-train", "warning")]
    assert findings[0].message.startswith("20 of 120 texts")


def picture(leaky, side):
    return Image.fromarray(np.frombuffer(leaky.random.randbytes(36), np.uint8).reshape(6, 6)).resize((side, side))


def test_pictures_that_are_in_train_in_other_sizes_are_found(leaky):
    for folder in ("test", "train"):
        (leaky.public / folder).mkdir()
    for name in list(leaky.test)[:30]:
        picture(leaky, 96).save(leaky.public / "test" / f"{name}.png")
    for name in list(leaky.train)[:30]:
        picture(leaky, 96).save(leaky.public / "train" / f"{name}.png")
    assert bad(leaky.audit()) == []
    for name, other in list(zip(leaky.test, leaky.train, strict=False))[:5]:
        image = Image.open(leaky.public / "test" / f"{name}.png")
        image.resize((48, 48)).save(leaky.public / "train" / f"{other}.jpg", quality=90)
    findings = bad(leaky.audit())
    assert shown(findings) == [("test-pictures-in-train", "warning")]
    assert findings[0].message.startswith("Files of 5 test ids")
    assert findings[0].evidence[0].values["same_as"].startswith("public/train/")


def test_groups_that_the_split_cuts_are_found(leaky):
    test = [at % 30 for at in range(120)]
    leaky.tables(test={"PatientID": test}, train={"PatientID": [at % 60 for at in range(300)]})
    findings = bad(leaky.audit())
    assert shown(findings) == [("group-in-train-and-test", "warning")]
    assert "120 of 120 test rows are of a PatientID that is in train too (30 of 30 values)" in findings[0].message
    leaky.tables(test={"PatientID": test}, train={"PatientID": range(100, 400)})
    assert bad(leaky.audit()) == []


def test_what_is_not_looked_at_is_said(leaky):
    in_json_files(leaky, answers(leaky, honest=False))
    (leaky.public / "broken.zip").write_bytes(b"PK\3\4 no more")
    (leaky.public / "some.7z").write_bytes(b"7z\xbc\xaf\x27\x1c")
    (leaky.public / "cut.tfrec").write_bytes(b"\x05")
    (leaky.public / "large.json").write_text(json.dumps(["x" * 5000]))
    findings = leaky.audit(ids=40, files=20, file_bytes=4096)
    assert len(bad(findings)) == 1  # by what was looked at
    said = " ".join(finding.message for finding in findings if finding.severity == "info")
    for words in (
        "Answers of 40 of 120 test ids were searched for",
        "the first 20 by name were opened",
        "archives cannot be read (BadZipFile)",
        "archives of this kind are not opened",
        "it ends within a record",
        "it is too large",
    ):
        assert words in said


def test_broken_files_cost_no_other(leaky):
    import gzip

    in_csv(leaky, answers(leaky, honest=False))
    names = list(leaky.test)
    packed = gzip.compress(b"some text")
    (leaky.public / f"{names[0]}.txt.gz").write_bytes(packed[:10] + b"\xff" + packed[11:])
    with zipfile.ZipFile(leaky.public / "a.zip", "w") as archive:
        archive.writestr(f"{names[1]}.txt", "some text")
    content = (leaky.public / "a.zip").read_bytes()
    (leaky.public / "a.zip").write_bytes(content.replace(b"some text", b"same text"))
    ring = [[10**400, 1], [2, 3], [4, 5]]
    (leaky.public / f"{names[2]}.json").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    found = leaky.audit()
    assert ("answers-in-file", "serious") in shown(found)
    left = [finding.message for finding in found if finding.rule == "not-looked-at"]
    for error in ("error", "BadZipFile", "OverflowError"):
        assert f"Not looked into: 1 files: cannot be read ({error})." in left


def test_nothing_that_is_read_is_run(leaky, tmp_path):
    """A numpy file with a pickle in it is not unpickled, and says so."""

    class Touch:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    for name in list(leaky.test)[:5]:
        np.save(leaky.public / f"{name}.npy", np.array([Touch()], dtype=object), allow_pickle=True)
    findings = leaky.audit()
    assert not (tmp_path / "ran").exists()
    assert any("cannot be read as arrays" in finding.message for finding in findings)


def test_answers_that_are_no_table_are_said_not_to_be_searched(leaky):
    (leaky.private / "answers.csv").unlink()
    (finding,) = leaky.audit()
    assert (finding.rule, finding.severity) == ("not-searched", "info")


def test_of_an_image_that_is_too_large_the_head_is_read(leaky):
    """Masks are compared with outlines on images of gigabytes, of which only width and height are needed."""
    name = next(iter(leaky.test))
    Image.frombytes("L", (400, 300), leaky.random.randbytes(120_000)).save(leaky.public / f"{name}.tiff")
    with (leaky.public / f"{name}.tiff").open("rb") as stream:
        fields = read_image(stream, 120_000, 4096).fields
    assert (fields["#width"], fields["#height"]) == (400, 300)
    assert "#look" not in fields


def test_what_else_stands_in_the_private_table_is_no_answer(leaky):
    """Features of the test set beside the answers, under the same name in the public test set, give nothing away."""
    rows = [line.split(",") for line in (leaky.public / "test.csv").read_text().splitlines()[1:]]
    full = [[name, size, weight, leaky.test[name]] for name, size, weight in rows]
    leaky.write(leaky.private / "answers.csv", ["name", "size", "weight", "label"], full)
    leaky.write(leaky.public / "sample_submission.csv", ["name", "size", "label"], ([n, s, "a"] for n, s, _ in rows))
    assert bad(leaky.audit()) == []
    toml = leaky.competition.folder / "competition.toml"
    for columns in ("", "guess = {}"):
        toml.write_text(TOML.replace('label = { type = "label" }', columns))
        leaky.competition = Competition(toml.parent)
        leaky.write(leaky.public / "sample_submission.csv", ["name", "guess"], ([n, "a"] for n, _, _ in rows))
        assert bad(leaky.audit()) == []
    in_csv(leaky, answers(leaky, honest=False))
    assert shown(bad(leaky.audit())) == [("answers-in-file", "serious")]
