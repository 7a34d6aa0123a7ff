"""The golden cases: prepared files byte for byte, scores to five decimals, broken files refused.

The cases lie outside the project (`shared`, see tests/conftest.py); how files and scores are compared is the cases' own
`check.py`, so that there is one truth. Here preparation and grading are called in Python, which is many times
faster than the command line; test_command_line.py goes the long way for a few.
"""

import importlib.util
import json
import os
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from mleb_core.grading.grade import grade_submission
from mleb_core.prepare import prepare
from mleb_core.registry import Registry

SHARED = Path(os.environ.get("MLEB_SHARED", Path(__file__).parents[3] / "shared"))
CASES = sorted(path.parent.name for path in SHARED.glob("golden/*/expected.json"))


@pytest.fixture(scope="session")
def check(shared: Path) -> ModuleType:
    """check.py of the golden cases."""
    spec = importlib.util.spec_from_file_location("golden_check", shared / "golden" / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def exceptions(shared: Path) -> dict[str, dict[str, object]]:
    """What GOLDEN.md lets differ from the published scores."""
    return json.loads((shared / "golden" / "exceptions.json").read_text())


@pytest.fixture(scope="session")
def registry() -> Registry:
    return Registry()


def test_there_are_cases(shared):
    assert CASES, f"no golden cases in {shared}"


@pytest.mark.parametrize("id", CASES)
def test_case(id, check, exceptions, registry, tmp_path):
    case = SHARED / "golden" / id
    expected = json.loads((case / "expected.json").read_text())
    competition = registry.competition(id)
    with zipfile.ZipFile(case / "raw.zip") as archive:
        archive.extractall(tmp_path / "raw")
    data = prepare(competition, tmp_path / "data", raw_dir=tmp_path / "raw", verify=False)
    short = [
        *check.compare_tree(data.public, expected["public"]),
        *check.compare_tree(data.private, expected["private"]),
    ]
    for name in expected["submissions"]:
        wanted = check.wanted(name, expected["submissions"], exceptions.get(id, {}))
        grade = grade_submission(case / "submissions" / f"{name}.csv", competition, tmp_path / "data", registry)
        if grade.grader_error:
            short.append(f"{name}: the grader failed: {grade.grader_error}")
        elif wanted == "invalid":
            if grade.valid:
                short.append(f"{name}: accepted with {grade.score}")
            elif not grade.reason or "\n" in grade.reason:
                short.append(f"{name}: refused without a line that says why")
        elif wanted != "either":
            if not grade.valid:
                short.append(f"{name}: refused ({grade.reason}), expected {wanted}")
            elif wanted != "valid" and abs(grade.score - wanted) > 1.01e-5 * max(1.0, abs(wanted) * 1e-3):
                short.append(f"{name}: {grade.score}, expected {wanted}")
    assert not short, "\n".join(short)
