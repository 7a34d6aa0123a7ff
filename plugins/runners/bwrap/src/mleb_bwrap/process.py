"""One sandbox's processes: started, held back until their limits are set, signalled, ended."""

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import time
from pathlib import Path

from mleb_bwrap.groups import Groups
from mleb_bwrap.sandbox import Sandbox
from mleb_core.errors import SandboxError
from mleb_core.runner.docker.limits import Bounds

__all__ = ["Sandboxed", "resident_bytes"]

_PATIENCE_S = 60.0
_OPEN_FILES = 65536
_MOST_SAID = 65536


class Sandboxed:
    """A sandbox that runs. Whatever ends this process's thread ends it too; no process of it outlives its first one."""

    def __init__(self, sandbox: Sandbox) -> None:
        """Start it; its program is held back until `release`.

        Args:
            sandbox: what it is.

        Raises:
            SandboxError: bubblewrap cannot make it; one line.
            OSError: it cannot be started.
        """
        self._told, tells = os.pipe()  # read once and kept open: bubblewrap writes there at its end, too
        held, self._holds = os.pipe()
        said, says = os.pipe()
        # The helper ends with this pipe: a change of user makes it forget the signal that --die-with-parent asks for.
        led, self._leash = os.pipe()
        self._said = said
        self.started = time.time()
        """Seconds since 1970."""
        self._pidfd = -1
        try:
            sandbox.arguments[:0] = ["--json-status-fd", str(tells), "--block-fd", str(held)]
            arguments = sandbox.packed()
            self.process: subprocess.Popen[bytes] = subprocess.Popen(
                ["bwrap", "--args", str(arguments), "--", *sandbox.command],
                stdin=led, stdout=subprocess.DEVNULL, stderr=says,
                pass_fds=(tells, held, *sandbox.fds), cwd="/",
                env={"PATH": os.environ.get("PATH", os.defpath)}, start_new_session=True,
            )  # fmt: skip
        except BaseException:
            self._close(self._told, self._holds, said, self._leash)
            raise
        finally:
            self._close(tells, held, says, led)
        try:
            self.pid = self._first_process()
            """The sandbox's first process, as this machine numbers it."""
            self._pidfd = os.pidfd_open(self.pid)
            self._namespace = _namespace(self.pid)  # now: the first process will hide from who is not root
        except BaseException as error:
            self.end()
            if isinstance(error, ProcessLookupError):
                words = " ".join(self.words().split())
                self.close()
                raise SandboxError(f"the sandbox ended at once: {words}") from error
            self.close()
            raise

    def release(self, bounds: Bounds, groups: Groups | None) -> None:
        """Let the program start, with limits that it and all that it starts get.

        Args:
            bounds: the run's limits.
            groups: control groups that keep them; None: there are none.

        Raises:
            SandboxError: bubblewrap has ended meanwhile, or a limit cannot be set.
        """
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        files = _OPEN_FILES if most == resource.RLIM_INFINITY else min(_OPEN_FILES, most)
        wanted = {resource.RLIMIT_FSIZE: bounds.disk_bytes, resource.RLIMIT_CORE: 0, resource.RLIMIT_NOFILE: files}
        if groups is None:
            wanted[resource.RLIMIT_NPROC] = bounds.processes
        try:
            if groups is not None:
                groups.take(self.pid)
            for kind, limit in wanted.items():
                resource.prlimit(self.pid, kind, (limit, limit))
            os.write(self._holds, b"1")
        except OSError as error:
            self.end()
            said = " ".join(self.words().split())
            raise SandboxError(f"the sandbox cannot be made: {said or error.strerror}") from error
        os.close(self._holds)
        self._holds = -1

    def processes(self) -> list[int]:
        """Its processes, as this machine numbers them, by their namespace of process ids."""
        return [pid for pid in _pids() if pid == self.pid or (_namespace(pid) or -1) == self._namespace]

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the first process, unless it has ended."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def end(self) -> None:
        """Kill all of it, and wait until nothing is left of it.

        Raises:
            SandboxError: it does not end.
        """
        self.send(signal.SIGKILL)
        self._close(self._holds)
        self._holds = -1
        if self._pidfd < 0:
            self.process.kill()  # whose death ends the first process
        try:
            self.process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise SandboxError(f"the sandbox does not end: process {self.process.pid}") from None

    def words(self) -> str:
        """What bubblewrap and the first process said themselves; they have ended."""
        if self._said < 0:
            return ""
        with open(self._said, "rb", closefd=False, buffering=0) as stream:
            os.set_blocking(self._said, False)
            parts = b""
            while len(parts) < _MOST_SAID and (part := stream.read(_MOST_SAID)):
                parts += part
        return parts.decode(errors="replace").strip()

    def close(self) -> None:
        """Let go of what is held; it has ended."""
        self._close(self._told, self._holds, self._said, self._leash, self._pidfd)
        self._told = self._holds = self._said = self._leash = self._pidfd = -1

    def _first_process(self) -> int:
        """Its id, which bubblewrap tells in JSON, a document a line."""
        text, ends = b"", time.monotonic() + _PATIENCE_S
        while b"\n" not in text:
            ready = select.select([self._told], [], [], max(0.0, ends - time.monotonic()))[0]
            part = os.read(self._told, 4096) if ready else b""
            if not part:
                self.process.kill()
                self.process.wait()
                said = " ".join(self.words().split())
                raise SandboxError(f"bubblewrap cannot make the sandbox: {said or 'it did not answer'}")
            text += part
        return int(json.loads(text.partition(b"\n")[0])["child-pid"])

    @staticmethod
    def _close(*fds: int) -> None:
        for fd in fds:
            if fd >= 0:
                os.close(fd)


def resident_bytes(pids: list[int]) -> int:
    """Memory that processes have in use for themselves; shared pages count in each of them."""
    pages = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208  names alone


def _namespace(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/pid").st_ino  # noqa: PTH116  quick
    except OSError:
        return None
