"""A competition's raw data: the archive of all its files, downloaded, checked, unpacked.

DATA/<id>/.download/<slug>.zip.part    on its way, resumed by the next call
DATA/<id>/.download/<slug>.zip         whole and checked; removed once DATA/<id>/raw is there
DATA/<id>/<slug>.zip                   somebody else's download of it (MLE-bench keeps it there); used, never removed
"""

import errno
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mleb_core.competition import Competition
from mleb_core.errors import PreparationError
from mleb_core.kaggle.client import Client, understood
from mleb_core.kaggle.credentials import Credentials, find_credentials, how_to_get
from mleb_core.kaggle.patience import Again, KaggleError, Patience, persist
from mleb_core.kaggle.transfer import Transfer, drop, part_of, transfer
from mleb_core.kaggle.words import in_words, readable_size
from mleb_core.layout import CompetitionData, write_whole
from mleb_core.prepare.archives import extract_archive
from mleb_core.prepare.checksums import md5_of
from mleb_core.prepare.lock import locked
from mleb_core.prepare.problems import explained

if TYPE_CHECKING:
    from requests import Response

__all__ = [
    "archive_at_hand",
    "fetch_archive",
    "in_words",
    "partly_there",
    "readable_size",
    "require_credentials",
    "size_of",
    "slug_of",
]

Progress = Callable[[str], None]


def slug_of(competition: Competition) -> str:
    """The competition's name at Kaggle."""
    return competition.spec.source.slug or competition.id


def require_credentials() -> Credentials:
    """The user's credentials.

    Raises:
        KaggleError: there are none, or a file of them cannot be read.
    """
    try:
        found = find_credentials(os.environ, Path.home())
    except PreparationError as error:
        raise KaggleError(str(error), "credentials") from None
    if found is None:
        raise KaggleError(f"no Kaggle credentials: {how_to_get(Path.home())}", "credentials")
    return found


def size_of(competition: Competition, credentials: Credentials, patience: Patience) -> int | None:
    """Ask for the archive and read nothing of it: whether the user may have it, and its size in bytes if known.

    Raises:
        KaggleError: the user may not, or Kaggle cannot be reached.
    """
    slug = slug_of(competition)

    def ask() -> int | None:
        with Client(credentials, patience) as client, client.open_data(slug) as response:
            length = response.headers.get("Content-Length", "")
            return int(length) if length.isdigit() else None

    return persist(ask, patience, slug)


def archive_at_hand(competition: Competition, data: CompetitionData) -> Path | None:
    """The whole archive, where it is there already."""
    name = f"{slug_of(competition)}.zip"
    return next((path for path in (data.download / name, data.raw.parent / name) if path.is_file()), None)


def partly_there(competition: Competition, data: CompetitionData) -> int:
    """Bytes of an earlier download that was cut."""
    try:
        return part_of(data.download / f"{slug_of(competition)}.zip").stat().st_size
    except OSError:
        return 0


def fetch_archive(
    competition: Competition,
    data: CompetitionData,
    credentials: Credentials | None = None,
    *,
    verify: bool = True,
    patience: Patience | None = None,
    on_bytes: Transfer | None = None,
    progress: Progress | None = None,
    wanted: Callable[[], bool] = lambda: True,
) -> Path | None:
    """The whole archive, downloaded if need be. Safe to kill at any instant and to run many times at once.

    Args:
        competition: of source "kaggle".
        data: where its data lies.
        credentials: of the user; None: looked for when they are needed.
        verify: compare with the published checksum, where there is one.
        patience: with failures that may pass.
        on_bytes: told of bytes as they come; None: progress is told in words.
        progress: gets a few words now and then.
        wanted: asked once nobody else downloads it, whether it is needed still.

    Returns:
        The archive; None where it is not needed any more.

    Raises:
        KaggleError: Kaggle does not give it; a part of it stays for the next call.
        PreparationError: it is not what was published, or no zip; the disk is full or cannot be written.
    """
    say = progress or (lambda _: None)
    try:
        data.download.mkdir(parents=True, exist_ok=True)
        with locked(data.download.with_name(".download.lock"), lambda: say("waiting for another download of it")):
            if not wanted():
                _remove_if_empty(data.download)
                return None
            archive = archive_at_hand(competition, data)
            if archive is None:
                archive = _download(
                    competition,
                    data.download,
                    credentials or require_credentials(),
                    verify=verify,
                    patience=patience or Patience(),
                    on_bytes=on_bytes or in_words(say),
                    say=say,
                )
            elif verify:
                _check_again(competition, archive, say)
            return archive
    except OSError as error:
        raise explained(error, f"{competition.id} cannot be downloaded into {data.download}") from error
    finally:
        _remove_if_empty(data.download)


