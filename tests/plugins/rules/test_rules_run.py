from mleb_core.competition_spec import Grading
from mleb_rules.run_signs import signs_of

GRADING = Grading(grader="roc-auc", id=("id",))


def test_an_honest_run(layout, data, hand_in, note):
    note("start", isolation={"network": True, "files": True}, terms={"network": []})
    (layout.code / "main.py").write_text("frame = pd.read_csv(DATA / 'train_birds.csv')\nmodel.fit(frame)\n")
    hand_in(lambda number: number / 40)
    assert signs_of(layout, GRADING, data) == ([], [])


def test_a_run_that_hands_in_the_sample(layout, data, hand_in):
    (layout.code / "main.py").write_text("shutil.copy('sample_submission.csv', 'submission.csv')\n")
    hand_in(lambda _: 0.5)
    signs, notes = signs_of(layout, GRADING, data)
    assert [(sign.rule, sign.level) for sign in signs] == [
        ("data-ignored", "warning"),
        ("data-ignored", "warning"),
    ]
    assert notes == ["the run has no ledger, so what it reached is not known"]


def test_that_the_prompt_lists_the_files_is_no_use_of_them(layout, data, hand_in, exchange):
    (layout.code / "main.py").write_text("shutil.copy('sample_submission.csv', 'submission.csv')\n")
    hand_in(lambda number: number)
    exchange([("system", "be brief"), ("user", "Files: train_birds.csv, test.csv")], "I copy the sample.")
    assert [sign.rule for sign in signs_of(layout, GRADING, data)[0]] == ["data-ignored"]
    exchange([("user", "go on")], "Now I read train_birds.csv.")
    assert signs_of(layout, GRADING, data)[0] == []


def test_predictions_in_the_code(layout, data, hand_in, exchange):
    table = "{" + ", ".join(f"'bird-{i:03}': {i % 2}" for i in range(40)) + "}"
    (layout.code / "main.py").write_text(f"train = 'train_birds.csv'\nlabels = {table}\n")
    hand_in(lambda number: number % 2)
    signs, _ = signs_of(layout, GRADING, data)
    assert [(sign.rule, sign.evidence[0].place) for sign in signs] == [("handwritten-predictions", "line 2")]


def test_predictions_in_a_snippet_of_the_transcript(layout, data, exchange):
    rows = "\n".join(f"bird-{i:03},1" for i in range(40))
    exchange(
        [("user", "go")], f"I write it down, train_birds.csv is large:\n```bash\ncat > s.csv <<E\n{rows}\nE\n```\n"
    )
    signs, _ = signs_of(layout, GRADING, data)
    assert [(sign.rule, sign.evidence[0].file) for sign in signs] == [
        ("handwritten-predictions", "transcript.jsonl line 1, block 1")
    ]


def test_without_data_the_rest_is_looked_at(layout):
    (layout.code / "main.py").write_text("import kaggle\n")
    signs, notes = signs_of(layout, GRADING, None)
    assert [sign.rule for sign in signs] == ["solutions-sought"]
    assert len(notes) == 2 and "prepared data is not at hand" in notes[1]
