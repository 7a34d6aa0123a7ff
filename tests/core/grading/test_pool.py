"""Grading in child processes: limits hold, faults are told apart, nothing stays behind. See `misbehave` in conftest."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from mleb_core.competition import Competition
from mleb_core.errors import CompetitionError, GraderError, NotPreparedError, UnknownIdError, UsageError
from mleb_core.grading.child import child_environment
from mleb_core.grading.pool import GradingPool

pytestmark = pytest.mark.usefixtures("misbehaving_plugin")

GOOD = "id,y\na,1\nb,2\nc,3\n"


def doing(total):
    """A submission whose predictions sum to what the metric shall do."""
    return f"id,y\na,{total}\nb,0\nc,0\n"


@pytest.fixture
def pool():
    """A pool of one process, and a check that it leaves nothing behind."""
    before = set(psutil.Process().children(recursive=True))
    handles = open_handles()
    with GradingPool(time_limit_s=60, memory_bytes=1024**3) as pool:
        yield pool
    assert [c for c in psutil.Process().children(recursive=True) if c not in before] == []
    assert open_handles() <= handles


def open_handles():
    return len(list(Path("/proc/self/fd").iterdir()))


def worker_pid(pool, competition, submit, data_dir):
    return int(pool.grade(competition, submit(doing(111)), data_dir).score)


def test_grades_like_the_same_process_would(pool, competition, submit, data_dir):
    path = submit(GOOD)
    grade = pool.grade(competition, path, data_dir)
    assert (grade.competition, grade.valid, grade.score, grade.grader) == ("small", True, 1.0, "misbehave")
    assert (grade.submission_path, grade.higher_is_better) == (str(path), True)
    bad = pool.grade(competition, submit("id,y\na,1\nb,\nc,3\n"), data_dir)
    assert bad.reason == "row 2 (id 'b'), column 'y': the cell is empty; a number is expected"
    assert pool.grade(competition, path.with_name("none.csv"), data_dir).submission_exists is False


def test_validation_calls_no_metric(pool, competition, submit, data_dir):
    grade = pool.validate(competition, submit(doing(104)), data_dir)
    assert (grade.valid, grade.score) == (True, None)
    assert pool.validate(competition, submit("id,y\na,1\n"), data_dir).reason.startswith("2 ids are missing")


def test_editions_and_plain_folders(pool, competition, submit, data_dir):
    assert pool.grade(competition.in_edition(2), submit(GOOD), data_dir).competition == "small@2"


def test_relative_paths(pool, competition, submit, data_dir, tmp_path, monkeypatch):
    submit(GOOD)
    monkeypatch.chdir(tmp_path)
    relative = Competition(Path("pack/small"))
    grade = pool.grade(relative, Path("submission.csv"), Path("data"))
    assert (grade.score, grade.submission_path) == (1.0, "submission.csv")


def test_one_process_grades_many(pool, competition, submit, data_dir):
    pids = {worker_pid(pool, competition, submit, data_dir) for _ in range(5)}
    assert len(pids) == 1
    assert pids != {os.getpid()}


def test_a_process_is_renewed_after_its_share(competition, submit, data_dir):
    with GradingPool(recycle_after=2) as pool:
        pids = [worker_pid(pool, competition, submit, data_dir) for _ in range(5)]
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]


def test_a_changed_competition_and_changed_answers_are_seen(pool, competition, submit, data_dir):
    path = submit(GOOD)
    assert pool.grade(competition, path, data_dir).score == 1.0
    (data_dir / "small/prepared/private/answers.csv").write_text("id,y\na,1\nb,2\nc,33\n")
    assert pool.grade(competition, path, data_dir).score == 0.9
    toml = competition.folder / "competition.toml"
    toml.write_text(toml.read_text().replace('columns = { y = { type = "number" }', "columns = { y = { max = 2 }"))
    assert "is above 2" in pool.grade(Competition(competition.folder), path, data_dir).reason


# Hostile submissions and faulty graders


def test_an_endless_metric_is_stopped_and_the_submission_blamed(competition, submit, data_dir):
    with GradingPool(time_limit_s=2) as pool:
        before = worker_pid(pool, competition, submit, data_dir)
        grade = pool.grade(competition, submit(doing(101)), data_dir)
        assert (grade.valid, grade.grader_error, len(grade.sha256)) == (False, None, 64)
        assert "more than 2 s, which the sample submission does not" in grade.reason
        assert worker_pid(pool, competition, submit, data_dir) != before
        assert not psutil.pid_exists(before)


def test_a_grader_that_is_too_slow_for_the_sample_submission_is_to_blame(make_competition, submit, data_dir):
    slow = make_competition("slow", grader="slow")
    with GradingPool(time_limit_s=1) as pool:
        grade = pool.grade(slow, submit(GOOD), data_dir)
        assert (grade.valid, grade.reason) == (False, None)
        assert "more than 1 s" in grade.grader_error
        sample = pool.grade(slow, data_dir / "slow/prepared/public/sample_submission.csv", data_dir)
        assert sample.grader_error


def test_memory_is_limited(pool, competition, submit, data_dir):
    grade = pool.grade(competition, submit(doing(102)), data_dir)
    assert grade.grader_error is None
    assert "more than 1 GiB of memory" in grade.reason
    assert pool.grade(competition, submit(GOOD), data_dir).score == 1.0


def test_a_file_that_is_too_large_to_read_costs_only_itself(competition, data_dir, tmp_path):
    path = tmp_path / "large.csv"
    row = b"%0100d," + b"x" * 100 + b"\n"
    with path.open("wb") as stream:
        stream.write(b"id,y\n")
        for start in range(0, 1_500_000, 10_000):
            stream.write(b"".join(row % i for i in range(start, start + 10_000)))
    with GradingPool(memory_bytes=512 * 1024**2, time_limit_s=120) as pool:
        grade = pool.grade(competition, path, data_dir)
        path.write_text(GOOD)
        after = pool.grade(competition, path, data_dir)
    assert after.score == 1.0, after.reason or after.grader_error
    assert not grade.valid
    assert grade.grader_error is None
    assert "GiB of memory" in grade.reason


def test_a_sparse_file_of_3_gb(pool, competition, data_dir, tmp_path):
    path = tmp_path / "huge.csv"
    with path.open("wb") as stream:
        stream.truncate(3 * 1024**3)
    assert "too large" in pool.grade(competition, path, data_dir).reason


def test_a_fifo_does_not_block(pool, competition, data_dir, tmp_path):
    os.mkfifo(tmp_path / "fifo.csv")
    grade = pool.grade(competition, tmp_path / "fifo.csv", data_dir)
    assert (grade.submission_exists, grade.valid) == (True, False)
    assert "not a regular file" in grade.reason


@pytest.mark.parametrize(("what", "expected"), [(103, "SIGSEGV"), (104, "exit status 7")])
def test_a_process_that_dies_is_the_graders_fault(pool, competition, submit, data_dir, what, expected):
    grade = pool.grade(competition, submit(doing(what)), data_dir)
    assert (grade.valid, grade.reason, grade.score) == (False, None, None)
    assert expected in grade.grader_error
    assert "\n" not in grade.grader_error
    assert pool.grade(competition, submit(GOOD), data_dir).score == 1.0


def test_a_process_that_the_system_ends_ran_out_of_memory(pool, competition, submit, data_dir):
    assert "of memory" in pool.grade(competition, submit(doing(114)), data_dir).reason


def test_a_metric_that_writes_to_stdout_changes_nothing(pool, competition, submit, data_dir):
    before = worker_pid(pool, competition, submit, data_dir)
    assert pool.grade(competition, submit(doing(105)), data_dir).score == 0.25
    assert pool.grade(competition, submit(GOOD), data_dir).score == 1.0
    assert worker_pid(pool, competition, submit, data_dir) == before


def test_a_metric_that_forks_gives_one_reply(pool, competition, submit, data_dir):
    for _ in range(3):
        assert pool.grade(competition, submit(doing(106)), data_dir).score == 0.5
    assert pool.grade(competition, submit(GOOD), data_dir).score == 1.0


@pytest.mark.parametrize("what", [107, 116])
def test_processes_that_a_metric_leaves_behind_are_ended(competition, submit, data_dir, misbehaving_plugin, what):
    def ours():
        """Processes whose import path names this test's plugin, wherever they have gone."""
        found = set()
        for process in psutil.process_iter():
            try:
                path = process.environ().get("PYTHONPATH", "")
            except psutil.Error:
                continue
            if str(misbehaving_plugin) in path:
                found.add(process.pid)
        return found

    with GradingPool(time_limit_s=3) as pool:
        pid = worker_pid(pool, competition, submit, data_dir)
        assert ours() == {pid}
        pool.grade(competition, submit(doing(what)), data_dir)
        assert pid not in ours()
        assert len(ours()) <= 1  # the process that graded the sample submission
        assert pool.grade(competition, submit(GOOD), data_dir).score == 1.0
    assert ours() == set()


