"""Archives: the same bytes each time, nothing out of its folder, broken ones named."""

import io
import os
import signal
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from mleb_core.errors import PreparationError
from mleb_core.prepare import extract_archive, open_archive, write_archive, write_zip

MEMBERS = [("b/2.txt", b"two" * 1000), ("a.txt", b"one"), ("empty", b"")]
KINDS = ["x.zip", "x.tar", "x.tar.gz", "x.7z"]


def contents(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def need(name: str) -> None:
    if name.endswith(".7z"):
        pytest.importorskip("py7zr")


@pytest.mark.parametrize("name", KINDS)
def test_packed_and_unpacked(tmp_path, name):
    need(name)
    (tmp_path / "file").write_bytes(b"from a file")
    write_archive(tmp_path / name, [*MEMBERS, ("c", tmp_path / "file")])
    extract_archive(tmp_path / name, tmp_path / "out")
    wanted = {**dict(MEMBERS), "c": b"from a file"}
    assert contents(tmp_path / "out") == wanted
    reader = open_archive(tmp_path / name, tmp_path / "scratch")
    assert sorted(reader.names()) == sorted(wanted)
    assert reader.read("b/2.txt") == b"two" * 1000
    with pytest.raises(PreparationError, match=r"has no member 'nothing'"):
        reader.read("nothing")
    with pytest.raises(PreparationError, match=r"has no member 'nothing'"):
        reader.extract([("nothing", str(tmp_path / "nothing"))])


@pytest.mark.parametrize("name", KINDS[:3])
@pytest.mark.parametrize("compress", [False, True])
def test_the_same_bytes_each_time(tmp_path, name, compress):
    made = []
    for folder in ("one", "two"):
        file = tmp_path / folder / "file"
        file.parent.mkdir()
        file.write_bytes(b"x" * 5000)
        os.utime(file, (len(made) * 10**8, 10**9))
        file.chmod(0o600 if made else 0o755)
        write_archive(tmp_path / folder / name, [*MEMBERS, ("file", file)], compress=compress)
        made.append((tmp_path / folder / name).read_bytes())
    assert made[0] == made[1]


def test_a_member_twice_or_a_file_that_is_missing(tmp_path):
    with pytest.raises(PreparationError, match="member 'a' is made twice"):
        write_zip(tmp_path / "x.zip", [("a", b""), ("a", b"")])
    with pytest.raises(PreparationError, match="no is missing; a file is expected there"):
        write_zip(tmp_path / "y.zip", [("a", tmp_path / "no")])


def tar_with(path: Path, member: tarfile.TarInfo, data: bytes = b"") -> None:
    with tarfile.open(path, "w") as tar:
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "a\\..\\evil"])
@pytest.mark.parametrize("kind", ["x.zip", "x.tar"])
def test_members_that_leave_their_folder(tmp_path, name, kind):
    path = tmp_path / "in" / kind
    path.parent.mkdir()
    if kind == "x.zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, b"evil")
    else:
        tar_with(path, tarfile.TarInfo(name), b"evil")
    with pytest.raises(PreparationError, match="would leave the folder"):
        extract_archive(path, tmp_path / "in" / "out")
    assert not list(tmp_path.rglob("*evil*"))


def test_links_and_devices_in_archives(tmp_path):
    for kind in (tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        info = tarfile.TarInfo("link")
        info.type, info.linkname = kind, "/etc/passwd"
        tar_with(tmp_path / "x.tar", info)
        with pytest.raises(PreparationError, match="member 'link' is no file"):
            extract_archive(tmp_path / "x.tar", tmp_path / "out")
    info = zipfile.ZipInfo("link")
    info.external_attr, info.create_system = (stat.S_IFLNK | 0o777) << 16, 3
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(PreparationError, match="member 'link' is a link"):
        extract_archive(tmp_path / "x.zip", tmp_path / "out")


@pytest.mark.parametrize("name", KINDS)
def test_cut_short(tmp_path, name):
    need(name)
    write_archive(tmp_path / name, [("a", os.urandom(20000)), ("b", os.urandom(20000))])
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(PreparationError, match=r"is broken or cut short .*; get it again") as caught:
        extract_archive(tmp_path / name, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_a_damaged_member(tmp_path):
    payload = b"0123456789" * 1000
    write_zip(tmp_path / "x.zip", [("a", payload)])
    data = bytearray((tmp_path / "x.zip").read_bytes())
    data[5000] ^= 1
    (tmp_path / "x.zip").write_bytes(data)
    reader = open_archive(tmp_path / "x.zip", tmp_path)
    for use in (lambda: reader.read("a"), lambda: reader.extract([("a", str(tmp_path / "a"))])):
        with pytest.raises(PreparationError, match="member 'a', is broken or cut short"):
            use()


def test_no_archive(tmp_path):
    with pytest.raises(PreparationError, match="is missing; an archive is expected there"):
        extract_archive(tmp_path / "x.zip", tmp_path / "out")
    (tmp_path / "x.rar").write_bytes(b"")
    with pytest.raises(PreparationError, match="archives end in"):
        extract_archive(tmp_path / "x.rar", tmp_path / "out")


@pytest.mark.parametrize("method", ["ZIP_STORED", "ZIP_DEFLATED", "ZIP_BZIP2"])
def test_members_of_all_sizes(tmp_path, method):
    """None, many small ones in several folders, one of several pieces, one that packs a thousand to one."""
    wanted = {f"d{i % 3}/{i}": bytes([i % 256]) * i for i in range(300)} | {
        "random": os.urandom(5 << 19),
        "zeros": bytes(9 << 20),
    }
    with zipfile.ZipFile(tmp_path / "x.zip", "w", getattr(zipfile, method)) as archive:
        archive.mkdir("folder")
        for name, data in wanted.items():
            archive.writestr(name, data)
    with (tmp_path / "x.zip").open("rb+") as file:  # as a self-extracting archive has it
        data = file.read()
        file.seek(0)
        file.write(b"#!/bin/sh\n" + data)
    extract_archive(tmp_path / "x.zip", tmp_path / "out")
    assert contents(tmp_path / "out") == wanted


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("field", ["crc", "size"])
def test_a_member_that_is_not_what_the_archive_says(tmp_path, compress, field):
    write_zip(tmp_path / "x.zip", [("a", b"0123456789" * 1000)], compress=compress)
    data = bytearray((tmp_path / "x.zip").read_bytes())
    central = data.rindex(b"PK\1\2")
    at = central + {"crc": 16, "size": 24}[field]
    data[at] ^= 4
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(PreparationError, match="member 'a', is broken or cut short"):
        extract_archive(tmp_path / "x.zip", tmp_path / "out")


def test_a_full_disk_while_unpacking_is_no_short_file(tmp_path):
    resource = pytest.importorskip("resource")
    write_zip(tmp_path / "x.zip", [("a", os.urandom(3 << 20))])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5 << 18, before[1]))  # in the middle of a piece
        with pytest.raises(OSError, match="File too large"):
            extract_archive(tmp_path / "x.zip", tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
