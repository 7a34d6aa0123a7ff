"""Durations and sizes."""

import pytest

from mleb.units import format_duration, parse_duration, parse_size
from mleb_core.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("30s", 30),
        ("10m", 600),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("2d", 172800),
        ("1h5", 3605),
        (" 0.5 ", 0.5),
    ],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "h", "-5", "5x", "30m1h", "1h 30m", "0", "0s", "inf", "nan", "1e3", "٣s", "9" * 400]
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(UsageError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1000", 1000),
        ("500MB", 500_000_000),
        ("8GiB", 8 * 1024**3),
        ("1.5 KiB", 1536),
        ("2TiB", 2 * 1024**4),
        ("7B", 7),
    ],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "8G", "8gb", "-1", "0", "GiB", "1e9", "8GiBs", "9" * 400])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UsageError, match="size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0s"), (0.44, "0.4s"), (12.4, "12s"), (185, "3m05s"), (7799, "2h09m"), (90000, "25h00m")],
)
def test_durations_for_people(seconds, text):
    assert format_duration(seconds) == text
