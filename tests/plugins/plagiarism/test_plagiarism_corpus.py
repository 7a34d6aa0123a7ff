import os
import time

import pytest

from mleb_core.errors import UsageError
from mleb_core.run_code.sources import Source
from mleb_plagiarism.compare import compare
from mleb_plagiarism.corpus import index_path, open_corpus


def test_broken_notebooks_are_notes(references, solutions, ways):
    whole = ways["notebook"](solutions["forest"])
    (references / "cut.ipynb").write_text(whole[: len(whole) // 2])
    (references / "empty.ipynb").write_text("")
    (references / "list.ipynb").write_text("[]")
    (references / "cells.ipynb").write_text(
        '{"cells": [1, null, {"cell_type": "code"}, {"cell_type": "code", "source": 3}]}'
    )
    (references / "deep.ipynb").write_text("[" * 100_000)
    (references / "binary.py").write_bytes(bytes(range(256)) * 10)
    (references / "link.py").symlink_to("/etc/passwd")
    os.mkfifo(references / "pipe.py")
    corpus = open_corpus(references)
    notes = "\n".join(corpus.notes)
    for name in ("cut", "empty", "list", "cells", "deep"):
        assert f"{name}.ipynb: " in notes
    assert "link.py" not in notes
    assert compare([Source("x.py", solutions["forest"])], corpus).matches[0].similarity > 95


def test_the_index_is_kept_and_follows_the_files(references, solutions, cache):
    assert compare([Source("x.py", solutions["network"])], open_corpus(references)).similarity > 95
    path = index_path(references)
    assert path.is_file() and path.is_relative_to(cache)
    before = path.stat().st_mtime_ns
    open_corpus(references)
    assert path.stat().st_mtime_ns == before
    (references / "network.py").unlink()
    assert compare([Source("x.py", solutions["network"])], open_corpus(references)).similarity < 10
    (references / "more").mkdir()
    (references / "more" / "new.py").write_text(solutions["network"])
    match = compare([Source("x.py", solutions["network"])], open_corpus(references)).matches[0]
    assert match.reference.path == "more/new.py"
    changed = solutions["forest"]
    (references / "more" / "new.py").write_text(changed)
    os.utime(references / "more" / "new.py", ns=(0, time.time_ns()))
    assert compare([Source("x.py", solutions["network"])], open_corpus(references)).similarity < 10


def test_unchanged_files_are_not_read_again(references, solutions):
    open_corpus(references)
    path = references / "forest.py"
    facts = path.stat()
    path.write_bytes(b"#" * facts.st_size)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    corpus = open_corpus(references)
    match = compare([Source("x.py", solutions["forest"])], corpus).matches[0]
    assert match.similarity > 95  # by the index
    assert match.passages == ()  # the file holds nothing of it any more


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04junk"])
def test_a_broken_index_is_made_anew(references, solutions, content):
    open_corpus(references)
    index_path(references).write_bytes(content)
    assert compare([Source("x.py", solutions["forest"])], open_corpus(references)).similarity > 95


def test_a_cache_that_cannot_be_written_costs_nothing_else(references, solutions, cache):
    cache.write_text("in the way")
    said = []
    corpus = open_corpus(references, progress=said.append)
    assert "cannot be kept" in said[-1]
    assert compare([Source("x.py", solutions["forest"])], corpus).similarity > 95


def test_a_corpus_without_code_is_refused(tmp_path):
    with pytest.raises(UsageError, match="is no folder"):
        open_corpus(tmp_path / "nowhere")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.md").write_text("words")
    with pytest.raises(UsageError, match="holds no code"):
        open_corpus(tmp_path / "text")


def test_references_are_named_by_what_is_told_of_them(references, solutions):
    (references / "notebooks.json").write_text(
        '{"forest.py": {"title": "A forest", "url": "https://x", "votes": 3}, "no.py": 3}'
    )
    reference = compare([Source("x.py", solutions["forest"])], open_corpus(references)).matches[0].reference
    assert (reference.title, reference.url, reference.author) == ("A forest", "https://x", "")
