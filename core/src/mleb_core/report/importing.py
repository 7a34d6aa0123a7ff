"""Results of other harnesses as run groups of ours, which `mleb report` and `mleb compare` read like any other.

An imported group says where it comes from (`RunGroup.imported`), and each run in its events. It has no ledger, no
submission and no log: what it says rests on its source alone.
"""

import contextlib
import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from mleb_core.agent import AgentId
from mleb_core.errors import RunGroupError, UsageError
from mleb_core.layout import GroupLayout, group_name, write_whole
from mleb_core.report.build import group_report, run_report
from mleb_core.report.collect import collect_group, write_group_reports
from mleb_core.report.mlebench import (
    EXPERIMENTS,
    PublishedGrade,
    PublishedGroup,
    is_published_group,
    read_experiments,
    read_published_group,
)
from mleb_core.report.models import CompetitionReport, GroupReport
from mleb_core.report.text import one_line
from mleb_core.run import Limits, Outcome, Run, RunGroup, RunKey, RunStatus, append_event, now

__all__ = ["IMPORTED", "ImportedGroup", "import_groups"]

IMPORTED = "imported"
"""Runner and engine of an imported group."""


@dataclass(frozen=True)
class ImportedGroup:
    """A run group that was made of another harness's results."""

    directory: Path
    """Where it is now."""
    origin: str
    """Where it comes from."""
    sources: tuple[str, ...]
    """Names of the run groups that went into it, by seed."""
    report: GroupReport
    """Its report."""
    notes: tuple[str, ...]
    """A line for each thing that could not be read or was left out."""


def import_groups(
    source: Path,
    output: Path,
    *,
    agent: str | None = None,
    split: str | None = None,
    competitions: Sequence[str] = (),
    seeds: int | None = None,
) -> list[ImportedGroup]:
    """Import a grading report, a run group, or a directory of run groups.

    In a directory of run groups, those that run_group_experiments.csv gives the same experiment become one group, and
    each other one a group of its own. Published grades have no seed (an entry's own `seed` counts where it has one):
    the n-th grade of a competition, run groups by name and thus by time, becomes that competition's seed n - 1. So a
    competition that was graded less often than others lacks its last seeds, which are shown as missing.

    Args:
        source: file or directory.
        output: where run groups are kept; made if missing.
        agent: agent id; None: as the directories are named.
        split: name of the split asked for, for the record.
        competitions: labels that were asked for, as those of a split; what is missing of them is shown as missing.
        seeds: number of seeds that were asked for; None: as many as the competition has that was graded most often.

    Returns:
        The groups made, by name of their first source.

    Raises:
        UsageError: not an agent id, or more seeds were graded than `seeds`.
        RunGroupError: nothing to import there, or it cannot be read or written; groups made before stay.
    """
    if agent is not None:
        AgentId.parse(agent)
    made = []
    for experiment, paths in _sources(source).items():
        groups: list[PublishedGroup] = []
        notes: list[str] = []
        for path in paths:
            try:
                groups.append(read_published_group(path))
            except RunGroupError as error:
                if len(paths) == 1 and path == source:
                    raise
                notes.append(str(error))
        if groups and any(group.grades or group.competitions for group in groups):
            origin = source if len(paths) > 1 else paths[0]
            asked = _Asked(output, agent, split, tuple(competitions), seeds)
            made.append(_import(experiment, origin, groups, notes, asked))
        elif notes:
            raise RunGroupError("; ".join(notes[:3]))
        else:
            raise RunGroupError(f"{source}: no graded competition in it, nothing to import")
    return made


@dataclass(frozen=True)
class _Asked:
    """What the caller says beyond the files."""

    output: Path
    agent: str | None
    split: str | None
    competitions: tuple[str, ...]
    seeds: int | None


def _sources(source: Path) -> dict[str, list[Path]]:
    """Run groups by the name of what is to be made of them."""
    if not source.exists():
        raise RunGroupError(f"{source}: no such file or directory")
    if source.is_dir() and GroupLayout(source).group.exists():
        raise RunGroupError(f"{source} is a run group of mleb already; mleb report reads it as it is")
    if source.is_file():
        return {"": [source]}
    experiments = read_experiments(source / EXPERIMENTS)
    if not experiments and is_published_group(source):
        return {"": [source]}
    places = [source, *(path for name in ("runs",) if (path := source / name).is_dir())]
    below = sorted({path for place in places for path in place.iterdir() if path.is_dir()}, key=lambda path: path.name)
    found: dict[str, list[Path]] = defaultdict(list)
    for path in below:
        if is_published_group(path) and not GroupLayout(path).group.exists():
            found[experiments.get(path.name, path.name)].append(path)
    if not found:
        raise RunGroupError(f"{source} holds no run group of MLE-bench (TIME_run-group_AGENT/ with a grading report)")
    return dict(found)


