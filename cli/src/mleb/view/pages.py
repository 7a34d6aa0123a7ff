"""Pages from templates. What stands in them is escaped by Jinja, and made visible before that (`text.visible`)."""

import math
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from mleb.units import format_duration
from mleb.view.cells import MARKS
from mleb.view.text import as_json, size, visible
from mleb_core.run import now

__all__ = ["STATIC", "address", "render"]

HERE = Path(__file__).parent
STATIC = {
    path.name: path for path in sorted((HERE / "static").iterdir()) if path.suffix in (".js", ".css", ".svg", ".txt")
}
"""The files that pages load, by name."""


def render(template: str, *, depth: int, served: bool, **values: Any) -> str:
    """A page, or a part of one.

    Args:
        template: its file.
        depth: how many directories it lies below the root; all its links are relative.
        served: whether there is a server that has more; else it is to open from disk.
        values: for the template.
    """
    page = _environment().get_template(template)
    return page.render(root="../" * depth, served=served, **values)


def address(*parts: object) -> str:
    """The relative address of a page, from the root on."""
    return "/".join(quote(str(part).encode("utf-8", "surrogateescape"), safe="") for part in parts)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "data": lambda value: Markup(as_json(value)),  # ASCII without < > &
        "number": _number,
        "of": lambda count, what: f"{count:,} {what}{'' if count == 1 else 's'}",
        "percent": lambda value: "–" if value is None else f"{value:.1f}",
        "interval": _interval,
        "duration": lambda value: "–" if value is None or not math.isfinite(value) else format_duration(value),
        "when": _when,
        "size": size,
        "dollars": lambda value: "–" if value is None else f"${value:,.4f}" if value < 1 else f"${value:,.2f}",
        "details": lambda value: as_json(value).replace("\\u003c", "<").replace("\\u003e", ">").replace("\\u0026", "&"),
    }
    environment.globals |= {"address": address, "marks": MARKS, "now": now}
    return environment


def _shown(value: Any) -> Any:
    if value is None:
        return ""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _number(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.5f}".rstrip("0").rstrip(".") if abs(value) < 1e6 else f"{value:g}"


def _interval(value: Sequence[float] | None) -> str:
    return "–" if value is None else f"{value[0]:.1f} to {value[1]:.1f}"


def _when(value: str | None) -> str:
    """A time as people read it, UTC."""
    if not value:
        return "–"
    try:
        return datetime.fromisoformat(value).strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return value
