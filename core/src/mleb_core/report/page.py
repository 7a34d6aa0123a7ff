"""A group's report as Markdown."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from mleb_core.report.models import CompetitionReport, Estimate, GroupReport, RunReport, UsageSummary
from mleb_core.report.statistics import mean
from mleb_core.report.statistics.models import ReportWithFigures
from mleb_core.report.text import markdown

__all__ = ["to_markdown"]


def to_markdown(report: GroupReport, json_sha256: str | None = None) -> str:
    """The report for people: results by agent, seed and competition; failures with their cause; missing runs; known
    issues. Texts of agents are made harmless (see `report.text.markdown`); long ones are cut, report.json has all.

    Args:
        report: the report.
        json_sha256: of the report.json that stands beside it, to be named.
    """
    lines = [f"# Run group {markdown(report.group.name)}", ""]
    lines += _facts(report)
    if json_sha256 is not None:
        lines += [f"- report.json: sha256 {json_sha256}"]
    lines += _section("Results", _results(report))
    if isinstance(report, ReportWithFigures):
        lines += _section("Further figures", _figures(report))
    lines += _section("Seeds", _seeds(report))
    lines += _section("Competitions", _competitions(report))
    lines += _section("Effort", _effort(report))
    lines += _section("Failures", _failures(report))
    lines += _section("Missing runs", _missing(report))
    lines += _section("Runs that were not asked for", [f"- {markdown(str(key))}" for key in report.not_asked])
    lines += _section("Files that were not collected", _refused(report))
    lines += _section("Findings of audits", _findings(report))
    lines += _section("Known issues", _issues(report))
    return "\n".join(lines).rstrip("\n") + "\n"


def _facts(report: GroupReport) -> list[str]:
    group, counts = report.group, report.counts
    plugins = ", ".join(f"{name} {version}" for name, version in group.plugins.items())
    facts = {
        "Started": group.created_at,
        "Reported": report.created_at,
        **({"Imported from": group.imported} if group.imported is not None else {}),
        "Asked for": f"{counts.asked} runs: {len(group.agents)} agents, {len(group.competitions)} competitions"
        f"{f' (split {group.split})' if group.split else ''}, {group.seeds} seeds",
        "Ended, graded, missing": f"{counts.ended}, {counts.graded}, {counts.missing}",
        "Edition": ", ".join(map(str, report.editions)),
        "Model": group.model or "as the agent has it",
        "Time limit": f"{group.limits.time_s:g} s",
        "Runner, engine": f"{group.runner}, {group.engine}",
        **({"Network": f"agents could reach {', '.join(group.terms.network)}"} if group.terms.network else {}),
        **({"Privileged containers": _privileged(report)} if any(run.privileged for run in report.runs) else {}),
        "Plugins": plugins or "none",
        "Configuration": report.config_digest,
    }
    if group.imported is not None:  # of all this nothing is known
        for name in ("Model", "Time limit", "Runner, engine", "Plugins"):
            del facts[name]
    if report.ledgers is not None:
        kept = sum(run.ledger is not None for run in report.runs)
        facts["Ledgers"] = f"{kept} of {counts.asked} runs, heads together {report.ledgers}"
    return [*(f"- {name}: {markdown(value, 2000)}" for name, value in facts.items())]


def _privileged(report: GroupReport) -> str:
    agents = Counter(run.key.agent for run in report.runs if run.privileged)
    return (
        ", ".join(f"{agent} ({runs} run{'s' * (runs > 1)})" for agent, runs in agents.items()) + "; they isolate little"
    )


def _results(report: GroupReport) -> list[str]:
    lines = _table(
        ("agent", "any medal %", "gold %", "silver %", "bronze %", "above median %", "valid %", "graded", "missing"),
        (
            (
                markdown(result.agent),
                _estimate(result.any_medal_percentage),
                _estimate(result.gold_percentage),
                _estimate(result.silver_percentage),
                _estimate(result.bronze_percentage),
                _estimate(result.above_median_percentage),
                _estimate(result.valid_submission_percentage),
                f"{result.counts.graded} of {result.counts.asked}",
                str(result.counts.missing),
            )
            for result in report.agents
        ),
    )
    note = "Percent of the competitions asked for, a missing run counting as one without a medal"
    note += ": mean ± standard error over the seeds." if report.group.seeds > 1 else "; one seed, so no standard error."
    lines += ["", note]
    if any(_grade(run).leaderboard_kind == "reference-models" for run in report.runs if run.competition_report):
        lines += ["", "Medals on leaderboards of reference models (marked below) say nothing about humans."]
    return lines


def _figures(report: ReportWithFigures) -> list[str]:
    """Figures that need what else lies in the group's directory."""
    rows = []
    for agent in report.figures:
        interval, cost = agent.any_medal_bootstrap, agent.cost
        least = "at least " if cost.runs_unpriced else ""
        rests = f"{agent.graded} verdicts, {cost.runs_with_time} times, {cost.runs_with_usage} costs"
        rows.append(
            (
                markdown(agent.agent),
                f"{interval[0]:.1f} to {interval[1]:.1f}" if interval else "",
                ", ".join(f"{passed.k}: {passed.percentage:.1f}" for passed in agent.pass_at_k),
                f"{cost.time_s_per_medal:.0f}" if cost.time_s_per_medal is not None else "",
                f"{least}{cost.cost_usd_per_medal:.2f}" if cost.cost_usd_per_medal is not None else "",
                str(cost.tokens) if cost.tokens is not None else "",
                str(cost.steps) if cost.steps is not None else "",
                f"{rests} of {agent.asked} runs",
            )
        )
    header = (
        "agent",
        "any medal %, 95 % bootstrap",
        "pass@k %",
        "seconds per medal",
        "US dollars per medal",
        "tokens",
        "steps",
        "rests on",
    )
    return _table(header, rows)


