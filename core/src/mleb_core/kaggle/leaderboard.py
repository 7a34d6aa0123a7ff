"""All human scores of a competition: `DATA/<id>/leaderboard.csv`, a column `score`, best first.

Kaggle packs the leaderboard as a zip with a CSV. For a competition that is over that may be the public leaderboard;
where it does not fit the figures of competition.toml, the private one is asked for page by page, and the one that fits
is kept. Where neither fits, the first is kept, and a warning says how it differs.
"""

import csv
import io
import math
import zipfile
from collections.abc import Sequence

from mleb_core.competition import Competition
from mleb_core.competition_spec import LeaderboardFacts
from mleb_core.errors import PreparationError
from mleb_core.kaggle.client import Client
from mleb_core.kaggle.credentials import Credentials
from mleb_core.kaggle.download import require_credentials, slug_of
from mleb_core.kaggle.patience import KaggleError, Patience, persist
from mleb_core.layout import CompetitionData, write_whole
from mleb_core.leaderboard import thresholds_from_scores
from mleb_core.prepare.problems import explained, flat

__all__ = ["differences", "fetch_leaderboard", "read_scores"]


def fetch_leaderboard(
    competition: Competition,
    data: CompetitionData,
    credentials: Credentials | None = None,
    patience: Patience | None = None,
) -> list[str]:
    """Fetch and keep the scores, unless they are there. Never fails: without them reports have medals and no ranks.

    Args:
        competition: of source "kaggle".
        data: where its data lies.
        credentials: of the user; None: looked for.
        patience: with failures that may pass.

    Returns:
        What went wrong, a line each.
    """
    if data.leaderboard.exists():
        return []
    facts = competition.spec.leaderboard
    try:
        scores, differs = _best_fit(
            competition, facts, credentials or require_credentials(), patience or Patience(tries=3)
        )
        text = "score\n" + "".join(f"{score!r}\n" for score in sorted(scores, reverse=facts.higher_is_better))
        data.leaderboard.parent.mkdir(parents=True, exist_ok=True)
        write_whole(data.leaderboard, text)
    except PreparationError as error:
        return [f"no human scores, so no ranks: {error}"]
    except OSError as error:
        return [f"no human scores, so no ranks: {explained(error, f'{data.leaderboard} cannot be written')}"]
    if differs:
        return [f"the leaderboard that Kaggle gives differs from the published one: {', '.join(differs)}"]
    return []


def differences(scores: Sequence[float], facts: LeaderboardFacts) -> list[str]:
    """How scores differ from the figures of competition.toml, in words; nothing where they agree."""
    found = []
    if len(scores) != facts.teams:
        found.append(f"{len(scores)} teams, not {facts.teams}")
    try:
        theirs = thresholds_from_scores(scores, higher_is_better=facts.higher_is_better)
    except ValueError:  # there are none
        return found
    for name in ("gold", "silver", "bronze", "median"):
        mine, its = getattr(facts, name), getattr(theirs, name)
        if not math.isclose(mine, its, rel_tol=1e-9, abs_tol=5e-6):  # scores have 5 decimals
            found.append(f"{name} {its:g}, not {mine:g}")
    return found


def read_scores(content: bytes, *, higher_is_better: bool) -> list[float]:
    """The scores in Kaggle's leaderboard: a CSV, or a zip with one. Teams without a score are left out; where a team
    stands there several times, as in histories, its best score counts.

    Raises:
        ValueError: there is no such table in it, or a score is no number.
    """
    if content[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = sorted(name for name in archive.namelist() if name.lower().endswith(".csv"))
            if not names:
                raise ValueError("the archive holds no CSV")
            content = archive.read(next((name for name in names if "private" in name.lower()), names[0]))
    rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    columns = {name.strip().lower(): name for name in rows.fieldnames or () if name}
    if "score" not in columns:
        raise ValueError(f"a column Score is expected, got {', '.join(rows.fieldnames or ())[:100]}")
    best: dict[str, float] = {}
    for row in rows:
        cell = (row[columns["score"]] or "").strip()
        if not cell:
            continue
        score = _number(cell)
        team = (row.get(columns.get("teamid", "")) or "") or f"line {rows.line_num}"
        known = best.get(team, score)
        best[team] = max(known, score) if higher_is_better else min(known, score)
    if not best:
        raise ValueError("it holds no scores")
    return list(best.values())


def _best_fit(
    competition: Competition, facts: LeaderboardFacts, credentials: Credentials, patience: Patience
) -> tuple[list[float], list[str]]:
    """The scores that fit best, and how they differ.

    Raises:
        KaggleError: there are none to be had.
    """
    slug = slug_of(competition)
    first: KaggleError | None = None
    with Client(credentials, patience) as client:
        try:
            content = persist(lambda: client.leaderboard_file(slug), patience, slug)
            scores = read_scores(content, higher_is_better=facts.higher_is_better)
        except (ValueError, csv.Error, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            first = KaggleError(f"{slug}: Kaggle's leaderboard cannot be read: {flat(error)}", "answer")
        except KaggleError as error:
            if error.reason in ("credentials", "unreachable"):
                raise
            first = error
        else:
            differs = differences(scores, facts)
            if not differs:
                return scores, []
        try:
            pages = persist(lambda: list(client.leaderboard_scores(slug)), patience, slug)
            private = [_number(score) for score in pages]
        except (KaggleError, ValueError):
            private = []
    if private:
        private_differs = differences(private, facts)
        if first is not None or not private_differs:
            return private, private_differs
    if first is not None:
        raise first
    return scores, differs


def _number(cell: str) -> float:
    score = float(cell)
    if not math.isfinite(score):
        raise ValueError(f"a score is expected, got {cell!r:.40}")
    return score
