"""What the audit compares, and matches as findings."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from mleb_core.audits.findings import Evidence, Finding
from mleb_core.audits.protocol import AuditedRuns
from mleb_core.environments import cache_dir
from mleb_core.errors import MlebError, UsageError
from mleb_core.run import RunKey
from mleb_core.run_code.of_run import file_and_line
from mleb_plagiarism.compare import LEAST, THRESHOLD, TOGETHER, Comparison, Match, compare_run
from mleb_plagiarism.corpus import Corpus, open_corpus
from mleb_plagiarism.passages import Passage, side_by_side

__all__ = ["PlagiarismSettings", "findings", "notebooks_folder"]


class PlagiarismSettings(BaseModel):
    """What `--set plagiarism.KEY=VALUE` may give."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    corpus: Path | None = None
    """Folder of public solutions, of whatever competitions."""
    kaggle: int = Field(0, ge=0, le=10_000)
    """Notebooks by votes that are fetched from Kaggle for each competition, and kept; 0: those that are kept."""
    threshold: float = Field(THRESHOLD, gt=0, le=100)
    """Percent from which on a similarity or coverage is a suspect."""
    least: int = Field(LEAST, ge=1)
    """Fingerprints that are not common which a piece of code must have to be compared alone."""
    passages: int = Field(5, ge=0, le=100)
    """Passages shown of a suspect."""


def notebooks_folder(slug: str) -> Path:
    """Where notebooks on a competition from Kaggle are kept."""
    return cache_dir() / "notebooks" / slug


def findings(runs: AuditedRuns) -> Iterator[tuple[RunKey | None, Finding]]:
    """Each run's suspects with their passages, and how similar it is at most.

    Raises:
        UsageError: the corpus is no folder, or holds no code.
    """
    settings = PlagiarismSettings.model_validate(runs.settings)
    given = open_corpus(settings.corpus, progress=runs.progress) if settings.corpus is not None else None
    if given is not None:
        yield from ((None, finding) for finding in _of_corpus(given))
    fetched: dict[str, Corpus | None] = {}
    for key, layout in runs.places():
        if key.competition not in fetched:
            fetched[key.competition], told = _fetched(runs, key.competition, settings)
            yield from ((None, finding) for finding in told)
        corpora = [corpus for corpus in (given, fetched[key.competition]) if corpus is not None]
        if not corpora:
            yield key, _info("no public solutions to compare with; --set plagiarism.corpus=FOLDER or .kaggle=50")
        for corpus in corpora:
            runs.progress(f"plagiarism: {key}")
            try:
                found = compare_run(
                    layout, corpus, threshold=settings.threshold, least=settings.least, most_passages=settings.passages
                )
            except Exception as error:  # an agent's files are no reason to leave out the other runs
                message = f"what the run left made the audit fail: {type(error).__name__}: {error}"
                yield key, Finding(rule="not-compared", severity="warning", message=message[:1000])
                continue
            yield from ((key, finding) for finding in _of_run(found, corpus, settings.threshold))


def _fetched(runs: AuditedRuns, label: str, settings: PlagiarismSettings) -> tuple[Corpus | None, list[Finding]]:
    """The notebooks on a competition from Kaggle, as far as they are there or asked for."""
    try:
        source = runs.competition(label).spec.source
    except MlebError as error:
        return None, [_info(str(error))]
    if source.kind != "kaggle":
        return None, []
    slug = source.slug or label.partition("@")[0]
    folder, problems = notebooks_folder(slug), []
    if settings.kaggle:
        from mleb_core.kaggle.notebooks import fetch_notebooks

        try:
            problems = fetch_notebooks(slug, folder, most=settings.kaggle, progress=runs.progress)
        except MlebError as error:
            problems = [str(error)]
    told = [_info(problem) for problem in problems]
    try:
        corpus = open_corpus(folder, progress=runs.progress) if folder.is_dir() else None
    except UsageError as error:
        return None, [*told, _info(str(error))]
    return corpus, [*told, *(_of_corpus(corpus) if corpus else ())]


def _of_corpus(corpus: Corpus) -> Iterator[Finding]:
    read = sum(not one.note for one in corpus.references)
    values: dict[str, object] = {"references": read, "families": corpus.families, "common": len(corpus.common)}
    message = f"{read} public solutions in {corpus.folder}, {corpus.families} without near copies"
    if corpus.notes:
        values["notes"] = corpus.notes[:100]
        message += f"; {len(corpus.notes)} could not be read"
    yield Finding(rule="references", severity="info", message=message, evidence=(Evidence(values=values),))


def _of_run(found: Comparison, corpus: Corpus, threshold: float) -> Iterator[Finding]:
    for match in found.matches:
        if match.flagged(threshold):
            yield _suspect(match, corpus, threshold)
    if found.similarity is None:
        yield _info("the run has no code that is long enough to be compared")
    else:
        message = (
            f"at most {found.similarity:.0f} % of a piece of code stands in one of {len(corpus.references)} solutions"
        )
        first = found.matches[0]
        values = {**_figures(first), "pieces": len(found.matches), "short": found.short}
        where = _place(first.source, None, values)
        yield Finding(rule="similarity", severity="info", message=message, evidence=(where,))
    yield from map(_info, found.notes)


def _suspect(match: Match, corpus: Corpus, threshold: float) -> Finding:
    name = match.reference.title or match.reference.path
    if match.similarity >= threshold:
        message = f"{match.similarity:.0f} % of {match.source} stands in {name}"
    else:
        message = f"{match.coverage:.0f} % of {name} stands in {match.source}"
    evidence = [_place(match.source, None, _figures(match))]
    evidence += [
        _place(
            match.source,
            passage,
            {
                "tokens": passage.tokens,
                "reference_place": passage.reference_place,
                "reference_lines": list(passage.reference_lines),
                "side_by_side": side_by_side(passage),
            },
        )
        for passage in match.passages
    ]
    return Finding(rule="copied-code", severity="warning", message=message, evidence=tuple(evidence))


def _figures(match: Match) -> dict[str, object]:
    reference = match.reference
    told = {name: getattr(reference, name) for name in ("path", "title", "author", "url") if getattr(reference, name)}
    return {
        "source": match.source,
        "reference": told,
        "similarity": round(match.similarity, 2),
        "coverage": round(match.coverage, 2),
        "anywhere": round(match.anywhere, 2),
        "fingerprints": match.counted,
    }


def _place(source: str, passage: Passage | None, values: dict[str, object]) -> Evidence:
    """Where code stands: a file and a line of it, as far as a source has lines of its own."""
    file, line = file_and_line(source, passage.run_place if passage else "")
    if passage:
        values = {"place": passage.run_place, **values}
    return Evidence(file=None if source.endswith(TOGETHER) else file, line=line, values=values)


def _info(line: str) -> Finding:
    return Finding(rule="not-compared", severity="info", message=line)
