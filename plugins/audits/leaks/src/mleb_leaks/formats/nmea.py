"""NMEA 0183 logs: positions of GGA and RMC sentences, `$GPGGA,hhmmss.ss,ddmm.mmmm,N,dddmm.mmmm,E,...*hh`."""

from collections.abc import Iterable, Iterator

__all__ = ["positions"]

_FIELD_OF_LATITUDE = {"GGA": 2, "RMC": 3, "GLL": 1, "GNS": 2}


def positions(lines: Iterable[str]) -> Iterator[tuple[float, float]]:
    """(latitude, longitude) in degrees, north and east positive; other sentences and broken ones are passed over."""
    for line in lines:
        if not line.startswith("$"):
            continue
        parts = line.partition("*")[0].split(",")
        first = _FIELD_OF_LATITUDE.get(parts[0][-3:])
        if first is None or len(parts) < first + 4:
            continue
        latitude = _degrees(parts[first], parts[first + 1], "S")
        longitude = _degrees(parts[first + 2], parts[first + 3], "W")
        if latitude is not None and longitude is not None:
            yield latitude, longitude


def _degrees(text: str, side: str, negative: str) -> float | None:
    """`ddmm.mmmm` or `dddmm.mmmm`: whole degrees, then minutes with two digits before the point."""
    whole = text.partition(".")[0]
    if len(whole) < 3 or not whole.isdigit():
        return None
    try:
        degrees = int(whole[:-2]) + float(text[len(whole) - 2 :]) / 60
    except ValueError:
        return None
    return -degrees if side == negative else degrees
