"""A study as a TOML file: named arms, each with options of `mleb eval`, and axes that multiply them.

    name = "hours"                      # without it, the file's name
    title = "Does more time help?"
    baseline = "24h"                    # the arm that the others are compared with; may be left out

    [all]                               # what every arm has
    plugin = "aide/gpt-4o"
    split = "low"

    [arms.24h]
    time-limit = "24h"

    [arms.100h]
    time-limit = "100h"
    set.agent.steps = 5000

    [axes]                              # each arm once for each combination of values
    obfuscate = [false, true]

Options are those of `mleb eval`, by their long names. An axis wins over an arm, that over [all]; the command line of
`mleb sweep` wins over all three.
"""

import itertools
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mleb_core.agent import AgentId
from mleb_core.errors import UnknownIdError, UsageError
from mleb_core.run import Limits
from mleb_core.terms import Budget, Terms, budget_of
from mleb_core.units import parse_count, parse_duration, parse_size

__all__ = ["Arm", "ArmOptions", "Study", "options_given", "read_study"]

MOST_ARMS = 1000
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
CROSSED = r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}"
"""Names of arms with the values of their axes: each is a directory's."""
REPORTS = ("report.json", "report.md")
"""Files of a study beside the directories of its arms."""


def _told(parse: Any) -> Any:
    """A reader of texts for pydantic, which tells what it wants in its own words; numbers are read as texts."""

    def read(value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError("a number or a text is expected")
        try:
            return parse(str(value))
        except UsageError as error:
            raise ValueError(str(error).partition("; ")[2] or str(error)) from None

    return read


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


def _agent(text: str) -> str:
    try:
        return str(AgentId.parse(text))
    except UsageError as error:
        raise ValueError(str(error).partition("; ")[2] or str(error)) from None


def _interval(text: str) -> float:
    return 0.0 if text in ("0", "0s") else parse_duration(text)


def _budget(texts: tuple[str, ...]) -> tuple[str, ...]:
    try:
        budget_of(texts)
    except UsageError as error:
        raise ValueError(str(error).removeprefix("--budget ")) from None
    return texts


def _settings(value: object) -> object:
    """`set.agent.steps = 3` and `set.steps = 3` are the same."""
    if isinstance(value, dict) and isinstance(value.get("agent"), dict):
        rest = {key: one for key, one in value.items() if key != "agent"}
        return _merged(rest, value["agent"])
    return value


Duration = Annotated[float, BeforeValidator(_told(parse_duration))]
Size = Annotated[int, BeforeValidator(_told(parse_size))]
Count = Annotated[float, BeforeValidator(_told(parse_count))]
Texts = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Budgets = Annotated[Texts, AfterValidator(_budget)]


class ArmOptions(BaseModel):
    """Options of one arm. None, or not given: as `mleb eval` has it without the option."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        alias_generator=lambda name: name.replace("_", "-"),
        validate_by_name=True,
    )

    plugin: Annotated[tuple[Annotated[str, AfterValidator(_agent)], ...], BeforeValidator(_listed)] = ()
    """Agents."""
    model: str | None = None
    """Their model."""
    competition: Texts = ()
    """Competitions, `ID` or `ID@EDITION`; excludes `split`."""
    split: str | None = None
    """All competitions of a split."""
    edition: int = Field(1, ge=1)
    """Edition of the competitions."""
    seeds: int = Field(1, ge=1)
    """Repetitions."""
    workers: int | None = Field(None, ge=1)
    """Runs at a time."""
    time_limit: Duration = Limits().time_s
    """Wall-clock time of one run, such as `24h`; seconds once read."""
    memory_limit: Size | None = None
    """Memory of one run, such as `8GiB`; bytes once read."""
    steps: int | None = Field(None, ge=1)
    """Steps that an agent is told it has."""
    cpus: float | None = Field(None, ge=0.01)
    """Processor cores of one run."""
    gpus: int = Field(0, ge=0)
    """GPUs of one run."""
    processes: int | None = Field(None, ge=16)
    """Processes and threads of a run."""
    shm: Size | None = None
    """Shared memory of one run."""
    disk: Size | None = None
    """What one run may have written."""
    network: Texts = ()
    """Hosts that agents may reach."""
    budget: Budgets = ()
    """What a run may use of models: `tokens=2M`, `usd=10`, `requests=500`."""
    group_budget: Budgets = ()
    """The same for all runs of the arm together."""
    max_cost: Count | None = None
    """US dollars that a run may spend on models."""
    max_tokens: Count | None = None
    """Tokens that a run may use."""
    snapshot_every: Annotated[float, BeforeValidator(_told(_interval))] = 600.0
    """How often a changed submission is copied, such as `10m`; 0: never. Seconds once read."""
    record: str | None = None
    """Directory in which each arm gets one for its recorded model exchanges."""
    replay: str | None = None
    """Directory in which each arm finds its own."""
    obfuscate: bool = False
    """Show agents the competition without title, story and source."""
    image: str | None = None
    """Base image of containers."""
    allow_privileged: bool = False
    """Let scaffolds that need it have privileged containers."""
    runner: str = "local"
    """Where a run happens."""
    engine: str = "local"
    """How runs are spread."""
    engine_set: dict[str, Any] = {}
    """Settings of the engine: `engine-set.address = "auto"`."""
    ray_address: str | None = None
    """Where the Ray cluster is; as `engine-set.address`."""
    retries: int = Field(2, ge=0)
    """Further attempts after a failure that is not the agent's."""
    prepare: bool = True
    """Prepare data that needs no download where it is missing."""
    set: Annotated[dict[str, Any], BeforeValidator(_settings)] = {}
    """Settings of the agents: `set.agent.steps = 20`."""
    observe: Texts = ()
    """Observers that tell another system of the runs."""
    observe_set: dict[str, dict[str, Any]] = {}
    """Their settings: `observe-set.mlflow.experiment = "steps"`."""

    @property
    def given(self) -> dict[str, Any]:
        """What was given, by field."""
        return {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}

    def under(self, other: "ArmOptions") -> "ArmOptions":
        """These with those of another laid over them; settings are merged, all else is replaced."""
        base, over = self.given, other.given
        if "split" in over:
            base.pop("competition", None)
        if "competition" in over:
            base.pop("split", None)
        for name in {"set", "engine_set", "observe_set"} & set(base) & set(over):
            over[name] = _merged(base[name], over[name])
        return ArmOptions.model_construct(**(base | over))

    @property
    def budget_of_run(self) -> Budget:
        """What a run may use of models.

        Raises:
            UsageError: one kind is given by two options.
        """
        return budget_of(self.budget, "budget", max_cost=self.max_cost, max_tokens=self.max_tokens)

    @property
    def observers(self) -> dict[str, dict[str, Any]]:
        """Observers with their settings.

        Raises:
            UsageError: settings of one that is not asked for.
        """
        if strange := [id for id in self.observe_set if id not in self.observe]:
            raise UsageError(f"observe-set.{strange[0]}: this observer was not asked for; add it to observe")
        return {id: self.observe_set.get(id, {}) for id in self.observe}

    @property
    def engine_settings(self) -> dict[str, Any]:
        """Settings of the engine."""
        return self.engine_set | ({} if self.ray_address is None else {"address": self.ray_address})

    @property
    def limits(self) -> Limits:
        """What one run may use."""
        names = {"time_s": "time_limit", "memory_bytes": "memory_limit", "steps": "steps", "cpus": "cpus"}
        names |= {"gpus": "gpus", "processes": "processes", "shm_bytes": "shm", "disk_bytes": "disk"}
        return Limits(**{name: getattr(self, option) for name, option in names.items()})

    def terms(self, arm: str) -> Terms:
        """The terms of the arm's runs.

        Raises:
            UsageError: as `budget_of_run`.
        """
        return Terms(
            network=self.network,
            budget=self.budget_of_run,
            group_budget=budget_of(self.group_budget, "group-budget"),
            snapshot_s=self.snapshot_every or None,
            image=self.image,
            privileged=self.allow_privileged,
            record=None if self.record is None else str(Path(self.record, arm).absolute()),
            replay=None if self.replay is None else str(Path(self.replay, arm).absolute()),
            obfuscated=self.obfuscate,
        )


class StudyFile(BaseModel):
    """A study's file."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    name: str | None = Field(None, pattern=NAME)
    """Name of the study's directory; None: that of the file."""
    title: str = ""
    """What it asks, in one line."""
    baseline: str | None = None
    """The arm that the others are compared with."""
    all: ArmOptions = ArmOptions()
    """What every arm has."""
    arms: dict[Annotated[str, Field(pattern=NAME)], ArmOptions] = {}
    """The arms; without any, the axes alone make them."""
    axes: dict[str, Any] = {}
    """Values by option, tables where a setting is meant."""


@dataclass(frozen=True)
class Arm:
    """One arm of a study."""

    name: str
    """Also the name of its run group."""
    options: ArmOptions
    """All of its options, those of the command line included."""
    replaced: tuple[str, ...] = ()
    """The agents that the file names, where the command line put others in their place without naming a model."""


@dataclass(frozen=True)
class Study:
    """A study, read."""

    name: str
    """Name of its directory."""
    title: str
    """What it asks."""
    arms: tuple[Arm, ...]
    """In the order of the file."""
    baseline: str | None = None
    """The arm that the others are compared with."""
    left_out: tuple[str, ...] = field(default=())
    """Arms of the file that were not asked for."""


def read_study(path: Path, over: ArmOptions | None = None, only: tuple[str, ...] = ()) -> Study:
    """A study from its file.

    Args:
        path: the file.
        over: options that win over the file's, for every arm.
        only: arms that are asked for; empty: all.

    Raises:
        UsageError: the file cannot be read or has something that it should not; names file, key and what was expected.
        UnknownIdError: no arm has a name that `only` or `baseline` has.
    """
    over = over or ArmOptions()
    try:
        file = StudyFile.model_validate(_dashed(_read(path)))
    except ValidationError as error:
        raise UsageError(f"{path}: {_first(error)}") from None
    axes = [_axis(path, key, values) for key, values in _leaves(file.axes)]
    if not file.arms and not axes:
        raise UsageError(f"{path}: arms: a table [arms.NAME] for each arm is expected, or [axes]")
    name = file.name or re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).lstrip("._-")
    if not re.match(NAME, name):
        raise UsageError(f"{path}: name: a name of letters, digits, . _ - is expected")
    arms: dict[str, Arm] = {}
    for arm, options in _crossed(file, axes):
        merged = options.under(over)
        replaced = options.plugin if over.plugin and over.model is None and options.model is None else ()
        if arm in arms:
            raise UsageError(f"{path}: axes: two arms would be named {arm}; values that differ in letters are expected")
        if not re.fullmatch(CROSSED, arm):
            told = f"{path}: axes: an arm would be named {arm[:60]!r}"
            raise UsageError(f"{told}; at most 200 letters, digits, . _ - are expected")
        if arm in REPORTS:
            raise UsageError(f"{path}: arms.{arm}: another name is expected, for the study's report has this one")
        arms[arm] = Arm(arm, merged, replaced)
        if len(arms) > MOST_ARMS:
            raise UsageError(f"{path}: axes: at most {MOST_ARMS} arms are expected")
    for wanted in (*only, *([file.baseline] if file.baseline is not None else [])):
        if wanted not in arms:
            raise UnknownIdError("arm", wanted, arms)
    kept = tuple(arm for arm in arms.values() if not only or arm.name in only)
    return Study(name, file.title, kept, file.baseline, tuple(arm for arm in arms if only and arm not in only))


