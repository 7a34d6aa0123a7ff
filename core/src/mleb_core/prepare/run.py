"""Preparing a competition as a whole, and knowing whether it is prepared.

What stands under `DATA/<label>/prepared` is whole at any instant: it is made in `.attempt-*` beside it, checked, and
renamed into place; the manifest follows. A process killed in between leaves an attempt, which the next one removes.
Data that lies there without a manifest (killed before it was written, or prepared by MLE-bench) is taken over.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mleb_core.competition import Competition
from mleb_core.errors import NotPreparedError, PreparationError
from mleb_core.layout import CompetitionData
from mleb_core.prepare.check import check_outputs, check_published
from mleb_core.prepare.context import Preparation, code_of
from mleb_core.prepare.fetch import fetch
from mleb_core.prepare.lock import locked
from mleb_core.prepare.manifest import FileEntry, Manifest, files_of, read_manifest, write_manifest
from mleb_core.prepare.problems import explained
from mleb_core.run import now

__all__ = ["data_digest", "needs_raw", "prepare", "require_prepared"]

Progress = Callable[[str], None]


def prepare(
    competition: Competition,
    data_dir: Path,
    *,
    raw_dir: Path | None = None,
    force: bool = False,
    keep_raw: bool = True,
    verify: bool = True,
    link_raw: bool = False,
    progress: Progress | None = None,
) -> CompetitionData:
    """Make a competition's public and private data, unless they are there already.

    Safe to kill at any instant and to run many times at once: the others wait, then find the work done.

    Args:
        competition: in the edition that is wanted.
        data_dir: the data of the competition lies in `DATA/<label>`.
        raw_dir: where the raw data is, instead of `DATA/<id>/raw`: the folder `<id>` in it, or itself. Never changed,
            unless `link_raw` says so.
        force: make it again.
        keep_raw: whether `DATA/<id>/raw` stays afterwards; a `raw_dir` always does.
        verify: compare with the published checksums, where there are any.
        link_raw: files of `raw_dir` may be made read-only and be hard linked, as mleb's own raw data is, where they
            would be copied: several times faster for many files, and they take no more room.
        progress: gets a few words now and then; what begins with "warning: " should stay in sight.

    Raises:
        PreparationError: raw data is missing, broken or not what is needed; the disk is full or cannot be written;
            the result differs from what was published. Earlier prepared data is left as it was.
        CompetitionError: the competition's folder is wrong.
    """
    say = progress or (lambda _: None)
    data = CompetitionData.of(data_dir, competition.label)
    spec = competition.spec
    base = data.raw.parent
    try:
        data.root.mkdir(parents=True, exist_ok=True)
        base.mkdir(parents=True, exist_ok=True)
        with locked(base / ".prepare.lock", lambda: say("waiting for another preparation of it")):
            _remove_leftovers(data)
            if not force and _is_current(competition, data, verify):
                return data
            raw, own = _raw(competition, data, raw_dir, say, verify)
            attempt = Path(tempfile.mkdtemp(dir=data.root, prefix=".attempt-"))
            try:
                made = _make(competition, attempt, raw, own or link_raw, say)
                say("checking")
                files = files_of(made)
                check_outputs(made, spec, files)
                if verify:
                    check_published(made, spec)
                _commit(data, attempt, _manifest(competition, files, spec.version))
            finally:
                _remove(attempt)
            if not keep_raw and own:
                _remove(data.raw)
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EACCES) and not force and _is_current(competition, data, verify):
            return data  # prepared by somebody who does not let others write there
        raise explained(error, f"{competition.label} cannot be prepared in {data.root}") from error
    say("prepared")
    return data


def require_prepared(competition: Competition, data_dir: Path) -> CompetitionData:
    """The data of a competition that is prepared.

    Quick: looks at the manifest, the answers and the sample submission; only data without a manifest, such as
    MLE-bench prepares it, is read once and gets one.

    Raises:
        NotPreparedError: it is not, or not by this version; the message has the command that helps.
    """
    data = CompetitionData.of(data_dir, competition.label)
    _known_manifest(competition, data)
    return data


def needs_raw(competition: Competition, data_dir: Path, *, force: bool = False) -> bool:
    """Whether `prepare` without a `raw_dir` would have to get raw data first. Quick, and changes nothing."""
    data = CompetitionData.of(data_dir, competition.label)
    if data.raw.is_dir():
        return False
    try:
        _manifest_there(competition, data)
    except NotPreparedError:
        return True
    return force


def data_digest(competition: Competition, data_dir: Path) -> str:
    """sha256, hexadecimal, that is equal for equal prepared files: of the manifest's table of files.

    Raises:
        NotPreparedError: as in `require_prepared`.
    """
    return _known_manifest(competition, CompetitionData.of(data_dir, competition.label)).digest


def _known_manifest(competition: Competition, data: CompetitionData) -> Manifest:
    """The manifest of prepared data, made now where there is none.

    Raises:
        NotPreparedError: as in `require_prepared`.
    """
    manifest = _manifest_there(competition, data)
    return _taken_over(competition, data) if manifest is None else manifest


def _manifest_there(competition: Competition, data: CompetitionData) -> Manifest | None:
    """The manifest of prepared data; None where the data has none.

    Raises:
        NotPreparedError: as in `require_prepared`.
    """
    grading = competition.spec.grading
    edition = "" if competition.edition == 1 else f" --edition {competition.edition}"
    command = f"mleb prepare -c {competition.id}{edition}"
    if not data.prepared.is_dir():
        raise NotPreparedError(f"{competition.label} is not prepared in {data.root}; run: {command}")
    wanted = {f"private/{grading.answers}": data.private / grading.answers,
              f"public/{grading.sample}": data.public / grading.sample}  # fmt: skip
    for name, path in wanted.items():
        if not path.is_file():
            raise NotPreparedError(f"{competition.label}: {data.prepared / name} is missing; run: {command} --force")
    manifest = read_manifest(data.manifest)
    if manifest is None:
        return None
    if (manifest.competition, manifest.edition) != (competition.id, competition.edition):
        raise NotPreparedError(
            f"{data.root} holds {manifest.competition} edition {manifest.edition}; run: {command} --force"
        )
    if manifest.version not in (None, competition.spec.version):
        raise NotPreparedError(
            f"{competition.label} was prepared as version {manifest.version}, it is {competition.spec.version} now; "
            f"run: {command} --force"
        )
    for name, path in wanted.items():
        entry = manifest.files.get(name)
        if entry is not None and entry.bytes != path.stat().st_size:
            raise NotPreparedError(f"{path} changed since it was prepared; run: {command} --force")
    return manifest


def _taken_over(competition: Competition, data: CompetitionData) -> Manifest:
    try:
        manifest = _manifest(competition, files_of(data.prepared), None)
    except OSError as error:
        raise NotPreparedError(f"{competition.label}: {explained(error, 'its data cannot be read')}") from None
    with suppress(OSError):  # somebody's read-only data: it is used as it is, and read again next time
        write_manifest(data.manifest, manifest)
    return manifest


def _is_current(competition: Competition, data: CompetitionData, verify: bool) -> bool:
    """Whether there is nothing to do."""
    fresh = not data.manifest.exists()
    try:
        _known_manifest(competition, data)
    except NotPreparedError:
        return False
    if fresh and verify:
        try:
            check_published(data.prepared, competition.spec)
        except PreparationError:
            data.manifest.unlink(missing_ok=True)
            raise
    return True


def _raw(
    competition: Competition, data: CompetitionData, raw_dir: Path | None, say: Progress, verify: bool
) -> tuple[Path, bool]:
    """The raw data, fetched if need be, and whether it is mleb's own."""
    if raw_dir is not None:
        inner = raw_dir / competition.id
        raw = inner if inner.is_dir() else raw_dir
        if not raw.is_dir():
            raise PreparationError(f"{raw_dir} is missing; the raw data of {competition.id} is expected there")
        return raw.absolute(), False
    if not data.raw.is_dir():
        attempt = Path(tempfile.mkdtemp(dir=data.raw.parent, prefix=".raw-"))
        try:
            attempt.chmod(0o755)
            fetch(competition, attempt, data.raw, say, verify=verify)
            attempt.rename(data.raw)
            _remove(data.download)
        finally:
            _remove(attempt)
    return data.raw.absolute(), True


