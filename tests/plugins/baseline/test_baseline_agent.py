"""The baseline agent on each kind of task: the submission is valid and far better than a constant."""

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, log_loss, r2_score, roc_auc_score

from mleb_core.testing import AgentContract

RNG = np.random.default_rng(7)
Run = Callable[..., Any]


class TestContract(AgentContract):
    id = "baseline"
    settings = {"models": "linear", "max_seconds": 30}


def write(root: Path, train: pd.DataFrame, test: pd.DataFrame | None, sample: pd.DataFrame, metric: str) -> Path:
    data = root / "data"
    data.mkdir(exist_ok=True)
    train.to_csv(data / "train.csv", index=False)
    if test is not None:
        test.to_csv(data / "test.csv", index=False)
    sample.to_csv(data / "sample_submission.csv", index=False)
    (data / "description.md").write_text(
        f"# Made\n\nSome data.\n\n## Evaluation\n\nSubmissions are scored by {metric}.\n"
    )
    return data


def mixed(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Numbers, categories, dates and missing values, and a signal in them."""
    a, b = RNG.normal(size=rows), RNG.normal(size=rows)
    colour = RNG.choice(["red", "green", "blue"], rows)
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 700, rows), "D")
    signal = 2 * a + b + 2.5 * (colour == "red") - 1
    table = pd.DataFrame({"a": a, "b": b, "colour": colour, "day": day.strftime("%Y-%m-%d"), "same": 1})
    table.loc[RNG.random(rows) < 0.1, "b"] = np.nan
    table.loc[RNG.random(rows) < 0.1, "colour"] = None
    table.insert(0, "id", [f"r{k:04d}" for k in RNG.permutation(rows)])
    return table, signal


def halves(table: pd.DataFrame, **targets: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Train with targets, test without, and the truth of test."""
    whole = table.assign(**targets)
    cut = len(table) * 2 // 3
    return whole[:cut], table[cut:].reset_index(drop=True), whole[cut:].reset_index(drop=True)


def submitted(done, sample: pd.DataFrame) -> pd.DataFrame:
    """The submission, which must have the columns, rows and ids of the sample."""
    assert done.code == 0, done.output
    table = done.submission
    assert list(table.columns) == list(sample.columns)
    assert list(table.iloc[:, 0]) == list(sample.iloc[:, 0].astype(str))
    assert not (table == "").any(axis=None)
    return table


def test_probabilities_of_a_binary_target(tmp_path: Path, run_baseline: Run) -> None:
    table, signal = mixed(450)
    train, test, truth = halves(table, target=(signal > 0).astype(int))
    sample = test[["id"]].assign(target=0.5).sample(frac=1, random_state=1)
    write(tmp_path, train, test, sample, "area under the ROC curve")
    table = submitted(run_baseline(), sample)
    probability = table["target"].astype(float)
    assert probability.between(0, 1).all()
    known = truth.set_index("id")["target"].loc[list(table["id"])]
    assert roc_auc_score(known, probability) > 0.93


def test_labels_in_the_spelling_of_the_sample(tmp_path: Path, run_baseline: Run) -> None:
    table, signal = mixed(450)
    train, test, truth = halves(table, good=(signal > 0).astype(int))
    sample = test[["id"]].assign(good=False)
    write(tmp_path, train, test, sample, "accuracy")
    labels = submitted(run_baseline(), sample)["good"]
    assert set(labels) == {"True", "False"}
    assert accuracy_score(truth["good"] == 1, labels == "True") > 0.85


def test_labels_of_many_classes(tmp_path: Path, run_baseline: Run) -> None:
    table, signal = mixed(450)
    names = np.array(["low end", "middle", "top, really"])
    train, test, truth = halves(table, kind=names[np.digitize(signal, [-1.5, 1.5])])
    sample = test[["id"]].assign(kind="middle")
    write(tmp_path, train, test, sample, "macro F1")
    labels = submitted(run_baseline(), sample)["kind"]
    assert set(labels) <= set(names)
    assert accuracy_score(truth["kind"], labels) > 0.7 > (truth["kind"] == "middle").mean() + 0.1


def test_a_probability_column_for_each_class(tmp_path: Path, run_baseline: Run) -> None:
    table, signal = mixed(450)
    train, test, truth = halves(table, kind=np.array(["A", "B", "C"])[np.digitize(signal, [-1.5, 1.5])])
    sample = test[["id"]].assign(kind_C=0.3, kind_A=0.3, kind_B=0.4)
    write(tmp_path, train, test, sample, "multi-class log loss")
    table = submitted(run_baseline(), sample)
    columns = table[["kind_A", "kind_B", "kind_C"]].astype(float)
    assert np.allclose(columns.sum(axis=1), 1, atol=1e-6)
    assert log_loss(truth["kind"], columns, labels=["A", "B", "C"]) < 0.7


def test_one_hot_targets(tmp_path: Path, run_baseline: Run) -> None:
    table, signal = mixed(300)
    kind = np.digitize(signal, [-1.5, 1.5])
    train, test, truth = halves(table, x=(kind == 0) * 1, y=(kind == 1) * 1, z=(kind == 2) * 1)
    sample = test[["id"]].assign(x=0.3, y=0.3, z=0.4)
    write(tmp_path, train, test, sample, "log loss")
    columns = submitted(run_baseline(), sample)[["x", "y", "z"]].astype(float)
    assert np.allclose(columns.sum(axis=1), 1, atol=1e-6)
    assert (columns.to_numpy().argmax(axis=1) == truth[["x", "y", "z"]].to_numpy().argmax(axis=1)).mean() > 0.7


def test_numbers(tmp_path: Path, run_baseline: Run) -> None:
    table, signal = mixed(450)
    train, test, truth = halves(table, price=np.expm1(3 + 0.3 * signal))
    sample = test[["id"]].assign(price=0)
    write(tmp_path, train, test, sample, "root mean squared logarithmic error (RMSLE)")
    done = run_baseline()
    prices = submitted(done, sample)["price"].astype(float)
    assert prices.between(train["price"].min() - 1e-6, train["price"].max() + 1e-6).all()
    assert r2_score(np.log1p(truth["price"]), np.log1p(prices)) > 0.6
    assert done.journal["task"]["metric"] == "rmsle"


def test_several_numbers(tmp_path: Path, run_baseline: Run) -> None:
    table, signal = mixed(300)
    train, test, truth = halves(table, up=signal * 3, down=50 - signal)
    train = train.assign(down=train["down"].where(np.arange(len(train)) % 10 > 0))
    sample = test[["id"]].assign(up=0.0, down=50.0)
    write(tmp_path, train, test, sample, "mean columnwise RMSE")
    table = submitted(run_baseline(), sample)
    assert r2_score(truth["up"], table["up"].astype(float)) > 0.6
    assert r2_score(truth["down"], table["down"].astype(float)) > 0.6


def test_several_labels_a_row(tmp_path: Path, run_baseline: Run) -> None:
    table, signal = mixed(300)
    train, test, truth = halves(table, first=(signal > 0) * 1, second=(table["a"].to_numpy() < 0) * 1)
    sample = test[["id"]].assign(first=0.5, second=0.5)
    write(tmp_path, train, test, sample, "mean column-wise ROC AUC")
    table = submitted(run_baseline(), sample)
    assert roc_auc_score(truth["first"], table["first"].astype(float)) > 0.9
    assert roc_auc_score(truth["second"], table["second"].astype(float)) > 0.9


def test_ordered_grades(tmp_path: Path, run_baseline: Run) -> None:
    table, signal = mixed(450)
    train, test, truth = halves(table, grade=np.digitize(signal, [-2.5, -0.8, 0.8, 2.5]) + 1)
    sample = test[["id"]].assign(grade=3)
    write(tmp_path, train, test, sample, "quadratic weighted kappa")
    grades = submitted(run_baseline(), sample)["grade"]
    assert set(grades) <= set("12345")
    assert np.corrcoef(truth["grade"], grades.astype(int))[0, 1] > 0.75


def test_text_with_tables_in_zips(tmp_path: Path, run_baseline: Run) -> None:
    words = {
        "sea": ["wave", "ship", "sail", "harbour", "tide", "fish"],
        "hill": ["rock", "peak", "climb", "snow", "sheep", "path"],
    }
    both = ["and", "the", "of", "with", "under", "over", "here", "there"]
    kind = RNG.choice(list(words), 300)
    texts = [" ".join([*RNG.choice(words[k], 2), *RNG.choice(both, 5)]) for k in kind]
    table = pd.DataFrame({"key": np.arange(300), "text": texts})
    train, test, truth = halves(table, place=kind)
    sample = test[["key"]].assign(place="sea")
    data = write(tmp_path, train, test, sample, "accuracy")
    for name in ("train.csv", "test.csv", "sample_submission.csv"):
        with zipfile.ZipFile(data / f"{name}.zip", "w") as archive:
            archive.write(data / name, name)
        (data / name).unlink()
    labels = submitted(run_baseline(models=["linear"]), sample)["place"]
    assert accuracy_score(truth["place"], labels) > 0.95


def pictures(folder: Path, count: int) -> np.ndarray:
    """Squares (0) and crosses (1) at random places, as PNG files named by number."""
    folder.mkdir(parents=True)
    kinds = RNG.integers(0, 2, count)
    for k, kind in enumerate(kinds):
        pixels = RNG.integers(0, 60, (24, 24), dtype=np.uint8)
        y, x = RNG.integers(3, 12, 2)
        if kind == 0:
            pixels[y : y + 8, x : x + 8] = 220
        else:
            pixels[y + 3 : y + 5, x : x + 8] = 220
            pixels[y : y + 8, x + 3 : x + 5] = 220
        Image.fromarray(pixels).save(folder / f"{k:03d}.png")
    return kinds


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_images_by_id_without_a_test_table(tmp_path: Path, run_baseline: Run, packed: bool) -> None:
    train_kinds = pictures(tmp_path / "data" / "train", 160)
    test_kinds = pictures(tmp_path / "data" / "test", 60)
    train = pd.DataFrame({"id": [f"{k:03d}" for k in range(160)], "is_cross": train_kinds})
    sample = pd.DataFrame({"id": [f"{k:03d}" for k in range(60)], "is_cross": 0.5})
    data = write(tmp_path, train, None, sample, "log loss")
    if packed:
        for part in ("train", "test"):
            with zipfile.ZipFile(data / f"{part}.zip", "w") as archive:
                for path in sorted((data / part).iterdir()):
                    archive.write(path, path.name)
                    path.unlink()
            (data / part).rmdir()
    done = run_baseline(models=["linear", "svm"])
    assert roc_auc_score(test_kinds, submitted(done, sample)["is_cross"].astype(float)) > 0.9


def test_images_whose_folders_are_the_classes(tmp_path: Path, run_baseline: Run) -> None:
    kinds = pictures(tmp_path / "data" / "train", 160)
    for k, kind in enumerate(kinds):
        target = tmp_path / "data" / "train" / ("square", "cross")[kind] / f"{k:03d}.png"
        target.parent.mkdir(exist_ok=True)
        (tmp_path / "data" / "train" / f"{k:03d}.png").rename(target)
    test_kinds = pictures(tmp_path / "data" / "test", 60)
    sample = pd.DataFrame({"file": [f"{k:03d}.png" for k in range(60)], "shape": "cross"})
    sample.to_csv(tmp_path / "data" / "sample_submission.csv", index=False)
    shapes = submitted(run_baseline(models=["linear", "svm"]), sample)["shape"]
    assert accuracy_score(np.array(["square", "cross"])[test_kinds], shapes) > 0.8


def test_ids_only_in_the_sample_and_nothing_to_see_hands_in_the_best_constant(
    tmp_path: Path, run_baseline: Run
) -> None:
    train = pd.DataFrame({"id": range(90), "x": RNG.normal(size=90), "y": np.r_[np.zeros(30), np.full(60, 8.0)]})
    sample = pd.DataFrame({"id": range(90, 120), "y": 1})
    write(tmp_path, train, None, sample, "mean absolute error")
    assert set(submitted(run_baseline(), sample)["y"].astype(float)) == {8.0}


def test_one_seed_gives_one_submission(tmp_path: Path, run_baseline: Run) -> None:
    table, signal = mixed(150)
    train, test, _ = halves(table, target=signal)
    write(tmp_path, train, test, test[["id"]].assign(target=0.0), "RMSE")
    first = run_baseline(seed=3).submission
    assert first.equals(run_baseline(seed=3).submission)
    assert not first.equals(run_baseline(seed=4).submission)


def test_leaves_a_journal_and_a_solution_that_makes_the_submission_again(
    tmp_path: Path, run_baseline: Run, agent_environment: Callable[..., dict[str, str]]
) -> None:
    table, signal = mixed(150)
    train, test, _ = halves(table, target=signal)
    write(tmp_path, train, test, test[["id"]].assign(target=0.0), "RMSE")
    done = run_baseline(models=["linear"])
    trials = done.journal["trials"]
    assert trials[0]["name"] == "constant"
    assert any(trial["kept"] for trial in trials[1:])
    assert min(t["score"] for t in trials[1:] if t["score"] is not None) < trials[0]["score"] / 1.5
    handed_in = tmp_path / "submission" / "submission.csv"
    before = handed_in.read_bytes()
    handed_in.unlink()
    solution = [sys.executable, str(tmp_path / "code" / "solution.py")]
    subprocess.run(solution, env=agent_environment(models=["linear"]), check=True, stdout=subprocess.DEVNULL)
    assert handed_in.read_bytes() == before