def test_exceptions_exits_and_scores_that_are_none(pool, competition, submit, data_dir):
    broken = pool.grade(competition, submit(doing(108)), data_dir)
    assert broken.grader_error == "grader misbehave failed on small: ValueError: broken in two lines"
    assert "SystemExit: 3" in pool.grade(competition, submit(doing(109)), data_dir).grader_error
    assert "no finite score" in pool.grade(competition, submit(doing(110)), data_dir).reason


def test_files_that_grading_code_writes_are_limited(pool, competition, submit, data_dir):
    assert "File too large" in pool.grade(competition, submit(doing(115)), data_dir).grader_error


def test_the_environment_holds_no_keys(pool, competition, submit, data_dir, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("MLEB_SOMETHING", "x")
    names = pool.grade(competition, submit(doing(112)), data_dir).grader_error
    assert "PATH" in names
    assert "PYTHONPATH" in names
    assert "KEY" not in names
    assert "MLEB" not in names
    assert set(child_environment({"AWS_SECRET_ACCESS_KEY": "x", "LC_ALL": "C"})) >= {"LC_ALL", "PYTHONPATH"}
    assert "AWS_SECRET_ACCESS_KEY" not in child_environment({"AWS_SECRET_ACCESS_KEY": "x"})


# Errors that are nobody's grade


def test_errors_keep_their_class_and_words(pool, competition, make_competition, submit, data_dir, tmp_path):
    path = submit(GOOD)
    with pytest.raises(NotPreparedError, match="mleb prepare -c small"):
        pool.grade(competition, path, tmp_path / "no-data")
    with pytest.raises(CompetitionError, match="since higher is better"):
        pool.grade(make_competition("lower", higher=False), path, data_dir)
    with pytest.raises(UnknownIdError, match="did you mean misbehave"):
        pool.grade(make_competition("typo", grader="misbehav"), path, data_dir)
    with pytest.raises(CompetitionError, match="is missing"):
        pool.grade(Competition(tmp_path / "nothing"), path, data_dir)
    assert pool.grade(competition, path, data_dir).score == 1.0


def test_a_pool_has_at_least_one_worker():
    with pytest.raises(UsageError):
        GradingPool(workers=0)


def test_a_process_that_does_not_come_up_is_a_grader_error(
    competition, submit, data_dir, misbehaving_plugin, monkeypatch
):
    (misbehaving_plugin / "misbehave_hooks.py").write_text("import os; os._exit(9)\n")
    with GradingPool() as pool:
        grade = pool.grade(competition, submit(GOOD), data_dir)
    assert grade.grader_error == "the grading process cannot be started: it ended with exit status 9"


# Concurrency and endings


def test_many_threads_share_few_processes(competition, tmp_path, data_dir):
    def one(number):
        path = tmp_path / f"s{number}.csv"
        path.write_text(f"id,y\na,{1 + number}\nb,2\nc,3\n")
        return pool.grade(competition, path, data_dir)

    with GradingPool(workers=2) as pool, ThreadPoolExecutor(8) as threads:
        grades = list(threads.map(one, range(60)))
        assert len(psutil.Process().children()) <= 2
    for number, grade in enumerate(grades):
        assert grade.score == round(1 - number / 300, 5)
        assert grade.submission_path.endswith(f"s{number}.csv")


def test_closing_ends_what_is_under_way(competition, submit, data_dir):
    pool = GradingPool(time_limit_s=600)
    pid = worker_pid(pool, competition, submit, data_dir)
    path = submit(doing(101))
    errors = []

    def grade():
        with pytest.raises(GraderError, match="the grading pool is closed") as caught:
            pool.grade(competition, path, data_dir)
        errors.append(caught.value)

    threads = [threading.Thread(target=grade) for _ in range(3)]  # one works, two wait
    for thread in threads:
        thread.start()
    while psutil.Process(pid).cpu_times().user == 0 or psutil.Process(pid).status() != psutil.STATUS_RUNNING:
        time.sleep(0.05)
    pool.close()
    for thread in threads:
        thread.join(timeout=30)
    assert len(errors) == 3
    assert not psutil.pid_exists(pid)
    pool.close()
    with pytest.raises(GraderError, match="closed"):
        pool.grade(competition, path, data_dir)


HARNESS = """
import sys, threading
from pathlib import Path
from mleb_core.competition import Competition
from mleb_core.grading.pool import GradingPool
folder, good, endless, data = map(Path, sys.argv[1:])
pool = GradingPool(time_limit_s=600)
print(int(pool.grade(Competition(folder), good, data).score), flush=True)
pool.grade(Competition(folder), endless, data)
"""


def test_processes_end_with_a_harness_that_is_killed(competition, submit, data_dir):
    arguments = [competition.folder, submit(doing(111), "pid.csv"), submit(doing(101), "endless.csv"), data_dir]
    harness = subprocess.Popen(
        [sys.executable, "-c", HARNESS, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with harness:
        worker = psutil.Process(int(harness.stdout.readline()))
        assert worker.ppid() == harness.pid
        harness.send_signal(signal.SIGKILL)
    worker.wait(timeout=60)
