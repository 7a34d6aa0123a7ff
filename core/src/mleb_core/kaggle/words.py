"""Sizes and progress in words."""

from collections.abc import Callable

__all__ = ["in_words", "readable_size"]


def in_words(say: Callable[[str], None]) -> Callable[[int, int | None], None]:
    """Progress as words: when it starts, at every tenth, and at each gigabyte where the size is not known."""
    told = -1

    def on_bytes(done: int, total: int | None) -> None:
        nonlocal told
        step = done * 10 // total if total else done // 10**9
        if step != told:
            told = step
            say(
                f"downloading, {readable_size(done)} of {readable_size(total)}"
                if total
                else f"downloading, {readable_size(done)}"
            )

    return on_bytes


def readable_size(count: int) -> str:
    """A number of bytes with three digits or so, in powers of 1000."""
    value, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
