"""Floats as pandas up to 3.0 reads them by default: quick, and often off in the last digit.

Published data was made with it, so its errors belong to the data. Later versions of pandas read the nearest float.
"""

import re
from collections.abc import Iterable

__all__ = ["fast_float", "fast_floats"]

_NUMBER = re.compile(r"\s*([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?\s*")
_DIGITS = 17
_POWERS = [float(f"1e{n}") for n in range(309)]


def fast_floats(texts: Iterable[str]) -> list[float]:
    """`fast_float` of each."""
    return [fast_float(text) for text in texts]


def fast_float(text: str) -> float:
    """The number that a text stands for, computed as that parser does.

    The first 17 digits, leading zeros included, are summed up in a float, `number * 10 + digit` at a time; the rest
    only moves the decimal point. The sum is then multiplied or divided, once, by a power of ten (twice below 1e-308).
    """
    found = _NUMBER.fullmatch(text)
    if found is None or not (found[2] or found[3]):
        return float(text)  # inf and the like
    sign, whole, part, power = found.groups()
    whole, part = whole or "", part or ""
    digits = (whole + part)[:_DIGITS]
    exponent = int(power or 0)
    exponent += max(0, len(whole) - _DIGITS) - max(0, len(digits) - len(whole))
    number = 0.0
    for digit in digits:
        number = number * 10.0 + int(digit)
    if exponent > 308:
        number = float("inf")
    elif exponent > 0:
        number *= _POWERS[exponent]
    elif exponent < -308:
        number = number / _POWERS[min(308, -308 - exponent)] / _POWERS[308]
    else:
        number /= _POWERS[-exponent]
    return -number if sign == "-" else number
