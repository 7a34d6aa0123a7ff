"""Edition 2 of competitions on masks, boxes and points: each fault that it says it repairs is gone."""

import json
import math
import zipfile
from functools import cache
from itertools import combinations

import pandas as pd
import pytest

from mleb_core.grading.grade import grade_submission
from mleb_core.grading.protocol import GradingTask
from mleb_core.prepare import prepare
from mleb_core.registry import Registry


class Both:
    """A competition in both editions, prepared from its golden raw data."""

    def __init__(self, id, shared, root, registry):
        self.golden, self.root, self.registry = shared / "golden" / id, root, registry
        with zipfile.ZipFile(self.golden / "raw.zip") as archive:
            archive.extractall(root / "raw")
        self.raw, first = root / "raw", registry.competition(id)
        self.competitions = {1: first, 2: first.in_edition(2)}
        self.data = {
            edition: prepare(competition, root / "data", raw_dir=self.raw, verify=False)
            for edition, competition in self.competitions.items()
        }
        for edition, competition in self.competitions.items():
            assert self.grade(pd.read_csv(self.sample(edition), dtype=str, keep_default_na=False), edition).valid
            issues = [issue for issue in competition.spec.known_issues if issue.repaired_in == 2]
            assert issues and all(issue.what.endswith(".") for issue in issues)

    def sample(self, edition):
        return self.data[edition].public / self.competitions[edition].spec.grading.sample

    def answers(self, edition=2):
        path = self.data[edition].private / self.competitions[edition].spec.grading.answers
        return pd.read_csv(path, dtype=str, keep_default_na=False)

    def given(self, name):
        """A submission of the golden case."""
        return pd.read_csv(self.golden / "submissions" / f"{name}.csv", dtype=str, keep_default_na=False)

    def grade(self, table, edition):
        path = self.root / "submission.csv"
        table.to_csv(path, index=False)
        grade = grade_submission(path, self.competitions[edition], self.root / "data", self.registry)
        assert grade.grader_error is None
        return grade

    def score(self, table, edition=2):
        grade = self.grade(table, edition)
        assert grade.valid, grade.reason
        return grade.score


@pytest.fixture(scope="module")
def both(shared, tmp_path_factory):
    registry = Registry()
    return cache(lambda id: Both(id, shared, tmp_path_factory.mktemp(id), registry))


def names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_maps_of_drives_name_their_own_logs(both):
    case = both("3d-object-detection-for-autonomous-vehicles")
    public = case.data[2].public
    tokens = {}
    for part in ("train", "test"):
        (entry,) = json.loads((public / f"{part}_data" / "map.json").read_text())
        logs = {log["token"] for log in json.loads((public / f"{part}_data" / "log.json").read_text())}
        assert set(entry["log_tokens"]) == logs
        tokens[part] = logs
    assert not tokens["train"] & tokens["test"]
    (entry,) = json.loads((case.data[1].public / "train_data" / "map.json").read_text())
    assert set(entry["log_tokens"]) == tokens["test"]

    perfect = case.answers()
    absent = perfect.assign(PredictionString=perfect["PredictionString"] + " 0.1 0 0 0 1 1 1 0 spaceship")
    assert [case.score(perfect, edition) for edition in (1, 2)] == [1, 1]
    assert case.score(absent, 1) == 1
    assert case.score(absent, 2) < 1
    broken = perfect.assign(PredictionString=perfect["PredictionString"] + " 0.1 0 0 0 1 -1 1 0 spaceship")
    assert case.score(broken, 1) == 1
    assert "not above 0" in case.grade(broken, 2).reason


def test_no_outline_of_a_test_image_is_public(both):
    case = both("hubmap-kidney-segmentation")
    leak = {f"test/{id}.json" for id in case.answers()["id"]}
    assert names(case.data[1].public) - names(case.data[2].public) == leak
    labels = {(case.raw / "train" / f"{id}.json").read_bytes() for id in case.answers()["id"]}
    assert not labels & {path.read_bytes() for path in case.data[2].public.rglob("*.json")}
    assert case.score(case.answers().rename(columns={"encoding": "predicted"})) == 1


