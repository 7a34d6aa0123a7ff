"""The graders as users meet them: found over the entry point, fed with files, scoring by the competition's rules."""

import re
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
from mleb_metrics.hooks import METRICS

IDS = [metric[0] for metrics in METRICS.values() for metric in metrics]
IDENTITY = {"toxicity": [1, 0, 1, 0], "person": [1, 1, 0, 0]}
ONE_HOT = {"a": [1, 0, 0, 1], "b": [0, 1, 0, 0], "c": [0, 0, 1, 0]}
FLAT = dict.fromkeys("abc", [0.25] * 4)
FLAGS = {"a": [1, 0, 0, 1], "b": [1, 1, 0, 1], "c": [0, 1, 1, 1]}
ANGLES = {"azimuth": [0.1, 2.0, 3.0, 6.0], "zenith": [0.3, 1.0, 2.0, 3.0]}

# By id: the answers' columns, worse predictions of the target columns, the best score, the options.
CASES = {
    "accuracy": ({"y": ["a", "b", "b", "c"]}, {"y": ["a", "b", "c", "c"]}, 1, {}),
    "balanced-accuracy": ({"y": [0, 1, 1, 2]}, {"y": [0, 1, 2, 2]}, 1, {}),
    "top-1-error": ({"y": [5, 6, 7, 8]}, {"y": [5, 6, 8, 7]}, 0, {}),
    "f1": ({"y": [1, 0, 1, 0]}, {"y": [1, 1, 0, 0]}, 1, {}),
    "micro-f1": (FLAGS, {**FLAGS, "a": [0, 0, 0, 0]}, 1, {}),
    "macro-f1": ({"y": [30, 4, 4, 12]}, {"y": [30, 4, 5, 12]}, 1, {}),
    "sample-f1": (FLAGS, {**FLAGS, "a": [0, 0, 0, 0]}, 1, {}),
    "mcc": ({"y": [True, False, True, False]}, {"y": [True, False, False, True]}, 1, {}),
    "quadratic-weighted-kappa": ({"y": [0, 1, 4, 10]}, {"y": [1, 1, 4, 4]}, 1, {}),
    "tag-micro-f1": ({"y": ["a b", "c", "a", "b"]}, {"y": ["b a", "", "a", "c x"]}, 1, {"ignore_unknown": True}),
    "tag-sample-f1": ({"y": ["a b", "c", "a", ""]}, {"y": ["b a", "", "a", "x"]}, 1, {"empty_rows": 1.0}),
    "roc-auc": ({"y": [0, 1, 1, 0]}, {"y": [0.1, 0.9, 0.4, 0.6]}, 1, {}),
    "mean-column-wise-roc-auc": (FLAGS, {**FLAGS, "b": [0.5] * 4}, 1, {}),
    "weighted-auc": ({"y": [0, 1, 1, 0]}, {"y": [1, 9, 4, 6]}, 1, {}),
    "unintended-bias-auc": (
        IDENTITY | {"prediction": [1, 0, 1, 0]},
        {"prediction": [1, 1, 1, 0]},
        1,
        {"extras": {"subgroups": ["person"]}, "truth": "toxicity"},
    ),
    "log-loss": ({"y": [0, 1, 1, 0]}, {"y": [0.1, 0.9, 0.4, 0.6]}, 0, {}),
    "multi-class-log-loss": (ONE_HOT, {**FLAT, "a": [0.5] * 4}, 0, {"row_sum": {"value": 1, "tolerance": 1e-6}}),
    "multi-label-log-loss": (FLAGS, FLAT, 0, {}),
    "weighted-multi-label-log-loss": (
        {"y": [0, 1, 1, 0], "study": [1, 1, 2, 2], "label": ["any", "C1", "any", "C1"]},
        {"y": [0.1, 0.9, 0.4, 0.6]},
        0,
        {"extras": {"groups": "study", "labels": "label"}, "weights": {"any": [7, 14], "*": [1, 2]}},
    ),
    "kl-divergence": (ONE_HOT, {**FLAT, "a": [0.5] * 4}, 0, {}),
    "probabilistic-f1": ({"y": [0, 1, 1, 0]}, {"y": [0.1, 0.9, 0.4, 0.6]}, 1, {}),
    "laplace-log-likelihood": (
        {"fvc": [2000, 2500, 3000, 1800], "sigma": [70] * 4},
        {"fvc": [2000, 2500, 3000, 1900], "sigma": [70, 70, 71, 70]},
        -4.595069,
        {},
    ),
    "rmse": ({"y": [1.5, 2, 3, 4]}, {"y": [1.5, 2, 3, 5]}, 0, {}),
    "mean-column-wise-rmse": (ANGLES, {**ANGLES, "zenith": [0, 1, 2, 3]}, 0, {}),
    "rmsle": ({"y": [1.5, 2, 3, 4]}, {"y": [1.5, 2, 3, -0.5]}, 0, {}),
    "mean-column-wise-rmsle": (ANGLES, {**ANGLES, "zenith": [0, 1, 2, 3]}, 0, {}),
    "mae": ({"y": [1.5, 2, 3, 4]}, {"y": [1.5, 2, 3, 8]}, 0, {"decimals": 0}),
    "group-mean-log-mae": (
        {"y": [1.5, 2, 3, 4], "kind": ["1JHC", "1JHC", "2JHH", "2JHH"]},
        {"y": [1.5, 2, 3, 5]},
        -20.723266,
        {"extras": {"groups": "kind"}, "floor": 1e-9},
    ),
    "r2": ({"y": [1.5, 2, 3, 4]}, {"y": [1.5, 2, 3, 5]}, 1, {}),
    "pearson": ({"y": [1.5, 2, 3, 4]}, {"y": [1.5, 2, 3, 5]}, 1, {}),
    "spearman": ({"y": [1.5, 2, 3, 4]}, {"y": [1.5, 2, 3, 2.5]}, 1, {}),
    "mean-column-wise-spearman": (ANGLES, {**ANGLES, "zenith": [0, 0, 0, 0]}, 1, {}),
    "map-at-k": ({"y": ["7 8", "9", "10", "8"]}, {"y": ["8 7", "", "1 10", "1 2 8"]}, 1, {"k": 2}),
    "lwlrap": (FLAGS, {**FLAGS, "a": [-1] * 4}, 1, {}),
    "mean-angular-error": (ANGLES, {**ANGLES, "zenith": [0, 1, 2, 3]}, 0, {}),
    "p50-p95-haversine-distance": (
        {"lat": [1, 2, 3, 4], "lon": [5, 6, 7, 8], "trip": ["x", "x", "y", "y"]},
        {"lat": [1, 2, 3, 4], "lon": [5, 6, 7, 9]},
        0,
        {"extras": {"groups": "trip"}},
    ),
}


