"""`mleb view`: run groups in a browser."""

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from mleb.options import AsJson, Config, option
from mleb.output import clean, print_json, print_line
from mleb_core.errors import MlebError, UsageError

__all__ = ["register"]

NEEDED = ("jinja2", "starlette", "uvicorn")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("view")(view_command)


def view_command(
    runs: Annotated[Path, typer.Argument(help="Directory of run groups, or a run group's.", metavar="RUNS")] = Path(
        "runs"
    ),
    *,
    port: Annotated[int, option("--port", help="Port on 127.0.0.1; 0: a free one.", min=0, max=65535)] = 8642,
    export: Annotated[
        Path | None,
        option("--export", help="Serve nothing: write the pages into a directory, to open from disk.", metavar="DIR"),
    ] = None,
    data_dir: Annotated[
        Path | None,
        option("--data-dir", "-d", help="Where leaderboards are looked for before the group's data.", metavar="DIR"),
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show run groups in a browser, live while runs go on.

    Serves pages on 127.0.0.1 and prints their address; Ctrl-C ends it. Nothing is changed, and no other host is asked.
    --export writes the same pages as files. JSON is {"url": ...}, or {"directory": ..., "pages": ...}.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise MlebError(f"mleb view needs {', '.join(missing)}: pip install 'mleb[view]'")
    if not runs.is_dir():
        raise UsageError(f"{runs}: no such directory; name a directory of run groups, or a run group's")
    from mleb.view.site import Site

    if export is not None:
        from mleb.view.export import export_site

        pages = export_site(Site(runs, served=False, data_dir=data_dir), export)
        if as_json:
            print_json({"directory": str(export), "pages": pages})
        else:
            print_line(f"{pages} pages in {clean(export)}; open {clean(export / 'index.html')}")
        return
    from mleb.view.server import serve

    serve(Site(runs, served=True, data_dir=data_dir), port, lambda url: _tell(url, as_json=as_json))


def _tell(url: str, *, as_json: bool) -> None:
    import sys

    if as_json:
        print_json({"url": url})
    else:
        print_line(f"{url}  (Ctrl-C ends)")
    sys.stdout.flush()
