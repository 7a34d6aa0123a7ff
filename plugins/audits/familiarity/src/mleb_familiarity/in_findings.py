"""What the audit measures, as findings of the group."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mleb_core.audits.findings import Evidence, Finding
from mleb_core.audits.protocol import AuditedRuns
from mleb_core.environments import cache_dir
from mleb_core.errors import MlebError, RunGroupError, UsageError
from mleb_core.gateway import Budget
from mleb_core.gateway.asking import AskedModel, ModelError
from mleb_core.layout import CompetitionData, write_whole
from mleb_core.report.load import load_run_report
from mleb_core.report.models import RunReport
from mleb_core.run import RunKey
from mleb_familiarity.measure import PLACES, Familiarity, Mode, familiarity, mode_of
from mleb_familiarity.passages import Passage, passages_on
from mleb_familiarity.plot import scatter
from mleb_familiarity.relation import Relation, relation
from mleb_familiarity.scores import CompetitionScore, scores_by_agent

__all__ = ["FamiliaritySettings", "findings", "pages_folder"]

AUDIT = "familiarity"


class FamiliaritySettings(BaseModel):
    """What `--set familiarity.KEY=VALUE` may give."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    passages: Path | None = None
    """Folder with a folder or a text for each competition."""
    kaggle: bool = False
    """Whether pages of competitions are fetched from Kaggle, and kept."""
    model: str | None = None
    """The model that is measured, `provider/name`; None: the group's."""
    mode: Literal["auto", "echo", "chat"] = "auto"
    """How: `echo` with text completions, `chat` with chats, `auto` the better one that works."""
    places: int = Field(PLACES, ge=1, le=1000)
    """Places of a passage at which a chat is asked to go on."""
    most_passages: int = Field(10, ge=1)
    """Passages of a competition that are measured, by name."""
    at_once: int = Field(4, ge=1, le=64)
    """Requests at a time."""
    cost_usd: float | None = Field(None, ge=0)
    """What it may cost in US dollars; None: as much as it likes."""
    tokens: int | None = Field(None, ge=0)
    """Tokens that it may use; None: as many as it likes."""
    plot: Path | None = None
    """SVG to write; None: `audits/familiarity/plot.svg` in the group."""
    replay: Path | None = None
    """Directory of recorded exchanges that are used instead of asking."""
    record: Path | None = None
    """Directory where exchanges are recorded."""


def pages_folder() -> Path:
    """Where Kaggle's pages are kept, a folder for each competition."""
    return cache_dir() / "pages"


def findings(runs: AuditedRuns) -> Iterator[tuple[RunKey | None, Finding]]:
    """The familiarity of each competition, and for each agent its relation to scores.

    Raises:
        UsageError: no model to measure, or it cannot be asked; no folder of passages.
    """
    settings = FamiliaritySettings.model_validate(runs.settings)
    passages: dict[str, list[Passage]] = {}
    for label in runs.group.competitions:
        found, told = _passages(runs, label, settings)
        yield from ((None, _info(line)) for line in told)
        if found:
            passages[label] = found[: settings.most_passages]
    if not passages:
        yield None, _info("no passages on the competitions; --set familiarity.passages=FOLDER or .kaggle=true")
        return
    name = settings.model or runs.group.model
    if name is None:
        raise UsageError("the group has no model of its own; --set familiarity.model=PROVIDER/NAME")
    known: dict[str, Familiarity] = {}
    with ExitStack() as stack:
        kept = runs.layout.audit(AUDIT).with_suffix("")
        budget = Budget(cost_usd=settings.cost_usd, tokens=settings.tokens)
        model = stack.enter_context(AskedModel(name, kept, budget, record=settings.record, replay=settings.replay))
        mode: Mode = mode_of(model) if settings.mode == "auto" else settings.mode
        for label, texts in passages.items():
            try:
                known[label] = familiarity(
                    model,
                    texts,
                    mode,
                    places=settings.places,
                    at_once=settings.at_once,
                    progress=lambda line: runs.progress(f"familiarity: {line}"),
                )
            except ModelError as error:
                yield None, _info(f"{label} is not measured: {error}")
                if error.kind in ("budget_reached", "no_logprobs"):
                    break
                continue
            yield None, _known(label, name, known[label])
    yield from _related(runs, known, name, settings)


