"""The models behind every report file.

    RunReport        one run's report.json
    CompetitionReport  its graded submission, with MLE-bench's fields
    GroupReport      a run group's report.json: AgentResult > SeedResult, Estimate; MissingRun
    GradingReport    grading_report.json, MLE-bench's format
    RunSnapshots     score over time of one run, snapshot_scores.json; SnapshotScore

A report never drops a run: what has no verdict stands under `missing` and counts as a run without a medal.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from mleb_core.audits.findings import Finding
from mleb_core.leaderboard import Medal
from mleb_core.run import Cause, RunGroup, RunKey, RunStatus, Text

__all__ = [
    "AgentResult",
    "CompetitionReport",
    "Counts",
    "Estimate",
    "GradingReport",
    "GroupReport",
    "MissingRun",
    "ResourceSummary",
    "RunReport",
    "RunSnapshots",
    "SeedResult",
    "SnapshotScore",
    "UsageSummary",
]


Percent = Annotated[float, Field(ge=0, le=100)]


class Report(BaseModel):
    """Read-only; keys of later versions are ignored; numbers are finite."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, use_attribute_docstrings=True)


class CompetitionReport(Report):
    """One submission, graded. The fields down to `submission_path` are MLE-bench's, in its words."""

    competition_id: str
    """The competition's id, without the edition."""
    score: float | None
    """The score, rounded to 5 decimals; None without a valid submission."""
    gold_threshold: float
    """Score that earns gold."""
    silver_threshold: float
    """Score that earns silver."""
    bronze_threshold: float
    """Score that earns bronze."""
    median_threshold: float
    """Median score of the leaderboard; only a better score is above it."""
    any_medal: bool
    """Whether the score earns a medal."""
    gold_medal: bool
    """Whether the best medal that the score earns is gold."""
    silver_medal: bool
    """Whether the best medal that the score earns is silver."""
    bronze_medal: bool
    """Whether the best medal that the score earns is bronze."""
    above_median: bool
    """Whether the score is strictly better than the median."""
    submission_exists: bool
    """Whether there was a submission file."""
    valid_submission: bool
    """Whether it could be graded. False as well where the grader failed: see `grader_error`."""
    is_lower_better: bool
    """Direction of the score."""
    created_at: str
    """When it was graded: UTC, ISO 8601."""
    submission_path: Text
    """The file that was graded."""

    format_version: Literal[1] = 1
    """Version of this format."""
    edition: int = 1
    """Edition of the competition: 1 as published, later ones repaired."""
    medal: Medal = "none"
    """The best medal that the score earns."""
    reason: Text | None = None
    """Why the submission is invalid, in one line; None for a valid one."""
    grader_error: Text | None = None
    """What went wrong in the grader, in one line. Such a run has no grade, and the agent is not to blame."""
    grader: str | None = None
    """Id of the grader."""
    leaderboard_kind: Literal["humans", "reference-models"] = "humans"
    """Whose scores thresholds, rank and percentile are taken from."""
    rank: int | None = Field(default=None, ge=1)
    """Place among the leaderboard's scores, ties sharing the better place; None where they are not at hand."""
    teams: int | None = Field(default=None, ge=1)
    """Number of scores that `rank` and `percentile` are taken among; None where they are not at hand."""
    percentile: Percent | None = None
    """Percent of the leaderboard's scores that are worse, plus half of those that are equal; None as for `rank`."""
    submission_sha256: str | None = None
    """sha256 of the file that was graded, in hexadecimal."""
    known_issues: tuple[str, ...] = ()
    """Known faults and leaks of the competition that this edition does not repair, a sentence each."""

    @property
    def label(self) -> str:
        """The competition's label, edition included (`iris@2`), as run keys have it."""
        return self.competition_id if self.edition == 1 else f"{self.competition_id}@{self.edition}"

    @property
    def graded(self) -> bool:
        """Whether the grader came to a verdict: a score, or "invalid"."""
        return self.grader_error is None


class ResourceSummary(Report):
    """What one run used, as far as it was seen; the whole of it over time is in resources.json."""

    cpu_cores_mean: float | None = Field(default=None, ge=0)
    """Processor cores in use, on average."""
    memory_bytes_peak: int | None = Field(default=None, ge=0)
    """Most memory in use."""
    disk_bytes_peak: int | None = Field(default=None, ge=0)
    """Most that was on disk."""
    gpus: tuple[Text, ...] = ()
    """Product names of the GPUs that the run had for itself; their ids where the names are not known."""
    gpu_hours: float = Field(default=0, ge=0)
    """Number of these times the hours that the run took, in use or not."""
    gpu_utilization_percent_mean: Percent | None = None
    """Share of the time in which they computed, on average over time and GPUs."""
    gpu_memory_bytes_peak: int | None = Field(default=None, ge=0)
    """Most memory in use on one of them."""
    gpu_energy_kwh: float | None = Field(default=None, ge=0)
    """Energy that they drew together."""


