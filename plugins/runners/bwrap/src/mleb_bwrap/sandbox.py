"""What a run's sandbox is: the one description that bubblewrap gets, isolation included."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mleb_bwrap.calls import call_filter
from mleb_bwrap.python import folders_of, hidden_packages, package_folder
from mleb_core.agent import Launch, image_of
from mleb_core.errors import RunnerError
from mleb_core.layout import RunLayout
from mleb_core.runner.docker.container import EVERYTHING, environment, forwards
from mleb_core.runner.docker.limits import Bounds
from mleb_core.runner.docker.place import HELPER, OUTPUT, PATHS, VALIDATE, User, data_of
from mleb_core.runner.protocol import Job

__all__ = ["PACKAGES", "Sandbox", "describe", "namespaces"]

PACKAGES = "/opt/mleb/packages"
"""Where an agent finds the packages that its scaffold names."""
_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SETTINGS = (
    *("alternatives", "ca-certificates", "fonts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime"),
    *("mime.types", "pki/tls/certs", "pki/ca-trust/extracted", "protocols", "services", "ssl/certs", "ssl/openssl.cnf"),
)
"""In /etc: what programs need of the machine, and says nothing of its users."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Sandbox:
    """bubblewrap's options, with the files that they name by number; to be closed."""

    arguments: list[str] = field(default_factory=list)
    """The options, in bubblewrap's order: later ones lie on earlier ones."""
    command: list[str] = field(default_factory=list)
    """The first process."""
    fds: list[int] = field(default_factory=list)
    """Descriptors that bubblewrap must inherit."""
    _made: set[PurePosixPath] = field(default_factory=set)

    def add(self, *arguments: object) -> None:
        """Add arguments."""
        self.arguments += map(str, arguments)

    def parents(self, target: object) -> None:
        """Make the directories above a place, such that everybody may go through: bubblewrap's own are its user's."""
        for parent in reversed(PurePosixPath(str(target)).parents[:-1]):
            if parent not in self._made:
                self._made.add(parent)
                self.add("--perms", "0755", "--dir", parent)

    def bind(self, source: Path, target: object, *, writable: bool = False) -> None:
        """Show a file or directory."""
        self.parents(target)
        self.add("--bind" if writable else "--ro-bind", source, target)

    def text(self, content: str, target: str) -> None:
        """Show a file of this content."""
        self.parents(target)
        fd = _memory(content.encode())
        self.fds.append(fd)
        self.add("--perms", "0444", "--ro-bind-data", fd, target)

    def refuse_calls(self) -> None:
        """Refuse the system calls of calls.py."""
        program = call_filter()
        if program is not None:
            fd = _memory(program)
            self.fds.append(fd)
            self.add("--seccomp", fd)

    def packed(self) -> int:
        """All options as a file that `--args` takes: what is in them shows in no list of processes."""
        fd = _memory(b"".join(os.fsencode(argument) + b"\0" for argument in self.arguments))
        self.fds.append(fd)
        return fd

    def close(self) -> None:
        """Close the descriptors."""
        while self.fds:
            os.close(self.fds.pop())


def describe(
    job: Job, place: RunLayout, *, box: Path, user: User, python: str, launch: Launch, bounds: Bounds
) -> Iterator[Sandbox]:
    """The sandbox of a run; a generator for `contextlib.contextmanager`, which closes it in the end.

    Raises:
        RunnerError: what the agent must see holds what it must not.
    """
    sandbox = Sandbox()
    try:
        network = EVERYTHING in job.network
        options, change = namespaces(user, network=network)
        sandbox.add(*options)
        sandbox.refuse_calls()
        shown = _system(sandbox, user, network=network)
        sandbox.add("--perms", "1777", "--size", bounds.tmp_bytes, "--tmpfs", "/tmp")
        sandbox.add("--proc", "/proc", "--dev", "/dev")
        sandbox.add("--perms", "1777", "--size", bounds.shm_bytes, "--tmpfs", "/dev/shm")
        packages = _python(sandbox, job, python)
        _refuse_what_shows_too_much((*shown, *folders_of(python)), (job.public.resolve(), job.layout.root, place.root))
        _places(sandbox, job, place, box)
        sandbox.add("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", PATHS.home)
        for name, value in _environment(job, launch, python, packages=packages).items():
            sandbox.add("--setenv", name, value)
        command = ["run", repr(job.limits.time_s), repr(job.limits.grace_s), forwards(job), f"/mleb/{OUTPUT}"]
        sandbox.command = [*change, python, "-I", "-S", "-E", f"/mleb/{HELPER}", *command, *launch.argv]
        yield sandbox
    finally:
        sandbox.close()


