"""What a harness writes into a run's ledger, and when: digests of what there is, and the steps of a run's end.

The three `record_*` functions may be called again at any time, after any kill: what stands and is still true is kept.

    record_exchanges(ledger, layout)          when the ledger was opened: model calls that a killed harness did not note
    ledger.add(Kind.START, **start_details(...))
    record_end(ledger, layout, run)           the agent's part is over, everything is collected
    record_graded(ledger, graded, ...)        there is a verdict
    run_report(run, graded, ledger.result)    is written to report.json
    record_report(ledger, layout)             last
"""

import functools
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mleb_core.competition import Competition
from mleb_core.layout import CompetitionData, GroupLayout, RunLayout
from mleb_core.ledger import Kind, Ledger
from mleb_core.machine import this_machine
from mleb_core.registry import Registry
from mleb_core.report.build import config_digest
from mleb_core.report.models import CompetitionReport
from mleb_core.run import Run, RunGroup
from mleb_core.runner.protocol import Isolation

__all__ = [
    "answers_digest",
    "end_details",
    "file_facts",
    "gateway_details",
    "graded_details",
    "kept_files",
    "plugins_digest",
    "record_end",
    "record_exchanges",
    "record_graded",
    "record_report",
    "start_details",
    "transcript_lines",
]

_FACTS = ("number", "endpoint", "model", "status", "error", "tokens", "estimated", "cost_usd")
"""What of an exchange the ledger names, as transcript.jsonl has it."""


def start_details(
    run: Run,
    group: RunGroup,
    layout: GroupLayout,
    *,
    isolation: Isolation,
    plugins: Mapping[str, str],
    gpus: Sequence[str] = (),
) -> dict[str, Any]:
    """Details of `start`.

    Args:
        run: with the number of the attempt that starts.
        group: what was asked for.
        layout: the group's directory.
        isolation: what the runner keeps from the agent.
        plugins: distributions in use now, with versions, as in `RunGroup.plugins`.
        gpus: ids of the GPUs that are the run's own.

    Raises:
        OSError: group.json cannot be read.
    """
    return {
        "attempt": run.attempt,
        "run": run.key.model_dump(),
        "limits": json.loads(group.limits.model_dump_json()),  # as group.json has them
        "terms": json.loads(group.terms.model_dump_json()),
        "runner": group.runner,
        "isolation": vars(isolation),
        "gpus": list(gpus),
        "machine": this_machine(),
        "plugins": plugins_digest(plugins),
        "configuration": config_digest(group),
        "group": file_facts(layout.group),
        "data": group.digests.get(run.key.competition),
    }


def plugins_digest(plugins: Mapping[str, str]) -> str:
    """sha256 of the lines `distribution version`, sorted."""
    return hashlib.sha256(
        "".join(f"{name} {number}\n" for name, number in sorted(plugins.items())).encode()
    ).hexdigest()


def gateway_details(line: bytes, *, late: bool = False) -> dict[str, Any]:
    """Details of `gateway`, from a line of transcript.jsonl; for `Gateway(on_exchange=...)`.

    Args:
        line: with its line end.
        late: whether the ledger gets to know of it only after its harness was killed.
    """
    found: dict[str, Any] = {}
    head = line.find(b', "request": ')  # what follows may be megabytes; within a text the quotes would be escaped
    try:
        facts = json.loads(line[:head] + b"}" if head > 0 else line)
        found = {name: facts[name] for name in _FACTS if facts.get(name) is not None}
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass  # the digest alone is enough to tell a change
    return {**found, "sha256": hashlib.sha256(line).hexdigest()} | ({"late": True} if late else {})


def end_details(layout: RunLayout, run: Run) -> dict[str, Any]:
    """Details of `end`: how the agent's part ended, and the digests of all that is kept of it (`kept_files`).

    Args:
        layout: of the run; everything is collected, usage.json and resources.json are written.
        run: with its outcome.

    Raises:
        OSError: a file cannot be read.
    """
    outcome = run.outcome
    return {
        "attempt": run.attempt,
        "status": outcome.status if outcome else run.status,
        "cause": outcome.cause if outcome else None,
        "message": outcome.message if outcome else "",
        "exit_code": outcome.exit_code if outcome else None,
        "runtime_s": outcome.runtime_s if outcome else None,
        "submission": file_facts(layout.submission),
        "files": {path.name: facts for path in kept_files(layout) if (facts := file_facts(path)) is not None},
    }


def kept_files(layout: RunLayout) -> tuple[Path, ...]:
    """The files and directories of a run that `end` has digests of."""
    return (
        layout.log,
        layout.submission_dir,
        layout.code,
        layout.logs,
        layout.snapshots,
        layout.transcript,
        layout.usage,
        layout.resources,
    )


