"""What an attestation takes from ledgers, and how it is shown."""

import json
import socket

import pytest

from mleb_core.attest.build import attest_group
from mleb_core.attest.check import differences, page_of
from mleb_core.attest.page import to_page
from mleb_core.attest.seen import seen_run
from mleb_core.errors import RunnerError
from mleb_core.evaluate import EvalRequest, evaluate
from mleb_core.layout import GroupLayout
from mleb_core.ledger import Kind, Ledger
from mleb_core.machine import machine_facts, this_machine
from mleb_core.plugins import load_plugins
from mleb_core.registry import Registry
from mleb_core.run import Limits, RunKey
from mleb_core.runner.nvml import Gpu, GpuLoad

KEY = RunKey(competition="titanic-survival", agent="dummy", seed=0)
GPUS = [Gpu("GPU-1", 0, "NVIDIA H200", 150_000_000_000), Gpu("GPU-2", 1, "NVIDIA H200", None)]


class Driver:
    """Shows GPUs, or does not answer."""

    absence = None

    def __init__(self, gpus=()):
        self.gpus = gpus

    def devices(self):
        if self.gpus is None:
            raise RunnerError("the driver does not answer")
        return list(self.gpus)

    def load(self, id):
        return GpuLoad()


@pytest.fixture
def group(tmp_path):
    """A finished group of one run, and a registry."""
    registry = Registry(load_plugins())
    request = EvalRequest(
        competitions=(KEY.competition,),
        agents=("dummy",),
        output=tmp_path / "runs",
        data_dir=tmp_path / "data",
        limits=Limits(time_s=60),
    )
    evaluate(request, registry)
    (directory,) = (tmp_path / "runs").iterdir()
    return directory, registry


def ledger_of(place, *entries):
    place.root.mkdir(parents=True, exist_ok=True)
    place.ledger.unlink(missing_ok=True)
    with Ledger.open(place) as ledger:
        for kind, details in entries:
            ledger.add(kind, **details)
        return ledger.head


def test_the_facts_of_a_machine_name_no_machine():
    facts = machine_facts(Driver(GPUS))
    assert facts["gpus"] == [
        {"id": "GPU-1", "name": "NVIDIA H200", "memory_bytes": 150_000_000_000},
        {"id": "GPU-2", "name": "NVIDIA H200", "memory_bytes": None},
    ]
    assert facts["usable_cores"] <= facts["cores"] and facts["memory_bytes"] > 0
    assert set(facts) == {
        *("cpu", "cores", "usable_cores", "memory_bytes", "gpus"),
        *("system", "kernel", "architecture", "python"),
    }
    assert socket.gethostname() not in facts.values()
    assert machine_facts(Driver(None))["gpus"] is None
    assert machine_facts(Driver())["gpus"] == []
    assert this_machine() is this_machine() and json.dumps(this_machine())


def test_what_a_ledger_tells(tmp_path):
    place = GroupLayout(tmp_path).run(KEY.competition, KEY.agent, KEY.seed)
    kept = {"files": True, "network": True, "memory": True, "processes": False}
    start = {"runner": "docker", "isolation": kept, "gpus": ["GPU-2", "GPU-9"], "machine": machine_facts(Driver(GPUS))}
    head = ledger_of(
        place,
        (Kind.START, start | {"gpus": []}),
        (Kind.IMAGE, {"reference": "old", "digest": "sha256:0"}),
        ("privileged", {}),
        (Kind.CHECK, {"sha256": "0" * 64, "bytes": 1, "valid": True}),
        (Kind.START, start),
        (Kind.IMAGE, {"reference": "mleb/base", "digest": "sha256:1"}),
        (Kind.CHECK, {"sha256": "0" * 64, "bytes": 1, "valid": False}),
        ("network", {"host": "files.example", "port": 443, "allowed": True}),
        ("network", {"host": "kaggle.com", "port": 443, "allowed": False}),
        (Kind.GATEWAY, {"sha256": "1", "model": "lab/a", "tokens": {"input": 3, "output": 4}, "cost_usd": 0.5}),
        (Kind.GATEWAY, {"sha256": "2", "model": "lab/a", "error": "500", "estimated": True, "late": True}),
        ("snapshot_failed", {"error": "disk full"}),
    )
    seen = seen_run(KEY, place, None)
    assert (seen.attempts, seen.checker_calls, seen.entries, seen.head) == (2, 2, 12, head)
    assert seen.image == ("mleb/base", "sha256:1") and seen.privileged is False  # of the last attempt
    assert seen.isolation == ("docker", ("files", "memory", "network"), ("processes",))
    assert seen.gpus == ("NVIDIA H200", "GPU-9")
    assert all("id" not in gpu for gpu in seen.machine["gpus"])
    assert seen.hosts == {("files.example:443", True), ("kaggle.com:443", False)}
    assert [(call.tokens, call.cost_usd, call.failed, call.estimated) for call in seen.calls] == [
        (7, 0.5, False, False),
        (0, None, True, True),
    ]
    assert seen.faults == {"late", "snapshot_failed"}