def _make(competition: Competition, attempt: Path, raw: Path, own: bool, say: Progress) -> Path:
    """Carry out recipe or code in a fresh folder; gives the folder that holds public/ and private/."""
    made, work = attempt / "prepared", attempt / "work"
    context = Preparation(
        raw=raw,
        public=made / "public",
        private=made / "private",
        work=work,
        edition=competition.edition,
        competition=competition,
        own_raw=own,
        progress=say,
    )
    for folder in (context.public, context.private, work):
        folder.mkdir(parents=True)
    script = competition.folder / "prepare.py"
    if script.is_file():
        with code_of(script, "prepare") as code:
            code(context)
    else:
        context.recipe()
    (context.public / "description.md").write_text(competition.description, encoding="utf-8", newline="\n")
    return made


def _manifest(competition: Competition, files: dict[str, FileEntry], made_version: int | None) -> Manifest:
    try:
        core = version("mleb-core")
    except PackageNotFoundError:
        core = "unknown"
    return Manifest(
        competition=competition.id,
        edition=competition.edition,
        version=made_version,
        created_at=now(),
        mleb_core=core,
        files=files,
    )


def _commit(data: CompetitionData, attempt: Path, manifest: Manifest) -> None:
    """Put an attempt in place. The old manifest goes first: none is ever beside data that it does not describe."""
    data.manifest.unlink(missing_ok=True)
    if data.prepared.exists():
        data.prepared.rename(attempt / "old")
    (attempt / "prepared").rename(data.prepared)
    write_manifest(data.manifest, manifest)


def _remove_leftovers(data: CompetitionData) -> None:
    """What dead processes left; only with the lock held."""
    for folder, pattern in (
        (data.root, ".attempt-*"),
        (data.root, f".{data.manifest.name}.*.tmp"),
        (data.raw.parent, ".raw-*"),
    ):
        for path in folder.glob(pattern):
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