def test_the_sample_has_the_columns_that_are_needed(both):
    case = both("google-research-identify-contrails-reduce-global-warming")
    assert list(pd.read_csv(case.sample(1))) == ["record_id", "encoded_pixels", "height", "width"]
    assert list(pd.read_csv(case.sample(2))) == ["record_id", "encoded_pixels"]
    assert case.score(case.answers()) == 1


def test_an_empty_mask_is_no_full_one(both):
    case = both("tgs-salt-identification-challenge")
    perfect = case.answers()
    assert case.score(perfect) == 1
    empty = perfect.assign(rle_mask="")
    assert case.score(empty, 1) == case.given("all_empty").pipe(case.score, 1)
    assert case.score(empty, 2) == pytest.approx((perfect["rle_mask"] == "").mean(), abs=1e-5)
    assert case.score(empty, 2) < case.score(empty, 1)


def test_depths_of_test_images_are_given(both):
    case = both("tgs-salt-identification-challenge")
    depths = [set(pd.read_csv(case.data[edition].public / "depths.csv", dtype=str)["id"]) for edition in (1, 2)]
    ids = set(case.answers()["id"])
    assert not ids & depths[0]
    assert ids <= depths[1]


def test_volumes_are_compared_class_by_class_and_without_a_cutoff(both):
    case = both("uw-madison-gi-tract-image-segmentation")
    perfect = case.answers()[["id", "class", "predicted"]]
    assert case.score(perfect) == 1
    turned = perfect.sort_values(["id", "class"], kind="stable").copy()
    turned["predicted"] = turned.groupby("id")["predicted"].transform(
        lambda masks: masks.tolist()[1:] + masks.tolist()[:1]
    )
    # The union of a slice's classes is the same: only in edition 1 is the distance 0.
    assert case.score(turned, 1) >= 0.6
    assert case.score(turned, 2) < 0.6

    sizes = case.answers()
    area = (sizes["image_width"].astype(float) * sizes["image_height"].astype(float)).astype(int)
    full = perfect.assign(predicted=[f"1 {n}" for n in area])
    assert case.score(full, 1) < 0.4
    assert case.score(full, 2) > case.score(full, 1)


@pytest.mark.parametrize(("edition", "row", "column"), [(1, 1, 3), (2, 1, 1)])
def test_runs_of_volumes_count_along_the_rows(edition, row, column, tmp_path):
    """A slice of 2 rows and 6 columns: pixel 8 is the second of the second row, or the second of the fourth column."""
    registry = Registry()
    competition = registry.competition("uw-madison-gi-tract-image-segmentation").in_edition(edition)
    grading = competition.spec.grading
    slices = pd.DataFrame({"id": ["case1_day1_slice_0001"], "class": ["stomach"], "predicted": ["1 1"]})
    slices.assign(image_width=6.0, image_height=2.0).to_csv(tmp_path / "test.csv", index=False)
    slices.assign(predicted="8 1").to_csv(tmp_path / "submission.csv", index=False)
    task = GradingTask(competition.id, edition, grading, tmp_path, tmp_path)
    distance = math.hypot(row / 2, column / 6) / math.sqrt(3)  # from pixel 1, in the first row and column
    score = registry.graders[grading.grader].grade(tmp_path / "submission.csv", task)
    assert score == pytest.approx(0.6 * (1 - distance), abs=1e-12)


def test_three_numbers_are_no_mask(both):
    case = both("vesuvius-challenge-ink-detection")
    odd = case.given("odd_count_two_starts")
    assert case.grade(odd, 1).valid
    assert "3 numbers" in case.grade(odd, 2).reason
    assert case.score(case.answers()[["Id", "Predicted"]]) == 1


