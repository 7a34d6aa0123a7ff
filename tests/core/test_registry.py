"""Lookup by id and by split."""

import pytest

from mleb_core.errors import UnknownIdError, UsageError
from mleb_core.registry import Registry


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


def test_a_split_is_a_name_a_category_or_a_file(registry, tmp_path):
    samples = [competition.id for competition in registry.split("samples")]
    assert samples == sorted(samples)
    assert "handwritten-digits" in {competition.id for competition in registry.split("image-classification")}
    assert "titanic-survival" not in {competition.id for competition in registry.split("image-classification")}
    own = tmp_path / "mine.txt"
    own.write_text("# two of them\ntitanic-survival\n\nhandwritten-digits  # pictures\ntitanic-survival\n")
    assert [competition.id for competition in registry.split(str(own))] == ["titanic-survival", "handwritten-digits"]


def test_unknown_splits_and_lines_are_told(registry, tmp_path):
    with pytest.raises(UnknownIdError, match="did you mean samples"):
        registry.split("sample")
    own = tmp_path / "mine.txt"
    own.write_text("titanic-survivel\n")
    with pytest.raises(UnknownIdError, match="did you mean titanic-survival"):
        registry.split(str(own))


@pytest.mark.parametrize(("content", "told"), [(b"\xff\xfe", "cannot be read"), (b"# none\n", "lists no competition")])
def test_a_split_file_that_is_no_list_is_told(registry, tmp_path, content, told):
    (tmp_path / "mine.txt").write_bytes(content)
    with pytest.raises(UsageError, match=told):
        registry.split(str(tmp_path / "mine.txt"))


def test_editions_are_part_of_a_label(registry):
    with pytest.raises(UsageError, match="has no edition 7"):
        registry.competition("titanic-survival@7")
    for label in ("titanic-survival@x", "titanic-survival@", "titanic-survival@²", "titanic-survival@" + "9" * 5000):
        with pytest.raises(UsageError, match="number N after the @"):
            registry.competition(label)
