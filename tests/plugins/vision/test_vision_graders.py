"""The graders as users meet them: found over the entry point, fed with files, scoring by the competition's rules."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest

from mleb_core.competition_spec import Column, Grading
from mleb_core.errors import GraderError, InvalidSubmissionError
from mleb_core.grading.protocol import GradingTask
from mleb_core.plugins import load_plugins
from mleb_core.registry import Registry
from mleb_core.testing import GraderContract

SIZE = {"height": 10, "width": 10}
MASKS = ["1 10", "", "5 3 20 30", "100 1"]
WORSE = ["1 9", "", "5 3 20 30", "99 1"]
CAR = "1.0 0 0 0 2 4 2 0.5 car"
FAR = "1.0 50 0 0 2 4 2 0.5 car"
IDS = [
    "coco-mean-average-precision",
    "detection-mean-average-precision",
    "dice-hausdorff",
    "global-dice",
    "mean-average-precision-3d",
    "mean-dice",
    "mean-precision-at-iou-thresholds",
    "pixel-f-beta",
    "point-in-box-f1",
]


@pytest.fixture(scope="module")
def graders():
    return Registry(load_plugins(only=["vision"])).graders


@pytest.fixture
def handed_in(graders, tmp_path):
    """Grades a table, or a text, against answers; `judge` is "grade" or "validate"."""

    def handed_in(id, answers, table, judge="grade", missing=True, **options):
        for folder in ("public", "private"):
            (tmp_path / folder).mkdir(exist_ok=True)
        pd.DataFrame(answers).to_csv(tmp_path / "private" / "answers.csv", index=False)
        path = tmp_path / "submission.csv"
        if isinstance(table, str):
            path.write_text(table)
        else:
            pd.DataFrame(table).to_csv(path, index=False)
        rules = {"cell": Column(type="text", missing=missing)}
        grading = Grading(grader=id, columns=rules, options=options)
        task = GradingTask("here", 1, grading, tmp_path / "public", tmp_path / "private")
        return getattr(graders[id], judge)(path, task)

    return handed_in


def test_every_metric_is_registered_documented_and_in_the_readme(graders):
    assert sorted(graders) == IDS
    readme = (Path(__file__).parents[3] / "plugins/graders/vision/README.md").read_text(encoding="utf-8")
    for id, grader in graders.items():
        assert grader.higher_is_better is True
        assert len(grader.summary) < 100
        for function in (grader.metric, grader.reader, grader.truth_reader):
            module, _, name = function.partition(":")
            assert name in import_module(module).__all__
            assert getattr(import_module(module), name).__doc__
        assert f"`{id}`" in readme


def test_listing_graders_loads_nothing_heavy():
    program = (
        "import sys; import mleb_vision.hooks as h; print(len(h.mleb_register_graders()))\n"
        "print([m for m in ('numpy', 'pandas', 'scipy', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == [str(len(IDS)), "[]"]


class MaskContract(GraderContract):
    columns = {"cell": {"type": "text", "missing": True}}
    options = SIZE
    answers = {"id": ["a", "b", "c", "d"], "cell": MASKS}
    worse = {"cell": WORSE}


class TestMeanDice(MaskContract):
    id = "mean-dice"


class TestGlobalDice(MaskContract):
    id = "global-dice"


class TestMeanPrecisionAtIouThresholds(MaskContract):
    id = "mean-precision-at-iou-thresholds"


class TestPixelFBeta(MaskContract):
    id = "pixel-f-beta"


class TestDiceHausdorff(MaskContract):
    id = "dice-hausdorff"
    options = SIZE | {"extras": {"slices": "slice", "labels": "class"}}
    answers = MaskContract.answers | {"slice": [f"v1_slice_{i}" for i in range(4)], "class": ["x"] * 4}


class TestDetectionMeanAveragePrecision(MaskContract):
    id = "detection-mean-average-precision"
    options = {}
    answers = {"id": ["a", "b", "c", "d"], "cell": ["x 1 0 0 1 1", "x 1 2 2 4 4 y 1 0 0 1 1", "y 1 0 0 1 1", " "]}
    worse = {"cell": ["x 1 0 0 1 1", "y 1 0 0 1 1", "x 1 0 0 1 1", " "]}


class TestMeanAveragePrecision3d(MaskContract):
    id = "mean-average-precision-3d"
    options = {}
    answers = {"id": ["a", "b", "c", "d"], "cell": [CAR, f"{CAR} {FAR}", FAR, CAR]}
    worse = {"cell": [CAR, FAR, CAR, ""]}


class TestPointInBoxF1(GraderContract):
    id = "point-in-box-f1"
    columns = {"cell": {"type": "text", "missing": True}}
    options = {"truth": "boxes"}
    answers = {
        "id": ["a", "b", "c", "d"],
        "cell": ["U+1 1 1", "", "U+1 5 5 U+2 1 1", "U+3 2 2"],
        "boxes": ["U+1 0 0 2 2", "", "U+1 4 4 2 2 U+2 0 0 5 5", "U+3 1 1 2 2"],
    }
    worse = {"cell": ["U+1 2 2", "", "U+1 5 5 U+2 1 1", "U+3 2 2"]}


class TestCocoMeanAveragePrecision(GraderContract):
    id = "coco-mean-average-precision"
    columns = {"cell": {"type": "text"}}
    options = {"truth": "class_id", "thresholds": [0.4]}
    answers = {
        "id": ["a", "b", "c", "d"],
        "class_id": [14, 3, 3, 0],
        "x_min": [0, 10, 10, 20],
        "y_min": [0, 10, 10, 20],
        "x_max": [1, 50, 60, 90],
        "y_max": [1, 50, 60, 90],
        "cell": ["14 1 0 0 1 1", "3 1 10 10 50 50", "3 1 10 10 60 60", "0 1 20 20 90 90"],
    }
    worse = {"cell": ["14 1 0 0 1 1", "3 1 10 10 50 50", "3 1 70 70 80 80", "0 1 20 20 90 90"]}


def test_the_first_broken_row_of_the_file_is_named_whatever_the_order(handed_in):
    answers = {"id": ["a", "b", "c"], "cell": ["1 2", "1 2", "1 2"]}
    table = {"id": ["c", "b", "a"], "cell": ["1 2", "2 2 1 1", "x"]}
    with pytest.raises(InvalidSubmissionError, match=r"^row 2 \(id 'b'\), column 'cell': run 1 1 starts before"):
        handed_in("mean-dice", answers, table, height=5, width=5)
    table["cell"] = ["1 x", "2 2 1 1", "x"]
    with pytest.raises(InvalidSubmissionError, match=r"^row 1 \(id 'c'\), column 'cell': 'x' is not a whole number"):
        handed_in("mean-dice", answers, table, "validate", height=5, width=5)


def test_sizes_come_from_the_answers(handed_in):
    answers = {"id": ["a", "b"], "mask": ["1 10", "1 10"], "h": [2, 5], "w": [5, 2]}
    table = {"id": ["b", "a"], "cell": ["1 5", "1 99"], "h": [1, 1], "w": [1, 1]}
    options = {"truth": "mask", "extras": {"height": "h", "width": "w"}}
    assert handed_in("mean-dice", answers, table, **options) == pytest.approx((1 + 2 / 3) / 2)


def test_broken_answers_are_the_graders_fault(handed_in):
    answers = {"id": ["a", "b"], "cell": ["1 10", "x"]}
    with pytest.raises(GraderError, match="the answers' row 2"):
        handed_in("mean-dice", answers, {"id": ["a", "b"], "cell": ["1 1", "1 1"]}, height=5, width=5)


def test_masks_that_are_empty_everywhere_have_no_global_dice(handed_in):
    answers = {"id": ["a", "b"], "cell": ["-", "-"]}
    table = {"id": ["a", "b"], "cell": ["-", "-"]}
    with pytest.raises(InvalidSubmissionError, match="no finite score"):
        handed_in("global-dice", answers, table, height=5, width=5, empty="-")


def test_boxes_of_classes_that_a_sample_lacks_are_not_judged_by_grade_but_by_validate(handed_in):
    answers = {"id": ["a", "b"], "cell": [CAR, FAR]}
    strange = {"id": ["a", "b"], "cell": [f"{CAR} 1.0 0 0 0 2 -4 2 0.5 tram", FAR]}
    assert handed_in("mean-average-precision-3d", answers, strange) == 1
    problem = r"^row 1 \(id 'a'\), column 'cell': a width, length or height is not above 0"
    with pytest.raises(InvalidSubmissionError, match=problem):
        handed_in("mean-average-precision-3d", answers, strange, "validate")
    with pytest.raises(InvalidSubmissionError, match=problem):
        handed_in("mean-average-precision-3d", answers, strange, absent_classes="zero")
    extra = {"id": ["a", "b"], "cell": [f"{CAR} 1.0 0 0 0 2 4 2 0.5 tram", FAR]}
    assert handed_in("mean-average-precision-3d", answers, extra, absent_classes="zero") == pytest.approx(0.75)

    turned = {"id": ["b", "a"], "cell": [FAR.replace("50", "nan"), CAR.replace("2 4", "2 0")]}
    with pytest.raises(InvalidSubmissionError, match=r"^row 1 \(id 'b'\), column 'cell': a number is not finite"):
        handed_in("mean-average-precision-3d", answers, turned)


def test_an_image_may_have_several_rows_of_boxes(handed_in):
    answers = {
        "id": ["a", "b"], "class_id": [1, 1], "x_min": [0, 0], "y_min": [0, 0], "x_max": [2, 2], "y_max": [2, 2],
    }  # fmt: skip
    options = {"truth": "class_id", "thresholds": [0.5], "missing": False}
    rows = {"id": ["b", "a", "b"], "cell": ["1 0.2 5 5 6 6", "1 0.9 0 0 2 2", "1 0.8 0 0 2 2"]}
    assert handed_in("coco-mean-average-precision", answers, rows, **options) == pytest.approx(1)
    for change, problem in {
        "id,cell\na,1 0.9 0 0 2 2\nx,1 0.9 0 0 2 2\n": r"^row 2 \(id 'x'\): the id is unknown",
        "id,cell\na,1 0.9 0 0 2 2\na,1 0.9 0 0 2 2\n": r"^1 of 2 ids have no row",
        "id,cell\na,1 0.9 0 0 2 2\nb,\n": "the cell is empty",
        "id,cell\na,1 0.9 0 0 2 2\nb,1 0.9 0 0 2\n": r"^row 2 \(id 'b'\), column 'cell': 5 words",
    }.items():
        with pytest.raises(InvalidSubmissionError, match=problem):
            handed_in("coco-mean-average-precision", answers, change, **options)


def test_boxes_in_the_answers_must_be_there(handed_in):
    with pytest.raises(GraderError, match="no boxes"):
        handed_in(
            "coco-mean-average-precision",
            {"id": ["a"], "class_id": [1]},
            {"id": ["a"], "cell": ["1 0.9 0 0 2 2"]},
            truth="class_id",
        )
