"""An attestation as one page of Markdown. Texts of agents are made harmless; long lists are cut, the JSON has all."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mleb_core.attest.models import Attestation, AttestedAudit, AttestedRun, MachineUse
from mleb_core.report.text import markdown
from mleb_core.run import Limits, RunKey
from mleb_core.terms import Budget

__all__ = ["to_page"]

_MOST_FINDINGS = 20
_MOST_LINES = 100
_GIB = 1 << 30


def to_page(attestation: Attestation, json_sha256: str | None = None) -> str:
    """The page.

    Args:
        attestation: what to show.
        json_sha256: of the JSON file that stands beside it, to be named.
    """
    one = attestation
    lines = [f"# Attestation of run group {markdown(one.group)}", ""]
    lines += _facts(
        {
            "Made": one.created_at,
            "Group began": one.started_at,
            "Asked for": f"{one.counts.asked} runs: {len(one.agents)} agents, {len(one.competitions)} competitions, "
            f"{len(one.seeds)} seeds",
            "Ended, graded, missing": f"{one.counts.ended}, {one.counts.graded}, {one.counts.missing}",
            "Configuration": one.configuration,
            "group.json": f"sha256 {one.group_file}",
            **({"This page as JSON": f"sha256 {json_sha256}"} if json_sha256 else {}),
        }
    )
    lines += _section("What was checked", _verified(one))
    lines += _section("What was not checked", _gaps(one))
    lines += _section("Audits", _audits(one.audits))
    lines += _section("Agents and models", _agents(one))
    lines += _section("Competitions", _competitions(one))
    lines += _section("Seeds", _seeds(one))
    lines += _section("Runner, limits, network", _terms(one))
    lines += _section("Hardware", [line for machine in one.machines for line in _machine(machine)])
    lines += _section("Missing runs", _keys(run.key for run in one.missing))
    lines += _section("Runs", _runs(one.runs))
    lines += _section("Versions", _versions(one))
    return "\n".join(lines).rstrip("\n") + "\n"


def _verified(one: Attestation) -> list[str]:
    told = one.verified
    again = f"{told.graded_again} submissions were graded again"
    says = "everything that was looked at holds" if told.holds else f"{len(told.findings)} findings: it does not hold"
    lines = [f"- `mleb verify` recomputed ledgers, kept files, reports and scores; {again}: **{says}**"]
    lines += [f"- does not hold: {markdown(line)}" for line in told.findings[:_MOST_FINDINGS]]
    lines += [f"- note: {markdown(line)}" for line in told.notes[:_MOST_FINDINGS]]
    if (more := len(told.findings[_MOST_FINDINGS:]) + len(told.notes[_MOST_FINDINGS:])) > 0:
        lines.append(f"- and {more} more lines in the JSON")
    lines.append(f"- heads of the ledgers together: {one.heads or 'no ledgers'}")
    lines.append(f"- results in the ledgers together (`Ledgers` of report.md): {one.ledgers or 'no ledgers'}")
    lines += [f"- {name}: sha256 {sha256}" for name, sha256 in one.reports.items()]
    return lines


def _gaps(one: Attestation) -> list[str]:
    return [
        f"- {gap.kind}: {markdown(gap.what)}"
        + (f" ({len(gap.runs)} of {one.counts.asked} runs)" if gap.runs and not gap.what[0].isdigit() else "")
        for gap in one.not_checked
    ]


def _audits(audits: Sequence[AttestedAudit]) -> list[str]:
    if not audits:
        return ["No audit of the runs was carried out."]
    lines = []
    for audit in audits:
        counts = [
            f"{number} {severity}"
            for severity in ("serious", "warning", "info")
            if (number := sum(finding.severity == severity for finding in audit.findings))
        ]
        ended = f"; came to no end: {markdown(audit.error)}" if audit.error else ""
        lines.append(
            f"- **{markdown(audit.audit)}** ({markdown(audit.plugin)}, {audit.created_at}) looked at {audit.runs} runs:"
            f" {', '.join(counts) or 'nothing found'}{ended}"
        )
        told = [finding for finding in audit.findings if finding.severity != "info"]
        for finding in told[:_MOST_FINDINGS]:
            where = markdown(str(finding.run)) if finding.run else "group"
            lines.append(f"  - {finding.severity}: {where}: {finding.rule}: {markdown(finding.message)}")
        if len(told) > _MOST_FINDINGS:
            lines.append(f"  - and {len(told) - _MOST_FINDINGS} more")
    return lines


def _agents(one: Attestation) -> list[str]:
    lines = [
        f"- agents: {', '.join(map(markdown, one.agents))}",
        f"- model asked for: {markdown(one.model) if one.model else 'as the agent has it'}",
    ]
    if one.settings:
        lines.append(f"- settings: {markdown(', '.join(f'{name}={value}' for name, value in one.settings.items()))}")
    lines.append(f"- calls of the submission checker: {one.checker_calls}")
    if not one.models:
        return [*lines, "- calls to models: none that the ledgers have"]
    rows = [
        [markdown(use.model), use.calls, use.failed, use.tokens, _cost(use.cost_usd, use.unpriced)]
        for use in one.models
    ]
    return [*lines, "", *_table(["model", "calls", "failed", "tokens", "US dollars"], rows)]


def _cost(cost_usd: float, unpriced: int) -> str:
    known = f"{cost_usd:.2f}"
    return f"{known} and {unpriced} calls of unknown price" if unpriced else known


def _competitions(one: Attestation) -> list[str]:
    rows = [[markdown(c.label), c.edition, c.asked, c.ended, c.graded, c.data or "-"] for c in one.competitions]
    lines = _table(["competition", "edition", "asked", "ended", "graded", "sha256 of the data's manifest"], rows)
    issues = []
    for competition in one.competitions:
        if competition.known_issues is None:
            issues.append(f"- {markdown(competition.label)}: not installed here, so its known issues are not known")
        issues += [
            f"- known issue of {markdown(competition.label)}: {markdown(issue, 2000)}"
            for issue in competition.known_issues or ()
        ]
    return [*lines, *(["", *issues] if issues else [])]


def _seeds(one: Attestation) -> list[str]:
    rows = [[seed.seed, seed.asked, seed.ended, seed.graded, seed.missing] for seed in one.seeds]
    return _table(["seed", "asked", "ended", "graded", "missing"], rows[:_MOST_LINES])


def _terms(one: Attestation) -> list[str]:
    terms = one.terms
    lines = [f"- runner {markdown(one.runner)}, engine {markdown(one.engine)}, {one.workers} runs at a time"]
    for use in one.isolation:
        kept, open_ = ", ".join(use.kept) or "nothing", ", ".join(use.open) or "nothing"
        lines.append(f"- {use.runs} runs in {markdown(use.runner)}: isolated {kept}; not isolated: {open_}")
    not_kept = ", which was not kept in all runs" if any("network" in use.open for use in one.isolation) else ""
    lines += [
        f"- network by the terms: {', '.join(map(markdown, terms.network)) or 'the gateway alone'}{not_kept}",
        f"- budget of a run: {_budget(terms.budget)}; of the group: {_budget(terms.group_budget)}",
        f"- limits of a run: {_limits(one.limits)}",
        f"- descriptions: {'obfuscated' if terms.obfuscated else 'as they are'}",
    ]
    if one.privileged:
        lines.append(f"- privileged containers: {one.privileged} runs")
    lines += [
        f"- image {markdown(image.reference)}: {markdown(image.digest)} ({image.runs} runs)"
        for image in one.images[:_MOST_LINES]
    ]
    asked = [f"{markdown(host.host)} ({host.runs} runs{'' if host.allowed else ', refused'})" for host in one.hosts]
    if asked:
        lines.append(f"- hosts asked for: {', '.join(asked[:_MOST_LINES])}")
    return lines


def _budget(budget: Budget) -> str:
    parts = [f"{value} {name}" for name, value in budget.model_dump().items() if value is not None]
    return ", ".join(parts) or "none"


def _limits(limits: Limits) -> str:
    told: dict[str, Any] = {name: value for name, value in limits.model_dump().items() if value is not None}
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in told.items()
    )


def _machine(machine: MachineUse) -> list[str]:
    facts = machine.facts
    memory = facts.get("memory_bytes")
    size = f"{memory / _GIB:.1f} GiB of memory" if isinstance(memory, int) else "memory unknown"
    gpus = facts.get("gpus")
    names = [str(gpu.get("name")) for gpu in gpus if isinstance(gpu, dict)] if isinstance(gpus, list) else None
    shown = "GPUs unknown" if names is None else ", ".join(names) or "no GPU"
    system = " ".join(str(facts[name]) for name in ("system", "kernel", "architecture") if facts.get(name))
    cores = f"{facts.get('cores')} cores ({facts.get('usable_cores')} usable)"
    lines = [
        f"- {machine.runs} runs on: {markdown(str(facts.get('cpu') or 'unknown processor'))}, {markdown(cores)}, "
        f"{size}; {markdown(shown)}; {markdown(system)}"
    ]
    return lines + [f"  - {number} runs had for themselves: {markdown(gpu)}" for gpu, number in machine.gpus.items()]


def _keys(keys: Iterable[RunKey]) -> list[str]:
    lines = [f"- {markdown(str(key))}" for key in keys]
    more = len(lines) - _MOST_LINES
    return lines[:_MOST_LINES] + ([f"- and {more} more in the JSON"] if more > 0 else [])


def _runs(runs: Sequence[AttestedRun]) -> list[str]:
    rows = [
        [
            markdown(str(run.key)),
            run.status or "-",
            "-" if run.score is None else run.score,
            run.medal,
            run.attempts,
            run.checker_calls,
            run.model_calls,
            run.head or "no ledger",
        ]
        for run in runs
    ]
    return _table(["run", "status", "score", "medal", "attempts", "checks", "model calls", "head of the ledger"], rows)


def _versions(one: Attestation) -> list[str]:
    lines = [f"- the runs were made with: {_distributions(one.ran_with)}"]
    return [*lines, f"- this page was made with: {_distributions(one.made_with)}"]


def _distributions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{markdown(name)} {markdown(number)}" for name, number in versions.items()) or "not recorded"


def _facts(facts: Mapping[str, object]) -> list[str]:
    return [f"- {name}: {markdown(str(value))}" for name, value in facts.items()]


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return ["", f"## {title}", "", *lines] if lines else []


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = [columns, ["---"] * len(columns), *rows]
    return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]