def test_a_broken_or_strange_ledger_stops_nothing(tmp_path):
    place = GroupLayout(tmp_path).run(KEY.competition, KEY.agent, KEY.seed)
    assert seen_run(KEY, place, None) is None
    ledger_of(
        place, (Kind.START, {"machine": "a mainframe", "gpus": 3, "isolation": []}), (Kind.GATEWAY, {"tokens": 9})
    )
    seen = seen_run(KEY, place, None)
    assert (seen.machine, seen.gpus, seen.isolation, seen.calls[0].model) == (None, (), None, "unknown")
    place.ledger.write_bytes(b"\xff\n{}\n")
    assert seen_run(KEY, place, None).head is None


def test_the_page_shows_images_hosts_gpus_and_is_harmless(group):
    directory, registry = group
    place = GroupLayout(directory).run(KEY.competition, KEY.agent, KEY.seed)
    start = {
        "runner": "docker",
        "isolation": {"files": True},
        "gpus": ["GPU-1"],
        "machine": machine_facts(Driver(GPUS)),
    }
    ledger_of(
        place,
        (Kind.START, start),
        (Kind.IMAGE, {"reference": "mleb/base", "digest": "sha256:1"}),
        ("network", {"host": "<script>|`x`\n# Title", "port": 80, "allowed": False}),
    )
    attestation = attest_group(directory, registry, grade=False)
    page = to_page(attestation)
    assert "image mleb/base: sha256:1 (1 runs)" in page and "1 runs had for themselves: NVIDIA H200" in page
    assert "NVIDIA H200, NVIDIA H200" in page and "isolated files; not isolated: nothing" in page
    assert "<script>" not in page and "\n# Title" not in page and ", refused)" in page
    assert attestation.verified.holds is False and "it does not hold**" in page
    assert type(attestation).model_validate_json(attestation.model_dump_json()) == attestation


def test_differences_name_what_is_not_as_it_was(group):
    directory, registry = group
    was = attest_group(directory, registry, grade=False)
    assert differences(was, was) == []
    (run,) = was.runs
    other = was.model_copy(
        update={
            "group_file": "0" * 64,
            "runs": (run.model_copy(update={"score": 1.0, "medal": "gold"}),),
            "reports": {name: sha256 for name, sha256 in was.reports.items() if name != "report.csv"},
        }
    )
    assert differences(was, other) == [
        "group.json: it is not what was attested",
        f"{KEY}: its score is 1.0, attested was {run.score}",
        f"{KEY}: its medal is gold, attested was none",
        "report.csv: it is gone",
    ]
    assert differences(was, was.model_copy(update={"runs": ()})) == [f"{KEY}: it is gone"]
    assert differences(other.model_copy(update={"runs": ()}), other) == [
        f"{KEY}: it was not there when this was attested"
    ]


def test_the_files_stand_beside_one_another(tmp_path):
    for path in ("a", "a.json", "a.md"):
        assert page_of(tmp_path / path) == tmp_path / "a.md"
        assert page_of(tmp_path / path, reverse=True) == tmp_path / "a.json"
    assert page_of(tmp_path / "v1.2") == tmp_path / "v1.2.md"
    assert page_of(tmp_path) == tmp_path / "attestation.md"
