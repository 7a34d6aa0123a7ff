"""What audits find, and the files that keep it: `GROUP_DIR/audits/<audit>.json`."""

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mleb_core.layout import GroupLayout
from mleb_core.run import RunKey, Text, utf8

__all__ = ["AuditRecord", "Evidence", "Finding", "RunFindings", "Severity", "findings_of", "read_records"]

Severity = Literal["info", "warning", "serious"]
"""info: what an audit says of itself, such as what it did not look at; warning: a person should look at it; serious: as
it stands, scores on this data, or the score of this run, do not mean what they say."""

_MOST_BYTES = 64 << 20


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cleaned(value: Any) -> Any:
    """Values of an evidence as JSON can hold them: texts as `Text` is, numbers that are none in words."""
    if isinstance(value, dict):
        return {utf8(name): _cleaned(part) for name, part in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return [_cleaned(part) for part in value] if isinstance(value, list | tuple) else utf8(value)


Sentence = Annotated[Text, AfterValidator(_one_line), Field(min_length=1)]
"""One line."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class Evidence(_Frozen):
    """Where something was seen."""

    file: Text | None = None
    """Path below the run's directory, or below the competition's prepared data (`public/train.csv`); a member of an
    archive stands behind `!` (`public/train.zip!train.json`). None where it is in no file."""
    line: int | None = Field(default=None, ge=1)
    """Line of a text, from 1."""
    row: int | None = Field(default=None, ge=0)
    """Row of a table or record of a file, from 0, without the header."""
    values: Annotated[dict[str, Any], BeforeValidator(_cleaned)] = {}
    """What was seen there, by name: texts, numbers, lists of these. A list of texts named `side_by_side` is shown to
    people line by line."""


class Finding(_Frozen):
    """One thing that an audit found."""

    audit: str = ""
    """Id of the audit; whoever carries it out fills it in."""
    rule: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    """Which of the audit's checks found it, in a word or two, such as `answers-in-file`."""
    severity: Severity
    """How bad it is."""
    message: Sentence
    """What was found, in one sentence."""
    evidence: tuple[Evidence, ...] = ()
    """Where, the most telling first; not necessarily all of it."""


class RunFindings(_Frozen):
    """What was found in one run."""

    key: RunKey
    """Which run."""
    findings: tuple[Finding, ...]
    """In the audit's order; empty: nothing was found."""


class AuditRecord(_Frozen):
    """One audit of one run group."""

    format_version: Literal[1] = 1
    """Version of this format."""
    audit: str
    """Id of the audit."""
    plugin: str
    """Distribution that brings it, with its version."""
    created_at: str
    """UTC, ISO 8601."""
    settings: dict[str, Any] = {}
    """The settings that it had."""
    error: Text | None = None
    """Why it came to no end, in one line; what it had found until then stands here all the same."""
    findings: tuple[Finding, ...] = ()
    """Of the group as a whole."""
    runs: tuple[RunFindings, ...] = ()
    """Of each run that was looked at."""

    @model_validator(mode="after")
    def _each_once(self) -> "AuditRecord":
        if len({run.key for run in self.runs}) < len(self.runs):
            raise ValueError("a run is there twice")
        return self


def read_records(layout: GroupLayout) -> tuple[list[AuditRecord], list[str]]:
    """The audits of a group that are kept, by id; and a line for each file that is none."""
    records, problems = [], []
    for path in layout.audits():
        try:
            with path.open("rb") as stream:
                record = AuditRecord.model_validate_json(stream.read(_MOST_BYTES))
        except (OSError, ValueError) as error:
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            problems.append(f"{path}: no findings of an audit: {first}")
        else:
            records.append(record)
    return records, problems


def findings_of(layout: GroupLayout) -> dict[RunKey, tuple[Finding, ...]]:
    """All findings of a group's runs, by run; files that cannot be read are left out (`read_records` tells)."""
    found: dict[RunKey, tuple[Finding, ...]] = {}
    for record in read_records(layout)[0]:
        for run in record.runs:
            if run.findings:
                found[run.key] = (*found.get(run.key, ()), *run.findings)
    return found
