"""The ledger of a run: what the agent was given, what it did and what came of it, hash-chained, a JSON object a line.

    {"seq": 1, "time": "2026-01-31T12:00:00.000+00:00", "kind": "start", ..., "previous": "000...", "hash": "3f0..."}

`seq` is the line's number from 1. `hash` stands last; it is the sha256, in hexadecimal, of the line's own bytes without
it: everything before `,"hash":`, and a `}`. `previous` is the `hash` of the line before, 64 zeros in the first. So no
byte of any line can change, and no line but the last ones can go, without the chain breaking. docs/ledger.md has the
rule as a program.
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import stat
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mleb_core.errors import RunGroupError, SandboxError
from mleb_core.layout import RunLayout
from mleb_core.run import now

__all__ = [
    "FIRST",
    "Chain",
    "Entry",
    "Kind",
    "Ledger",
    "Problem",
    "chain_of",
    "check_chain",
    "is_in_use",
    "read_ledger",
    "standing",
]

FIRST = "0" * 64
"""`previous` of the first entry; the head of an empty ledger."""


class Kind(StrEnum):
    """What an entry tells. Its details are named in docs/ledger.md; runners may note kinds of their own."""

    START = "start"
    """An attempt starts: which run, limits, network, runner, GPUs, digests of plugins, configuration and data."""
    IMAGE = "image"
    """The image that the agent runs in."""
    GATEWAY = "gateway"
    """One exchange with a model, with the sha256 of its line in transcript.jsonl."""
    CHECK = "check"
    """One call of the submission checker and what it said."""
    SNAPSHOT = "snapshot"
    """A copy of the submission was taken."""
    BUDGET = "budget"
    """A budget was reached."""
    TAKEN_UP = "taken_up"
    """A later harness goes on with an attempt that a former one started."""
    TORN = "torn"
    """The ledger's last line was not whole, as a killed machine leaves it, and was removed."""
    SPOILT = "spoilt"
    """The ledger before this one did not hold; it is kept beside it, and this one begins anew."""
    END = "end"
    """The agent's part is over: outcome, and digests of everything that was collected."""
    GRADED = "graded"
    """The verdict on the submission."""
    REPORT = "report"
    """report.json was written; the last entry of a run that is over."""


_LATER: Mapping[str, tuple[Kind, ...]] = {
    Kind.START: (Kind.START, Kind.TAKEN_UP, Kind.END, Kind.GRADED, Kind.REPORT),
    Kind.TAKEN_UP: (Kind.END, Kind.GRADED, Kind.REPORT),
    Kind.END: (Kind.GRADED, Kind.REPORT),
    Kind.GRADED: (Kind.REPORT,),
}
"""What an entry of a kind makes void: the steps behind it, which are to come again."""
_DURABLE = {Kind.START, Kind.TAKEN_UP, Kind.TORN, Kind.END, Kind.GRADED, Kind.REPORT}
_OWN = {"seq", "time", "kind", "previous", "hash"}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_END = re.compile(rb',"hash":"([0-9a-f]{64})"\}\n')
_END_BYTES = len(',"hash":""}\n') + 64
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)  # ASCII, so that nothing can fail to be encoded


@dataclass(frozen=True)
class Entry:
    """One line of a ledger."""

    seq: int
    """Its number, from 1."""
    time: str
    """When it was added: UTC, ISO 8601."""
    kind: str
    """What it tells; see `Kind`."""
    details: dict[str, Any]
    """All else that it says."""
    previous: str
    """`hash` of the entry before."""
    hash: str
    """sha256 of the line without it, in hexadecimal."""


@dataclass(frozen=True)
class Problem:
    """Something in a ledger that does not hold."""

    line: int
    """Which line, from 1."""
    what: str
    """What is wrong with it, in a few words."""

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}"


@dataclass(frozen=True)
class Chain:
    """A ledger, recomputed."""

    entries: list[Entry]
    """The lines that can be read as entries, sound or not."""
    problems: list[Problem]
    """Everything that does not hold, by line; empty: the chain is whole."""
    torn: int = 0
    """Bytes of a last line without its end; also told as a problem."""

    @property
    def head(self) -> str:
        """Hash of the last entry; `FIRST` without any."""
        return self.entries[-1].hash if self.entries else FIRST