def options_given(values: Mapping[str, Any]) -> ArmOptions:
    """Options that somebody gives for all arms, by field.

    Raises:
        UsageError: one is not what it should be.
    """
    try:
        return ArmOptions.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"--{_first(error)}") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file; the TOML file of a study is expected") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None


def _dashed(document: dict[str, Any]) -> dict[str, Any]:
    """The same with options named with dashes, as on the command line; the settings of agents keep their names."""

    def one(table: Any) -> Any:
        return {key.replace("_", "-"): value for key, value in table.items()} if isinstance(table, dict) else table

    changed: dict[str, Any] = {key: one(document[key]) for key in ("all", "axes") if key in document}
    if isinstance(arms := document.get("arms"), dict):
        changed["arms"] = {name: one(table) for name, table in arms.items()}
    return document | changed


def _first(error: ValidationError, prefix: str = "") -> str:
    """The first thing that is wrong: the key, what was expected, what was found."""
    first, more = error.errors(include_url=False)[0], error.error_count() - 1
    parts = [str(part) for part in first["loc"] if part != "[key]"]
    key = prefix + ".".join(parts) or "(file)"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        of_arm = len(parts) > 1 or prefix  # that of an axis is an option
        known = [name.replace("_", "-") for name in ArmOptions.model_fields] if of_arm else StudyFile.model_fields
        return f"{key}: no such key; expected one of {', '.join(known)}"
    extra = f" ({more} more)" if more else ""
    return f"{key}: {message}, got {first['input']!r:.60}{extra}"


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Options and their values: `set.agent.steps = [1, 2]` is three tables deep."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _axis(path: Path, key: str, values: object) -> list[tuple[str, ArmOptions]]:
    """An axis: the label of each value, and the option that it stands for."""
    if not isinstance(values, list) or not values:
        raise UsageError(f"{path}: axes.{key}: a list of values is expected, got {values!r:.60}")
    found = []
    for value in values:
        table: Any = value
        for part in reversed(key.split(".")):
            table = {part: table}
        try:
            options = ArmOptions.model_validate(table)
        except ValidationError as error:
            raise UsageError(f"{path}: {_first(error, 'axes.')}") from None
        text = str(value).lower() if isinstance(value, bool) else str(value)
        label = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "none"
        found.append((f"{key.rpartition('.')[2]}-{label}", options))
    return found


def _crossed(file: StudyFile, axes: list[list[tuple[str, ArmOptions]]]) -> Iterator[tuple[str, ArmOptions]]:
    for arm, options in (file.arms or {"": ArmOptions()}).items():
        for point in itertools.product(*axes):
            merged = file.all.under(options)
            for _, value in point:
                merged = merged.under(value)
            yield "_".join([*([arm] if arm else []), *(label for label, _ in point)]), merged


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid on `base`; tables are merged, all else is replaced."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result