def unpack(competition: Competition, archive: Path, raw: Path) -> None:
    """Unpack the archive into the empty folder `raw`; archives in it stay as they are.

    Raises:
        PreparationError: it is broken; that it is, is known afterwards: mleb's own download of it is gone.
        OSError: no space is left, told before anything is written, or as the system gives it.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            need = sum(info.file_size for info in content.infolist())
    except zipfile.BadZipFile as error:
        _discard(archive)
        raise PreparationError(f"{competition.id}: {archive} is no whole zip archive ({error}); get it again") from None
    free = shutil.disk_usage(raw).free
    if need > free:
        raise OSError(
            errno.ENOSPC,
            f"{readable_size(need)} are needed to unpack it and {readable_size(free)} are free",
            os.fspath(raw),
        )
    try:
        extract_archive(archive, raw)
    except PreparationError:
        _discard(archive)
        raise


def fetch_more(competition: Competition, raw: Path, download: Path, patience: Patience, say: Progress) -> None:
    """Get the files that the raw data needs from elsewhere (`[[source.more]]`) into `raw`.

    Raises:
        KaggleError: a server does not give one.
        PreparationError: one is not what competition.toml expects.
    """
    for more in competition.spec.source.more:
        target = download / more.file
        say(f"downloading {more.file} from {more.url}")
        transfer(
            lambda url=more.url: _open_url(url, patience),  # type: ignore[misc]
            target,
            about=f"{competition.id}: {more.file}",
            patience=patience,
            on_bytes=in_words(say),
        )
        part = part_of(target)
        if more.md5 is not None and (found := md5_of(part)) != more.md5:
            drop(part)
            raise PreparationError(f"{competition.id}: {more.file} from {more.url} has md5 {found}, not {more.md5}")
        part.rename(raw / more.file)


def _download(
    competition: Competition,
    folder: Path,
    credentials: Credentials,
    *,
    verify: bool,
    patience: Patience,
    on_bytes: Transfer,
    say: Progress,
) -> Path:
    slug = slug_of(competition)
    target = folder / f"{slug}.zip"
    part = part_of(target)
    published = competition.spec.checksums.zip if verify else None
    with Client(credentials, patience) as client:
        while True:
            source, resumed = transfer(
                lambda: client.open_data(slug), target, about=slug, patience=patience, on_bytes=on_bytes
            )
            expected = published or source.md5
            found = None
            if expected is not None:
                say("checking the download")
                found = md5_of(part)
            whole = zipfile.is_zipfile(part)
            if whole and expected == found:
                break
            arrived = source.md5 is not None and source.md5 == found  # as the server has it
            if not arrived and (resumed or source.md5 is not None):
                drop(part)
                if resumed:
                    say("what was there of an earlier download is broken, downloading all of it")
                    continue
                raise PreparationError(f"{competition.id}: the download broke on its way (md5 {found}); run it again")
            if not whole:
                drop(part)
                raise PreparationError(
                    f"{competition.id}: what Kaggle sends is no zip archive; run it again later, or get it by hand and "
                    "give --raw-dir"
                )
            raise PreparationError(
                f"{competition.id}: the download has md5 {found}, published is {published}; "
                "--skip-verification takes it as it is, without another download"
            )
    write_whole(_sum_file(target), found or "")
    part.rename(target)
    drop(part)
    return target


def _check_again(competition: Competition, archive: Path, say: Progress) -> None:
    """Compare an archive that was there with the published checksum; read it once only."""
    published = competition.spec.checksums.zip
    known = _sum_file(archive)
    if published is None or (known.is_file() and known.read_text() == published):
        return
    say(f"checking {archive.name}")
    found = md5_of(archive)
    if found != published:
        raise PreparationError(
            f"{competition.id}: {archive} has md5 {found}, published is {published}; remove it to download it again, "
            "or --skip-verification takes it as it is"
        )
    if known.is_file():
        write_whole(known, found)


def _open_url(url: str, patience: Patience) -> "Response":
    import requests

    with understood(url, "the request"):
        response = requests.get(
            url, stream=True, timeout=patience.timeout_s, headers={"Accept-Encoding": "identity", "User-Agent": "mleb"}
        )
    if response.status_code != 200:
        response.close()
        if response.status_code == 429 or response.status_code >= 500:
            raise Again(f"{url} answers {response.status_code}", "busy")
        raise KaggleError(f"{url} answers {response.status_code}", "answer")
    return response


def _sum_file(archive: Path) -> Path:
    return archive.with_name(archive.name + ".md5")


def _discard(archive: Path) -> None:
    """Remove mleb's own download of what had no checksum, so that the next call gets it again."""
    known = _sum_file(archive)
    if known.is_file() and not known.read_text():
        archive.unlink(missing_ok=True)
        known.unlink()


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return