def _import(
    experiment: str, origin: Path, groups: Sequence[PublishedGroup], notes: list[str], asked: _Asked
) -> ImportedGroup:
    """One run group of ours."""
    notes += [line for group in groups for line in group.notes]
    agent = asked.agent or _agent(experiment if len(groups) > 1 else "", groups)
    cells = _cells(groups, agent)
    seen = [label for group in groups for label in group.competitions]
    seen += [key.competition for key in cells]
    seeds = max((key.seed + 1 for key in cells), default=1)
    if asked.seeds is not None:
        if seeds > asked.seeds:
            raise UsageError(f"--seeds {asked.seeds}: {origin} holds {seeds} seeds, and none is left out")
        seeds = asked.seeds
    created = _time(groups[0].created_at) or now()
    try:
        group = RunGroup(
            name=group_name(agent, created),
            created_at=created,
            competitions=tuple(dict.fromkeys([*asked.competitions, *sorted(set(seen))])),
            agents=(agent,),
            seeds=seeds,
            split=asked.split,
            runner=IMPORTED,
            engine=IMPORTED,
            workers=1,
            limits=Limits(),
            data_dir=str(origin),
            imported=str(origin.absolute()),
        )
    except ValidationError as error:
        raise RunGroupError(f"{origin} cannot be imported: {one_line(error.errors()[0]['msg'])}") from None
    directory = _write(group, cells, asked.output)
    report = group_report(*collect_group(directory), directory=directory)
    write_group_reports(directory, report)
    return ImportedGroup(directory, str(origin), tuple(group.name for group in groups), report, tuple(notes))


def _cells(groups: Iterable[PublishedGroup], agent: str) -> dict[RunKey, PublishedGrade]:
    """The grades by run: an entry's own seed where it has one, else the first that is free for its competition."""
    cells: dict[RunKey, PublishedGrade] = {}
    grades = [grade for group in groups for grade in group.grades]
    for grade in sorted(grades, key=lambda grade: grade.seed is None):  # stable: named seeds take their places first
        seed = grade.seed or 0
        while (key := RunKey(competition=grade.report.label, agent=agent, seed=seed)) in cells:
            seed += 1
        cells[key] = grade
    return cells


def _write(group: RunGroup, cells: Mapping[RunKey, PublishedGrade], output: Path) -> Path:
    """Write the group beside its place and move it there whole."""
    made: Path | None = None
    try:
        output.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".import-", dir=output))
        target, number = output / group.name, 1
        while target.exists():
            number += 1
            target = output / f"{group.name}-{number}"
        group = group.model_copy(update={"name": target.name})
        layout = GroupLayout(made)
        for key, grade in cells.items():
            place = layout.run(key.competition, key.agent, key.seed)
            place.root.mkdir(parents=True)
            graded_at = _time(grade.report.created_at) or group.created_at
            run = Run(
                key=key,
                group=group.name,
                status=RunStatus.FINISHED,
                attempt=1,
                outcome=Outcome(status=RunStatus.FINISHED),
                created_at=group.created_at,
                ended_at=graded_at,
            )
            report = run_report(run, _dated(grade.report, graded_at)).model_copy(update={"runtime_s": None})
            write_whole(place.run, run.model_dump_json(indent=2) + "\n", durable=False)
            write_whole(place.report, report.model_dump_json(indent=2) + "\n", durable=False)
            append_event(place.events, "imported", origin=grade.origin)
        write_whole(layout.group, group.model_dump_json(indent=2) + "\n")
        made.chmod(0o755)
        made.rename(target)
    except OSError as error:
        raise RunGroupError(f"{error.filename or output}: cannot be written: {error.strerror or error}") from error
    finally:
        if made is not None and made.exists():
            with contextlib.suppress(OSError):
                shutil.rmtree(made)
    return target


def _dated(report: CompetitionReport, time: str) -> CompetitionReport:
    return report if report.created_at else report.model_copy(update={"created_at": time})


def _agent(experiment: str, groups: Sequence[PublishedGroup]) -> str:
    """An agent id: the experiment's name, else that of the directories, with other characters made `-`."""
    for name in (experiment, *(group.agent for group in groups)):
        id = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-_")
        if id:
            return id
    return IMPORTED


def _time(text: str) -> str | None:
    """A time as ISO 8601 in UTC, from that of a report or of a directory's name (2024-10-09T12-30-00-GMT)."""
    found = re.match(r"(\d{4})-(\d\d)-(\d\d)(?:[T_ ](\d\d)[-:](\d\d)(?:[-:](\d\d))?)?", text)
    if found is None:
        return None
    try:
        year, month, day, *clock = (int(part or 0) for part in found.groups())
        moment = datetime(year, month, day, clock[0], clock[1], clock[2], tzinfo=UTC)
    except ValueError:
        return None
    return moment.isoformat(timespec="milliseconds")
