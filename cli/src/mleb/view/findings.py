"""What audits found in a group and in its runs."""

import json
import os
import threading
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mleb.view.files import FileProblem, inner, listing, open_folder, read_at, stamp
from mleb.view.index import GroupIndex, Key
from mleb_core.audits.findings import AuditRecord, Finding

__all__ = ["Findings"]

MOST_LINES = 200
"""Findings that are listed for a group."""
_MOST_FILES = 100
_MOST_BYTES = 64 << 20
_KEPT = 8
_RANK = {"serious": 0, "warning": 1, "info": 2}


class Findings:
    """Reads the files of audits when they changed. Safe to use from many threads."""

    def __init__(self) -> None:
        self._kept: dict[Path, tuple[list[int], _Group]] = {}
        self._lock = threading.Lock()

    def of_run(self, group: GroupIndex, key: Key) -> list[dict[str, Any]]:
        """What was found in a run, the worst first: `audit`, `rule`, `severity`, `message`, `evidence`."""
        return self._read(group).runs.get((key.competition, key.agent, key.seed), [])

    def of_group(self, group: GroupIndex) -> dict[str, Any]:
        """What was found in a group.

        Returns:
            `audits` that were carried out; `group`: findings of the group as a whole; `lines`: findings of runs, the
            worst first, each with its run; how many `more`; `problems`: a line for each file that is none.
        """
        found = self._read(group)
        lines = []
        for (competition, agent, seed), findings in found.runs.items():
            where = {"competition": competition, "agent": agent, "seed": seed, "folder": group.agent_folder(agent)}
            lines += [{**where, **finding} for finding in findings]
        lines.sort(key=lambda line: _RANK[line["severity"]])
        return {
            "audits": found.audits,
            "group": found.group,
            "lines": lines[:MOST_LINES],
            "more": max(0, len(lines) - MOST_LINES),
            "problems": found.problems,
        }

    def _read(self, group: GroupIndex) -> "_Group":
        folder = group.layout.audit("x").parent
        with self._lock:
            try:
                files = listing(group.directory, folder, _MOST_FILES)[0]
                fd = open_folder(group.directory, inner(group.directory, folder))
            except FileProblem as problem:
                return _Group([] if problem.missing else [str(problem)])
            try:
                names = [file.path for file in files if file.path.endswith(".json") and "/" not in file.path]
                stamps = [stamp(fd, name) for name in names]
                kept = self._kept.pop(group.directory, None)
                if kept is None or kept[0] != stamps:
                    kept = (stamps, _group_of({name: read_at(fd, name, _MOST_BYTES) for name in names}))
            except OSError as error:
                return _Group([f"{folder.name}: {error.strerror or error}"])
            finally:
                os.close(fd)
            while len(self._kept) >= _KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[group.directory] = kept
            return kept[1]


class _Group:
    """The findings of a group."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        self.audits: list[dict[str, Any]] = []
        self.group: list[dict[str, Any]] = []
        self.runs: dict[tuple[str, str, int], list[dict[str, Any]]] = {}


def _group_of(contents: dict[str, bytes | None]) -> _Group:
    found = _Group([])
    for name, content in contents.items():
        try:
            record = AuditRecord.model_validate_json(content or b"")
        except ValidationError as error:
            found.problems.append(f"{name}: no findings of an audit: {error.errors(include_url=False)[0]['msg']}")
            continue
        found.audits.append(
            {
                "audit": record.audit,
                "plugin": record.plugin,
                "created_at": record.created_at,
                "error": record.error,
                "runs": len(record.runs),
                "with": sum(bool(run.findings) for run in record.runs),
            }
        )
        found.group += map(_shown, record.findings)
        for run in record.runs:
            if run.findings:
                key = (run.key.competition, run.key.agent, run.key.seed)
                found.runs[key] = found.runs.get(key, []) + [_shown(finding) for finding in run.findings]
    for findings in (found.group, *found.runs.values()):
        findings.sort(key=lambda finding: _RANK[finding["severity"]])
    return found


def _shown(finding: Finding) -> dict[str, Any]:
    evidence = []
    for item in finding.evidence[:20]:
        place = f"line {item.line}" if item.line else f"row {item.row}" if item.row is not None else ""
        told = dict(item.values)
        rows = told.pop("side_by_side", None)
        values = json.dumps(told, ensure_ascii=False, indent=1)[:4000] if told else ""
        if isinstance(rows, list):
            values = "\n".join([values, *map(str, rows)])[:12_000]
        evidence.append({"file": item.file or "", "place": place, "seen": values})
    return {
        "audit": finding.audit,
        "rule": finding.rule,
        "severity": finding.severity,
        "message": finding.message,
        "evidence": evidence,
        "evidence_more": max(0, len(finding.evidence) - 20),
    }
