"""What runs inside of an agent's container: its first process, and the client of the submission checker.

    helper.py run TIME_S GRACE_S FORWARDS LOG PROGRAM [ARGUMENT...]
    helper.py validate [FILE]

`run` is process 1: it forwards ports of 127.0.0.1 to unix sockets (FORWARDS is `PORT:SOCKET,...` or `-`), copies the
agent's output to LOG, passes on a SIGTERM from outside of the container, reaps, and ends with the agent. Signals that
the agent sends do not reach it. The last line that it writes to its own standard error says how the agent ended. Should
no harness be left when the time is up, it ends the agent itself. Where its standard input is a pipe, it ends all at
once when that is closed: of sandboxes that end with their harness, the harness holds the other end.

Runs on any Python from 3.8, with its standard library alone (`python3 -I -S -E`), and is not imported by anything.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import stat
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 1 << 16
LATE_S = 5.0
"""How long after the end of the time a living harness is waited for."""


def run(time_s: float, grace_s: float, forwards: str, log: str, argv: list[str]) -> None:
    """Be the first process; does not return."""
    report = os.dup(2)
    be_opaque()
    log_fd = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    pump = Pump(log_fd, os.dup(0) if stat.S_ISFIFO(os.fstat(0).st_mode) else -1)
    for part in forwards.split(",") if forwards != "-" else ():
        port, _, path = part.partition(":")
        pump.listen(int(port), path)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own handler would let the agent end this process by it
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
    ends = time.monotonic() + time_s + LATE_S
    failure, told = os.pipe()
    agent = os.fork()
    if agent == 0:
        start(argv, pump.log_input, told)
    os.close(told)
    refused = os.read(failure, CHUNK)
    if refused:
        os.write(report, refused)
        os._exit(127)
    pump.start()
    status, why = wait_for(agent, ends, grace_s)
    signal_all(signal.SIGKILL)
    pump.drained.wait(5.0)
    if os.WIFSIGNALED(status):
        said, code = f"signal {os.WTERMSIG(status)}", 128 + os.WTERMSIG(status)
    else:
        said, code = f"exit {os.WEXITSTATUS(status)}", os.WEXITSTATUS(status)
    os.write(report, f"mleb: {said}{why}\n".encode())
    os._exit(code if not why else 143)


def be_opaque() -> None:
    """Keep the agent, which has the same user, from tracing this process and from opening what it has open.

    And from the keys in the kernel that whoever started the harness has in his session: it gets a session of its own.
    """
    try:
        import ctypes

        libc = ctypes.CDLL(None)
        libc.prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
        join = {"x86_64": 250, "aarch64": 219}.get(os.uname().machine)
        if join is not None:
            libc.syscall(join, 1, None)  # KEYCTL_JOIN_SESSION_KEYRING; containers refuse it, and all use of keys
    except Exception as error:  # a Python without ctypes: all else holds
        os.write(2, f"mleb: can be traced: {error}\n".encode())


def start(argv: list[str], output: int, told: int) -> None:
    """Become the agent, or say why not; `told` closes by itself when it has become it."""
    try:
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.execvp(argv[0], argv)  # noqa: S606  no shell is wanted
    except OSError as error:
        name = argv[0] if argv[0].isprintable() else ascii(argv[0])
        os.write(told, f"mleb: cannot start {name}: {(error.strerror or str(error)).lower()}\n".encode())
    finally:
        os._exit(127)


def wait_for(agent: int, ends: float, grace_s: float) -> tuple[int, str]:
    """Reap until the agent is among those that ended; its status, and what brought its end about from outside."""
    why = ""
    while True:
        left = max(0.0, ends - time.monotonic())
        came = signal.sigtimedwait((signal.SIGTERM, signal.SIGCHLD), left)
        # A sender outside of the container has no process id here.
        asked = came is not None and came.si_signo == signal.SIGTERM and came.si_pid == 0
        if asked or (came is None and not why):
            why = " after SIGTERM" if asked else " out of time"
            ends = time.monotonic() + grace_s + (LATE_S if asked else 0.0)
            signal_all(signal.SIGTERM)
        elif came is None:
            signal_all(signal.SIGKILL)
            ends = time.monotonic() + 1.0
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == agent:
                return status, why


def signal_all(number: int) -> None:
    """Send a signal to every process here but this one."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, number)


