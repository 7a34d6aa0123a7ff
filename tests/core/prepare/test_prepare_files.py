"""Laying out files: whole, independent of the raw data, and loud about what is missing."""

import os
import stat
from pathlib import Path

import pytest

from mleb_core.errors import PreparationError
from mleb_core.prepare import copy_file, copy_files, copy_tree, files_below, md5_of, sha256_of, tree_sums


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for i in range(300):
        path = root / f"d{i % 7}" / "e" / f"{i}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([i % 256]) * (i * 13))
    (root / "empty").write_bytes(b"")
    (root / "big").write_bytes(os.urandom(3 << 20))
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.mark.parametrize("own", [False, True])
def test_a_tree_arrives_whole(tree, tmp_path, own):
    before = contents(tree)
    copy_tree(tree, tmp_path / "out", own=own)
    assert contents(tmp_path / "out") == before
    assert contents(tree) == before


def test_the_users_raw_files_are_not_touched(tree, tmp_path):
    modes = {p: (p.stat().st_mode, p.stat().st_mtime_ns, p.stat().st_nlink) for p in tree.rglob("*") if p.is_file()}
    copy_tree(tree, tmp_path / "out")
    assert {p: (p.stat().st_mode, p.stat().st_mtime_ns, p.stat().st_nlink) for p in modes} == modes
    target = tmp_path / "out" / "d1" / "e" / "1.bin"
    target.chmod(0o644)
    target.write_bytes(b"changed")
    assert (tree / "d1/e/1.bin").read_bytes() == b"\1" * 13


def test_what_is_shared_cannot_be_written_by_accident(tree, tmp_path):
    copy_tree(tree, tmp_path / "out", own=True)
    for name in files_below(tree):
        source, target = tree / name, tmp_path / "out" / name
        if source.stat().st_ino == target.stat().st_ino:
            assert not stat.S_IMODE(target.stat().st_mode) & 0o222


def test_links_count_as_what_they_point_to(tree, tmp_path):
    links = tmp_path / "links"
    links.mkdir()
    (links / "file").symlink_to(tree / "d1/e/1.bin")
    (links / "folder").symlink_to(tree / "d2")
    copy_tree(links, tmp_path / "out", own=True)
    assert not any(p.is_symlink() for p in (tmp_path / "out").rglob("*"))
    assert (tmp_path / "out/file").read_bytes() == b"\1" * 13
    assert (tmp_path / "out/folder/e/2.bin").read_bytes() == b"\2" * 26
    assert os.access(tree / "d1/e/1.bin", os.W_OK)


def test_missing_and_twice(tree, tmp_path):
    with pytest.raises(PreparationError, match=r"nothing is missing; a file is expected there"):
        copy_file(tree / "nothing", tmp_path / "out")
    with pytest.raises(PreparationError, match="is no file"):
        copy_file(tree / "d1", tmp_path / "out")
    with pytest.raises(PreparationError, match="nothing is missing; a folder is expected there"):
        copy_tree(tree / "nothing", tmp_path / "out")
    for own in (False, True):
        pairs = [(str(tree / "big"), str(tmp_path / f"x{own}"))] * 2
        with pytest.raises(PreparationError, match="is made twice"):
            copy_files(pairs, own=own)


def test_sums_of_a_tree(tree):
    import hashlib

    found = tree_sums(tree)
    assert list(found) == sorted(found) == files_below(tree)
    for name, data in contents(tree).items():
        assert (found[name].sha256, found[name].bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert sha256_of(tree / "big") == found["big"].sha256
    assert md5_of(tree / "big") == hashlib.md5((tree / "big").read_bytes()).hexdigest()
