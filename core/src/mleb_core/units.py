"""Durations, sizes and numbers as people write them: `90`, `30s`, `10m`, `1h30m`; `500MB`, `8GiB`; `500k`, `2M`."""

import re

from mleb_core.errors import UsageError

__all__ = ["parse_count", "parse_duration", "parse_size"]

_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(
    r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", re.ASCII
)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?B|B)?", re.ASCII)
_BYTES = {prefix + "B": 1000**n for n, prefix in enumerate(["", "K", "M", "G", "T"])} | {
    prefix + "iB": 1024**n for n, prefix in enumerate(["K", "M", "G", "T"], 1)
}

_COUNT = re.compile(r"(\d+(?:\.\d+)?)([kKMG]?)", re.ASCII)
_POWERS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9}

_LONGEST_S = 10_000 * 86400
_LARGEST = 2**60


def parse_duration(text: str) -> float:
    """Seconds; a number without a unit is seconds.

    Raises:
        UsageError: not a duration, not above 0, or too long.
    """
    match = _DURATION.fullmatch(text.strip())
    if not text.strip() or match is None:
        raise UsageError(f"{text!r} is no duration; expected such as 90, 30s, 10m, 1h30m or 2d")
    seconds = sum(float(number or 0) * _SECONDS[unit] for number, unit in zip(match.groups(), "dhms", strict=True))
    if seconds <= 0:
        raise UsageError(f"{text!r}: a duration is above 0")
    if seconds > _LONGEST_S:
        raise UsageError(f"{text:.60}: a duration is at most {_LONGEST_S // 86400:,} days")
    return seconds


def parse_size(text: str) -> int:
    """Bytes; a number without a unit is bytes. GB are powers of 1000, GiB of 1024.

    Raises:
        UsageError: not a size, not above 0, or too large.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no size; expected such as 500MB or 8GiB")
    size = float(match[1]) * _BYTES[match[2] or "B"]
    if size < 1:
        raise UsageError(f"{text!r}: a size is above 0")
    if size > _LARGEST:
        raise UsageError(f"{text:.60}: a size is at most {_LARGEST:,} bytes")
    return int(size)


def parse_count(text: str) -> float:
    """A number from 0 on; k, M and G are thousands, millions, billions.

    Raises:
        UsageError: not such a number.
    """
    match = _COUNT.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no number; expected such as 500, 500k or 2M")
    return float(match[1]) * _POWERS[match[2]]
