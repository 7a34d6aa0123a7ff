"""Durations, sizes and numbers as people read and write them; reading is `mleb_core.units`."""

from mleb_core.units import parse_count, parse_duration, parse_size

__all__ = ["format_count", "format_duration", "parse_count", "parse_duration", "parse_size"]


def format_duration(seconds: float) -> str:
    """Short form for people: `0.4s`, `12s`, `3m05s`, `2h10m`."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def format_count(number: int) -> str:
    """Short form for people: `950`, `12.3k`, `4.5M`."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return str(number)
