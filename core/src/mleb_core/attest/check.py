"""Holding an attestation against its signature, and against the group that it tells of."""

import hashlib
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from mleb_core.attest.build import attest_group
from mleb_core.attest.models import Attestation, AttestationCheck
from mleb_core.attest.page import to_page
from mleb_core.attest.sign import SignatureError, check_signature, signature_of
from mleb_core.errors import RunGroupError
from mleb_core.layout import GroupLayout
from mleb_core.registry import Registry
from mleb_core.report.load import parse_model
from mleb_core.run import RunKey

if TYPE_CHECKING:
    from minisign import PublicKey

__all__ = ["check_attestation", "differences", "page_of"]

_OF_A_RUN = {
    "status": "status",
    "attempts": "attempts",
    "score": "score",
    "medal": "medal",
    "valid": "verdict on validity",
    "submission": "submission's sha256",
    "report": "report.json's sha256",
    "head": "ledger's head",
}
"""What of a run must be as it was."""


def check_attestation(
    path: Path,
    *,
    key: "PublicKey | None" = None,
    directory: Path | None = None,
    registry: Registry | None = None,
    data_dir: Path | None = None,
    grade: bool = True,
    workers: int | None = None,
    progress: Callable[[RunKey], None] | None = None,
) -> AttestationCheck:
    """Check an attestation.

    Args:
        path: its JSON file, or the page beside that.
        key: of who is said to have signed it; None: signatures are not looked at.
        directory: the group's; None: it is not looked at.
        registry: where competitions and graders are found; needed with `directory`.
        data_dir: as for `attest_group`, as are the others.
        grade: also grade the kept submissions again.
        workers: runs at a time.
        progress: told of each run.

    Raises:
        RunGroupError: the file is no attestation; as `attest_group` for the group.
    """
    document, page = page_of(path, reverse=True), page_of(path)
    content = _content(document)
    attestation = parse_model(document, content, Attestation, "an attestation")
    findings: list[str] = []
    notes: list[str] = []
    comment = None
    if key is None:
        notes.append("no public key was given: who made it is not checked")
    else:
        try:
            comment = check_signature(content, signature_of(document), key)
        except SignatureError as error:
            findings.append(str(error))
    _check_page(page, attestation, content, key=key, findings=findings, notes=notes)
    if directory is None:
        notes.append("no group was given: it is not compared with what it tells of")
    else:
        now = attest_group(directory, registry or Registry(), data_dir, grade=grade, workers=workers, progress=progress)
        findings += differences(attestation, now)
        later = {audit.audit for audit in now.audits} - {audit.audit for audit in attestation.audits}
        notes += [f"audit {name} was carried out since" for name in sorted(later)]
    notes += [f"attested as not holding: {line}" for line in attestation.verified.findings]
    return AttestationCheck(
        file=str(path),
        group=attestation.group,
        created_at=attestation.created_at,
        signed=comment is not None,
        comment=comment,
        compared=directory is not None,
        graded=directory is not None and grade,
        findings=tuple(findings),
        notes=tuple(notes),
    )


def page_of(path: Path, *, reverse: bool = False) -> Path:
    """Where the page of an attestation stands, or with `reverse` its JSON; the path is either's, or has no ending,
    or is the directory that both stand in under their usual names.
    """
    if path.is_dir():
        path = GroupLayout(path).attestation
    stem = path.with_suffix("") if path.suffix in (".json", ".md") else path
    return stem.with_name(stem.name + (".json" if reverse else ".md"))


def differences(was: Attestation, now: Attestation) -> list[str]:
    """What of a group is not as it was attested, a line each.

    Args:
        was: the attestation.
        now: one made of the same group now.
    """
    found = []
    if was.group_file != now.group_file:
        found.append("group.json: it is not what was attested")
    before, after = ({run.key: run for run in one.runs} for one in (was, now))
    for key, run in before.items():
        if key not in after:
            found.append(f"{key}: it is gone")
            continue
        for name, shown in _OF_A_RUN.items():
            old, new = getattr(run, name), getattr(after[key], name)
            if old != new:
                found.append(f"{key}: its {shown} is {_shown(new)}, attested was {_shown(old)}")
    found += [f"{key}: it was not there when this was attested" for key in after if key not in before]
    found += _other_files(was.reports, now.reports)
    found += _other_files(*({f"audits/{audit.audit}.json": audit.sha256 for audit in one.audits} for one in (was, now)))
    known = set(was.verified.findings)
    found += [line for line in now.verified.findings if line not in known]
    return found


def _other_files(
    was: "dict[str, str] | dict[str, str | None]", now: "dict[str, str] | dict[str, str | None]"
) -> Iterable[str]:
    for name, sha256 in was.items():
        if name not in now:
            yield f"{name}: it is gone"
        elif now[name] != sha256:
            yield f"{name}: it is not what was attested"


def _check_page(
    page: Path,
    attestation: Attestation,
    content: bytes,
    *,
    key: "PublicKey | None",
    findings: list[str],
    notes: list[str],
) -> None:
    """The page beside, where there is one, is what the JSON makes, and signed by the same key if it is signed."""
    if not page.is_file():
        return
    shown = _content(page)
    if shown != to_page(attestation, hashlib.sha256(content).hexdigest()).encode():
        maker = attestation.made_with.get("mleb-core")
        if maker == version("mleb-core"):
            findings.append(f"{page}: it does not show what the attestation says")
        else:
            notes.append(f"{page}: not as mleb-core {version('mleb-core')} shows it; it is one of {maker}")
    if key is not None and signature_of(page).is_file():
        try:
            check_signature(shown, signature_of(page), key)
        except SignatureError as error:
            findings.append(str(error))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunGroupError(f"{path}: an attestation is expected: {error.strerror or error}") from None


def _shown(value: object) -> str:
    return "none" if value is None else str(value)