class Pump(threading.Thread):
    """Moves bytes, all in one thread that is there before the agent is, so that the agent cannot keep it from being."""

    def __init__(self, log_fd: int, leash: int = -1) -> None:
        super().__init__(daemon=True)
        self.poll = select.epoll()
        self.leash = leash
        if leash >= 0:
            self.poll.register(leash, select.EPOLLIN)
        self.log_fd = log_fd
        self.log_output, self.log_input = os.pipe()
        try:
            import fcntl

            fcntl.fcntl(self.log_input, 1031, 1 << 20)  # F_SETPIPE_SZ: the agent need not wait for this process
        except (ImportError, OSError):
            pass
        self.poll.register(self.log_output, select.EPOLLIN)
        self.drained = threading.Event()
        self.doors: dict[int, tuple[socket.socket, str]] = {}
        self.ends: dict[int, End] = {}

    def listen(self, port: int, path: str) -> None:
        """Forward a port of 127.0.0.1 to a unix socket."""
        door = socket.socket()
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(("127.0.0.1", port))
        door.listen(1024)
        door.setblocking(False)
        self.doors[door.fileno()] = (door, path)
        self.poll.register(door, select.EPOLLIN)

    def run(self) -> None:
        """Move bytes for ever."""
        os.close(self.log_input)
        while True:
            for fd, _ in self.poll.poll():
                if fd == self.log_output:
                    self.copy_log()
                elif fd == self.leash:
                    os._exit(137)
                elif fd in self.doors:
                    self.accept(*self.doors[fd])
                elif fd in self.ends:
                    self.move(self.ends[fd])

    def copy_log(self) -> None:
        """Copy some of what the agent printed."""
        data = memoryview(os.read(self.log_output, 16 * CHUNK))
        if not data:
            self.poll.unregister(self.log_output)
            self.drained.set()
        while data:
            try:
                data = data[os.write(self.log_fd, data) :]
            except OSError:  # the disk is full; the agent is not held up
                return

    def accept(self, door: socket.socket, path: str) -> None:
        """Take a connection and open the one that it leads to."""
        try:
            near = door.accept()[0]
        except OSError:
            time.sleep(0.01)  # too many open files
            return
        far = None
        try:
            far = socket.socket(socket.AF_UNIX)
            far.settimeout(10.0)
            far.connect(path)
        except OSError:
            near.close()
            if far is not None:
                far.close()
            return
        pair = (End(near), End(far))
        for end, other in (pair, pair[::-1]):
            end.other = other
            end.socket.setblocking(False)
            self.ends[end.socket.fileno()] = end
            self.poll.register(end.socket, select.EPOLLIN)

    def move(self, end: End) -> None:
        """Move what can be moved in both directions of a connection of which one end is ready."""
        try:
            for source in (end, end.other):
                source.take()
                source.other.give()
        except OSError:
            self.close(end)
            return
        if end.done and end.other.done:
            self.close(end)
            return
        for one in (end, end.other):
            wants = (0 if one.ended or one.other.waiting else select.EPOLLIN) | (select.EPOLLOUT if one.waiting else 0)
            if wants != one.wants:
                # One that wants nothing is taken out: a hang-up is told without being asked for, again and again.
                if not one.wants:
                    self.poll.register(one.socket, wants)
                elif wants:
                    self.poll.modify(one.socket, wants)
                else:
                    self.poll.unregister(one.socket)
                one.wants = wants

    def close(self, end: End) -> None:
        """Close both ends of a connection."""
        for one in (end, end.other):
            self.ends.pop(one.socket.fileno(), None)
            one.socket.close()


class End:
    """One end of a connection: `waiting` is what is still to be sent to it."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket, self.other = sock, self
        self.waiting = memoryview(b"")
        self.ended = self.done = False
        self.wants = select.EPOLLIN

    def take(self) -> None:
        """Read from it, if it has not ended and the other end has nothing left to send."""
        if self.ended or self.other.waiting:
            return
        try:
            data = self.socket.recv(CHUNK)
        except BlockingIOError:
            return
        self.other.waiting = memoryview(data)
        self.ended = not data

    def give(self) -> None:
        """Send what waits; pass the end on once all is sent."""
        while self.waiting:
            try:
                self.waiting = self.waiting[self.socket.send(self.waiting) :]
            except BlockingIOError:
                return
        if self.other.ended and not self.done:
            self.done = True
            self.socket.shutdown(socket.SHUT_WR)


def validate(path: str) -> None:
    """Ask the checker about a file; prints its verdict. Exit code 0: it has given one, whatever it is."""
    import http.client
    import json

    where = os.environ.get("MLEB_CHECKER_URL", "http://127.0.0.1:8080").split("//")[-1]
    try:
        source = open(path, "rb")  # noqa: SIM115, PTH123  closed below; pathlib takes long to import
    except OSError as error:
        sys.exit(f"{path}: {error.strerror}")
    boundary = "mleb" + os.urandom(12).hex()
    named = 'Content-Disposition: form-data; name="file"; filename="submission.csv"'
    head = f"--{boundary}\r\n{named}\r\nContent-Type: text/csv\r\n\r\n".encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    with source:
        size = os.fstat(source.fileno()).st_size

        def body() -> Iterator[bytes]:
            yield head
            left = size
            while left:
                data = source.read(min(CHUNK, left))
                if not data:
                    raise OSError("the file became shorter while it was read")
                left -= len(data)
                yield data
            yield tail

        headers = {
            "Content-Type": "multipart/form-data; boundary=" + boundary,
            "Content-Length": str(len(head) + size + len(tail)),
            "Authorization": "Bearer " + os.environ.get("MLEB_TOKEN", ""),
        }
        connection = http.client.HTTPConnection(where, timeout=900)
        try:
            # A file that is too large is answered before all of it is sent.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request("POST", "/validate", body(), headers)
            reply = connection.getresponse()
            answer = json.loads(reply.read(1 << 20))
            said = [str(answer[key]) for key in ("result", "error") if answer.get(key)]
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            sys.exit(f"the submission checker does not answer: {error}")
    if not said:
        sys.exit(f"the submission checker does not answer: status {reply.status}")
    print("\n".join(said))


if __name__ == "__main__":
    if sys.argv[1] == "run":
        run(float(sys.argv[2]), float(sys.argv[3]), sys.argv[4], sys.argv[5], sys.argv[6:])
    elif sys.argv[1] == "validate":
        validate((sys.argv[2:] or [os.environ.get("MLEB_SUBMISSION", "/home/submission") + "/submission.csv"])[0])
    else:
        sys.exit(__doc__)
