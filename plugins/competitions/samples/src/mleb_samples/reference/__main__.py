"""`python -m mleb_samples.reference ID...`: write the boards of samples, and their figures into competition.toml."""

import argparse
import re
import sys
import tempfile
from pathlib import Path

import pandas as pd

from mleb_core.competition import Competition
from mleb_core.errors import MlebError
from mleb_core.grading.protocol import GradingTask
from mleb_core.leaderboard import thresholds_from_scores
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_samples.reference.board import board
from mleb_samples.reference.tasks import TASKS


def main(arguments: list[str] | None = None) -> int:
    """Make the boards of the ids given, of all samples if none is.

    Args:
        arguments: the command line without the program; the process's own if None.
    """
    parser = argparse.ArgumentParser(prog="python -m mleb_samples.reference", description=__doc__)
    parser.add_argument("id", nargs="*", help="competitions; all samples if none is given")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write FOLDER/ID/leaderboard.csv only")
    chosen = parser.parse_args(arguments)
    registry = Registry()
    try:
        for id in chosen.id or TASKS:
            competition = registry.competition(id)
            if id not in TASKS:
                parser.error(f"{id} has no reference models; known: {', '.join(TASKS)}")
            rows = make_board(competition, registry)
            folder = chosen.output / id if chosen.output else competition.folder
            folder.mkdir(parents=True, exist_ok=True)
            pd.DataFrame(rows, columns=["score", "model"]).to_csv(folder / "leaderboard.csv", index=False)
            if not chosen.output:
                write_figures(competition, [score for score, _ in rows])
            print(f"{id}: {len(rows)} models, {rows[0][0]} ({rows[0][1]}) to {rows[-1][0]} ({rows[-1][1]})")
    except MlebError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def make_board(competition: Competition, registry: Registry) -> list[tuple[float, str]]:
    """Score and name of each reference model, best first; equal scores by name.

    Raises:
        PreparationError, InvalidSubmissionError, GraderError: as preparing and grading give them.
    """
    spec = competition.spec
    grader = registry.grader(spec.grading.grader)
    with tempfile.TemporaryDirectory() as name:
        data = prepare(competition, Path(name))
        task = GradingTask(competition.id, competition.edition, spec.grading, data.public, data.private)
        path = Path(name) / "submission.csv"

        def grade(submission: pd.DataFrame) -> float:
            submission.to_csv(path, index=False)
            return grader.grade(path, task)

        sign = -1 if spec.leaderboard.higher_is_better else 1
        rows = list(board(TASKS[competition.id], data.public, task.sample, grade))
    return sorted(rows, key=lambda row: (sign * row[0], row[1]))


def write_figures(competition: Competition, scores: list[float]) -> None:
    """Put the figures of a board into the table [leaderboard] of competition.toml."""
    higher = competition.spec.leaderboard.higher_is_better
    at = thresholds_from_scores(scores, higher_is_better=higher)
    figures = {"teams": len(scores), "gold": at.gold, "silver": at.silver, "bronze": at.bronze, "median": at.median}
    figures["top"] = max(scores) if higher else min(scores)
    path = competition.folder / "competition.toml"
    text = path.read_text(encoding="utf-8")
    for key, value in figures.items():
        text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, count=1, flags=re.MULTILINE)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
