"""Points on both sides of a line."""

import random
from pathlib import Path


def fetch(raw: Path) -> None:
    """Write points.csv: id, x, y, above."""
    draw = random.Random(7)  # data, not secrets
    rows = ["id,x,y,above"]
    for number in range(240):
        x, y = draw.uniform(-1, 1), draw.uniform(-1, 1)
        rows.append(f"{number},{x:.6f},{y:.6f},{int(y > 0.3 * x + 0.1)}")
    (raw / "points.csv").write_text("\n".join(rows) + "\n")
