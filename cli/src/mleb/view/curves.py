"""What the charts of a run show: use of the machine, score over time, both as series of numbers."""

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from mleb_core.errors import RunGroupError
from mleb_core.report.models import CompetitionReport, RunSnapshots

__all__ = ["medal_lines", "resource_charts", "score_chart", "snapshot_lines"]

_MOST_POINTS = 5000
_GIB = 1 << 30


def resource_charts(content: bytes) -> list[dict[str, Any]]:
    """Charts from resources.json, each with `title`, `unit`, `x` (seconds), `series` of `label` and `y`.

    Raises:
        RunGroupError: it is no such file.
    """
    try:
        found = json.loads(content)
        if found.get("format_version", 1) != 1:
            raise RunGroupError(f"its format_version is {str(found['format_version'])[:20]}, this mleb reads 1")
        times = [float(t) for t in found["t_s"]][:_MOST_POINTS]
        columns = [
            ("Processor", "cores", [("cores in use", _scaled(found["cpu_cores"], 1))]),
            ("Memory", "GiB", [("in use", _scaled(found["memory_bytes"], _GIB))]),
            ("Disk", "GiB", [("in use", _scaled(found["disk_bytes"], _GIB))]),
            *_of_gpus(found["gpus"]),
        ]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise RunGroupError("it is not as mleb writes it") from None
    charts = []
    for title, unit, series in columns:
        known = [(label, y) for label, y in series if any(value is not None for value in y)]
        if known and times:
            fitted = [{"label": label, "y": [*y, *[None] * len(times)][: len(times)]} for label, y in known]
            charts.append({"title": title, "unit": unit, "x": times, "series": fitted})
    return charts


def snapshot_lines(content: bytes) -> list[dict[str, Any]]:
    """The snapshots in snapshots.jsonl, oldest first; lines that are none are left out."""
    return list(_lines(content))[:_MOST_POINTS]


def score_chart(scored: RunSnapshots, report: CompetitionReport | None) -> dict[str, Any]:
    """Score over time: `x` (seconds), `y`, `medals`, and `lines` at the scores of the medals."""
    points = sorted(scored.snapshots, key=lambda snapshot: snapshot.elapsed_s)[:_MOST_POINTS]
    return {
        "x": [point.elapsed_s for point in points],
        "y": [point.score for point in points],
        "medals": [point.medal for point in points],
        "lines": medal_lines(report) if report else [],
        "lower_better": scored.is_lower_better,
    }


def medal_lines(report: CompetitionReport) -> list[dict[str, Any]]:
    """The scores that earn medals, and the median."""
    return [
        {"name": "gold", "at": report.gold_threshold},
        {"name": "silver", "at": report.silver_threshold},
        {"name": "bronze", "at": report.bronze_threshold},
        {"name": "median", "at": report.median_threshold},
    ]


def _of_gpus(gpus: Sequence[Any]) -> Iterator[tuple[str, str, list[tuple[str, list[float | None]]]]]:
    names = [f"{number}: {gpu['name'] or gpu['id']}" for number, gpu in enumerate(gpus)]
    for title, unit, key, scale in (
        ("GPU in use", "%", "utilization_percent", 1),
        ("GPU memory", "GiB", "memory_bytes", _GIB),
        ("GPU power", "W", "power_w", 1),
    ):
        yield title, unit, [(name, _scaled(gpu[key], scale)) for name, gpu in zip(names, gpus, strict=True)]


def _scaled(values: Sequence[Any], scale: float) -> list[float | None]:
    return [None if value is None or not math.isfinite(value) else value / scale for value in values[:_MOST_POINTS]]


def _lines(content: bytes) -> Iterator[dict[str, Any]]:
    for line in content.split(b"\n"):
        try:
            found = json.loads(line)
            yield {
                "elapsed_s": float(found["elapsed_s"]),
                "time": str(found["time"]),
                "bytes": int(found["bytes"]),
                "file": found["file"] if isinstance(found["file"], str) else None,
                "sha256": str(found["sha256"]),
            }
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            continue
