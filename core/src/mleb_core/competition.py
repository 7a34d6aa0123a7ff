"""A competition, and how one is read from its folder.

    <id>/competition.toml     facts: title, category, leaderboard, grading, recipe, known issues
    <id>/description.md       the task in our own words
    <id>/prepare.py           only where the declared recipe is not enough: `prepare(context)`
    <id>/raw.py               only where the raw data is made on the spot: `fetch(raw)`

`Competition` is light: it knows its id and folder and reads competition.toml when asked (plain dictionaries
for listings, validated models for work), so that a pack of a hundred costs nothing at start-up.
"""

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mleb_core.errors import CompetitionError, UsageError

if TYPE_CHECKING:
    from mleb_core.competition_spec import CompetitionSpec

__all__ = ["Competition", "competitions_in"]

EDITION = r"[2-9]|[1-9][0-9]+"
"""Keys of `[editions]`, written as the number is: edition 1 is the file itself."""


class Competition:
    """A competition in one edition.

    Edition 1 is the competition as published; a later edition repairs known leaks and faults: the table
    `[editions.N]` of competition.toml, merged over the rest (tables merge, everything else replaces). The checksums of
    prepared files are those of edition 1 alone.
    """

    def __init__(self, folder: Path | str, edition: int = 1) -> None:
        """Args:
        folder: holds competition.toml; its name is the competition's id.
        edition: 1 or a number under `[editions]`.
        """
        self.folder = Path(folder)
        self.id = self.folder.name
        self.edition = edition

    def __repr__(self) -> str:
        return f"Competition({self.label!r})"

    @property
    def label(self) -> str:
        """The id with the edition, as data directories and reports write it: `iris`, `iris@2`."""
        return self.id if self.edition == 1 else f"{self.id}@{self.edition}"

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """competition.toml of this edition as plain, unchecked tables.

        Raises:
            CompetitionError: the file is missing or not TOML.
            UsageError: there is no such edition.
        """
        import tomllib  # listings read their summaries from a cache and do without

        path = self.folder / "competition.toml"
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CompetitionError(f"{path} is missing; every competition folder needs one") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError, RecursionError) as error:
            raise CompetitionError(f"{path} cannot be read: {error}") from None
        if self.edition == 1:
            return document
        changes = _changes(document)
        if self.edition not in changes:
            known = ", ".join(map(str, (1, *sorted(changes))))
            raise UsageError(f"{self.id} has no edition {self.edition}; it has: {known}")
        published = document.get("checksums")
        if isinstance(published, dict):  # the download's stays: prepared files are not those that were published
            document["checksums"] = {key: value for key, value in published.items() if key == "zip"}
        return _merged(document, changes[self.edition])

    @cached_property
    def spec(self) -> "CompetitionSpec":
        """competition.toml of this edition, validated.

        Raises:
            CompetitionError: names the file, the key and what was expected there.
            UsageError: there is no such edition.
        """
        from mleb_core.competition_spec import read_spec  # pydantic costs 100 ms; listings do without

        return read_spec(self.folder, self.document)

    @property
    def title(self) -> str:
        """Title for people; the id where the file gives none."""
        return str(self.document.get("title", self.id))

    @property
    def category(self) -> str:
        """Kind of data and task, such as "tabular" or "image-classification"."""
        return str(self.document.get("category", ""))

    @property
    def complexity(self) -> str:
        """One of "low", "medium", "high"; "" where nobody has judged it."""
        return str(self.document.get("complexity", ""))

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that the competition is in."""
        splits = self.document.get("splits", ())
        return tuple(map(str, splits)) if isinstance(splits, list) else ()

    @property
    def editions(self) -> tuple[int, ...]:
        """The editions that there are, 1 first."""
        return (1, *sorted(_changes(self.document)))

    @property
    def description(self) -> str:
        """description.md, the text that an agent gets.

        Raises:
            CompetitionError: the file is missing or not UTF-8.
        """
        path = self.folder / "description.md"
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise CompetitionError(f"{path} is missing; every competition folder needs one") from None
        except (UnicodeDecodeError, OSError) as error:
            raise CompetitionError(f"{path} cannot be read: {error}") from None

    def in_edition(self, edition: int) -> "Competition":
        """The same competition in another edition.

        Raises:
            UsageError: there is no such edition.
        """
        other = Competition(self.folder, edition)
        _ = other.document
        return other


def competitions_in(folder: Path | str) -> list[Competition]:
    """All competitions of a pack: each direct sub-folder that holds a competition.toml, by id.

    The usual body of `mleb_register_competitions`: `return competitions_in(Path(__file__).parent)`.
    """
    return [Competition(path.parent) for path in sorted(Path(folder).glob("*/competition.toml"))]


def _changes(document: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """What each edition but the first changes; entries that are wrong are left to `spec` to tell."""
    editions = document.get("editions")
    tables = editions.items() if isinstance(editions, dict) else ()
    return {int(n): table for n, table in tables if re.fullmatch(EDITION, n) and isinstance(table, dict)}


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid on `base`; tables are merged, all other values replaced."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result
