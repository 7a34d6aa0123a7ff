"""Every sample keeps the contract of competitions."""

import pytest

from mleb_core.registry import Registry
from mleb_core.testing import CompetitionContract


class Sample(CompetitionContract):
    pass


SAMPLES = {id: type(id, (Sample,), {"id": id}) for id in Registry().splits["samples"]}
for _name, _suite in SAMPLES.items():
    globals()["Test" + _name.title().replace("-", "")] = _suite


def test_there_are_eight():
    assert len(SAMPLES) == 8


if not SAMPLES:
    pytest.fail("no samples")
