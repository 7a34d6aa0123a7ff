"""The baseline agent when it is stopped, short of time, or given broken data; and its launch."""

import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from mleb_baseline.metric import Metric, find_metric
from mleb_baseline.scaffold import Baseline
from mleb_core import AgentPaths, LaunchContext, UsageError

Run = Callable[..., Any]


def make(root: Path, rows: int = 4000) -> pd.DataFrame:
    """A regression that keeps the agent busy for a while; returns the sample."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.normal(size=(rows, 20)), columns=[f"x{k}" for k in range(20)])
    table.insert(0, "id", range(rows))
    data = root / "data"
    data.mkdir()
    half = rows // 2
    table.assign(y=table["x1"] * 3 + table["x2"] ** 2)[:half].to_csv(data / "train.csv", index=False)
    table[half:].to_csv(data / "test.csv", index=False)
    sample = table[["id"]][half:].assign(y=0)
    sample.to_csv(data / "sample_submission.csv", index=False)
    return sample


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_midway_leaves_the_best_so_far(
    tmp_path: Path, agent_environment: Callable[..., dict[str, str]], name: str
) -> None:
    sample = make(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "mleb_baseline"], env=agent_environment(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if ": ridge" in line:
            process.send_signal(getattr(signal, name))
            break
    seen += list(process.stdout)
    process.stdout.close()
    assert process.wait() == 0
    assert seen[-1] == f"asked to stop ({name}): the best submission so far is on disk\n"
    submission = pd.read_csv(tmp_path / "submission" / "submission.csv")
    assert list(submission["id"]) == list(sample["id"])
    assert submission["y"].std() > 1
    assert [p.name for p in (tmp_path / "submission").iterdir()] == ["submission.csv"]


def test_keeps_its_time_limit_by_itself(tmp_path: Path, run_baseline: Run) -> None:
    make(tmp_path)
    done = run_baseline(time_limit=7, models=["forest", "boosting", "svm", "linear"])
    assert done.code == 0
    assert "Traceback" not in done.output
    assert len(done.submission) == 2000
    left_out = [t for t in done.journal["trials"] if "too slow" in t["note"]]
    assert left_out or "time is up" in done.output or len(done.journal["trials"]) < 10


def test_a_setting_may_shorten_the_time(tmp_path: Path, run_baseline: Run) -> None:
    make(tmp_path)
    done = run_baseline(max_seconds=0.5)
    assert "time is up" in done.output
    assert done.code in (0, 1)
    assert done.code == (0 if (tmp_path / "submission" / "submission.csv").exists() else 1)


def test_no_sample_submission_is_one_line_and_exit_code_1(tmp_path: Path, run_baseline: Run) -> None:
    make(tmp_path)
    (tmp_path / "data" / "sample_submission.csv").unlink()
    done = run_baseline()
    assert done.code == 1
    assert len(done.output.splitlines()) == 1
    assert "no sample submission" in done.output


@pytest.mark.parametrize(
    "content",
    [
        b"id,y,x1\n",
        b"",
        b"\x00\x01\x02\xff" * 99,
        b'id,y\n1,2,3,4\n5\n"',
        b"id,y,x1\n1,,2\n2,,3\n",
        b"id,y,x1\n1,5,2\n2,5,3\n",
    ],
    ids=["no rows", "empty", "binary", "ragged", "no targets", "one value"],
)
def test_a_broken_train_table_leaves_a_valid_submission(tmp_path: Path, run_baseline: Run, content: bytes) -> None:
    sample = make(tmp_path, 60)
    (tmp_path / "data" / "train.csv").write_bytes(content)
    done = run_baseline()
    assert done.code == 0, done.output
    assert list(done.submission["id"]) == list(sample["id"].astype(str))
    assert done.submission["y"].str.fullmatch(r"-?\d+(\.\d+)?").all()


def test_a_broken_zip_beside_good_tables_does_no_harm(tmp_path: Path, run_baseline: Run) -> None:
    make(tmp_path, 200)
    (tmp_path / "data" / "images.zip").write_bytes(b"PK\x03\x04 torn")
    with zipfile.ZipFile(tmp_path / "data" / "more.zip", "w") as archive:
        archive.writestr("a/b.csv", b"\xff\xfe\x00")
    done = run_baseline(models=["linear"])
    assert done.code == 0
    assert done.submission["y"].astype(float).std() > 1


def test_a_submission_directory_that_cannot_be_written(tmp_path: Path, run_baseline: Run) -> None:
    make(tmp_path, 60)
    (tmp_path / "submission").mkdir()
    (tmp_path / "submission" / ".submission.csv.part").mkdir()
    done = run_baseline()
    assert done.code == 1
    assert "stopped by IsADirectoryError" in done.output


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("## Evaluation\nSubmissions are scored on accuracy.", "accuracy"),
        ("Uses accuracy of sensors.\n## Evaluation\nRoot Mean Squared Logarithmic Error (RMSLE)", "rmsle"),
        ("# Metric\nmean column-wise root mean squared error", "rmse"),
        ("evaluated on area under the ROC curve between", "auc"),
        ("## Metric\nQuadratic weighted kappa, agreement; accuracy is not it", "kappa"),
        ("scored using multi-class logarithmic loss", "log_loss"),
        ("The metric is the macro F1 score", "f1_macro"),
        ("Evaluation: Matthews correlation coefficient (MCC)", "mcc"),
        ("## Metric\nMean absolute error, in minutes", "mae"),
        ("Nothing said.", None),
    ],
)
def test_reads_the_metric_from_a_description(text: str, name: str | None) -> None:
    found = find_metric(text)
    assert (found.name if found else None) == name


def test_metrics_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth, guess = rng.integers(0, 4, 300), rng.integers(0, 4, 300)
    pairs = {
        "accuracy": sk.accuracy_score, "balanced_accuracy": sk.balanced_accuracy_score, "mcc": sk.matthews_corrcoef,
        "kappa": lambda t, p: sk.cohen_kappa_score(t, p, weights="quadratic"),
        "f1_macro": lambda t, p: sk.f1_score(t, p, average="macro"),
    }  # fmt: skip
    for name, function in pairs.items():
        assert Metric(name).score(truth, guess) == pytest.approx(function(truth, guess)), name
    assert Metric("f1").score(truth % 2, guess % 2) == pytest.approx(sk.f1_score(truth % 2, guess % 2))
    probability = rng.dirichlet(np.ones(4), 300)
    assert Metric("log_loss").score(truth, probability) == pytest.approx(sk.log_loss(truth, probability))
    y, p = rng.exponential(size=300), rng.exponential(size=300)
    assert Metric("rmsle").score(y, p) == pytest.approx(sk.root_mean_squared_log_error(y, p))
    assert Metric("r2").score(y, p) == pytest.approx(sk.r2_score(y, p))


def context(**changes: Any) -> LaunchContext:
    place = PurePosixPath("/x")
    given: dict[str, Any] = {"variant": None, "model": None, "settings": {}} | changes
    return LaunchContext(
        competition_id="c", seed=0, time_limit_s=1, step_limit=None, python="py",
        paths=AgentPaths(place, place, place, place, place, place), **given,
    )  # fmt: skip


def test_settings_travel_in_the_environment() -> None:
    launch = Baseline().launch(context(settings={"models": "linear, svm", "max_seconds": "5"}))
    assert list(launch.argv) == ["py", "-m", "mleb_baseline"]
    assert launch.env == {"MLEB_SETTINGS": '{"max_seconds": 5.0, "models": ["linear", "svm"], "n_jobs": 1}'}
    plain = Baseline().launch(context()).env
    assert plain == {"MLEB_SETTINGS": '{"max_seconds": null, "models": null, "n_jobs": 1}'}


@pytest.mark.parametrize(
    "change", [{"variant": "x"}, {"model": "m"}, {"settings": {"speed": 1}}, {"settings": {"models": "magic"}}]
)
def test_refuses_what_it_does_not_have(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"the agent baseline|^setting agent\.\w+.* of baseline: ") as caught:
        Baseline().launch(context(**change))
    assert "\n" not in str(caught.value)


def test_its_hooks_import_nothing_heavy() -> None:
    heavy = "{'numpy', 'pandas', 'sklearn', 'pydantic', 'PIL'}"
    code = f"import sys, mleb_baseline.hooks, mleb_dummy.hooks; print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