@pytest.fixture(scope="module")
def graders():
    return Registry(load_plugins(only=["metrics"])).graders


@pytest.fixture
def score(graders, tmp_path):
    """Scores predictions, in another order than the answers, through files."""

    def score(id, answers, predicted, options, columns=None):
        public, private = tmp_path / "public", tmp_path / "private"
        for folder in (public, private):
            folder.mkdir(exist_ok=True)
        ids = {"id": ["r1", "r2", "r3", "r4"]}
        pd.DataFrame(ids | answers).to_csv(private / "answers.csv", index=False)
        table = pd.DataFrame(ids | predicted)
        table.iloc[::-1].to_csv(tmp_path / "submission.csv", index=False)
        default = graders[id].column
        rules = {
            name: Column.model_validate(rule) for name, rule in (columns or dict.fromkeys(predicted, default)).items()
        }
        task = GradingTask("here", 1, Grading(grader=id, columns=rules, options=options), public, private)
        return graders[id].grade(tmp_path / "submission.csv", task)

    return score


def test_every_metric_is_registered_and_has_a_case(graders):
    assert sorted(graders) == sorted(IDS) == sorted(CASES)
    assert len(set(IDS)) == len(IDS)


def test_the_readme_lists_every_metric_with_its_direction(graders):
    readme = Path(__file__).parents[3] / "plugins/graders/metrics/README.md"
    rows = re.findall(
        r"^\| `([a-z0-9-]+)` \| (higher|lower) \|", readme.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert sorted(rows) == sorted((id, "higher" if g.higher_is_better else "lower") for id, g in graders.items())


@pytest.mark.parametrize("id", IDS)
def test_each_grader_says_what_it_is_and_finds_its_metric(graders, id):
    grader = graders[id]
    assert grader.summary and len(grader.summary) < 100
    assert isinstance(grader.higher_is_better, bool)
    module, _, name = grader.metric.partition(":")
    metric = getattr(import_module(module), name)
    assert name in import_module(module).__all__
    assert metric.__doc__


@pytest.mark.parametrize("id", IDS)
def test_the_answers_earn_the_best_score(graders, score, id):
    answers, worse, best, options = CASES[id]
    perfect = score(id, answers, {name: answers[name] for name in worse}, options)
    assert perfect == pytest.approx(best, abs=1e-6)
    beaten = score(id, answers, worse, options)
    assert beaten < perfect if graders[id].higher_is_better else beaten > perfect


def test_files_as_competitions_declare_them(score):
    truth = {"y": [12, 3, 7, 5]}
    listed = {"y": ["12 5 7", "3", "8 7", "5"]}
    assert score("top-1-error", truth, listed, {"listed": True}, {"y": {"type": "text"}}) == 0.25
    cut = {"y": {"type": "number"}}
    assert score("macro-f1", truth, {"y": [12.9, 3.0, 7.1, 5]}, {"truncate": True}, cut) == 1
    names = {"y": ["low", "high", "mid", "mid"]}
    labels = {"y": {"type": "label", "values": ["low", "mid", "high"]}}
    kappa = score("quadratic-weighted-kappa", names, names, {"labels": ["low", "mid", "high"]}, labels)
    assert kappa == 1
    assert score("map-at-k", truth, {"y": [12, 3, 7, 6]}, {"k": 5}) == 0.75
    words = {"y": ["yes", "no", "yes", "no"]}
    f1 = score("f1", words, {"y": ["yes"] * 4}, {"positive": "yes"}, {"y": {"type": "label"}})
    assert f1 == pytest.approx(2 / 3)


def test_what_only_a_metric_can_see_is_refused_in_one_line(score):
    with pytest.raises(InvalidSubmissionError, match=r"^scored row 4 .*has no ln") as caught:
        score("rmsle", {"y": [1, 2, 3, 4]}, {"y": [1, 2, 3, -1]}, {})
    assert "\n" not in str(caught.value)
    with pytest.raises(InvalidSubmissionError, match="finite score"):
        score("quadratic-weighted-kappa", {"y": [1, 1, 1, 1]}, {"y": [1, 1, 1, 1]}, {})


def test_answers_and_options_that_cannot_be_are_the_graders_fault(score):
    with pytest.raises(GraderError, match="one class"):
        score("roc-auc", {"y": [1, 1, 1, 1]}, {"y": [1, 0, 1, 0]}, {})
    with pytest.raises(GraderError, match="no_such_option"):
        score("rmse", {"y": [1, 1, 1, 1]}, {"y": [1, 0, 1, 0]}, {"no_such_option": 1})
    with pytest.raises(GraderError, match="'k'"):
        score("map-at-k", {"y": [1, 1, 1, 1]}, {"y": [1, 0, 1, 0]}, {})


def test_listing_graders_loads_nothing_heavy():
    program = (
        "import sys; from mleb_core.registry import Registry; from mleb_core.plugins import load_plugins\n"
        "import mleb_metrics.hooks as h; graders = h.mleb_register_graders(); print(len(graders))\n"
        "print([m for m in ('numpy', 'pandas', 'scipy', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == [str(len(IDS)), "[]"]


class TestAccuracy(GraderContract):
    id = "accuracy"
    answers = {"id": [1, 2, 3, 4], "y": ["a", "b", "b", "c"]}
    worse = {"y": ["a", "b", "c", "c"]}


class TestLogLoss(GraderContract):
    id = "multi-class-log-loss"
    answers = {"id": [1, 2, 3, 4]} | ONE_HOT
    worse = FLAT


class TestMapAtK(GraderContract):
    id = "map-at-k"
    answers = {"id": ["p", "q", "r", "s"], "y": ["7 8", "9", "10", "8"]}
    worse = {"y": ["8 7", "", "1 10", "1 2 8"]}
    options = {"k": 2}
