from mleb_core.run import RunKey
from mleb_rules.submissions import HandedIn, against_sample, among_runs, digest


def signs(layout, data):
    found = against_sample(
        layout.submission, data.public / "sample_submission.csv", ["id"], "submission/submission.csv"
    )
    return [(one.rule, one.level, one.message) for one in found]


SAME = ("data-ignored", "warning", "the submission says the same of all 40 rows")
SAMPLE = ("data-ignored", "warning", "the submission is the sample submission")


def test_the_sample_however_it_is_written(layout, data, hand_in):
    hand_in(lambda _: "0.5")
    assert signs(layout, data) == [SAMPLE]
    hand_in(lambda _: "0.500", lambda rows: rows[::-1])
    assert signs(layout, data) == [SAMPLE]


def test_a_constant_that_is_not_the_samples(layout, data, hand_in):
    hand_in(lambda _: "0.25")
    assert signs(layout, data) == [SAME]


def test_predictions_are_no_sign(layout, data, hand_in):
    hand_in(lambda number: number / 40)
    assert signs(layout, data) == []


def test_ids_that_look_like_numbers_on_one_side_only(layout, data):
    rows = [f"{number},0.5" for number in range(40)]
    (data.public / "sample_submission.csv").write_text("\n".join(["id,label", *rows]))
    layout.submission.write_text("\n".join(["id,label", "x,0.5", *rows[1:]]))
    assert signs(layout, data) == [SAME]


def test_nearly_the_sample(layout, data, hand_in):
    rows = [f"bird-{number:03},{0.5 if number else 0.1}" for number in range(1000)]
    (data.public / "sample_submission.csv").write_text(
        "id,label\n" + "\n".join(f"bird-{i:03},0.5" for i in range(1000))
    )
    layout.submission.write_text("id,label\n" + "\n".join(rows))
    assert signs(layout, data) == [
        ("data-ignored", "info", "99.9 % of the submission's cells are those of the sample submission")
    ]


def test_what_is_no_table_like_the_sample_is_left_to_grading(layout, data):
    for content in (b"", b"\x00\xff\xfe", b"id,label\n", b"a,b\n1,2\n" * 9, b"id,id\n1,1\n", b'id,label\n"x\n' * 9):
        layout.submission.write_bytes(content)
        assert [one for one in signs(layout, data) if "sample" in one[2]] == []


def test_the_same_submission_of_two_runs():
    def key(agent, seed, competition="birds"):
        return RunKey(competition=competition, agent=agent, seed=seed)

    found = among_runs(
        [
            HandedIn(key("one", 0), "aa"),
            HandedIn(key("two", 0), "aa"),
            HandedIn(key("three", 0), "bb"),
            HandedIn(key("three", 1), "bb"),
            HandedIn(key("four", 0), "cc"),
            HandedIn(key("five", 0, "fish"), "cc"),
        ]
    )
    assert {str(run): (one.rule, one.level) for run, one in found.items()} == {
        "birds one seed 0": ("solutions-sought", "warning"),
        "birds two seed 0": ("solutions-sought", "warning"),
        "birds three seed 0": ("data-ignored", "info"),
        "birds three seed 1": ("data-ignored", "info"),
    }
    assert found[key("one", 0)].message == "two seed 0 handed in the same submission, byte for byte"


def test_digests(layout, hand_in):
    assert digest(layout.submission) is None
    hand_in(lambda _: 1)
    assert len(digest(layout.submission)) == 64
    layout.submission.rename(layout.submission_dir / "real.csv")
    layout.submission.symlink_to("real.csv")
    assert digest(layout.submission) is None


def test_what_is_far_larger_than_the_sample_is_left_to_grading(layout, data):
    sample = data.public / "sample_submission.csv"
    header = ",".join(["id", "label", *map(str, range(2000))])
    layout.submission.write_text("\n".join([header, *(f"{row}" + ",1" * 2001 for row in range(40))]))
    assert against_sample(layout.submission, sample, ["id"], "s") == []
    layout.submission.write_text("id,label\n" + "".join(f"{row},1\n" for row in range(200_000)))
    assert against_sample(layout.submission, sample, ["id"], "s") == []
