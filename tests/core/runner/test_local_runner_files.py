"""The log and the directory of a run, whatever its agent does to them."""

import hashlib
import os
import re
from typing import Any

import pytest

from mleb_core import SandboxError
from mleb_core.run import RunStatus
from mleb_core.runner.local import LocalRunner
from mleb_core.runner.protocol import Stop

SUBMIT = """
import os, shutil
shutil.copy(os.environ["MLEB_DATA"] + "/sample_submission.csv", os.environ["MLEB_SUBMISSION"] + "/submission.csv")
"""


def run(job: Any, stop: Stop | None = None) -> Any:
    return LocalRunner().run(job, stop or Stop())


def test_the_log_is_whole_to_the_byte(make_job: Any) -> None:
    code = """
import hashlib, os
block = os.urandom(1 << 20)
digest = hashlib.sha256()
for n in range(300):
    part = bytes([n % 256]) + block
    digest.update(part)
    view = memoryview(part)
    while view:
        view = view[os.write(1 + n % 2, view):]
open(os.environ["MLEB_LOGS"] + "/digest", "w").write(digest.hexdigest())
"""
    job = make_job(code)
    assert run(job).status is RunStatus.FINISHED
    digest = hashlib.sha256()
    with job.layout.log.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    assert digest.hexdigest() == (job.layout.logs / "digest").read_text()
    job.layout.log.unlink()


def test_a_log_beyond_its_limit_is_cut_and_says_so(make_job: Any) -> None:
    code = """
import os, time
for n in range(400):
    os.write(1, b'x' * 9999 + b'\\n')
    time.sleep(0.001)
os.write(2, b'the end')
"""
    job = make_job(code, log_bytes=100_003)
    assert run(job).status is RunStatus.FINISHED
    content = job.layout.log.read_bytes()
    assert content[:100_003] == ((b"x" * 9999 + b"\n") * 11)[:100_003]
    told = re.fullmatch(rb"\n--- cut at 100003 bytes; at least (\d+) bytes were dropped ---\n", content[100_003:])
    assert told is not None and 0 < int(told[1]) <= 4_000_007 - 100_003


def test_a_second_attempt_adds_to_the_log_and_replaces_the_rest(make_job: Any) -> None:
    job = make_job(
        SUBMIT + "import os; os.write(1, b'first, no end of line')\nopen(os.environ['MLEB_CODE'] + '/a', 'w')"
    )
    run(job)
    job = make_job("print('second')")
    run(job)
    first, between, second = job.layout.log.read_text().splitlines()
    assert (first, second) == ("first, no end of line", "second")
    assert between.startswith("--- another attempt, 20")
    assert not job.layout.submission.exists() and not list(job.layout.code.iterdir())


@pytest.mark.parametrize(
    "trick",
    [
        "os.unlink(log)",
        "os.unlink(log); os.symlink('/etc/passwd', log)",
        "os.unlink(log); os.mkdir(log)",
        "os.rename(log, log + '2')",
        "os.unlink(log); os.mkfifo(log)",
    ],
)
def test_an_agent_that_takes_its_log_away(make_job: Any, trick: str) -> None:
    code = "import os\nlog = os.environ['HOME'] + '/../../agent.log'\n"
    code += f"os.write(1, b'before ')\n{trick}\nos.write(1, b'after')"
    job = make_job(code)
    outcome = run(job)
    assert job.layout.log.read_bytes() == b"before after"
    assert not job.layout.log.is_symlink()
    assert outcome.refused == ("agent.log: the agent had put something else in its place; the log is whole",)


def test_a_run_directory_that_an_agent_spoilt_is_used_again(make_job: Any) -> None:
    job = make_job(SUBMIT)
    job.layout.work.symlink_to("/etc")
    job.layout.log.mkdir()
    job.layout.code.write_text("a file")
    os.mkfifo(job.layout.submission_dir)
    assert run(job).status is RunStatus.FINISHED
    assert job.layout.submission.is_file() and job.layout.code.is_dir() and job.layout.log.is_file()


def test_a_broken_record_is_no_obstacle(make_job: Any) -> None:
    for content in (b"", b"{}", b"[1]", b'{"run_id": 3}', b'{"run_id": "%s", "boot": "", "known": 1}' % (b"0" * 32)):
        job = make_job("pass")
        job.layout.work.mkdir()
        job.layout.work_record.write_bytes(content)
        assert run(job).status is RunStatus.FINISHED


def test_places_that_break_are_no_fault_of_the_agent(make_job: Any) -> None:
    job = make_job(SUBMIT)
    job.layout.root.rmdir()
    with pytest.raises(
        SandboxError, match=r"^the agent's place cannot be made: /.*/run/work: No such file or directory$"
    ):
        run(job)
    job.layout.root.write_text("a file")
    with pytest.raises(SandboxError, match="Not a directory"):
        run(job)


@pytest.mark.parametrize("spoil", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), os.mkdir])
def test_a_record_that_was_made_a_trap(make_job: Any, spoil: Any) -> None:
    job = make_job(SUBMIT)
    job.layout.work.mkdir()
    spoil(job.layout.work_record)
    assert run(job).status is RunStatus.FINISHED
    job.layout.work.write_text("a file in place of the directory")
    assert run(job).status is RunStatus.FINISHED