def check_chain(path: Path) -> Chain:
    """Recompute a ledger from its bytes.

    Raises:
        OSError: it cannot be read.
    """
    return chain_of(path.read_bytes())


def standing(entries: Iterable[Entry]) -> dict[str, Entry]:
    """The last entry of each kind that still counts, as `Ledger.standing`."""
    found: dict[str, Entry] = {}
    for entry in entries:
        _stand(found, entry)
    return found


def read_ledger(path: Path) -> list[Entry]:
    """The entries of a ledger that holds.

    Raises:
        RunGroupError: it cannot be read, or does not hold; the first line at fault is named.
    """
    try:
        chain = check_chain(path)
    except OSError as error:
        raise RunGroupError(f"{path}: a run's ledger is expected: {error.strerror or error}") from None
    if chain.problems:
        raise RunGroupError(f"{path}, {chain.problems[0]}")
    return chain.entries


class Ledger:
    """A ledger that is being written. Safe to use from many threads; one process has it at a time.

    An entry is whole on disk or not there. Those that a run's result hangs on (start, end, graded, report) are flushed
    to disk before `add` returns; others, of which there may be thousands, are left to the system.
    """

    def __init__(self, path: Path, handle: int) -> None:
        """Use `Ledger.open`."""
        self.path = path
        """The file."""
        self._handle: int | None = handle
        self._lock = threading.Lock()
        self._seq, self._head, self._size = 0, FIRST, 0
        self._standing: dict[str, Entry] = {}
        self._counts: Counter[str] = Counter()

    @classmethod
    def open(cls, layout: RunLayout) -> "Ledger":
        """Open a run's ledger, or begin it. A last line that is not whole is cut off, and an entry says so.

        Raises:
            RunGroupError: it does not hold, cannot be opened, or is in use. Nothing is changed then.
        """
        path = layout.ledger
        try:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            handle = os.open(path, flags, 0o644)
        except OSError as error:
            raise RunGroupError(f"{path}: the ledger cannot be opened: {error.strerror or error}") from error
        try:
            ledger = cls(path, handle)
            ledger._take_up()
            return ledger
        except BaseException as error:
            os.close(handle)
            if isinstance(error, OSError):
                raise RunGroupError(f"{path}: the ledger cannot be used: {error.strerror or error}") from error
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def head(self) -> str:
        """Hash of the last entry; `FIRST` without any."""
        return self._head

    @property
    def result(self) -> str | None:
        """Hash of the entry that the attempt's result hangs on: `graded`, else `end`; None before that."""
        entry = self.standing(Kind.GRADED) or self.standing(Kind.END)
        return None if entry is None else entry.hash

    def standing(self, kind: str) -> Entry | None:
        """The last entry of a kind that still counts: a new start makes the ends, verdicts and reports before it void,
        a new end the verdicts and reports, a new verdict the reports.
        """
        return self._standing.get(kind)

    def count(self, kind: str) -> int:
        """How many entries of a kind there are, over all attempts."""
        return self._counts[kind]

    def add(self, kind: str, /, **details: Any) -> str:
        """Add an entry.

        Args:
            kind: one of `Kind`, or another word of small letters.
            details: anything that JSON can carry; names other than an entry's own.

        Returns:
            The entry's hash, which is the new head.

        Raises:
            ValueError, TypeError: no such kind or detail can be; the ledger is closed.
            SandboxError: the file was removed, or changed by another hand.
            OSError: it cannot be written; a part of a line is taken back.
        """
        if not _NAME.fullmatch(kind) or _OWN & details.keys():
            raise ValueError(f"a ledger's entry cannot be of kind {kind!r} with {', '.join(details)}")
        with self._lock:
            return self._add(str(kind), details)

    def close(self) -> None:
        """Flush to disk and close; a second time does nothing."""
        with self._lock:
            if self._handle is None:
                return
            handle, self._handle = self._handle, None
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def _add(self, kind: str, details: dict[str, Any]) -> str:
        if self._handle is None:
            raise ValueError(f"{self.path}: the ledger is closed")
        entry = {"seq": self._seq + 1, "time": now(), "kind": kind, **details, "previous": self._head}
        body = _ENCODER.encode(entry).encode()
        hash_ = hashlib.sha256(body).hexdigest()
        line = body[:-1] + b',"hash":"' + hash_.encode() + b'"}\n'
        status = os.fstat(self._handle)
        if status.st_size != self._size or not status.st_nlink:
            what = "changed" if status.st_nlink else "removed"
            raise SandboxError(f"{self.path} was {what} by another hand while the run went on; did the agent do that?")
        self._write(line, durable=kind in _DURABLE)
        self._note(Entry(entry["seq"], entry["time"], kind, details, entry["previous"], hash_))
        self._size += len(line)
        return hash_

    def _write(self, line: bytes, *, durable: bool) -> None:
        assert self._handle is not None
        try:
            written = os.write(self._handle, line)
            if written != len(line):  # a full disk takes a part first and complains later
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if durable:
                os.fsync(self._handle)
        except OSError as error:
            os.ftruncate(self._handle, self._size)
            error.filename = str(self.path)
            raise

    def _note(self, entry: Entry) -> None:
        self._seq, self._head = entry.seq, entry.hash
        _stand(self._standing, entry)
        self._counts[entry.kind] += 1

    def _take_up(self) -> None:
        """Lock and recompute what is there.

        Raises:
            RunGroupError: it does not hold, or is in use.
            OSError: it cannot be read or written.
        """
        assert self._handle is not None
        if not stat.S_ISREG(os.fstat(self._handle).st_mode):
            raise RunGroupError(f"{self.path}: a regular file is expected; move the run's directory away")
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunGroupError(f"{self.path}: the ledger is in use; another mleb is at work on this run") from None
        with open(self._handle, "rb", closefd=False) as stream:
            content = stream.read()
        whole = content[: content.rfind(b"\n") + 1]
        chain = chain_of(whole)
        if chain.problems:
            raise RunGroupError(
                f"{self.path}, {chain.problems[0]}; it was changed, so nothing is added to it: "
                "move the run's directory away to have it run again"
            )
        for entry in chain.entries:
            self._note(entry)
        self._size = len(whole)
        if not content:
            _sync_directory(self.path.parent)
        if torn := content[len(whole) :]:
            os.ftruncate(self._handle, len(whole))
            self.add(Kind.TORN, note="torn line removed", bytes=len(torn), sha256=hashlib.sha256(torn).hexdigest())


