"""The obfuscated form names nothing that gives a competition away."""

import re

import pytest

from mleb_core.obfuscate import neutral_id, obfuscated_description
from mleb_core.registry import Registry

COMPETITIONS = {
    id: competition for id, competition in Registry().competitions.items() if "samples" not in competition.splits
}

# Words of titles and slugs that a text about the task cannot do without: they name the problem, not the competition.
ORDINARY = {"and", "classification", "code", "for", "label", "notebooks", "predict", "prediction", "pressure"}
ORDINARY |= {"question", "segmentation", "the", "with", "word"}


def test_title_and_background_go_and_the_rest_stays():
    text = (
        "# The Great Whale Race\n\nfirst words\n\n## Background\n\nAcme.\n\n## Task\n\nSay it.\n\n## Metric\n\nRMSE.\n"
    )
    assert obfuscated_description(text) == "# Competition\n\n## Task\n\nSay it.\n\n## Metric\n\nRMSE.\n"


def test_neutral_ids_differ_and_tell_nothing():
    ids = {neutral_id(id) for id in COMPETITIONS}
    assert len(ids) == len(COMPETITIONS)
    assert all(re.fullmatch(r"competition-[0-9a-f]{6}", id) for id in ids)


@pytest.mark.parametrize("id", COMPETITIONS)
def test_nothing_in_it_names_the_competition(id):
    competition = COMPETITIONS[id]
    text = obfuscated_description(competition.description).lower()
    assert "## task" in text
    assert "## metric" in text
    assert "## submission" in text
    assert id.lower() not in text
    assert competition.title.lower() not in text
    assert "kaggle" not in text
    # In running text, files, columns and examples left aside, no telling word of title or slug stands.
    lines = (line for line in re.sub(r"`[^`]*`", "", text).splitlines() if not line.startswith(("    ", "|")))
    prose = "\n".join(lines)
    words = set(re.findall(r"[a-z0-9]{3,}", f"{competition.title} {id.replace('-', ' ')}".lower())) - ORDINARY
    assert [word for word in sorted(words) if re.search(rf"\b{word}\b", prose)] == []
