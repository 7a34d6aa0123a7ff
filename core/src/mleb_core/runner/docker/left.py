"""What an agent leaves in its place: collected into the run's directory, or cleared away before another attempt."""

from collections.abc import Iterable

from mleb_core.layout import RunLayout
from mleb_core.runner.agent_log import AgentLog
from mleb_core.runner.collect import Collector
from mleb_core.runner.docker.output import Output
from mleb_core.runner.docker.place import place_of, read_record, remove_place
from mleb_core.runner.remove import remove_tree

__all__ = ["clear_leftovers", "collect"]


def clear_leftovers(layout: RunLayout) -> None:
    """Remove what is left of an earlier attempt but its agent.log, which is finished; no process of it is left.

    Raises:
        OSError: something cannot be removed.
    """
    record = read_record(layout)
    if record is not None and layout.log.is_file():
        printed = place_of(layout, record).work_output
        if printed.is_file():
            Output(printed, layout.log, record.log_limit, record.log_start).close()
        else:
            AgentLog(layout.log, record.log_limit, record.log_start).close()
    remove_place(layout)
    for path in (layout.submission_dir, layout.code, layout.logs, layout.snapshots, layout.resources):
        remove_tree(path)


def collect(
    layout: RunLayout, place: RunLayout, max_bytes: int, refused: Iterable[tuple[str, str]] = ()
) -> tuple[str, ...]:
    """Collect what the agent left, remove its place; no process of the run is left.

    Args:
        layout: of the run.
        place: where the agent worked.
        max_bytes: of all that is collected.
        refused: what is wrong already, each a name and why.

    Returns:
        What was not collected, each `path: why`.

    Raises:
        OSError: the host's side fails.
    """
    collector = Collector(max_bytes)
    for name, why in refused:
        collector.refuse(name, why)
    for source, target, first in (
        (place.work_submission, layout.submission_dir, layout.submission.name),
        (place.work_code, layout.code, None),
        (place.work_logs, layout.logs, None),
    ):
        remove_tree(target)
        collector.collect(place.root, source.relative_to(place.root).parts, target, first)
    collector.finish()
    try:
        remove_place(layout)
    except OSError as error:
        collector.refuse(layout.work.name, f"cannot be removed: {error.strerror}")
    return collector.refused
