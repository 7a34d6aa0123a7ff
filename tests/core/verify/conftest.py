"""A verified group for all tests here, and copies of it to harm."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from mleb_core.evaluate import EvalRequest, evaluate
from mleb_core.layout import GroupLayout
from mleb_core.plugins import load_plugins
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.report.build import group_report
from mleb_core.report.collect import collect_group, load_group, write_group_reports
from mleb_core.run import Limits

spec = importlib.util.spec_from_file_location("verify_groups", Path(__file__).with_name("verify_groups.py"))
assert spec is not None and spec.loader is not None
sys.modules["verify_groups"] = groups = importlib.util.module_from_spec(spec)
spec.loader.exec_module(groups)


@pytest.fixture(scope="session")
def registry() -> Registry:
    manager = load_plugins()
    manager.register(groups.Worker(), "worker")
    return Registry(manager)


@pytest.fixture(scope="session")
def data_dir(registry, tmp_path_factory) -> Path:
    data_dir = tmp_path_factory.mktemp("data")
    prepare(registry.competition(groups.DIABETES), data_dir)
    return data_dir


@pytest.fixture(scope="session")
def made(registry, data_dir, tmp_path_factory) -> Path:
    """A group of four runs, two of them with a broken submission, all with ledgers."""
    output = tmp_path_factory.mktemp("runs")
    limits = Limits(time_s=60)
    request = EvalRequest(("worker", "worker/broken"), (groups.DIABETES,), data_dir, output, seeds=2, limits=limits)
    evaluate(request, registry)
    (directory,) = output.iterdir()
    group = load_group(directory)
    for place in GroupLayout(directory).runs():
        groups.keep_ledger(place, directory, group, registry)
    write_group_reports(directory, group_report(*collect_group(directory), directory=directory))
    return directory


@pytest.fixture
def group(made, tmp_path) -> Path:
    """A copy, for tests that change it; copies of groups hold as well."""
    return Path(shutil.copytree(made, tmp_path / made.name))