class UsageSummary(Report):
    """How much an agent did, and what it used of models."""

    steps: int | None = Field(default=None, ge=0)
    """Steps that the agent took. What a step is, is the agent's own affair: it may say in `$MLEB_LOGS/steps.json`, as
    `{"steps": 12, "unit": "programs"}`, rewritten as it goes on; `unit` may be left out. Where it says nothing of the
    kind, each answered model call is a step; None where it asked no model either."""
    step_unit: Text = "model calls"
    """What was counted: `model calls`, or in an agent's words; `steps` where those give no unit."""
    steps_told: bool = False
    """Whether the agent itself counted; nobody checks its number."""
    model_calls: int = Field(default=0, ge=0)
    """Requests to models that the gateway let through, failed ones included."""
    failed_calls: int = Field(default=0, ge=0)
    """Those that ended with an error or a cut stream."""
    input_tokens: int = Field(default=0, ge=0)
    """Input tokens of all of them, cached ones included."""
    output_tokens: int = Field(default=0, ge=0)
    """Output tokens, hidden reasoning included."""
    cost_usd: float | None = Field(default=None, ge=0)
    """US dollars; None: the price of at least one call is unknown."""
    known_cost_usd: float = Field(default=0, ge=0)
    """US dollars of the calls whose price is known."""
    estimated_calls: int = Field(default=0, ge=0)
    """Calls whose tokens the provider did not tell; they are estimated from sizes."""

    @property
    def tokens(self) -> int:
        """Input and output."""
        return self.input_tokens + self.output_tokens


class RunReport(Report):
    """report.json of one run."""

    format_version: Literal[1] = 1
    """Version of this format."""
    key: RunKey
    """Competition, agent and seed."""
    group: str
    """Name of the run group."""
    status: RunStatus
    """How the run ended."""
    cause: Cause | None = None
    """Why it did not simply finish."""
    message: Text = ""
    """One line for people: what happened."""
    attempt: int
    """How often it was started."""
    created_at: str
    """UTC, ISO 8601, like the next two."""
    started_at: str | None = None
    """Start of the last attempt."""
    ended_at: str | None = None
    """End of the last attempt."""
    runtime_s: float | None = None
    """Wall-clock seconds that the agent took; None where it never started."""
    exit_code: int | None = None
    """Of the agent's main process; negative: the signal that killed it."""
    peak_memory_bytes: int | None = None
    """Largest resident memory seen."""
    resources: ResourceSummary | None = None
    """What it used of the machine; None where nothing was recorded."""
    usage: UsageSummary | None = None
    """Its steps, tokens and money; None where it asked no model and told no steps."""
    refused: tuple[Text, ...] = ()
    """Files that were not collected, each `path: why`."""
    privileged: bool = False
    """Whether its agent had a privileged container, which isolates little."""
    competition_report: CompetitionReport | None = None
    """The graded submission; None where the run was not graded."""
    findings: tuple[Finding, ...] = ()
    """What audits found in the run (`mleb audit runs`). Kept beside the runs, in the group's `audits/`, and joined in
    when the group's report is made; the run's own report.json, which its ledger knows, does not have them."""
    ledger: str | None = None
    """Hash of the ledger's entry that this result hangs on: its verdict, or the agent's end where there is none. None
    where the run has no ledger."""

    @property
    def graded(self) -> bool:
        """Whether there is a verdict on the submission, "there is none" included."""
        return self.competition_report is not None and self.competition_report.graded


class Counts(Report):
    """How many runs of some set did what. `asked` is always `graded` + `missing`."""

    asked: int
    """Runs that the group asked for."""
    ended: int
    """Runs that are over: finished, failed, timed out or cancelled."""
    graded: int
    """Runs with a verdict on their submission, "invalid" and "there is none" included."""
    missing: int
    """Runs without a verdict. They stay in the denominator of every percentage, as runs without a medal."""
    submissions: int
    """Runs that left a submission."""
    valid: int
    """Runs with a valid submission."""
    medals: int
    """Runs with a medal."""
    gold: int
    """Runs whose best medal is gold."""
    silver: int
    """Runs whose best medal is silver."""
    bronze: int
    """Runs whose best medal is bronze."""
    above_median: int
    """Runs strictly better than the median."""
    cancelled: int = 0
    """Runs that a person cancelled; they are among the missing."""


class SeedResult(Report):
    """One agent's runs of one seed, over all competitions asked for."""

    seed: int
    """Repetition index."""
    counts: Counts
    """How many runs did what."""
    any_medal_percentage: Percent
    """Competitions with a medal, in percent of those asked for; likewise the next five."""
    gold_percentage: Percent
    """With gold."""
    silver_percentage: Percent
    """With silver as the best medal."""
    bronze_percentage: Percent
    """With bronze as the best medal."""
    above_median_percentage: Percent
    """Strictly better than the median."""
    valid_submission_percentage: Percent
    """With a valid submission."""


