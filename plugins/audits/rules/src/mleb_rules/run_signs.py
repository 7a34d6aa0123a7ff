"""All that a program can tell of one run."""

from collections.abc import Iterable
from pathlib import Path

from mleb_core.competition_spec import Grading
from mleb_core.layout import CompetitionData, RunLayout
from mleb_core.ledger import check_chain
from mleb_core.run_code.of_run import code_of_run
from mleb_rules import literals, mentions, reached, submissions
from mleb_rules.log import read_log
from mleb_rules.signs import Sign

__all__ = ["signs_of"]

TOLD = (", system", ", developer", ", user")
"""What the agent was told, and did not say: prompts often list all files."""
NOT_TRAINING = ("sample", "test", "description", "readme")


def signs_of(layout: RunLayout, grading: Grading, data: CompetitionData | None) -> tuple[list[Sign], list[str]]:
    """The signs of a run, and what could not be looked at, a line each.

    Args:
        layout: of the run.
        grading: of its competition.
        data: of its competition, where it is at hand; without it, submission and literals are not compared with it.
    """
    signs: list[Sign] = []
    notes: list[str] = []
    if layout.ledger.is_file():
        try:
            signs += reached.by_ledger(check_chain(layout.ledger).entries, layout.ledger.name)
        except OSError as error:
            notes.append(f"{layout.ledger.name} cannot be read: {error.strerror}")
    else:
        notes.append("the run has no ledger, so what it reached is not known")
    sources, unread = code_of_run(layout)
    notes += unread
    signs += mentions.in_code(sources, data_dir=str(data.root) if data else "")
    if data is None or not data.public.is_dir():
        notes.append("the prepared data is not at hand, so the submission is not compared with the sample")
        return signs, notes
    said = (line for line in read_log(layout).lines if not line.place.endswith(TOLD))
    log = "\n".join(line.text for line in said)
    if unnamed := mentions.data_unnamed(sources, log, list(_training(data.public))):
        signs.append(unnamed)
    sample = data.public / grading.sample
    try:
        if sample.is_file() and (test := literals.ids_of_sample(sample)) is not None:
            signs += literals.in_code(sources, test)
        if sample.is_file() and submissions.digest(layout.submission) is not None:
            name = layout.submission.relative_to(layout.root).as_posix()
            signs += submissions.against_sample(layout.submission, sample, grading.id, name)
    except OSError as error:
        notes.append(f"{error.filename} cannot be read: {error.strerror}")
    return signs, notes


def _training(public: Path) -> Iterable[str]:
    for path in public.iterdir():
        if not path.name.lower().startswith(NOT_TRAINING) and not path.name.startswith("."):
            yield path.name