def _stand(found: dict[str, Entry], entry: Entry) -> None:
    for void in _LATER.get(entry.kind, ()):
        found.pop(void, None)
    found[entry.kind] = entry


def chain_of(content: bytes) -> Chain:
    """`check_chain` of a ledger that has been read already."""
    entries: list[Entry] = []
    problems: list[Problem] = []
    previous, torn = FIRST, 0
    for number, line in enumerate(_lines(content), 1):
        if not line.endswith(b"\n"):
            torn = len(line)
            problems.append(Problem(number, "it is not whole; no line end"))
            break
        entry, told = _entry_of(line)
        if entry is None:
            problems.append(Problem(number, told))
            continue
        if told:
            problems.append(Problem(number, told))
        if entry.seq != number:
            problems.append(Problem(number, f"its seq is {entry.seq}; lines are missing, moved or added"))
        elif entry.previous != previous:
            problems.append(Problem(number, "its previous is not the hash of the line before"))
        previous = entry.hash
        entries.append(entry)
    return Chain(entries, problems, torn)


def _lines(content: bytes) -> list[bytes]:
    """The lines with their ends; only a line feed ends one."""
    parts = content.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _entry_of(line: bytes) -> tuple[Entry | None, str]:
    """The entry that a line holds, where it can be read, and what is wrong with it, empty where nothing is."""
    end = _END.fullmatch(line[-_END_BYTES:])
    if end is None:
        return None, "it does not end with a hash"
    body = line[:-_END_BYTES] + b"}"
    try:
        document = json.loads(body)
        details = {name: value for name, value in document.items() if name not in _OWN}
        seq, time, kind, previous = (document[name] for name in ("seq", "time", "kind", "previous"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None, "it is no entry"
    if type(seq) is not int or not all(isinstance(text, str) for text in (time, kind, previous)):
        return None, "it is no entry"
    hash_ = end[1].decode()
    wrong = "" if hashlib.sha256(body).hexdigest() == hash_ else "its hash is not that of its content"
    return Entry(seq, time, kind, details, previous, hash_), wrong


def is_in_use(layout: RunLayout) -> bool:
    """Whether a process has a run's ledger open: it is at work on the run, on whichever machine."""
    try:
        handle = os.open(layout.ledger, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
