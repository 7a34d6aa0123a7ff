"""A small container image from this machine's own files, for tests without a registry (Linux only).

    reference = make_test_image()                          # Python and its standard library, a shell, small tools
    reference = make_test_image(packages=("scikit-learn",))  # and these distributions with what they require

It holds the Python interpreter that runs this, relocated to /usr/local, the libraries that `ldd` names, and busybox (or
the shell and core tools where there is no static busybox); `bash` where there is one. No compiler, no pip, no network
is needed to make it, and no part of this repository is in it.
"""

import fcntl
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path, PurePosixPath

__all__ = ["make_test_image"]

RECIPE = 1
"""Raise it when the same host files are to give another image."""
AGENT_UID = 1000
DIRECTORIES = (
    *("/home", "/mleb", "/etc", "/dev", "/proc", "/sys", "/run", "/var/tmp", "/root", "/usr/bin", "/usr/sbin"),
    *("/usr/lib", "/usr/lib64", "/usr/local/bin", "/usr/local/lib"),
)
OWNED = ("/home/data", "/home/submission", "/home/code", "/home/logs", "/home/agent")
"""Mount points; they belong to the agent, so that a container without mounts works as well."""
LINKS = {"/bin": "usr/bin", "/sbin": "usr/sbin", "/lib": "usr/lib", "/lib64": "usr/lib64"}
FILES = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"
    f"agent:x:{AGENT_UID}:{AGENT_UID}::/home/agent:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
    "/etc/group": f"root:x:0:\nagent:x:{AGENT_UID}:\nnogroup:x:65534:\n",
    "/etc/hosts": "127.0.0.1 localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "/home/instructions.txt": "",
    "/home/validate_submission.sh": "",
}
UNWANTED = ("test", "tests", "idlelib", "lib2to3", "tkinter", "turtledemo", "distutils", "pydoc_data", "ensurepip")
"""Folders of Python that no agent in a test misses; `__pycache__` stays: Python starts faster with it."""
TOOLS = (
    *(
        "sh",
        "bash",
        "cat",
        "chmod",
        "cp",
        "cut",
        "dd",
        "df",
        "du",
        "echo",
        "env",
        "false",
        "find",
        "grep",
        "head",
        "id",
    ),
    *("kill", "ln", "ls", "mkdir", "mkfifo", "mknod", "mount", "mv", "ps", "pwd", "rm", "rmdir", "sed", "seq", "sleep"),
    *("sort", "stat", "sync", "tail", "tee", "test", "touch", "tr", "true", "uname", "wc", "whoami", "yes"),
)
CHANGES = (
    "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
    "ENV LANG=C.UTF-8",
    "WORKDIR /home",
    'CMD ["python3"]',
    "LABEL mleb.test-image=1",
)