class Estimate(Report):
    """A quantity measured once a seed."""

    mean: float
    """Mean over the seeds."""
    standard_error: float | None
    """Standard error of the mean (ddof=1); None for a single seed."""
    interval: tuple[float, float] | None
    """95 % interval of the mean by Student's t, not cut at 0 or 100; None for a single seed."""
    seeds: int = Field(ge=1)
    """Number of seeds."""


class AgentResult(Report):
    """One agent over all competitions and seeds of a group; percentages as in `SeedResult`."""

    agent: str
    """Agent id."""
    counts: Counts
    """How many of its runs did what."""
    seeds: tuple[SeedResult, ...]
    """One entry a seed, by seed."""
    any_medal_percentage: Estimate
    """Competitions with a medal: the headline figure."""
    gold_percentage: Estimate
    """With gold."""
    silver_percentage: Estimate
    """With silver as the best medal."""
    bronze_percentage: Estimate
    """With bronze as the best medal."""
    above_median_percentage: Estimate
    """Strictly better than the median."""
    valid_submission_percentage: Estimate
    """With a valid submission."""


class MissingRun(Report):
    """A run that was asked for and has no verdict."""

    key: RunKey
    """Which run."""
    status: RunStatus
    """Where it stands; "pending" where nothing of it is on disk."""
    cause: Cause | None = None
    """Why it did not finish, where known."""
    note: Text = ""
    """One line for people: what is known about it."""


class GroupReport(Report):
    """report.json of a run group."""

    format_version: Literal[1] = 1
    """Version of this format."""
    created_at: str
    """UTC, ISO 8601."""
    directory: Text | None = None
    """The group's directory when the report was made."""
    group: RunGroup
    """What was asked for."""
    config_digest: str
    """sha256 of the group's configuration without name, time and place: equal for two launches of the same thing."""
    editions: tuple[int, ...]
    """Editions of the competitions in the group, ascending; usually one."""
    counts: Counts
    """How many of all runs did what."""
    agents: tuple[AgentResult, ...]
    """Results by agent, in the order asked for."""
    missing: tuple[MissingRun, ...]
    """Every run without a verdict, in the order asked for."""
    not_asked: tuple[RunKey, ...] = ()
    """Runs found in the directory that the group did not ask for; they count nowhere."""
    known_issues: dict[str, tuple[str, ...]] = {}
    """Known faults and leaks by competition label, as the graded runs name them."""
    runs: tuple[RunReport, ...]
    """The reports of all runs that have one, in the order asked for."""
    ledgers: str | None = None
    """sha256 of the lines `competition agent seed hash`, one for each of `runs` with a ledger, in that order: who has
    it can tell whether any run's ledger was changed since. None without ledgers."""


class GradingReport(Report):
    """grading_report.json as MLE-bench has it; what is ours stands behind its fields."""

    total_runs: int
    """Number of reports."""
    total_runs_with_submissions: int
    """Those with a submission file."""
    total_valid_submissions: int
    """Those with a valid one."""
    total_medals: int
    """Those with a medal."""
    total_gold_medals: int
    """Those whose best medal is gold."""
    total_silver_medals: int
    """Those whose best medal is silver."""
    total_bronze_medals: int
    """Those whose best medal is bronze."""
    total_above_median: int
    """Those strictly better than the median."""
    competition_reports: tuple[CompetitionReport, ...]
    """One entry a submission, in the order given."""
    format_version: Literal[1] = 1
    """Version of this format."""
    missing_runs: int = 0
    """Runs of the group that were never graded; they have no entry and no part in the totals."""


class SnapshotScore(Report):
    """One snapshot of a run's submission, graded."""

    elapsed_s: float
    """Seconds from the agent's start."""
    time: str
    """When it was taken: UTC, ISO 8601."""
    sha256: str
    """Of the submission, in hexadecimal."""
    file: str | None
    """Name of the copy; None where it was not copied."""
    score: float | None
    """The score, rounded to 5 decimals; None without a valid submission."""
    medal: Medal
    """The best medal that the score earns."""
    valid: bool | None
    """Whether it is a valid submission; None: there is no verdict, `message` says why."""
    message: Text = ""
    """Why it is invalid or has no verdict, in one line."""


class RunSnapshots(Report):
    """Score over time of one run."""

    format_version: Literal[1] = 1
    """Version of this format."""
    key: RunKey
    """Competition, agent and seed."""
    graded_at: str
    """UTC, ISO 8601."""
    is_lower_better: bool
    """Direction of the score."""
    snapshots: tuple[SnapshotScore, ...]
    """Oldest first."""
    final_sha256: str | None = None
    """Of the submission that counts; None where none was graded."""
    final_score: float | None = None
    """The score that counts, from the run's report."""
    final_medal: Medal = "none"
    """The medal that counts."""