def _passages(runs: AuditedRuns, label: str, settings: FamiliaritySettings) -> tuple[list[Passage], list[str]]:
    id = label.partition("@")[0]
    found, problems = passages_on(settings.passages, id) if settings.passages is not None else ([], [])
    if settings.kaggle:
        from mleb_core.kaggle.pages import fetch_pages

        try:
            source = runs.competition(label).spec.source
            if source.kind == "kaggle":
                slug = source.slug or id
                fetch_pages(slug, pages_folder() / slug, progress=runs.progress)
                more, told = passages_on(pages_folder(), slug)
                found, problems = [*found, *more], [*problems, *told]
        except MlebError as error:
            problems.append(str(error))
    return found, problems


def _known(label: str, model: str, found: Familiarity) -> Finding:
    what = "tokens" if found.mode == "echo" else "places"
    message = (
        f"{model} gives the words of {len(found.passages)} passages on {label} a mean probability of "
        f"{found.probability:.3f} ({found.tokens:,} {what}, {found.mode})"
    )
    values = {
        "competition": label,
        "probability": found.probability,
        "logprob": found.logprob,
        "tokens": found.tokens,
        "mode": found.mode,
        "passages": [list(one) for one in found.passages],
    }
    return Finding(rule="familiarity", severity="info", message=message, evidence=(Evidence(values=values),))


def _related(
    runs: AuditedRuns, known: dict[str, Familiarity], model: str, settings: FamiliaritySettings
) -> Iterator[tuple[RunKey | None, Finding]]:
    problems: list[str] = []
    reports = list(_reports(runs, set(known), problems))
    scores = scores_by_agent(reports, lambda label: _sample_score(runs, label, problems))
    yield from ((None, _info(line)) for line in problems)
    drawn = {
        agent: [(one.competition, known[one.competition].probability, one.score) for one in found]
        for agent, found in scores.items()
    }
    if not drawn:
        return
    mode = next(iter(known.values())).mode
    related = {agent: relation([(x, y) for _, x, y in points]) for agent, points in drawn.items()}
    path = settings.plot or runs.layout.audit(AUDIT).with_suffix("") / "plot.svg"
    picture = scatter(
        drawn,
        title="; ".join(f"{agent}: {_in_words(one)}" for agent, one in related.items())[:110],
        x_label=f"familiarity: mean token probability, {model}, {mode}",
        y_label="score: sample submission 0, gold 1",
    )
    try:
        write_whole(path, picture)
    except OSError as error:
        raise RunGroupError(f"{path} cannot be written: {error.strerror}") from error
    for agent, one in related.items():
        yield None, _relation(agent, one, scores[agent], drawn[agent], path)


def _reports(runs: AuditedRuns, labels: set[str], problems: list[str]) -> Iterator[RunReport]:
    for key, layout in runs.places():
        if key.competition in labels:
            try:
                yield load_run_report(layout.report)
            except RunGroupError as error:
                problems.append(f"{key} is left out: {error}")


def _sample_score(runs: AuditedRuns, label: str, problems: list[str]) -> float | None:
    from mleb_core.grading.grade import grade_submission
    from mleb_core.registry import Registry

    try:
        competition = runs.competition(label)
        sample = CompetitionData.of(runs.data_dir, competition.label).public / competition.spec.grading.sample
        grade = grade_submission(sample, competition, runs.data_dir, Registry())
    except MlebError as error:
        problems.append(f"{label} is left out: {error}")
        return None
    if grade.score is None:
        problems.append(
            f"{label} is left out: its sample submission has no score ({grade.reason or grade.grader_error})"
        )
    return grade.score


def _relation(
    agent: str,
    found: Relation,
    scores: list[CompetitionScore],
    points: list[tuple[str, float, float]],
    path: Path,
) -> Finding:
    values = {
        "agent": agent,
        "competitions": found.competitions,
        "rho": found.rho,
        "p_value": found.p_value,
        "interval": list(found.interval) if found.interval else None,
        "points": [list(point) for point in points],
        "runs": sum(one.runs for one in scores),
        "runs_left_out": sum(one.left_out for one in scores),
        "plot": str(path),
    }
    goes_with = found.interval is not None and found.interval[0] > 0
    message = f"scores of {agent} against familiarity: {_in_words(found)}"
    if goes_with:
        message += "; they go with it"
    return Finding(
        rule="relation",
        severity="warning" if goes_with else "info",
        message=message,
        evidence=(Evidence(values=values),),
    )


def _in_words(found: Relation) -> str:
    if found.rho is None:
        return f"no rank correlation over {found.competitions} competitions"
    text = f"rank correlation {found.rho:.2f} over {found.competitions} competitions"
    return f"{text} (95 % {found.interval[0]:.2f} to {found.interval[1]:.2f})" if found.interval else text


def _info(line: str) -> Finding:
    return Finding(rule="not-measured", severity="info", message=line)
