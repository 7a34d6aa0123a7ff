"""Preparing many competitions: what has to be downloaded comes in the background, several at a time."""

import os
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mleb_core.competition import Competition
from mleb_core.errors import MlebError
from mleb_core.layout import CompetitionData
from mleb_core.prepare import prepare
from mleb_core.prepare.fetch import WARNING
from mleb_core.prepare.run import needs_raw

if TYPE_CHECKING:
    from mleb.render import Steps
    from mleb_core.kaggle.credentials import Credentials

__all__ = ["Options", "prepare_all"]


@dataclass(frozen=True)
class Options:
    """How to prepare."""

    data_dir: Path
    """Where data lies."""
    raw_dir: Path | None
    """The user's raw data; nothing is downloaded then."""
    link_raw: bool
    """It may be made read-only and linked."""
    force: bool
    """Also what is prepared already."""
    keep_raw: bool
    """Whether raw data that mleb fetched stays."""
    verify: bool
    """Compare with the published checksums."""
    downloads: int
    """How many at a time."""


def prepare_all(chosen: Sequence[Competition], options: Options, steps: "Steps") -> list[dict[str, Any]]:
    """Prepare competitions; one that fails never stops the others.

    Before anything is downloaded, what is missing for it is looked for and told: credentials, accepted rules, space.

    Args:
        chosen: what to prepare.
        options: how.
        steps: shows what goes on.

    Returns:
        For each in order: `competition` (label), `prepared`, `directory`, `error` (one line) and `seconds`.
    """
    work = _Work(options, steps)
    remote = [] if options.raw_dir else [c for c in chosen if c.document.get("source", {}).get("kind") == "kaggle"]
    waiting: dict[str, list[Competition]] = {}  # editions share a download
    for competition in remote:
        if work.has_to_be_downloaded(competition):
            waiting.setdefault(competition.id, []).append(competition)
    downloads = work.start_downloads(waiting) if waiting else iter(())
    later = {competition.label for editions in waiting.values() for competition in editions}
    for competition in chosen:
        if competition.label not in later:
            inner = options.raw_dir if options.raw_dir is None or len(chosen) == 1 else options.raw_dir / competition.id
            work.prepare(competition, inner)
    for id, error in downloads:
        for competition in waiting[id]:
            if error is None:
                work.prepare(competition, None)
            else:
                work.fail(competition, error)
    work.add_leaderboards([competition for competition in remote if competition.label not in later])
    return [work.results[competition.label] for competition in chosen]


class _Work:
    """What `prepare_all` does, step by step, and what came of it."""

    def __init__(self, options: Options, steps: "Steps") -> None:
        self.options, self.steps = options, steps
        self.results: dict[str, dict[str, Any]] = {}

    def has_to_be_downloaded(self, competition: Competition) -> bool:
        """Whether the network is needed; what is wrong with the competition is told when it is prepared."""
        from mleb_core.kaggle.download import archive_at_hand

        try:
            missing = needs_raw(competition, self.options.data_dir, force=self.options.force)
            return missing and archive_at_hand(competition, self.data(competition)) is None
        except MlebError:
            return False

    def start_downloads(self, waiting: dict[str, list[Competition]]) -> Iterator[tuple[str, Exception | None]]:
        """Look for what is missing, tell it, and start the downloads of the rest.

        Args:
            waiting: competitions by id.

        Returns:
            The ids as they are whole, with the error where one failed; those that are not to be had are failed here.
        """
        from mleb_core.kaggle.background import in_background
        from mleb_core.kaggle.preflight import preflight

        self.steps.tell("Kaggle", f"asking for {len(waiting)} downloads: credentials, rules, space")
        at_a_time = self.options.downloads
        found = preflight([editions[0] for editions in waiting.values()], self.options.data_dir, at_a_time=at_a_time)
        for problem in found.problems:
            several = len(problem.competitions) > 1
            self.steps.fail(f"{problem.line} (for {', '.join(problem.competitions)})" if several else problem.line)
            for id in problem.competitions:
                for competition in waiting[id]:
                    self.fail(competition, MlebError(problem.line), told=True)
        if found.notice:
            self.steps.warn(found.notice)

        def fetch(id: str) -> None:
            self._fetch(waiting[id], found.credentials)

        return in_background([competition.id for competition in found.ready], fetch, at_a_time=at_a_time)

    def prepare(self, competition: Competition, raw_dir: Path | None) -> None:
        """Prepare one."""
        started = time.monotonic()
        try:
            prepare(
                competition,
                self.options.data_dir,
                raw_dir=raw_dir,
                force=self.options.force,
                keep_raw=self.options.keep_raw,
                verify=self.options.verify,
                link_raw=self.options.link_raw,
                progress=partial(self._tell, competition.label),
            )
        except Exception as error:  # one that fails never stops the others
            self.fail(competition, error, started=started)
        else:
            self._settle(competition, None, started)

    def fail(
        self, competition: Competition, error: Exception, *, started: float | None = None, told: bool = False
    ) -> None:
        """One cannot be prepared.

        Args:
            competition: the one.
            error: why.
            started: when it was, where it was.
            told: the user knows.
        """
        line = str(error) if isinstance(error, MlebError) else f"internal error: {type(error).__name__}: {error}"
        if os.environ.get("MLEB_DEBUG") and not told:
            traceback.print_exception(error)
        if not told:
            label = competition.label
            self.steps.fail(line if line.startswith(label) else f"{label}: {line}")
        self._settle(competition, line, started)

    def add_leaderboards(self, competitions: Sequence[Competition]) -> None:
        """Fetch the human scores of what is prepared without a download, and has none."""
        from mleb_core.kaggle.download import require_credentials
        from mleb_core.kaggle.leaderboard import fetch_leaderboard

        lacking = {
            competition.id: competition
            for competition in competitions
            if self.results[competition.label]["prepared"] and not self.data(competition).leaderboard.exists()
        }
        if not lacking:
            return
        try:
            credentials = require_credentials()
        except MlebError as error:
            self.steps.warn(f"no human scores, so no ranks, of {', '.join(lacking)}: {error}")
            return
        for competition in lacking.values():
            self.steps.tell(competition.label, "fetching the leaderboard", quiet=True)
            for line in fetch_leaderboard(competition, self.data(competition), credentials):
                self.steps.warn(f"{competition.label}: {line}")

    def data(self, competition: Competition) -> CompetitionData:
        """Where its data lies."""
        return CompetitionData.of(self.options.data_dir, competition.label)

    def _fetch(self, editions: Sequence[Competition], credentials: "Credentials | None") -> None:
        """Download an archive; runs in a thread."""
        from mleb_core.kaggle.download import fetch_archive

        first, force = editions[0], self.options.force
        try:
            fetch_archive(
                first,
                self.data(first),
                credentials,
                verify=self.options.verify,
                on_bytes=partial(self.steps.transfer, first.id),
                progress=partial(self._tell, first.id),
                wanted=lambda: any(needs_raw(each, self.options.data_dir, force=force) for each in editions),
            )
        finally:
            self.steps.end_transfer(first.id)

    def _tell(self, label: str, line: str) -> None:
        if line.startswith(WARNING):
            self.steps.warn(f"{label}: {line.removeprefix(WARNING)}")
        else:
            self.steps.tell(label, line)

    def _settle(self, competition: Competition, error: str | None, started: float | None) -> None:
        self.results[competition.label] = {
            "competition": competition.label,
            "prepared": error is None,
            "directory": str(self.data(competition).prepared) if error is None else None,
            "error": error,
            "seconds": 0.0 if started is None else round(time.monotonic() - started, 3),
        }
        self.steps.advance()
