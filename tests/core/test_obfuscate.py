"""The obfuscated form names nothing that gives a competition away."""

import re

import pytest

from mleb_core.obfuscate import neutral_id, obfuscated_description
from mleb_core.registry import Registry

COMPETITIONS = {id: competition for id, competition in Registry().competitions.items() if "samples" not in competition.splits}

# Words of titles and slugs that any task of the kind needs: they name the data or the problem, not the competition.
ORDINARY = set(
    """
    a and at for from in of on or the to with using by your data dataset challenge competition classification detection
    recognition identification prediction predict predicting segmentation image images text english russian language
    """.split()
)


def test_title_and_background_go_and_the_rest_stays():
    text = "# The Great Whale Race\n\nfirst words\n\n## Background\n\nBy Acme.\n\n## Task\n\nSay it.\n\n## Metric\n\nRMSE.\n"
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
