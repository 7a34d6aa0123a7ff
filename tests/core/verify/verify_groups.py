"""Groups to verify: an agent that leaves something everywhere, ledgers as a harness keeps them, what a group holds."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import mleb_core
from mleb_core.competition import Competition
from mleb_core.errors import RunGroupError
from mleb_core.gateway.transcript import Secrets, Transcript
from mleb_core.layout import GroupLayout, RunLayout, write_whole
from mleb_core.ledger import Kind, Ledger
from mleb_core.ledger_facts import (
    file_facts,
    gateway_details,
    record_end,
    record_graded,
    record_report,
    start_details,
)
from mleb_core.planning import plugin_versions
from mleb_core.registry import Registry
from mleb_core.report.build import resource_summary, run_report
from mleb_core.report.load import load_run_report
from mleb_core.report.models import CompetitionReport
from mleb_core.run import Run, RunGroup
from mleb_core.runner.protocol import Isolation
from mleb_core.verify import VerifyReport, verify_group

DIABETES = "diabetes-progression"
ISOLATION = Isolation(files=False, network=False, memory=False, processes=False)


class Worker:
    """Hands in the sample submission, or something that is none, and leaves code and logs."""

    id = "worker"
    summary = "Leaves something in every place."

    def variants(self):
        return ("broken",)

    def launch(self, context):
        lines = [
            "import os, pathlib, shutil",
            "home = pathlib.Path(os.environ['HOME'])",
            "shutil.copy(home / 'data/sample_submission.csv', home / 'submission/submission.csv')",
            "(home / 'code/deep').mkdir(); (home / 'code/deep/a b.py').write_text('x = 1')",
            "(home / 'code/run.py').write_text('y = 2'); (home / 'logs/log.txt').write_text('done')",
            "print('hello')",
        ]
        if context.variant == "broken":
            lines.append("(home / 'submission/submission.csv').write_text('a,b\\n1,2\\n')")
        return mleb_core.Launch([context.python, "-c", "\n".join(lines)])

    @mleb_core.hookimpl
    def mleb_register_agents(self):
        return [self]


def keep_ledger(
    place: RunLayout, directory: Path, group: RunGroup, registry: Registry, finish: Callable[[Path], None] | None = None
) -> None:
    """Do to a finished run what a harness does while it goes on; `finish` changes what is written of it last."""
    place.ledger.unlink(missing_ok=True)
    shutil.rmtree(place.snapshots, ignore_errors=True)
    run = Run.model_validate_json(place.run.read_bytes())
    report = load_run_report(place.report)
    competition = registry.competition(run.key.competition)
    with Ledger.open(place) as ledger:
        isolation, plugins = registry.runner("local").isolation, plugin_versions(registry)
        started = start_details(run, group, GroupLayout(directory), isolation=isolation, plugins=plugins)
        ledger.add(Kind.START, **started)
        if not place.transcript.exists():
            transcript = Transcript(place.transcript, 1 << 20)
            for number in (1, 2):
                facts = {"number": number, "endpoint": "/chat/completions", "model": "m", "status": 200, "error": None}
                facts |= {"tokens": {"input": 3, "output": 4}, "estimated": False, "cost_usd": None}
                line = transcript.add(facts, b'{"q": 1}', b'{"a": ", \\"request\\": "}', Secrets())
                ledger.add(Kind.GATEWAY, **gateway_details(line))
        place.snapshots.mkdir()
        shutil.copy(place.submission, place.snapshots / "0000001.csv")
        facts = file_facts(place.snapshots / "0000001.csv")
        ledger.add(Kind.SNAPSHOT, elapsed_s=1.0, file="0000001.csv", **facts)
        place.usage.write_text('{"requests": 2}')
        ledger.add(Kind.CHECK, sha256="0" * 64, bytes=3, valid=False)
        close(ledger, place, run, report.competition_report, competition, group, registry, finish)


def close(
    ledger: Ledger,
    place: RunLayout,
    run: Run,
    graded: CompetitionReport | None,
    competition: Competition,
    group: RunGroup,
    registry: Registry,
    finish: Callable[[Path], None] | None = None,
) -> None:
    """The end of a run, as execute.py has it."""
    record_end(ledger, place, run)
    if graded is not None:
        record_graded(ledger, graded, competition, Path(group.data_dir), registry)
    write_whole(
        place.report, run_report(run, graded, ledger.result, resource_summary(place)).model_dump_json(indent=2) + "\n"
    )
    if finish is not None:
        finish(place.run)
        finish(place.report)
    record_report(ledger, place)


def places(group: Path) -> list[RunLayout]:
    return list(GroupLayout(group).runs())


def found(report: VerifyReport) -> list[str]:
    return [str(finding) for finding in report.findings]


def runs_of(group: Path) -> list[dict]:
    return json.loads((group / "report.json").read_text())["runs"]


def kept(group: Path) -> list[Path]:
    """Every file but the harness's working notes."""
    notes = {"events.jsonl", "run.json", "group.lock"}
    return sorted(path for path in group.rglob("*") if path.is_file() and path.name not in notes)


def is_found(group: Path, registry: Registry) -> bool:
    try:
        return not verify_group(group, registry, grade=False, workers=1).holds
    except RunGroupError:  # group.json itself cannot be read
        return True


def rewrite(path: Path, **changes: object) -> None:
    document = json.loads(path.read_text())
    write_whole(path, json.dumps({**document, **changes}, indent=2) + "\n")


def cut_last_line(place: RunLayout) -> None:
    place.ledger.write_bytes(b"".join(place.ledger.read_bytes().splitlines(keepends=True)[:-1]))
