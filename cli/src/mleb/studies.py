"""Studies as people read them: what the arms will take, and what they came to."""

from mleb.figures import used
from mleb.output import clean, print_line
from mleb.render import show_table
from mleb.units import format_count, format_duration
from mleb_core.report.studies import StudyReport, difference_shown, passes_shown
from mleb_core.sweep import SweepPlan

__all__ = ["show_study", "show_sweep_plan"]


def show_sweep_plan(plan: SweepPlan) -> None:
    """The arms, with what is left of each and what that takes at most; then why arms cannot be started."""
    columns = [
        "arm",
        "agent",
        "competitions",
        "seeds",
        "runs",
        "left",
        "a run at most",
        "all at most",
        "GPU-hours",
        "budget",
    ]
    rows: list[list[object]] = [
        [
            arm.arm,
            ", ".join(arm.agents) + (f" ({arm.model})" if arm.model else ""),
            arm.competitions,
            arm.seeds,
            arm.runs,
            arm.left,
            format_duration(arm.time_s),
            format_duration(3600 * arm.hours),
            f"{arm.gpu_hours:.1f}",
            _budget(arm.cost_usd, arm.tokens) if arm.left else "-",
        ]
        for arm in plan.arms
    ]
    show_table(columns, rows, title=plan.study)
    if plan.title:
        print_line(clean(plan.title))
    print_line(
        f"{plan.left} of {plan.runs} runs are left, at most {format_duration(3600 * plan.hours)} of runs, "
        f"{plan.gpu_hours:.1f} GPU-hours, {_budget(plan.cost_usd, plan.tokens)}; nothing was started (--dry-run)"
    )
    for arm in plan.arms:
        if arm.problem:
            print_line(f"arm {clean(arm.arm)} cannot be started here: {clean(arm.problem)}")


def show_study(report: StudyReport) -> None:
    """The arms side by side."""
    versus = any(arm.versus for arm in report.arms)
    columns = ["arm", "agent", "graded", "any medal %", "pass@k %", "used", "time"]
    if versus:
        columns.insert(4, "difference")
    rows: list[list[object]] = []
    for arm in report.arms:
        medals = arm.any_medal_percentage
        error = "" if medals.standard_error is None else f" ± {medals.standard_error:.1f}"
        row: list[object] = [arm.arm, arm.agent, f"{arm.graded} of {arm.asked}", f"{medals.mean:.1f}{error}"]
        row += [difference_shown(arm.versus) or "-"] if versus else []
        row += [passes_shown(arm.pass_at_k) or "-", used(arm.cost)]
        row.append("-" if arm.cost.time_s is None else format_duration(arm.cost.time_s))
        rows.append(row)
    show_table(columns, rows, title=report.study)
    if report.title:
        print_line(clean(report.title))
    if versus:
        baseline = next(arm.versus.baseline for arm in report.arms if arm.versus)
        print_line(
            f"difference: from {clean(baseline)}, in points, with 95 % interval (paired bootstrap) and p (permutation)"
        )
    if missing := sum(arm.asked - arm.graded for arm in report.arms):
        print_line(f"{missing} runs have no result; they count as runs without a medal")
    if report.not_begun:
        print_line(f"not begun: {', '.join(map(clean, report.not_begun))}")


def _budget(cost: float | None, tokens: float | None) -> str:
    parts = ([] if cost is None else [f"${cost:.2f}"]) + (
        [] if tokens is None else [f"{format_count(int(tokens))} tokens"]
    )
    return " and ".join(parts) or "no budget"
