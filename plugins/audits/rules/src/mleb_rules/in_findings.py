"""What the audit looks at, and signs and judgements as findings."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mleb_core.audits.findings import Evidence, Finding
from mleb_core.audits.protocol import AuditedRuns
from mleb_core.errors import MlebError
from mleb_core.gateway import Budget
from mleb_core.gateway.asking import AskedModel
from mleb_core.layout import CompetitionData, RunLayout
from mleb_core.run import RunKey
from mleb_core.run_code.of_run import file_and_line
from mleb_rules.agreement import agreement
from mleb_rules.judge import Judgement, judge
from mleb_rules.log import read_log
from mleb_rules.rubric import RULES, VERSION
from mleb_rules.run_signs import signs_of
from mleb_rules.signs import Sign
from mleb_rules.submissions import HandedIn, among_runs, digest

__all__ = ["RulesSettings", "findings"]


AUDIT = "rules"


class RulesSettings(BaseModel):
    """What `--set rules.KEY=VALUE` may give."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    judge: str | None = None
    """The judge, `provider/name`; None: only what a program can tell."""
    repeats: int = Field(3, ge=1, le=100)
    """Judgements of each run."""
    part_characters: int = Field(40_000, ge=1000)
    """Characters of a part of the log."""
    overlap_characters: int = Field(4_000, ge=0)
    """Characters that a part has in common with the one before."""
    most_parts: int = Field(50, ge=1)
    """Parts of a log that are judged at most."""
    at_once: int = Field(4, ge=1, le=64)
    """Requests to the judge at a time."""
    cost_usd: float | None = Field(None, ge=0)
    """What the judge may cost in US dollars, all runs together; None: as much as it likes."""
    tokens: int | None = Field(None, ge=0)
    """Tokens that the judge may use, all runs together; None: as many as it likes."""
    replay: Path | None = None
    """Directory of recorded exchanges that are used instead of asking."""
    record: Path | None = None
    """Directory where exchanges are recorded."""


def findings(runs: AuditedRuns) -> Iterator[tuple[RunKey | None, Finding]]:
    """Signs of each run, then its judgement; of the group how far judgements agree.

    Raises:
        UsageError: the judge is no model that can be asked.
    """
    settings = RulesSettings.model_validate(runs.settings)
    with ExitStack() as stack:
        model = None
        if settings.judge is not None:  # before anything else, so that a missing key is told at once
            kept = runs.layout.audit(AUDIT).with_suffix("")
            budget = Budget(cost_usd=settings.cost_usd, tokens=settings.tokens)
            asked = AskedModel(settings.judge, kept, budget, record=settings.record, replay=settings.replay)
            model = stack.enter_context(asked)
        yield from _by_program(runs)
        if model is None:
            yield None, _info("no judge read the logs; --set rules.judge=MODEL has one do so")
        else:
            yield from _by_judge(runs, settings, model)


def _by_program(runs: AuditedRuns) -> Iterator[tuple[RunKey, Finding]]:
    handed_in = []
    for key, layout in runs.places():
        runs.progress(f"rules: {key}")
        try:
            yield from [(key, finding) for finding in _of_program(runs, key, layout)]
        except Exception as error:  # an agent's files are no reason to leave out the other runs
            yield key, _failed(error)
        try:
            if (sha256 := digest(layout.submission)) is not None:
                handed_in.append(HandedIn(key, sha256))
        except OSError as error:
            yield key, _info(f"the submission cannot be read: {error.strerror}")
    yield from ((key, _finding(sign)) for key, sign in among_runs(handed_in).items())


def _by_judge(runs: AuditedRuns, settings: RulesSettings, model: AskedModel) -> Iterator[tuple[RunKey | None, Finding]]:
    votes: list[tuple[bool, ...]] = []
    for key, layout in runs.places():
        try:
            log = read_log(layout)
        except Exception as error:  # as above
            yield key, _failed(error)
            continue
        found = judge(
            log,
            model,
            about=_about(runs, key),
            repeats=settings.repeats,
            characters=settings.part_characters,
            overlap=min(settings.overlap_characters, settings.part_characters // 2),
            most_parts=settings.most_parts,
            at_once=settings.at_once,
            progress=lambda line, key=key: runs.progress(f"rules: {key}: {line}"),  # type: ignore[misc]
        )
        votes += found.votes.values()
        yield from ((key, _finding(sign)) for sign in found.signs())
        yield key, _told(found)
    whole = agreement(votes)
    values = {
        "questions": whole.questions,
        "observed": whole.observed,
        "kappa": whole.kappa,
        "cost_usd": model.usage.cost_usd,
    }
    message = f"judgements by {model.model}, rubric {VERSION}: {_in_words(whole.observed, whole.kappa)}"
    yield None, Finding(rule="judge", severity="info", message=message, evidence=(Evidence(values=values),))


def _of_program(runs: AuditedRuns, key: RunKey, layout: RunLayout) -> Iterator[Finding]:
    try:
        competition = runs.competition(key.competition)
        grading, data = competition.spec.grading, CompetitionData.of(runs.data_dir, competition.label)
    except MlebError as error:
        yield _info(f"the run is not looked at: {error}")
        return
    signs, notes = signs_of(layout, grading, data)
    yield from map(_finding, signs)
    yield from map(_info, notes)


def _about(runs: AuditedRuns, key: RunKey) -> str:
    own = runs.group.model or "named by the agent itself"
    text = f"The agent is {key.agent}; the model that it was given: {own}."
    try:
        return f"{text} The competition is {runs.competition(key.competition).spec.title!r}."
    except MlebError:
        return text


def _finding(sign: Sign) -> Finding:
    found = []
    for one in sign.evidence:
        file, line = file_and_line(one.file, one.place)
        values = {"text": one.text} | ({"place": one.place} if one.place and one.place != f"line {line}" else {})
        values |= {"source": one.file} if one.file != file else {}
        found.append(Evidence(file=file, line=line, values=values))
    return Finding(rule=sign.rule, severity=sign.level, message=sign.message, evidence=tuple(found))


def _info(line: str) -> Finding:
    level: Literal["info"] = "info"
    return Finding(rule="not-looked-at", severity=level, message=line)


def _failed(error: Exception) -> Finding:
    message = f"what the run left made the audit fail: {type(error).__name__}: {error}"
    return Finding(rule="not-looked-at", severity="warning", message=message[:1000])


def _told(found: Judgement) -> Finding:
    whole = found.agreement
    values = {
        "votes": {rule: [int(vote) for vote in found.votes[rule]] for rule in RULES},
        "observed": whole.observed,
        "kappa": whole.kappa,
        "parts": found.parts,
        "judged": found.judged,
        "thrown_away": found.thrown_away,
        "notes": list(found.notes),
    }
    message = f"{found.judged} of {found.parts * found.repeats} parts judged by {found.model}"
    if found.thrown_away:
        message += f", {found.thrown_away} suspicions without a true quote thrown away"
    message += f"; {_in_words(whole.observed, whole.kappa)}"
    return Finding(rule="judge", severity="info", message=message, evidence=(Evidence(values=values),))


def _in_words(observed: float | None, kappa: float | None) -> str:
    if observed is None:
        return "no two judgements to compare"
    text = f"{100 * observed:.0f} % of pairs of judgements agree"
    return text if kappa is None else f"{text}, Fleiss' kappa {kappa:.2f}"