def _seeds(report: GroupReport) -> list[str]:
    return _table(
        ("agent", "seed", "any medal %", "gold", "silver", "bronze", "above median", "valid", "graded", "missing"),
        (
            (
                markdown(result.agent),
                str(seed.seed),
                f"{seed.any_medal_percentage:.1f}",
                *map(str, (seed.counts.gold, seed.counts.silver, seed.counts.bronze, seed.counts.above_median)),
                str(seed.counts.valid),
                f"{seed.counts.graded} of {seed.counts.asked}",
                str(seed.counts.missing),
            )
            for result in report.agents
            for seed in result.seeds
        ),
    )


def _competitions(report: GroupReport) -> list[str]:
    found: dict[tuple[str, str], list[CompetitionReport]] = defaultdict(list)
    for run in report.runs:
        if run.graded:
            found[run.key.competition, run.key.agent].append(_grade(run))
    rows = []
    for label in report.group.competitions:
        for agent in report.group.agents:
            grades = found[label, agent]
            scores = [grade.score for grade in grades if grade.score is not None]
            best = min if grades and grades[0].is_lower_better else max
            rows.append(
                (
                    markdown(label),
                    markdown(agent),
                    f"{len(grades)} of {report.group.seeds}",
                    f"{mean(scores):.5f}" if scores else "",
                    f"{best(scores):.5f}" if scores else "",
                    str(sum(grade.gold_medal for grade in grades)),
                    str(sum(grade.silver_medal for grade in grades)),
                    str(sum(grade.bronze_medal for grade in grades)),
                    str(sum(grade.above_median for grade in grades)),
                    _thresholds(grades[0]) if grades else "",
                )
            )
    return _table(
        (
            "competition",
            "agent",
            "graded",
            "mean score",
            "best score",
            "gold",
            "silver",
            "bronze",
            "above median",
            "gold / silver / bronze / median at",
        ),
        rows,
    )


