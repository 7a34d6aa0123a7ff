"""Making an attestation from what a group left, and writing it."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from mleb_core.attest.gaps import find_gaps
from mleb_core.attest.models import (
    Attestation,
    AttestedAudit,
    AttestedCompetition,
    AttestedFinding,
    AttestedRun,
    AttestedSeed,
    HostCalls,
    ImageUse,
    IsolationUse,
    MachineUse,
    ModelCalls,
    Verified,
)
from mleb_core.attest.seen import SeenRun, digest, heads_digest, seen_run
from mleb_core.audits.findings import AuditRecord, read_records
from mleb_core.competition import Competition
from mleb_core.errors import MlebError
from mleb_core.layout import GroupLayout
from mleb_core.planning import plugin_versions
from mleb_core.registry import Registry
from mleb_core.report.build import group_report, open_issues
from mleb_core.report.collect import collect_group
from mleb_core.report.models import GroupReport, RunReport
from mleb_core.run import RunGroup, RunKey, now
from mleb_core.verify import verify_group

__all__ = ["attest_group"]


def attest_group(
    directory: Path,
    registry: Registry,
    data_dir: Path | None = None,
    *,
    grade: bool = True,
    workers: int | None = None,
    progress: Callable[[RunKey], None] | None = None,
) -> Attestation:
    """Verify a group, and say what ran, what was checked of it and what was not. Nothing is written.

    Args:
        directory: the group's.
        registry: where competitions, graders and audits are found.
        data_dir: where prepared data lies; None: where the group had it.
        grade: also grade the kept submissions again.
        workers: runs at a time; None: as many as there are processors.
        progress: told of each run that is verified, from any thread.

    Raises:
        as `verify_group`.
    """
    layout = GroupLayout(directory)
    verified = verify_group(directory, registry, data_dir, grade=grade, workers=workers, progress=progress)
    group, runs, reports = collect_group(directory)
    report = group_report(group, runs, reports)
    seen = [
        found
        for key in group.run_keys()
        if (found := seen_run(key, layout.run(key.competition, key.agent, key.seed), reports.get(key))) is not None
    ]
    records, broken = read_records(layout)
    machines = _machines(seen)
    places = {_facts_key(machine): index for index, machine in enumerate(machines)}
    told = Verified(
        holds=verified.holds,
        graded_again=verified.graded_again,
        findings=tuple(map(str, verified.findings)),
        notes=tuple(map(str, verified.notes)),
        unfinished=verified.unfinished,
        no_ledger=verified.no_ledger,
    )
    return Attestation(
        created_at=now(),
        made_with=plugin_versions(registry),
        group=group.name,
        started_at=group.created_at,
        group_file=digest(layout.group) or "",
        configuration=report.config_digest,
        ran_with=group.plugins,
        agents=group.agents,
        model=group.model,
        settings=group.settings,
        competitions=tuple(_competition(label, group, report, registry) for label in group.competitions),
        seeds=tuple(_seed(seed, group, report) for seed in range(group.seeds)),
        counts=report.counts,
        missing=report.missing,
        not_asked=report.not_asked,
        runner=group.runner,
        engine=group.engine,
        workers=group.workers,
        limits=group.limits,
        terms=group.terms,
        machines=machines,
        isolation=_isolation(seen),
        images=_images(seen),
        privileged=sum(run.privileged for run in seen),
        checker_calls=sum(run.checker_calls for run in seen),
        models=_models(seen),
        hosts=_hosts(seen),
        runs=tuple(_run(run, places) for run in seen),
        heads=heads_digest(seen),
        ledgers=report.ledgers,
        reports=_reports(layout),
        verified=told,
        audits=tuple(_audit(record, layout) for record in records),
        not_checked=find_gaps(group, report, seen, verified, records, broken, registry, graded=grade),
    )


def _competition(label: str, group: RunGroup, report: GroupReport, registry: Registry) -> AttestedCompetition:
    keys = {key for key in group.run_keys() if key.competition == label}
    issues: tuple[str, ...] | None = report.known_issues.get(label)
    if issues is None and any(run.key in keys and run.competition_report is not None for run in report.runs):
        issues = ()
    if issues is None and (competition := _installed(registry, label)) is not None:
        issues = open_issues(competition)
    runs = [run for run in report.runs if run.key in keys]
    return AttestedCompetition(
        label=label,
        edition=int(label.partition("@")[2] or 1),
        data=group.digests.get(label),
        known_issues=issues,
        asked=len(keys),
        ended=sum(run.status.ended for run in runs),
        graded=sum(run.graded for run in runs),
    )


def _installed(registry: Registry, label: str) -> Competition | None:
    try:
        return registry.competition(label)
    except MlebError:
        return None


def _seed(seed: int, group: RunGroup, report: GroupReport) -> AttestedSeed:
    asked = len(group.agents) * len(group.competitions)
    runs: list[RunReport] = [run for run in report.runs if run.key.seed == seed]
    graded = sum(run.graded for run in runs)
    ended = sum(run.status.ended for run in runs)
    return AttestedSeed(seed=seed, asked=asked, ended=ended, graded=graded, missing=asked - graded)


def _machines(seen: Iterable[SeenRun]) -> tuple[MachineUse, ...]:
    runs: Counter[str] = Counter()
    gpus: dict[str, Counter[str]] = {}
    for run in seen:
        if run.machine is not None:
            text = json.dumps(run.machine, sort_keys=True)
            runs[text] += 1
            if run.gpus:
                gpus.setdefault(text, Counter())[" + ".join(run.gpus)] += 1
    return tuple(
        MachineUse(runs=number, facts=json.loads(text), gpus=dict(sorted(gpus.get(text, {}).items())))
        for text, number in sorted(runs.items(), key=lambda item: (-item[1], item[0]))
    )


def _facts_key(machine: MachineUse) -> str:
    return json.dumps(machine.facts, sort_keys=True)


def _isolation(seen: Iterable[SeenRun]) -> tuple[IsolationUse, ...]:
    found = Counter(run.isolation for run in seen if run.isolation is not None)
    return tuple(
        IsolationUse(runner=runner, runs=number, kept=kept, open=open_)
        for (runner, kept, open_), number in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    )


def _images(seen: Iterable[SeenRun]) -> tuple[ImageUse, ...]:
    found = Counter(run.image for run in seen if run.image is not None)
    return tuple(
        ImageUse(reference=reference, digest=digest, runs=number)
        for (reference, digest), number in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    )


def _models(seen: Iterable[SeenRun]) -> tuple[ModelCalls, ...]:
    calls = [call for run in seen for call in run.calls]
    return tuple(
        ModelCalls(
            model=model,
            calls=len(own),
            failed=sum(call.failed for call in own),
            tokens=sum(call.tokens for call in own),
            estimated=sum(call.estimated for call in own),
            cost_usd=round(sum(call.cost_usd or 0.0 for call in own), 6),
            unpriced=sum(call.cost_usd is None and not call.failed for call in own),
        )
        for model in sorted({call.model for call in calls})
        if (own := [call for call in calls if call.model == model])
    )


def _hosts(seen: Iterable[SeenRun]) -> tuple[HostCalls, ...]:
    found = Counter(host for run in seen for host in run.hosts)
    return tuple(
        HostCalls(host=host, allowed=allowed, runs=number) for (host, allowed), number in sorted(found.items())
    )


def _run(run: SeenRun, machines: dict[str, int]) -> AttestedRun:
    report = run.report
    graded = report.competition_report if report is not None and report.graded else None
    machine = None if run.machine is None else machines[json.dumps(run.machine, sort_keys=True)]
    return AttestedRun(
        key=run.key,
        status=report.status if report else None,
        cause=report.cause if report else None,
        attempts=run.attempts,
        runtime_s=report.runtime_s if report else None,
        score=graded.score if graded else None,
        medal=graded.medal if graded else "none",
        valid=graded.valid_submission if graded else None,
        submission=graded.submission_sha256 if graded else None,
        report=run.report_sha256,
        entries=run.entries,
        head=run.head,
        checker_calls=run.checker_calls,
        model_calls=len(run.calls),
        gpus=len(run.gpus),
        machine=machine,
        image=run.image[1] if run.image else None,
    )


def _reports(layout: GroupLayout) -> dict[str, str]:
    files = (layout.report_json, layout.report_markdown, layout.report_csv, layout.grading_report)
    return {path.name: sha256 for path in files if (sha256 := digest(path)) is not None}


def _audit(record: AuditRecord, layout: GroupLayout) -> AttestedAudit:
    found = [(None, finding) for finding in record.findings]
    of_runs = [(run.key, finding) for run in record.runs for finding in run.findings]
    return AttestedAudit(
        audit=record.audit,
        plugin=record.plugin,
        created_at=record.created_at,
        settings=record.settings,
        runs=len(record.runs),
        error=record.error,
        sha256=digest(layout.audit(record.audit)),
        findings=tuple(
            AttestedFinding(run=key, severity=finding.severity, rule=finding.rule, message=finding.message)
            for key, finding in (*found, *of_runs)
        ),
    )
