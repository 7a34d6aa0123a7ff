"""What every runner must keep."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mleb_core.agent import Image, Launch, LaunchContext
from mleb_core.layout import CompetitionData
from mleb_core.registry import Registry
from mleb_core.run import Cause, Limits, RunStatus
from mleb_core.runner.protocol import Runner, Stop
from mleb_core.testing.tinies import tiny_job, tiny_prepared

__all__ = ["RunnerContract"]


class Script:
    """A scaffold that runs a few lines of Python where the run happens."""

    id = "script"
    summary = "Runs a script."

    def __init__(self, code: str, image: Image | None = None) -> None:
        self.code = code
        if image is not None:
            self.image = image

    def variants(self) -> tuple[str, ...]:
        """None."""
        return ()

    def launch(self, context: LaunchContext) -> Launch:
        """Runs the script."""
        return Launch([context.python, "-c", self.code], env={"FROM_LAUNCH": "1"}, files={"given/note.txt": b"note"})


COPY_SAMPLE = """
import os, shutil
shutil.copy(os.environ["MLEB_DATA"] + "/sample_submission.csv", os.environ["MLEB_SUBMISSION"] + "/submission.csv")
"""


class RunnerContract:
    """Subclass it and set `id`. What a runner's `isolation` claims is tested; what it does not claim is not.

    A runner whose agents run in images overrides the fixture `image`.
    """

    id: str
    """The runner's id."""

    @pytest.fixture(scope="class")
    @classmethod
    def image(cls) -> Image | None:
        """The image of the scripts: one with a Python, as `Image(reference=...)`."""
        return None

    @pytest.fixture(scope="class")
    @classmethod
    def runner(cls) -> Runner:
        """The runner, found as a user's mleb finds it."""
        return Registry().runner(cls.id)

    @pytest.fixture(scope="class")
    @classmethod
    def data(cls, tmp_path_factory: pytest.TempPathFactory) -> CompetitionData:
        """The tiny competition, prepared."""
        return tiny_prepared(tmp_path_factory.mktemp("data"))

    @pytest.fixture
    def run(self, runner: Runner, data: CompetitionData, tmp_path: Path, image: Image | None) -> Any:
        """Runs a script; gives the job and its outcome."""

        def run(code: str, *, stop: Stop | None = None, limits: Limits | None = None, **changes: Any) -> Any:
            job = tiny_job(tmp_path / "run", data, Script(code, image), limits=limits, **changes)
            return job, runner.run(job, stop or Stop())

        return run

    @pytest.fixture
    @classmethod
    def host_server(cls) -> Iterator[int]:
        """The port of a server that listens on all addresses of this machine."""
        with socket.socket() as door:
            door.bind(("0.0.0.0", 0))  # noqa: S104  all of them is the point
            door.listen(64)
            yield door.getsockname()[1]

    def test_ordinary_limits_are_accepted(self, runner: Runner) -> None:
        """The check before the first run passes here."""
        runner.check(Limits(time_s=60))

    def test_a_run_finishes_and_its_files_are_collected(self, run: Any) -> None:
        """Exit code 0: finished; submission, code, logs and output are there."""
        code = COPY_SAMPLE + (
            "open(os.environ['MLEB_CODE'] + '/solve.py', 'w').write('x = 1')\n"
            "open(os.environ['MLEB_LOGS'] + '/journal.txt', 'w').write('done')\n"
            "print(open(os.environ['HOME'] + '/given/note.txt').read(), os.environ['FROM_LAUNCH'])\n"
        )
        job, outcome = run(code)
        assert (outcome.status, outcome.cause, outcome.exit_code) == (RunStatus.FINISHED, None, 0)
        assert job.layout.submission.read_bytes() == (job.public / "sample_submission.csv").read_bytes()
        assert (job.layout.code / "solve.py").read_text() == "x = 1"
        assert (job.layout.logs / "journal.txt").read_text() == "done"
        assert "note 1" in job.layout.log.read_text()

    def test_the_agent_finds_what_it_is_promised(self, run: Any) -> None:
        """Environment, instructions and description are there, and the harness's own environment is not."""
        code = """
import os
for name in ("HOME", "TMPDIR", "COMPETITION_ID", "MLEB_SEED", "TIME_LIMIT_SECS", "STEP_LIMIT", "FROM_JOB"):
    print(name, os.environ[name])
print(open(os.environ["MLEB_INSTRUCTIONS"]).read())
print(open(os.environ["MLEB_DATA"] + "/description.md").read())
print("secret:", os.environ.get("MLEB_CONTRACT_SECRET"), os.environ.get("OPENAI_API_KEY"))
"""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLEB_CONTRACT_SECRET", "must-not-pass")
            patch.setenv("OPENAI_API_KEY", "must-not-pass")
            job, outcome = run(code, limits=Limits(time_s=60, steps=7), env={"FROM_JOB": "yes"})
        text = job.layout.log.read_text()
        assert outcome.status is RunStatus.FINISHED, text
        for words in ("COMPETITION_ID tiny", "MLEB_SEED 0", "STEP_LIMIT 7", "FROM_JOB yes", "secret: None None"):
            assert words in text
        assert "submission.csv" in text
        assert "{data}" not in text
        assert job.description.splitlines()[0] in text

    def test_an_agent_that_fails_is_told_as_such(self, run: Any) -> None:
        """Another exit code: failed, the agent's fault; what it left is kept."""
        job, outcome = run(COPY_SAMPLE + "import sys; sys.exit(3)")
        assert (outcome.status, outcome.cause, outcome.exit_code) == (RunStatus.FAILED, Cause.AGENT_ERROR, 3)
        assert job.layout.submission.is_file()

    def test_time_is_kept_from_outside(self, run: Any) -> None:
        """An agent that ignores the polite signal is ended; what it left is kept."""
        code = (
            COPY_SAMPLE
            + "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(1)"
        )
        job, outcome = run(code, limits=Limits(time_s=2, grace_s=0.5))
        assert (outcome.status, outcome.cause) == (RunStatus.TIMED_OUT, Cause.AGENT_TIMEOUT)
        assert job.layout.submission.is_file()

    def test_an_agent_may_save_within_the_grace_period(self, run: Any) -> None:
        """SIGTERM comes first."""
        code = """
import os, signal, sys, time
def save(*_):
    open(os.environ["MLEB_SUBMISSION"] + "/submission.csv", "w").write("saved")
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
while True: time.sleep(1)
"""
        job, outcome = run(code, limits=Limits(time_s=2, grace_s=20))
        assert outcome.status is RunStatus.TIMED_OUT
        assert job.layout.submission.read_text() == "saved"

    def test_stop_interrupts(self, run: Any) -> None:
        """A run is ended early and says so."""
        stop = Stop()
        timer = threading.Timer(1.0, stop.set)
        timer.start()
        _, outcome = run("import time; time.sleep(600)", stop=stop)
        timer.join()
        assert outcome.status is RunStatus.INTERRUPTED

    def test_output_is_kept_byte_for_byte(self, run: Any) -> None:
        """Also what is not UTF-8, and both streams."""
        job, _ = run("import os\nos.write(1, bytes(range(256)) * 4096)\nos.write(2, b'last words')")
        log = job.layout.log.read_bytes()
        assert bytes(range(256)) * 4096 in log
        assert b"last words" in log

    def test_links_are_not_followed_out(self, run: Any, tmp_path: Path) -> None:
        """A link to a host file is refused and named; its content is nowhere."""
        secret = tmp_path / "secret.txt"
        secret.write_text("the-secret-of-the-host")
        code = f"import os\nos.symlink({str(secret)!r}, os.environ['MLEB_SUBMISSION'] + '/submission.csv')\n"
        code += f"os.symlink({str(tmp_path)!r}, os.environ['MLEB_CODE'] + '/all')"
        job, outcome = run(code)
        assert not job.layout.submission.exists()
        assert any("submission.csv" in line for line in outcome.refused)
        for path in job.layout.root.rglob("*"):
            assert not path.is_symlink()
            assert not (path.is_file() and b"the-secret-of-the-host" in path.read_bytes())

    def test_claimed_isolation_of_files_holds(self, runner: Runner, run: Any, tmp_path: Path) -> None:
        """A runner that claims it hides a host file of which the agent knows the path."""
        secret = tmp_path / "secret.txt"
        secret.write_text("the-secret-of-the-host")
        job, _ = run(f"print(open({str(secret)!r}).read())")
        assert ("the-secret-of-the-host" in job.layout.log.read_text()) is not runner.isolation.files

    def test_claimed_isolation_from_other_programs_holds(self, runner: Runner, run: Any) -> None:
        """A runner that claims it shows no program of the host, and so not its environment."""
        code = """
import glob
for path in glob.glob("/proc/[0-9]*/environ"):
    try:
        if b"MLEB_CONTRACT_SECRET=" in open(path, "rb").read():
            print("seen")
    except OSError:
        pass
"""
        environment = {**os.environ, "MLEB_CONTRACT_SECRET": "of-a-program"}
        sleeper = "import sys; print(flush=True); sys.stdin.read()"
        with subprocess.Popen(
            [sys.executable, "-c", sleeper], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            assert other.stdout is not None
            other.stdout.readline()
            job, outcome = run(code)
        assert outcome.status is RunStatus.FINISHED
        assert ("seen" in job.layout.log.read_text()) is not runner.isolation.files

    def test_claimed_isolation_of_the_network_holds(self, runner: Runner, run: Any, host_server: int) -> None:
        """A runner that claims it lets an agent reach no server of the host, at whichever address of it."""
        addresses = [
            address.address.partition("%")[0]
            for found in psutil.net_if_addrs().values()
            for address in found
            if address.family in (socket.AF_INET, socket.AF_INET6)
        ]
        code = f"""
import socket
for address in {sorted(addresses)!r}:
    try:
        socket.create_connection((address, {host_server}), 5).close()
        print("reached")
    except OSError as error:
        print(address, error)
"""
        job, outcome = run(code)
        assert outcome.status is RunStatus.FINISHED
        assert ("reached" in job.layout.log.read_text()) is not runner.isolation.network

    def test_memory_is_limited(self, run: Any) -> None:
        """An agent that takes more than it may is ended, and told so."""
        code = COPY_SAMPLE + "block = bytearray(1)\nwhile True: block *= 2"
        job, outcome = run(code, limits=Limits(time_s=60, memory_bytes=256 * 1024**2))
        assert (outcome.status, outcome.cause) == (RunStatus.FAILED, Cause.AGENT_ERROR)
        assert "out of memory" in outcome.message
        assert job.layout.submission.is_file()

    def test_processes_end_with_the_run(self, run: Any) -> None:
        """A process that the agent leaves in a session of its own is gone when the run is over."""
        marker = "import time; time.sleep(599.25)"
        code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {marker!r}], start_new_session=True)"
        run(code)
        lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _readable(path)]
        assert not any(marker.encode() in line for line in lines)


def _readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True
