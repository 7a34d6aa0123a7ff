"""`mleb attest`: one page of what ran and what was checked of it, signed if a key is given; and its check."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mleb.options import AsJson, DataDir, Workers, option
from mleb.output import clean, print_json, print_json_text, print_line, print_notice, stdout_kept
from mleb_core.errors import RunGroupError, UsageError

if TYPE_CHECKING:
    from mleb.render import Steps
    from mleb_core.attest.models import Attestation, AttestationCheck
    from mleb_core.run import RunKey

__all__ = ["register"]

PASSWORD = "MLEB_ATTEST_PASSWORD"  # noqa: S105
"""Environment variable with the password of a key, where nobody can be asked for it."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("attest")(attest_command)


def attest_command(  # noqa: PLR0917
    group: Annotated[
        Path | None, typer.Argument(help="Directory of a run group.", metavar="GROUP_DIR", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Where to write the JSON; the page stands beside it, with .md.",
            metavar="FILE",
            show_default="attestation.json in the group",
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", help="Sign both with this secret key, as minisign.", metavar="FILE"),
    ] = None,
    check: Annotated[
        Path | None, typer.Option("--check", help="Check this attestation instead of making one.", metavar="FILE")
    ] = None,
    public_key: Annotated[
        str | None,
        typer.Option(
            "--public-key", help="With --check: whose signature the attestation must bear.", metavar="KEY|FILE"
        ),
    ] = None,
    grade: Annotated[bool, option("--grade/--no-grade", help="Grade the kept submissions again.")] = True,
    data_dir: DataDir = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Make one page of what ran, what was checked of it, and what was not.

    The group is verified as by `mleb verify`. Exits with 1 where something does not hold; the page says so, too. With
    --check, an attestation is held against its signature and, if the group is given, against that.
    """
    if check is not None:
        if output is not None or key is not None:
            raise UsageError("--check makes no attestation; leave out --output and --key")
        if group is None and public_key is None:
            raise UsageError("--check needs --public-key, the group's directory, or both")
        checked = _checked(check, public_key, group, data_dir, workers, grade=grade)
        if as_json:
            print_json({**checked.model_dump(mode="json"), "holds": checked.holds})
        else:
            _show_check(checked)
        if not checked.holds:
            raise typer.Exit(1)
        return
    if public_key is not None:
        raise UsageError("--public-key belongs to --check; to sign, give --key")
    if group is None:
        raise UsageError("which group? give its directory")
    attestation, files = _made(group, output, key, data_dir, workers, grade=grade)
    if as_json:
        print_json_text(files[0].read_text(encoding="utf-8"))
    else:
        _show(attestation, files)
    if not attestation.verified.holds:
        raise typer.Exit(1)


def _made(
    group: Path, output: Path | None, key: Path | None, data_dir: Path | None, workers: int | None, *, grade: bool
) -> "tuple[Attestation, list[Path]]":
    """Make and write an attestation; gives the files that were written."""
    from mleb.render import Steps
    from mleb_core.attest.build import attest_group
    from mleb_core.attest.check import page_of
    from mleb_core.attest.page import to_page
    from mleb_core.attest.sign import secret_key, sign_file, signature_of
    from mleb_core.layout import GroupLayout, write_whole
    from mleb_core.registry import Registry
    from mleb_core.report.collect import load_group
    from mleb_core.report.formats import to_json

    total = len(load_group(group).run_keys())
    secret = None if key is None else secret_key(key, lambda: _password(key))  # before the work begins
    target = output or GroupLayout(group).attestation
    document, page = page_of(target, reverse=True), page_of(target)
    with stdout_kept(), Steps(total) as steps:
        tell = _teller(steps)
        attestation = attest_group(group, Registry(), data_dir, grade=grade, workers=workers, progress=tell)
    content = to_json(attestation)
    try:
        for path in (document, page):  # one of what stood there before is none of what is written now
            signature_of(path).unlink(missing_ok=True)
        write_whole(document, content)
        write_whole(page, to_page(attestation, hashlib.sha256(content.encode()).hexdigest()))
        signatures = [] if secret is None else [sign_file(path, secret) for path in (document, page)]
    except OSError as error:
        where = error.filename or document
        raise RunGroupError(f"{where}: {error.strerror or error}; choose another --output") from error
    return attestation, [document, page, *signatures]


def _password(key: Path) -> str:
    if (given := os.environ.get(PASSWORD)) is not None:
        return given
    try:
        return str(typer.prompt(f"Password of {key}", hide_input=True, err=True))
    except typer.Abort:
        raise UsageError(f"{key} has a password: set {PASSWORD}, or call this in a terminal") from None


def _checked(
    path: Path, public: str | None, group: Path | None, data_dir: Path | None, workers: int | None, *, grade: bool
) -> "AttestationCheck":
    from mleb.render import Steps
    from mleb_core.attest.check import check_attestation
    from mleb_core.attest.sign import public_key
    from mleb_core.registry import Registry
    from mleb_core.report.collect import load_group

    key = None if public is None else public_key(public)
    total = 0 if group is None else len(load_group(group).run_keys())
    with stdout_kept(), Steps(total) as steps:
        return check_attestation(
            path,
            key=key,
            directory=group,
            registry=Registry(),
            data_dir=data_dir,
            grade=grade,
            workers=workers,
            progress=_teller(steps),
        )


def _teller(steps: "Steps") -> Callable[["RunKey"], None]:
    def tell(key: "RunKey") -> None:
        steps.tell(str(key), "checked", quiet=True)
        steps.advance()

    return tell


def _show(attestation: "Attestation", files: list[Path]) -> None:
    """What does not hold and what was not checked, a line each; then the files."""
    verified = attestation.verified
    for line in verified.findings:
        print_line(clean(line))
    for gap in attestation.not_checked:
        print_line(clean(f"not checked: {gap.kind}: {gap.what}"))
    for audit in attestation.audits:
        counts = [
            f"{number} {severity}"
            for severity in ("serious", "warning", "info")
            if (number := sum(finding.severity == severity for finding in audit.findings))
        ]
        print_line(clean(f"audit {audit.audit}: {', '.join(counts) or 'nothing found'}"))
    print_line(f"heads of the ledgers together: {attestation.heads or 'no ledgers'}")
    print_line(
        "everything that was looked at holds"
        if verified.holds
        else f"{len(verified.findings)} findings: {clean(attestation.group)} does not hold"
    )
    for path in files:
        print_line(f"written: {clean(path)}")


def _show_check(checked: "AttestationCheck") -> None:
    for note in checked.notes:
        print_notice(f"Note: {note}")
    for finding in checked.findings:
        print_line(clean(finding))
    if checked.signed:
        print_line(clean(f"the signature holds: {checked.comment}"))
    if checked.findings:
        print_line(f"{len(checked.findings)} findings: the attestation of {clean(checked.group)} does not hold")
    else:
        again = " and the group is as it was attested" if checked.compared else ""
        print_line(f"the attestation of {clean(checked.group)}, made {clean(checked.created_at)}, holds{again}")