def _effort(report: GroupReport) -> list[str]:
    """Time, steps, tokens and money of each run; nothing where no agent used a model or told its steps."""
    if all(run.usage is None for run in report.runs):
        return []
    rows = []
    for run in report.runs:
        use = run.usage
        rows.append(
            (
                *_key(run.key.competition, run.key.agent, run.key.seed),
                f"{run.runtime_s:.0f}" if run.runtime_s is not None else "",
                f"{use.steps} {markdown(use.step_unit)}" if use and use.steps is not None else "",
                str(use.model_calls) if use else "",
                str(use.input_tokens) if use else "",
                str(use.output_tokens) if use else "",
                _dollars(use) if use else "",
            )
        )
    header = (
        "competition",
        "agent",
        "seed",
        "seconds",
        "steps",
        "model calls",
        "tokens in",
        "tokens out",
        "US dollars",
    )
    return _table(header, rows)


def _dollars(use: UsageSummary) -> str:
    if use.cost_usd is not None:
        return f"{use.cost_usd:.4f}"
    return f"at least {use.known_cost_usd:.4f}" if use.known_cost_usd else "unknown"


def _thresholds(grade: CompetitionReport) -> str:
    values = (grade.gold_threshold, grade.silver_threshold, grade.bronze_threshold, grade.median_threshold)
    whose = ", reference models" if grade.leaderboard_kind == "reference-models" else ""
    return (
        f"{' / '.join(f'{value:g}' for value in values)} ({'lower' if grade.is_lower_better else 'higher'} wins{whose})"
    )


def _failures(report: GroupReport) -> list[str]:
    return _table(
        ("competition", "agent", "seed", "status", "cause", "what happened"),
        (
            (*_key(run.key.competition, run.key.agent, run.key.seed), run.status.value, cause, markdown(what))
            for run in report.runs
            for cause, what in _faults(run)
        ),
    )


def _faults(run: RunReport) -> Iterator[tuple[str, str]]:
    """What went wrong in a run: the cause and a line."""
    if run.cause is not None:
        yield run.cause.value, run.message
    grade = run.competition_report
    if grade is None:
        return
    if grade.grader_error is not None:
        yield "grader error", grade.grader_error
    elif not grade.submission_exists:
        yield "no submission", grade.reason or ""
    elif not grade.valid_submission:
        yield "invalid submission", grade.reason or ""


def _missing(report: GroupReport) -> list[str]:
    return _table(
        ("competition", "agent", "seed", "status", "cause", "note"),
        (
            (
                *_key(run.key.competition, run.key.agent, run.key.seed),
                run.status.value,
                run.cause.value if run.cause else "",
                markdown(run.note),
            )
            for run in report.missing
        ),
    )


def _refused(report: GroupReport) -> list[str]:
    return [f"- {markdown(str(run.key))}: {markdown(line)}" for run in report.runs for line in run.refused]


def _findings(report: GroupReport) -> list[str]:
    """The worst first; what audits say of themselves (`info`) is counted only."""
    told = [(run.key, finding) for run in report.runs for finding in run.findings]
    lines = [
        f"- {severity}: {markdown(str(key))}: {markdown(f'{f.audit}/{f.rule}')}: {markdown(f.message)}"
        for severity in ("serious", "warning")
        for key, f in told
        if f.severity == severity
    ]
    notes = sum(finding.severity == "info" for _, finding in told)
    return [*lines, *([f"- and {notes} notes on what was not looked at"] if notes else [])]


def _issues(report: GroupReport) -> list[str]:
    return [
        f"- {markdown(label)}: {markdown(issue, 2000)}" for label, all_ in report.known_issues.items() for issue in all_
    ]


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return ["", f"## {title}", "", *lines] if lines else []


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table, or nothing without rows. The cells are escaped already."""
    body = [f"| {' | '.join(row)} |" for row in rows]
    return [f"| {' | '.join(header)} |", "|" + " --- |" * len(header), *body] if body else []


def _key(competition: str, agent: str, seed: int) -> tuple[str, str, str]:
    return markdown(competition), markdown(agent), str(seed)


def _estimate(value: Estimate) -> str:
    return f"{value.mean:.1f}" if value.standard_error is None else f"{value.mean:.1f} ± {value.standard_error:.1f}"


def _grade(run: RunReport) -> CompetitionReport:
    assert run.competition_report is not None
    return run.competition_report
