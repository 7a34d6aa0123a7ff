"""What an attestation says: `GROUP_DIR/attestation.json`, with a page for people beside it."""

from typing import Any, Literal

from pydantic import Field

from mleb_core.audits.findings import Severity
from mleb_core.leaderboard import Medal
from mleb_core.report.models import Counts, MissingRun, Report
from mleb_core.run import Cause, Limits, RunKey, RunStatus, Text
from mleb_core.terms import Terms

__all__ = [
    "Attestation",
    "AttestationCheck",
    "AttestedAudit",
    "AttestedCompetition",
    "AttestedFinding",
    "AttestedRun",
    "AttestedSeed",
    "Gap",
    "HostCalls",
    "ImageUse",
    "IsolationUse",
    "MachineUse",
    "ModelCalls",
    "Verified",
]


class AttestedCompetition(Report):
    """One competition of the group."""

    label: str
    """Edition included (`iris@2`)."""
    edition: int
    """1 is as published, later ones repaired."""
    data: str | None = None
    """sha256 of the manifest of its prepared data, which has the digest of every file; None: not recorded."""
    known_issues: tuple[Text, ...] | None = None
    """Known faults and leaks that this edition does not repair; None: it is not installed, and no run was graded."""
    asked: int
    """Runs asked for."""
    ended: int
    """Runs that are over."""
    graded: int
    """Runs with a verdict."""


class AttestedSeed(Report):
    """One repetition over all agents and competitions."""

    seed: int
    """Repetition index."""
    asked: int
    """Runs asked for."""
    ended: int
    """Runs that are over."""
    graded: int
    """Runs with a verdict."""
    missing: int
    """Runs without one."""


class MachineUse(Report):
    """A machine as the harness saw it, and the runs that started on one like it; several that are alike are one."""

    runs: int
    """Runs whose last attempt started on such a machine."""
    facts: dict[str, Any]
    """As in the ledger's `start`: `cpu`, `cores`, `usable_cores`, `memory_bytes`, `gpus`, `system`, `kernel`,
    `architecture`, `python`. Ids of GPUs are left out."""
    gpus: dict[str, int] = Field(default_factory=dict)
    """GPUs that runs there had for themselves: number of runs by product names, ` + ` between several."""


class IsolationUse(Report):
    """What a runner kept from agents, and in how many runs."""

    runner: str
    """Runner id."""
    runs: int
    """Runs whose last attempt started so."""
    kept: tuple[str, ...]
    """What it kept: `files` (an agent sees no file of the host but its own), `network` (it reaches nothing but the
    gateway), `memory` (a hard limit kept by the kernel), `processes` (none outlives its run)."""
    open: tuple[str, ...]
    """What of these it did not keep."""


class ImageUse(Report):
    """A container image, and the runs in it."""

    reference: Text
    """Its name."""
    digest: Text
    """Its content, as the engine tells it."""
    runs: int
    """Runs whose last attempt was in it."""


class ModelCalls(Report):
    """Calls to one model by all runs and attempts, from the ledgers."""

    model: Text
    """`provider/name`; `unknown` where a line of a transcript did not say."""
    calls: int
    """Exchanges."""
    failed: int
    """Those that ended with an error."""
    tokens: int
    """Input and output."""
    estimated: int
    """Exchanges whose tokens the provider did not tell."""
    cost_usd: float
    """US dollars of the exchanges whose price is known."""
    unpriced: int
    """Exchanges without an error whose price is unknown."""


class HostCalls(Report):
    """A host that agents asked the proxy for."""

    host: Text
    """With its port."""
    allowed: bool
    """Whether the terms let them through."""
    runs: int
    """Runs that asked."""


class AttestedRun(Report):
    """One run that is there."""

    key: RunKey
    """Competition, agent and seed."""
    status: RunStatus | None
    """How it ended, by its report; None: it has none."""
    cause: Cause | None = None
    """Why it did not simply finish."""
    attempts: int = 0
    """How often it was started, by its ledger."""
    runtime_s: float | None = None
    """Wall-clock seconds of its agent."""
    score: float | None = None
    """Its score; None without a valid submission."""
    medal: Medal = "none"
    """The best medal that the score earns."""
    valid: bool | None = None
    """Whether its submission is valid; None: no verdict."""
    submission: str | None = None
    """sha256 of the submission that was graded."""
    report: str | None = None
    """sha256 of its report.json."""
    entries: int = 0
    """Lines of its ledger."""
    head: str | None = None
    """Hash of the last one; None without a ledger."""
    checker_calls: int = 0
    """Calls of the submission checker, all attempts."""
    model_calls: int = 0
    """Calls to models that the ledger has, all attempts."""
    gpus: int = 0
    """GPUs that were its own."""
    machine: int | None = None
    """Which of `machines`, from 0; None: not recorded."""
    image: Text | None = None
    """Digest of its image; None: none, or not recorded."""


class Verified(Report):
    """What `mleb verify` recomputed and said when the attestation was made."""

    holds: bool
    """Whether everything that was looked at holds."""
    graded_again: int
    """Submissions that were graded again."""
    findings: tuple[Text, ...] = ()
    """What does not hold, a line each."""
    notes: tuple[Text, ...] = ()
    """What holds and is worth knowing."""
    unfinished: tuple[RunKey, ...] = ()
    """Runs that are there without a report."""
    no_ledger: tuple[RunKey, ...] = ()
    """Runs with a report and without a ledger."""