def graded_details(
    graded: CompetitionReport, competition: Competition, data_dir: Path, registry: Registry
) -> dict[str, Any]:
    """Details of `graded`.

    Args:
        graded: the verdict.
        competition: in the edition that was graded.
        data_dir: where its data lies.
        registry: to tell which version of the grader it was.

    Raises:
        OSError: the answers cannot be read.
    """
    owner = registry.owner("grader", competition.spec.grading.grader)
    return {
        "score": graded.score,
        "medal": graded.medal,
        "submission_exists": graded.submission_exists,
        "valid": graded.valid_submission,
        "reason": graded.reason,
        "grader_error": graded.grader_error,
        "submission_sha256": graded.submission_sha256,
        "graded_at": graded.created_at,
        "competition": graded.label,
        "grader": competition.spec.grading.grader,
        "grader_version": f"{owner.distribution} {owner.version}" if owner else f"mleb-core {version('mleb-core')}",
        "answers": answers_digest(competition, data_dir),
    }


def answers_digest(competition: Competition, data_dir: Path) -> str | None:
    """sha256 of a competition's answers, a directory's as in `file_facts`; None where there are none.

    Raises:
        OSError: they cannot be read.
    """
    path = CompetitionData.of(data_dir, competition.label).private / competition.spec.grading.answers
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISREG(status.st_mode):
        return _file_digest(path, status.st_ino, status.st_size, status.st_mtime_ns)
    facts = file_facts(path)
    return facts["sha256"] if facts else None


@functools.lru_cache(maxsize=512)
def _file_digest(path: Path, *identity: int) -> str:
    """Hashing the same answers for each of a thousand runs would take longer than grading."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_facts(path: Path) -> dict[str, Any] | None:
    """sha256 and size in bytes of a file, or of a directory with all that is in it; None where there is nothing.

    A directory's sha256 is that of the lines `sha256  path`, as sha256sum prints them, of all files below it, with
    paths from the directory on, sorted by their bytes; what is no regular file has 64 dashes. `files` counts them.

    Raises:
        OSError: it cannot be read.
    """
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISDIR(status.st_mode):
        sha256, size = _digest(path)
        return {"sha256": sha256, "bytes": size}
    table = sorted((os.fsencode(found.relative_to(path)), *_digest(found)) for found in _below(path))
    lines = b"".join(sha256.encode() + b"  " + name + b"\n" for name, sha256, _ in table)
    total = sum(size for _, _, size in table)
    return {"sha256": hashlib.sha256(lines).hexdigest(), "bytes": total, "files": len(table)}


def _below(path: Path) -> Iterator[Path]:
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _below(path / entry.name)
            else:
                yield path / entry.name


def _digest(path: Path) -> tuple[str, int]:
    """sha256 and size of a regular file; dashes and 0 for anything else, which is not opened."""
    if not stat.S_ISREG(path.lstat().st_mode):
        return "-" * 64, 0
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return digest, stream.tell()


def transcript_lines(layout: RunLayout) -> Iterator[bytes]:
    """The whole lines of transcript.jsonl, with their ends; none without the file.

    Raises:
        OSError: it cannot be read.
    """
    if layout.transcript.is_file():
        with layout.transcript.open("rb") as stream:
            for line in stream:
                if line.endswith(b"\n"):
                    yield line


def record_exchanges(ledger: Ledger, layout: RunLayout) -> int:
    """Note the exchanges that are in the transcript and not in the ledger, since their harness was killed between.

    Returns:
        How many there were.

    Raises:
        OSError, SandboxError: as `Ledger.add`.
    """
    known, added = ledger.count(Kind.GATEWAY), 0
    for number, line in enumerate(transcript_lines(layout)):
        if number >= known:
            ledger.add(Kind.GATEWAY, **gateway_details(line, late=True))
            added += 1
    return added


def record_end(ledger: Ledger, layout: RunLayout, run: Run) -> None:
    """Note that the agent's part of this attempt is over, unless that stands there.

    Raises:
        OSError, SandboxError: as `Ledger.add` and `end_details`.
    """
    standing = ledger.standing(Kind.END)
    if standing is None or standing.details.get("attempt") != run.attempt or not _same_outcome(standing.details, run):
        ledger.add(Kind.END, **end_details(layout, run))


def _same_outcome(details: Mapping[str, Any], run: Run) -> bool:
    outcome = run.outcome
    names = ("status", "cause", "message")
    return outcome is None or all(details.get(name) == getattr(outcome, name) for name in names)


def record_graded(
    ledger: Ledger, graded: CompetitionReport, competition: Competition, data_dir: Path, registry: Registry
) -> None:
    """Note a verdict, unless this very one stands there. Arguments as in `graded_details`.

    Raises:
        OSError, SandboxError: as `Ledger.add` and `graded_details`.
    """
    standing = ledger.standing(Kind.GRADED)
    if standing is not None and standing.details.get("graded_at") == graded.created_at:
        told = (standing.details.get("score"), standing.details.get("submission_sha256"))
        if told == (graded.score, graded.submission_sha256):
            return
    ledger.add(Kind.GRADED, **graded_details(graded, competition, data_dir, registry))


def record_report(ledger: Ledger, layout: RunLayout) -> None:
    """Note report.json as it stands, unless that is the last entry already.

    Raises:
        OSError, SandboxError: as `Ledger.add`; report.json is not there.
    """
    sha256, size = _digest(layout.report)
    standing = ledger.standing(Kind.REPORT)
    if standing is None or standing.hash != ledger.head or standing.details.get("sha256") != sha256:
        ledger.add(Kind.REPORT, sha256=sha256, bytes=size)
