"""The models behind competition.toml: what may stand in it, and what each key means."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from mleb_core.competition import EDITION
from mleb_core.errors import CompetitionError
from mleb_core.leaderboard import Thresholds
from mleb_core.prepare.recipe import Recipe

__all__ = [
    "Checksums",
    "Column",
    "CompetitionSpec",
    "Grading",
    "KnownIssue",
    "LeaderboardFacts",
    "Source",
    "SourceFile",
    "read_spec",
]

Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


def _edition_number(key: str) -> str:
    if not re.fullmatch(EDITION, key):
        raise ValueError("an edition is a number from 2 on (edition 1 is the file itself)")
    return key


def _regular_expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    return text


EditionNumber = Annotated[str, AfterValidator(_edition_number)]


class Strict(BaseModel):
    """A table in which an unknown key is an error: a misspelt key must not pass in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceFile(Strict):
    """`[[source.more]]`: a raw file that is at another place than the rest."""

    file: Annotated[str, Field(pattern=r"^[^/\\]+$")]
    """Its name in the raw folder."""
    url: Annotated[str, Field(pattern=r"^https?://")]
    """Where it is downloaded from."""
    md5: Md5 | None = None
    """Its checksum, where it is known."""


class Source(Strict):
    """`[source]`: where the raw data comes from."""

    kind: Literal["python", "kaggle", "manual"]
    """"python": `fetch(raw)` in raw.py makes it; "kaggle": downloaded; "manual": the user puts it there."""
    slug: str | None = None
    """Name at the source, where it is not the competition's id."""
    url: str | None = None
    """Page for people."""
    license: str | None = None
    """Licence of the data, where known."""
    more: tuple[SourceFile, ...] = ()
    """Files that the download of source "kaggle" does not hold and the recipe needs."""


class Column(Strict):
    """What a submission column must hold. A cell that breaks it makes the submission invalid."""

    type: Literal["number", "integer", "boolean", "label", "text"] = "number"
    """number: finite float; integer: whole number; boolean: true / false / 0 / 1; label: one of the labels or
    any text or number, compared as text; text: anything, missing reads as the empty string where allowed."""
    min: float | None = None
    """Smallest number allowed."""
    max: float | None = None
    """Largest number allowed."""
    missing: bool = False
    """Whether an empty cell is allowed."""
    values: tuple[str | int | float | bool, ...] | None = None
    """The only values allowed."""
    pattern: Annotated[str, AfterValidator(_regular_expression)] | None = None
    """Regular expression that a label or text must match as a whole; an empty cell that is allowed need not."""


class Grading(Strict):
    """`[grading]`: what is handed in and how it is scored."""

    grader: str
    """Id of the grader."""
    answers: str = "answers.csv"
    """The private truth, relative to the private directory."""
    sample: str = "sample_submission.csv"
    """The sample submission, relative to the public directory; `../private/...` where agents do not get it."""
    id: tuple[str, ...] = ("id",)
    """Columns that name a row, together unique."""
    columns: dict[str, Column] = {}
    """Target columns by name. The key "*" stands for all columns of the answers but the ids and those named."""
    options: dict[str, Any] = {}
    """Passed to the grader, which documents them."""


class LeaderboardFacts(Strict):
    """`[leaderboard]`: the human leaderboard, in figures."""

    kind: Literal["humans", "reference-models"] = "humans"
    """Whose scores they are. Reports say so; reference models are never shown as humans."""
    higher_is_better: bool
    """Direction of the score; must agree with the grader's."""
    teams: int = Field(ge=1)
    """Number of teams on the private leaderboard."""
    gold: float
    silver: float
    bronze: float
    median: float
    """Scores at the medal places, and the median score."""
    top: float | None = None
    """The best score."""
    scores: str | None = None
    """CSV with a `score` column in the competition's folder: all scores, where they may be shipped."""

    @property
    def thresholds(self) -> Thresholds:
        """The four thresholds with their direction."""
        return Thresholds(self.gold, self.silver, self.bronze, self.median, self.higher_is_better)

    @model_validator(mode="after")
    def _thresholds_are_in_order(self) -> "LeaderboardFacts":
        _ = self.thresholds
        return self


class KnownIssue(Strict):
    """`[[known_issues]]`: a fault or leak that users of a score should know."""

    what: str
    """One sentence."""
    issue: str | None = None
    """Public issue number, such as "#98"."""
    repaired_in: int | None = None
    """The edition that repairs it."""


class Checksums(Strict):
    """`[checksums]`: md5 sums, in hexadecimal, as published."""

    zip: Md5 | None = None
    """The download."""
    public: dict[str, Md5] = {}
    """Prepared public files by relative path."""
    private: dict[str, Md5] = {}
    """Prepared private files by relative path."""


class CompetitionSpec(Strict):
    """competition.toml."""

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """The competition's id: the Kaggle slug where there is one. Equals the folder's name."""
    title: str
    """Title for people."""
    category: str
    """Kind of data and task, such as "tabular" or "image-classification"."""
    complexity: Literal["low", "medium", "high"] | None = None
    """Judged effort for an experienced engineer: under 2 hours, 2 to 10, above 10."""
    splits: tuple[str, ...] = ()
    """Splits that it is in."""
    version: int = 1
    """Raised when prepared data or scores change."""
    source: Source
    """Where the raw data comes from."""
    leaderboard: LeaderboardFacts
    """The human leaderboard."""
    grading: Grading
    """What is handed in and how it is scored."""
    prepare: Recipe | None = None
    """The declared recipe; absent where prepare.py does it all."""
    known_issues: tuple[KnownIssue, ...] = ()
    """Known faults and leaks."""
    checksums: Checksums = Checksums()
    """Published checksums."""
    editions: dict[EditionNumber, dict[str, Any]] = {}
    """Changes by edition, numbered from 2; see `Competition`."""
    facts: dict[str, Any] = {}
    """Anything else worth keeping; not used by mleb."""


def read_spec(folder: Path, document: Mapping[str, Any]) -> CompetitionSpec:
    """Validate the tables of one competition.toml.

    Args:
        folder: the competition's folder; its name must be the id.
        document: the file's tables, an edition already merged.

    Raises:
        CompetitionError: one line naming the file, the first wrong key, what was expected and found.
    """
    path = folder / "competition.toml"
    try:
        spec = CompetitionSpec.model_validate(document)
    except ValidationError as error:
        first, more = error.errors(include_url=False)[0], error.error_count() - 1
        key = ".".join(str(part) for part in first["loc"] if part != "[key]") or "(file)"
        message = first["msg"].removeprefix("Value error, ")
        given = "" if first["type"] == "missing" else f", got {_short(first['input'])}"
        extra = f" ({more} more)" if more else ""
        raise CompetitionError(f"{path}: {key}: {message}{given}{extra}") from None
    if spec.id != folder.name:
        raise CompetitionError(f"{path}: id: expected the folder's name {folder.name!r}, got {spec.id!r}")
    if spec.prepare is None and not (folder / "prepare.py").is_file():
        raise CompetitionError(f"{path}: prepare: a recipe is expected where the folder has no prepare.py")
    return spec


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
