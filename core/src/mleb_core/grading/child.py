"""One grading process, seen from the harness: started, asked, and ended with all that it started."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Any

from mleb_core.errors import GraderError

__all__ = ["Child", "ChildDied", "ChildOverTime", "child_environment"]

_START_S = 120.0
_KEPT = {"PATH", "HOME", "TMPDIR", "TZ", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONHASHSEED", "PYTHONUTF8"}
_KEPT_PREFIXES = ("LC_", "OMP_", "OPENBLAS_", "MKL_", "XDG_")
_STDERR_BYTES = 1024**2
_REPLY_BYTES = 1024**2


class ChildDied(Exception):
    """The process ended before it replied."""

    def __init__(self, how: str, *, out_of_memory: bool = False) -> None:
        """Args:
        how: what it did, the end of a sentence.
        out_of_memory: whether memory is what it died of, as far as one can tell.
        """
        self.out_of_memory = out_of_memory
        super().__init__(how)


class ChildOverTime(Exception):
    """The process did not reply in time."""


class Child:
    """A grading process, used by one thread at a time."""

    def __init__(self, memory_bytes: int) -> None:
        """Start it.

        Raises:
            GraderError: it did not come up; one line.
        """
        self.requests = 0
        self.resident_at_start = 0
        self._stderr = tempfile.TemporaryFile("a+b")  # noqa: SIM115  # closed by `kill`
        self._buffer = b""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "mleb_core.grading.worker", str(memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=child_environment(os.environ),
            cwd="/",
            start_new_session=True,
            bufsize=0,
        )
        try:
            if not self._reply(time.monotonic() + _START_S).get("ready"):
                raise GraderError("the grading process does not speak mleb's protocol; is mleb-core installed twice?")
        except (ChildDied, ChildOverTime) as error:
            why = str(error) or f"was not ready after {_START_S:g} s"
            self.kill()
            raise GraderError(f"the grading process cannot be started: it {why}") from None
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """Its process id, which is its session's."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None and not self._stderr.closed

    def ask(self, request: Mapping[str, Any], time_limit_s: float) -> dict[str, Any]:
        """Send a request and wait for the reply to it.

        Raises:
            ChildDied: it ended meanwhile.
            ChildOverTime: it has not replied; it still runs and must be killed.
        """
        assert self._process.stdin is not None
        self.requests += 1
        deadline = time.monotonic() + time_limit_s
        with contextlib.suppress(BrokenPipeError):  # the reply says how it died
            self._process.stdin.write(json.dumps({**request, "time_limit_s": time_limit_s}).encode() + b"\n")
        reply = self._reply(deadline)
        if reply.get("id") != request["id"]:
            raise ChildDied("sent a reply that is none")
        self.resident_at_start = self.resident_at_start or reply["resident"]
        if os.fstat(self._stderr.fileno()).st_size > _STDERR_BYTES:
            os.ftruncate(self._stderr.fileno(), 0)
        return reply

    def end(self) -> None:
        """End it and all that it started, from any thread: whoever waits for it gets ChildDied."""
        _kill_tree(self._process)

    def kill(self) -> None:
        """`end` it and let go of its pipes; for its own thread. Harmless when repeated."""
        self.end()
        for pipe in (self._process.stdin, self._process.stdout, self._stderr):
            if pipe is not None:
                pipe.close()

    def _reply(self, deadline: float) -> dict[str, Any]:
        """The next line.

        Raises:
            ChildDied, ChildOverTime: there is none.
        """
        assert self._process.stdout is not None
        handle = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0:
                raise ChildOverTime
            # In slices, since a process that the child started may keep the pipe open when the child is gone.
            gone = self._process.poll() is not None
            ready = poll.poll(0 if gone else min(left, 0.2) * 1000)
            chunk = os.read(handle, 65536) if ready else b""
            self._buffer += chunk
            if (not chunk and (gone or ready)) or len(self._buffer) > _REPLY_BYTES:
                raise self._death()
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            reply = json.loads(line)
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            raise ChildDied("sent a reply that is none")
        return reply

    def _death(self) -> ChildDied:
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return ChildDied("closed its pipes, or sent more than a reply")
        words = self._last_words()
        name = f"signal {-code}"
        with contextlib.suppress(ValueError):
            name = signal.Signals(-code).name
        how = f"was ended by {name}" if code < 0 else f"ended with exit status {code}"
        # The system ends what takes too much with SIGKILL; C++ that gets no memory ends itself.
        out_of_memory = code == -signal.SIGKILL or "bad_alloc" in words
        return ChildDied(how + (f" ({words})" if words else ""), out_of_memory=out_of_memory)

    def _last_words(self) -> str:
        """What it last said on stderr, one line: the name of a fatal error where there is one."""
        size = os.fstat(self._stderr.fileno()).st_size
        tail = os.pread(self._stderr.fileno(), 65536, max(0, size - 65536)).decode(errors="replace")
        lines = [" ".join(line.split()) for line in tail.splitlines() if line.strip()]
        fatal = [line for line in lines if line.startswith("Fatal Python error") or "bad_alloc" in line]
        return (fatal or lines or [""])[-1][:300]


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What a grading process gets to know: paths, language, thread counts; no keys.

    PYTHONPATH is this process's own import path, so that the child finds the same plugins.
    """
    kept = {name: value for name, value in environment.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)}
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        kept.setdefault(name, "1")  # several children share the machine with agents
    # Arrow's own allocator reserves a gigabyte of addresses at a time, which the limit would take for use.
    kept["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    path = [os.path.abspath(entry or os.curdir) for entry in sys.path]  # noqa: PTH100  # "" is no Path
    return {**kept, "PYTHONPATH": os.pathsep.join(dict.fromkeys(path)), "PYTHONUNBUFFERED": "1"}


def _kill_tree(process: "subprocess.Popen[bytes]") -> None:
    """SIGKILL for a process and all its descendants, then collect it."""
    import psutil

    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGSTOP)  # it adopts its orphans and starts nothing more: none gets away
        for _ in range(20):
            with contextlib.suppress(psutil.Error):
                living = [
                    child
                    for child in psutil.Process(process.pid).children(recursive=True)
                    if child.status() != psutil.STATUS_ZOMBIE
                ]
                for child in living:
                    with contextlib.suppress(psutil.Error):
                        child.kill()
                if living:
                    time.sleep(0.01)
                    continue
            break
    # Its group outlives it where it died by itself; the number is not given anew while a member lives.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