def iou(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(w, 0) * max(h, 0)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def test_boxes_are_compared_by_their_corners_and_all_can_be_found(both):
    case = both("vinbigdata-chest-xray-abnormalities-detection")
    gold = [pd.read_csv(case.data[edition].private / "gold_submission.csv") for edition in (1, 2)]
    assert case.score(gold[0], 1) < 1
    assert case.score(gold[1]) == 1
    assert case.score(gold[1].iloc[::-1]) == 1

    away = case.given("shifted_by_full_width")  # no box touches a true one, but those of images without a finding
    assert case.score(away, 1) > 0.3
    assert case.score(away) <= 1 / case.answers()["class_id"].nunique() + 1e-5


def test_further_boxes_of_a_class_are_kept_once(both):
    case = both("vinbigdata-chest-xray-abnormalities-detection")
    box, keys = ["x_min", "y_min", "x_max", "y_max"], ["image_id", "class_id"]
    answers = case.answers(1)
    (first,) = answers[answers["class_id"] != "14"].head(1).to_dict("records")
    edges = {name: float(first[name]) for name in box}
    right = edges["x_max"] - edges["x_min"]
    again = {**first, **edges, "x_min": edges["x_min"] + right / 10}
    beside = {**first, **edges, "x_min": edges["x_max"] + right, "x_max": edges["x_max"] + 2 * right}
    raw = pd.read_csv(case.raw / "train.csv", dtype={"class_id": str})
    raw = pd.concat([raw, pd.DataFrame([again, beside])], ignore_index=True)
    raw.to_csv(case.raw / "train.csv", index=False)

    tables = {}
    for edition, competition in case.competitions.items():
        prepare(competition, case.root / "data", raw_dir=case.raw, verify=False, force=True)
        tables[edition] = case.answers(edition).astype(dict.fromkeys(box, float))
    assert len(tables[1]) == len(answers)
    assert len(tables[2]) == len(answers) + 1
    kept = {key: group[box].to_numpy().tolist() for key, group in tables[2].groupby(keys)}
    assert kept[first["image_id"], first["class_id"]] == [[edges[name] for name in box], [beside[name] for name in box]]
    for boxes in kept.values():
        assert all(iou(a, b) < 0.4 for a, b in combinations(boxes, 2))
    raw = raw[raw["image_id"].isin(tables[2]["image_id"]) & (raw["class_id"] != "14")]
    for row in raw.itertuples():
        found = (row.x_min, row.y_min, row.x_max, row.y_max)
        assert any(iou(found, other) >= 0.4 for other in kept[row.image_id, row.class_id])
    assert case.score(pd.read_csv(case.data[2].private / "gold_submission.csv")) == 1


def test_precision_depends_on_the_order_of_confidences_alone(both):
    case = both("siim-covid19-detection")
    noisy = case.given("noisy")

    def shifted(text):
        words = text.split()
        words[1::6] = [repr(float(word) - 10) for word in words[1::6]]
        return " ".join(words)

    lower = noisy.assign(PredictionString=noisy["PredictionString"].map(shifted))
    assert case.score(lower, 1) < case.score(noisy, 1)
    assert case.score(lower) == case.score(noisy)
    assert case.score(case.answers()) == 1


def test_overlapping_boxes_lose_no_hit_and_pages_are_limited(both):
    case = both("kuzushiji-recognition")
    assert "at most 1200" in case.grade(case.given("more_than_1200_on_a_page"), 2).reason
    assert case.grade(case.given("more_than_1200_on_a_page"), 1).valid
    answers = case.answers()
    answers.loc[0, "labels"] = "U+3042 0 0 100 100 U+3042 40 40 20 20"
    for edition in (1, 2):
        answers.to_csv(case.data[edition].private / "test.csv", index=False)
    none = answers.assign(labels="")
    none.loc[0, "labels"] = "U+3042 50 50 U+3042 1 1"
    boxes = answers["labels"].str.split().str.len().sum() / 5
    assert [case.score(none, edition) for edition in (1, 2)] == pytest.approx(
        [2 / (2 + boxes), 4 / (2 + boxes)], abs=1e-5
    )
    assert case.score(pd.read_csv(case.data[2].private / "gold_submission.csv")) > 0.9
