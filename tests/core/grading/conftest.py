"""A small competition on disk, and a plugin distribution whose metrics misbehave on demand."""

import json
from pathlib import Path

import pytest

from mleb_core.competition import Competition
from mleb_core.competition_spec import Grading
from mleb_core.errors import GraderError, InvalidSubmissionError
from mleb_core.grading.protocol import GradingTask
from mleb_core.grading.table import TableGrader
from mleb_core.layout import CompetitionData

ANSWERS = "id,y\na,1\nb,2\nc,3\n"

TOML = """
id = "{id}"
title = "A small competition"
category = "tabular"
source = {{ kind = "python" }}

[leaderboard]
higher_is_better = {higher}
teams = 10
gold = {gold}
silver = {silver}
bronze = {bronze}
median = 0.5

[grading]
grader = "{grader}"
id = ["id"]
columns = {{ y = {{ type = "number" }} }}

[grading.options]
{options}

[editions.2.grading]
grader = "{grader}"
"""


def write_competition(folder, *, grader="misbehave", options="", higher=True):
    """A competition folder; its name is the id."""
    folder.mkdir(parents=True)
    gold, silver, bronze = (0.9, 0.8, 0.7) if higher else (0.1, 0.2, 0.3)
    (folder / "competition.toml").write_text(
        TOML.format(
            id=folder.name,
            grader=grader,
            options=options,
            higher=str(higher).lower(),
            gold=gold,
            silver=silver,
            bronze=bronze,
        )
    )
    (folder / "description.md").write_text("Predict y.\n")
    (folder / "prepare.py").write_text("def prepare(context): ...\n")
    return Competition(folder)


def write_data(data_dir, label, answers=ANSWERS, sample="id,y\na,0\nb,0\nc,0\n"):
    """Prepared data of a competition."""
    data = CompetitionData.of(data_dir, label)
    data.public.mkdir(parents=True)
    data.private.mkdir(parents=True)
    (data.private / "answers.csv").write_text(answers)
    (data.public / "sample_submission.csv").write_text(sample)
    data.manifest.write_text("{}")
    return data


@pytest.fixture
def data_dir(tmp_path):
    """A data directory."""
    return tmp_path / "data"


@pytest.fixture
def competition(tmp_path, data_dir):
    """A competition whose grader does what the sum of the predictions says: see `misbehave.py` below."""
    write_data(data_dir, "small")
    write_data(data_dir, "small@2")
    return write_competition(tmp_path / "pack" / "small")