class AttestedFinding(Report):
    """One finding of an audit; its evidence is in the audit's own file."""

    run: RunKey | None = None
    """Which run; None: the group."""
    severity: Severity
    """How bad it is."""
    rule: str
    """Which check found it."""
    message: Text
    """What was found."""


class AttestedAudit(Report):
    """One audit of the group's runs."""

    audit: str
    """Its id."""
    plugin: str
    """Distribution that brings it, with its version."""
    created_at: str
    """When it was carried out: UTC, ISO 8601."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """The settings that it had."""
    runs: int
    """Runs that it looked at."""
    error: Text | None = None
    """Why it came to no end."""
    sha256: str | None
    """Of its file in the group's directory, which has all evidence."""
    findings: tuple[AttestedFinding, ...] = ()
    """Those of the group, then those of the runs, as the file has them."""


class Gap(Report):
    """Something that was not checked, or cannot be told from what is there."""

    kind: Literal["audit", "data", "grade", "hardware", "isolation", "ledger", "price", "report", "run", "setting"]
    """What it is about."""
    what: Text
    """In a sentence."""
    runs: tuple[RunKey, ...] = ()
    """Which runs, where it is about some."""


class Attestation(Report):
    """What ran in a group, under which terms, what was checked of it, and what was not."""

    format_version: Literal[1] = 1
    """Version of this format."""
    created_at: str
    """UTC, ISO 8601."""
    made_with: dict[str, str]
    """Distributions that made this, with versions: mleb-core and every plugin that works."""
    group: str
    """Name of the run group."""
    started_at: str
    """When the group began: UTC, ISO 8601."""
    group_file: str
    """sha256 of group.json, which has everything that was asked for."""
    configuration: str
    """Digest of what the group measures, as `config_digest` of its report."""
    ran_with: dict[str, str]
    """Distributions that the runs were made with, with versions."""
    agents: tuple[str, ...]
    """Agent ids."""
    model: Text | None = None
    """Model asked for; None: as each agent has it."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Agent settings asked for."""
    competitions: tuple[AttestedCompetition, ...]
    """In the order asked for."""
    seeds: tuple[AttestedSeed, ...]
    """By seed."""
    counts: Counts
    """How many of all runs did what."""
    missing: tuple[MissingRun, ...]
    """Every run without a verdict; they count as runs without a medal."""
    not_asked: tuple[RunKey, ...] = ()
    """Runs in the directory that the group did not ask for; they count nowhere, and nothing of them was checked."""
    runner: str
    """Runner id."""
    engine: str
    """Engine id."""
    workers: int
    """Runs at a time."""
    limits: Limits
    """What one run might use."""
    terms: Terms
    """Network, budgets, snapshots, images, obfuscation."""
    machines: tuple[MachineUse, ...] = ()
    """Where runs started, by number of runs."""
    isolation: tuple[IsolationUse, ...] = ()
    """What was kept from agents, by number of runs."""
    images: tuple[ImageUse, ...] = ()
    """Container images, by number of runs."""
    privileged: int = 0
    """Runs in a privileged container, which isolates little."""
    checker_calls: int = 0
    """Calls of the submission checker, all runs and attempts."""
    models: tuple[ModelCalls, ...] = ()
    """Calls to models, by name."""
    hosts: tuple[HostCalls, ...] = ()
    """Hosts beside the gateway that agents asked for, by name."""
    runs: tuple[AttestedRun, ...]
    """Every run of which anything is there, in the order asked for."""
    heads: str | None = None
    """sha256 of the lines `competition agent seed head`, one for each of `runs` with a ledger, in that order."""
    ledgers: str | None = None
    """`ledgers` of the group's report: the same with the entries that the results hang on."""
    reports: dict[str, str] = Field(default_factory=dict)
    """sha256 of the group's reports, by file name."""
    verified: Verified
    """What was recomputed."""
    audits: tuple[AttestedAudit, ...] = ()
    """Audits of the runs that were carried out, by id."""
    not_checked: tuple[Gap, ...] = ()
    """What was not checked. What is not here was not necessarily checked well."""


class AttestationCheck(Report):
    """What `mleb attest --check` found."""

    format_version: Literal[1] = 1
    """Version of this format."""
    file: Text
    """The attestation's."""
    group: Text
    """Name of the run group that it tells of."""
    created_at: str
    """When it was made, as it says."""
    signed: bool
    """Whether it bears a signature that holds with the given key."""
    comment: Text | None = None
    """The signature's trusted comment, which is signed, too: when, and of which file; None without such a signature."""
    compared: bool
    """Whether it was held against the group."""
    graded: bool
    """Whether the group's submissions were graded again for that."""
    findings: tuple[Text, ...] = ()
    """What does not hold, a line each."""
    notes: tuple[Text, ...] = ()
    """What was not looked at, or is worth knowing."""

    @property
    def holds(self) -> bool:
        """Whether everything that was looked at holds."""
        return not self.findings
