"""Familiarity and score of competitions in one picture, as SVG."""

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

__all__ = ["scatter"]

WIDTH, HEIGHT = 720, 480
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 40, 60
COLOURS = ("#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a")
LOWEST, HIGHEST = -1.0, 2.0
"""Scores beyond are drawn on the border."""


def scatter(agents: Mapping[str, Sequence[tuple[str, float, float]]], *, title: str, x_label: str, y_label: str) -> str:
    """An SVG with a point for each competition and agent.

    Args:
        agents: for each agent its competitions: label, familiarity, normalised score.
        title: above.
        x_label: below the axis of familiarity.
        y_label: beside the axis of scores.
    """
    points = [point for one in agents.values() for point in one]
    x_low, x_high = _range([point[1] for point in points], 0.0, 1.0)
    y_low, y_high = _range([min(HIGHEST, max(LOWEST, point[2])) for point in points] + [0.0, 1.0], LOWEST, HIGHEST)

    def at(x: float, y: float) -> tuple[float, float]:
        y = min(HIGHEST, max(LOWEST, y))
        right, up = (x - x_low) / (x_high - x_low), (y - y_low) / (y_high - y_low)
        return LEFT + right * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    rows = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12" fill="#1f2328">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="24" font-size="14">{escape(title)}</text>',
    ]
    for x in _ticks(x_low, x_high):
        left, bottom = at(x, y_low)
        rows.append(f'<line x1="{left:.1f}" y1="{TOP}" x2="{left:.1f}" y2="{bottom:.1f}" stroke="#eaeef2"/>')
        rows.append(f'<text x="{left:.1f}" y="{bottom + 18:.1f}" text-anchor="middle">{x:g}</text>')
    for y in _ticks(y_low, y_high):
        left, bottom = at(x_low, y)
        colour = "#8c959f" if y in (0, 1) else "#eaeef2"
        rows.append(
            f'<line x1="{left:.1f}" y1="{bottom:.1f}" x2="{WIDTH - RIGHT}" y2="{bottom:.1f}" stroke="{colour}"/>'
        )
        rows.append(f'<text x="{left - 8:.1f}" y="{bottom + 4:.1f}" text-anchor="end">{y:g}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    rows.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 16}" text-anchor="middle">{escape(x_label)}</text>'
    )
    rows.append(f'<text transform="translate(18 {middle}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>')
    for number, (agent, found) in enumerate(agents.items()):
        colour = COLOURS[number % len(COLOURS)]
        for label, x, y in found:
            left, bottom = at(x, y)
            told = escape(f"{agent}, {label}: familiarity {x:.4f}, score {y:.4f}")
            rows.append(
                f'<circle cx="{left:.1f}" cy="{bottom:.1f}" r="4" fill="{colour}" fill-opacity="0.75">'
                f"<title>{told}</title></circle>"
            )
        if len(agents) > 1:
            top = TOP + 14 + 16 * number
            rows.append(f'<circle cx="{LEFT + 12}" cy="{top - 4}" r="4" fill="{colour}"/>')
            rows.append(f'<text x="{LEFT + 22}" y="{top}">{escape(agent)}</text>')
    return "\n".join([*rows, "</svg>", ""])


def _range(values: Sequence[float], lowest: float, highest: float) -> tuple[float, float]:
    """The values with a margin, within bounds."""
    low, high = min(values, default=lowest), max(values, default=highest)
    margin = 0.06 * (high - low) or 0.05
    return max(lowest, low - margin), min(highest, high + margin)


def _ticks(low: float, high: float) -> list[float]:
    step = 10.0 ** math.floor(math.log10(high - low))
    for part in (0.1, 0.2, 0.5, 1.0):
        if (high - low) / (step * part) <= 8:
            step *= part
            break
    first = math.ceil(low / step - 1e-9)
    return [round(count * step, 10) for count in range(first, math.floor(high / step + 1e-9) + 1)]