@pytest.fixture
def submit(tmp_path):
    """Writes a submission and gives its path."""

    def submit(content, name="submission.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return submit


@pytest.fixture
def grade(tmp_path, submit):
    """Grades a submission against answers with a TableGrader around `metric`; gives the score."""

    def grade(submission, answers=ANSWERS, *, metric=None, validate=False, sample=None, column=None, **grading):
        public, private = tmp_path / "public", tmp_path / "private"
        public.mkdir(exist_ok=True)
        private.mkdir(exist_ok=True)
        (private / "answers.csv").write_text(answers)
        if sample is not None:
            (public / "sample_submission.csv").write_text(sample)
        task = GradingTask("tiny", 1, Grading(grader="g", **grading), public, private)
        grader = TableGrader("g", metric or mean_error, False, "Mean absolute error.", column)
        path = submission if isinstance(submission, Path) else submit(submission)
        return grader.validate(path, task) if validate else grader.grade(path, task)

    return grade


def mean_error(truth, predicted):
    """Mean absolute error."""
    return float(abs(truth - predicted).mean())


class Seen:
    """A metric that keeps what it is given."""

    def __call__(self, truth, predicted, **options):
        self.truth, self.predicted, self.options = truth, predicted, options
        return 0.5


@pytest.fixture
def seen():
    """A metric that keeps what it is given as `truth`, `predicted` and `options`."""
    return Seen()


@pytest.fixture
def refusal(grade):
    """The one line with which a submission is refused, by validate and grade alike."""

    def refusal(*arguments, **named):
        with pytest.raises(InvalidSubmissionError) as caught:
            grade(*arguments, **named)
        with pytest.raises(InvalidSubmissionError) as validated:
            grade(*arguments, validate=True, **named)
        assert str(validated.value) == str(caught.value)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return refusal


@pytest.fixture
def fault(grade):
    """The one line that says what is wrong with a grader or with the answers."""

    def fault(*arguments, **named):
        with pytest.raises(GraderError) as caught:
            grade(*arguments, **named)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return fault


@pytest.fixture
def three_rows():
    """A submission with rows a, b and c, from three cells with commas between."""

    def three_rows(cells):
        return "id,y\n" + "".join(f"{id},{cell}\n" for id, cell in zip("abc", cells.split(","), strict=True))

    return three_rows


MISBEHAVE = """
import ctypes, os, signal, subprocess, sys, time

def metric(truth, predicted, **options):
    total = predicted.sum()
    if total < 100:
        return 1 - abs(truth - predicted).mean() / 100
    if total == 101:
        while True: pass
    if total == 102:
        kept = []
        while True: kept.append(bytearray(1 << 24))
    if total == 103:
        ctypes.string_at(0)
    if total == 104:
        os._exit(7)
    if total == 105:
        print('{"id": 1}' * 1000, flush=True); sys.stdout.close(); os.write(1, b"noise" * 5000)
        print("to stderr", file=sys.stderr)
        return 0.25
    if total == 106:
        os.fork()
        return 0.5
    if total == 107:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True,
                         stdout=subprocess.DEVNULL)
        if os.fork() == 0:
            os.setsid()
            time.sleep(600)
        return 0.5
    if total == 108:
        raise ValueError("broken\\nin two lines")
    if total == 109:
        sys.exit(3)
    if total == 110:
        return float("nan")
    if total == 111:
        return float(os.getpid())
    if total == 112:
        raise RuntimeError(" ".join(sorted(os.environ)))
    if total == 113:
        time.sleep(1)
        return 1.0
    if total == 114:
        os.kill(os.getpid(), signal.SIGKILL)
    if total == 115:
        with open(os.path.join(os.environ.get("TMPDIR", "/tmp"), "mleb-grading-big-%d" % os.getpid()), "wb") as f:
            os.unlink(f.name)
            for _ in range(1000): f.write(bytes(1 << 20))
        return 1.0
    if total == 116:
        subprocess.Popen(["sleep", "600"])
        while True: pass
    raise AssertionError(total)

def always_slow(truth, predicted):
    time.sleep(600)
"""

HOOKS = """
from mleb_core import hookimpl

@hookimpl
def mleb_register_graders():
    from mleb_core.grading.table import TableGrader
    return [
        TableGrader("misbehave", "misbehave_metrics:metric", True, "Does what the sum of the predictions says."),
        TableGrader("slow", "misbehave_metrics:always_slow", True, "Never ends."),
    ]
"""


@pytest.fixture
def misbehaving_plugin(tmp_path, monkeypatch):
    """An installed distribution, as discovery sees it: a folder on sys.path with a .dist-info."""
    site = tmp_path / "site"
    info = site / "misbehave-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "misbehave_metrics.py").write_text(MISBEHAVE)
    (site / "misbehave_hooks.py").write_text(HOOKS)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: misbehave\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mleb]\nmisbehave = misbehave_hooks\n")
    (info / "RECORD").write_text("")
    (info / "direct_url.json").write_text(json.dumps({"url": site.as_uri(), "dir_info": {}}))
    monkeypatch.syspath_prepend(str(site))
    return site


@pytest.fixture
def make_competition(tmp_path, data_dir):
    """Writes further competitions with their data."""

    def make(id, **fields):
        write_data(data_dir, id)
        return write_competition(tmp_path / "pack" / id, **fields)

    return make