def make_test_image(name: str = "mleb-test", packages: Sequence[str] = ()) -> str:
    """Make sure that the image is there; takes some 2 s the first time, and a fraction of one afterwards.

    Safe in several processes at once. The image stays: it is small, and the next test run uses it again.

    Args:
        name: repository name of the image.
        packages: distributions of this environment to put into it, with all that they require.

    Returns:
        A reference `name:<hash>`; the hash covers the recipe and which host files it takes.

    Raises:
        RuntimeError: no engine answers, or it refuses the image.
    """
    files = dict(sorted([*_python_files(), *_package_files(packages)]))
    programs = _programs()
    digest = hashlib.sha256(repr((RECIPE, sys.version, DIRECTORIES, OWNED, LINKS, FILES, CHANGES)).encode())
    for target, source in [*files.items(), *programs.items()]:
        state = source.stat()
        digest.update(f"{target}\0{source}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
    reference = f"{name}:{digest.hexdigest()[:16]}"
    if _is_there(reference):
        return reference
    with Path(os.__file__).open("rb") as lock:  # a file that every process of this recipe has
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_there(reference):
            _import(reference, files, programs)
    return reference


def _is_there(reference: str) -> bool:
    asked = subprocess.run(["docker", "image", "inspect", reference], capture_output=True, check=False)
    if asked.returncode and b"No such image" not in asked.stderr:
        raise RuntimeError(f"docker image inspect: {asked.stderr.decode(errors='replace').strip()}")
    return asked.returncode == 0


def _import(reference: str, files: dict[str, Path], programs: dict[str, Path]) -> None:
    with tempfile.TemporaryFile() as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
            _pack(tar, files, programs)
        packed.seek(0)
        options = [word for change in CHANGES for word in ("--change", change)]
        command = ["docker", "import", *options, "-", reference]
        done = subprocess.run(command, stdin=packed, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"docker import: {done.stderr.decode(errors='replace').strip()}")


def _pack(tar: tarfile.TarFile, files: dict[str, Path], programs: dict[str, Path]) -> None:
    for name in (*DIRECTORIES, *OWNED):
        _add(tar, name, tarfile.DIRTYPE, mode=0o755, uid=AGENT_UID if name in OWNED else 0)
    _add(tar, "/tmp", tarfile.DIRTYPE, mode=0o1777)
    for name, target in LINKS.items():
        _add(tar, name, tarfile.SYMTYPE, link=target)
    for name, text in FILES.items():
        _add(tar, name, tarfile.REGTYPE, content=text.encode())
    version = _version()
    for link in ("python3", "python"):
        _add(tar, f"/usr/local/bin/{link}", tarfile.SYMTYPE, link=f"python{version}")
    _add(tar, f"/usr/local/lib/python{version}/site-packages", tarfile.DIRTYPE, mode=0o755)
    # Debian's Python looks there instead.
    _add(tar, f"/usr/local/lib/python{version}/dist-packages", tarfile.SYMTYPE, link="site-packages")
    busybox = programs.get("/usr/bin/busybox")
    if busybox is not None:
        listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
        for applet in {*listed} - {"busybox", "bash"}:
            _add(tar, f"/usr/bin/{applet}", tarfile.SYMTYPE, link="busybox")
    binaries = [source for target, source in files.items() if ".so" in PurePosixPath(target).name]
    for target, source in [*files.items(), *programs.items(), *_libraries([*programs.values(), *binaries])]:
        content = _lean(source)
        executable = os.access(source, os.X_OK)
        _add(tar, target, tarfile.REGTYPE, content=content, mode=0o755 if executable else 0o644, mtime=_mtime(source))


def _mtime(source: Path) -> int:
    return int(source.stat().st_mtime)  # the real one: what is in __pycache__ is valid for it alone


def _lean(source: Path) -> bytes:
    """A file's content; of a large binary without the symbols for debuggers, where there is a tool for that."""
    strip = shutil.which("strip")
    binary = ".so" in source.name or os.access(source, os.X_OK)
    packaged = "site-packages" in source.parts or "dist-packages" in source.parts  # wheels' libraries do not stand it
    if strip is None or not binary or packaged or source.stat().st_size < 100_000:
        return source.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        stripped = Path(folder, "stripped")
        done = subprocess.run([strip, "-g", "-o", stripped, source], capture_output=True, check=False)
        return (source if done.returncode else stripped).read_bytes()


def _add(
    tar: tarfile.TarFile,
    name: str,
    kind: bytes,
    *,
    content: bytes = b"",
    link: str = "",
    mode: int = 0o644,
    uid: int = 0,
    mtime: int = 0,
) -> None:
    entry = tarfile.TarInfo(name.lstrip("/"))
    entry.type, entry.linkname, entry.mode, entry.uid, entry.gid = kind, link, mode, uid, uid
    entry.size, entry.mtime = len(content), mtime
    tar.addfile(entry, io.BytesIO(content))


def _version() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def _python_files() -> Iterator[tuple[str, Path]]:
    """The standard library (image path, host path)."""
    target = PurePosixPath("/usr/local/lib") / f"python{_version()}"
    for folder in dict.fromkeys(Path(sysconfig.get_path(key)).resolve() for key in ("stdlib", "platstdlib")):
        for path in _walk(folder, skip=("site-packages", "dist-packages")):
            yield str(target / path.relative_to(folder)), path


def _package_files(packages: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """The files of distributions and of what they require (image path, host path)."""
    site = PurePosixPath("/usr/local/lib") / f"python{_version()}" / "site-packages"
    pending, seen = list(packages), set()
    while pending:
        name = re.sub(r"[-_.]+", "-", pending.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if name in {re.sub(r"[-_.]+", "-", asked).lower() for asked in packages}:
                raise RuntimeError(f"{name} is not installed here") from None
            continue  # required on another system or Python only
        for requirement in distribution.requires or ():
            if "extra ==" not in requirement:
                pending.append(re.match(r"[\w.-]+", requirement)[0])  # type: ignore[index]
        for file in distribution.files or ():
            path = Path(str(file.locate()))
            if ".." in file.parts or not path.is_file() or {"test", "tests"} & {*file.parts[:-1]}:
                continue
            yield str(site / PurePosixPath(*file.parts)), path


def _walk(folder: Path, skip: Sequence[str] = ()) -> Iterator[Path]:
    for root, directories, names in os.walk(folder):
        directories[:] = [d for d in directories if d not in (*UNWANTED, *skip) and not d.startswith("config-")]
        for name in names:
            if not name.endswith((".a", ".opt-1.pyc", ".opt-2.pyc")) and not name.startswith(("_test", "_ctypes_test")):
                yield Path(root, name)


def _programs() -> dict[str, Path]:
    """Python, the shell and the tools: image path and host path."""
    executable = Path(getattr(sys, "_base_executable", None) or sys.executable).resolve()
    found = {f"/usr/local/bin/python{_version()}": executable}
    busybox = shutil.which("busybox")
    static = busybox is not None and not _ldd([Path(busybox)])
    if busybox is not None and static:
        found["/usr/bin/busybox"] = Path(busybox).resolve()
    for tool in ("bash",) if static else TOOLS:
        if (path := shutil.which(tool)) is not None:
            found[f"/usr/bin/{tool}"] = Path(path).resolve()
    return found


def _libraries(binaries: Sequence[Path]) -> list[tuple[str, Path]]:
    """The shared libraries that binaries need (image path, host path); the loader under its own name."""
    libraries = _ldd(binaries)
    home = PurePosixPath("/usr/lib")
    for name, path in libraries.items():
        if name.startswith("libc.so"):  # where the loader of this system looks without being told
            home = PurePosixPath("/usr") / PurePosixPath(path).relative_to("/").as_posix().removeprefix("usr/")
            home = home.parent
    found = []
    for name, path in libraries.items():
        absolute = name if name.startswith("/usr/") else f"/usr{name}"
        target = absolute if name.startswith("/") else str(home / name)
        found.append((target, Path(path).resolve()))
    return sorted(found)


def _ldd(binaries: Sequence[Path]) -> dict[str, str]:
    """Library names (the loader: its path) and where they are; nothing for a static program."""
    told = subprocess.run(["ldd", *binaries], capture_output=True, text=True, check=False).stdout
    found = {}
    for line in told.splitlines():
        if match := re.match(r"\s+(\S+) => (/\S+) \(", line):
            if "site-packages" not in match[2] and "dist-packages" not in match[2]:  # comes with its package
                found[match[1]] = match[2]
        elif match := re.match(r"\s+(/\S+) \(", line):
            found[match[1]] = match[1]
    return found