def namespaces(user: User, *, network: bool) -> tuple[list[str], list[str]]:
    """Bubblewrap's options for namespaces and rights, and what the program in it begins with.

    A harness that is root needs no user namespace to make the others, and without one its own rights end where it
    changes to the agent's user. (Root of a user namespace that is the machine's root can still write its settings.)
    """
    options = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "agent"]
    options += [
        *([] if network else ["--unshare-net"]),
        "--die-with-parent",
        "--new-session",
        "--as-pid-1",
        "--clearenv",
    ]
    if os.geteuid() != 0:
        return ["--unshare-user", "--disable-userns", *options, "--cap-drop", "ALL"], []
    kept = [word for name in ("SETUID", "SETGID", "SETPCAP") for word in ("--cap-add", f"CAP_{name}")]
    change = ["/usr/bin/setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups", "--no-new-privs"]
    return [*options, "--cap-drop", "ALL", *kept], [*change, "--inh-caps=-all", "--bounding-set=-all", "--"]


def _system(sandbox: Sandbox, user: User, *, network: bool) -> tuple[Path, ...]:
    """The machine's programs and libraries; of /etc what they cannot do without."""
    shown = [Path("/usr")]
    sandbox.bind(Path("/usr"), "/usr")
    for name in map(Path, _SYSTEM):
        if name.is_symlink():
            sandbox.add("--symlink", os.readlink(name), name)  # noqa: PTH115  as it is spelt
        elif name.is_dir():
            sandbox.bind(name, name)
            shown.append(name)
    for name in map(Path, _SETTINGS):
        if (path := Path("/etc") / name).exists():
            sandbox.bind(path, path)
    if network and Path("/etc/resolv.conf").exists():
        sandbox.bind(Path("/etc/resolv.conf"), "/etc/resolv.conf")
    sandbox.text(f"agent:x:{user.uid}:{user.gid}::{PATHS.home}:/bin/sh\n", "/etc/passwd")
    sandbox.text(f"agent:x:{user.gid}:\n", "/etc/group")
    sandbox.text("127.0.0.1 localhost agent\n", "/etc/hosts")
    sandbox.text("passwd: files\ngroup: files\nhosts: files dns\n", "/etc/nsswitch.conf")
    return tuple(shown)


def _python(sandbox: Sandbox, job: Job, python: str) -> bool:
    """The interpreter, and the packages of the scaffold; whether there are some."""
    names = image_of(job.scaffold, job.settings).packages
    for folder in folders_of(python):
        sandbox.bind(folder, folder)
    for folder in hidden_packages(python, names):
        sandbox.add("--perms", "0755", "--tmpfs", folder, "--remount-ro", folder)
    found = {name: where for name in names if (where := package_folder(name)) is not None}
    for name, where in found.items():
        sandbox.bind(where, f"{PACKAGES}/{name}")
    return bool(found)


def _places(sandbox: Sandbox, job: Job, place: RunLayout, box: Path) -> None:
    home = PATHS.home.parent
    for source, target, writable in (
        (data_of(job, place), PATHS.data, False),
        (place.work_description, PATHS.data / "description.md", False),
        (place.work_instructions, PATHS.instructions, False),
        (box / VALIDATE, home / VALIDATE, False),
        (place.work_agent, PATHS.home, True),
        (place.work_submission, PATHS.submission, True),
        (place.work_code, PATHS.code, True),
        (place.work_logs, PATHS.logs, True),
        (box, "/mleb", False),
        (place.work_output, f"/mleb/{OUTPUT}", True),
    ):
        sandbox.bind(source, target, writable=writable)


def _environment(job: Job, launch: Launch, python: str, *, packages: bool) -> Mapping[str, str]:
    """As in a container, with this machine's Python first in PATH."""
    found = environment(job, launch)
    own = {"PATH": f"{os.path.dirname(python)}:{_PATH}"}  # noqa: PTH120  no link is to be resolved
    if packages:
        own["PYTHONPATH"] = ":".join(filter(None, (PACKAGES, found.get("PYTHONPATH"))))
        found.pop("PYTHONPATH", None)
    return own | found


def _refuse_what_shows_too_much(shown: Sequence[Path], secret: Sequence[Path]) -> None:
    for folder in shown:
        for path in secret:
            if path.resolve().is_relative_to(folder.resolve()):
                raise RunnerError(
                    f"{path} lies in {folder}, which agents see, for Python is there; keep data and runs elsewhere"
                )


def _memory(content: bytes) -> int:
    fd = os.memfd_create("mleb")
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
