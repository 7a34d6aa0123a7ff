"""Takes the pictures of the viewer in docs/images/, in a browser that shows what is there.

usage: python docs/screenshots.py RUNS        needs chromium and playwright

RUNS holds a group of the agents baseline and dummy (`mleb eval --plugin baseline --plugin dummy --split samples
--seeds 3 --snapshot-every 2s`, its snapshots graded), and a group of an agent that asked a model, such as `react`.
"""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parent / "images"
MLEB = Path(sys.executable).with_name("mleb")
MOST_BYTES = 200_000
COMPETITION = "titanic-survival"


def main() -> None:
    """Take them all."""
    runs = Path(sys.argv[1])
    groups = [json.loads(path.read_text()) for path in sorted(runs.glob("*/group.json"))]
    (two,) = [group["name"] for group in groups if group["agents"] == ["baseline", "dummy"]]
    talks = next(group for group in groups if group["model"])
    agent = talks["agents"][0]
    compared = f"compare/index.html?a={quote(two + '|baseline')}&b={quote(two + '|dummy')}"
    talk = f"groups/{talks['name']}/{talks['competitions'][0]}/{agent.replace('/', '__')}/0/index.html"
    with viewing(runs) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, path, theme, size, place in (
            ("viewer-group", f"groups/{two}/index.html", "light", (1280, 1190), None),
            ("viewer-competition", f"groups/{two}/{COMPETITION}/index.html", "light", (1280, 760), None),
            ("viewer-run", f"groups/{two}/{COMPETITION}/baseline/0/index.html", "dark", (1280, 1080), None),
            ("viewer-transcript", talk, "light", (1280, 860), "#talk article:nth-of-type(3)"),
            ("viewer-compare", compared, "dark", (1280, 800), None),
            ("viewer-phone", f"groups/{two}/index.html", "dark", (390, 780), "#matrix-title"),
        ):
            page = browser.new_page(
                viewport={"width": size[0], "height": size[1]}, color_scheme=theme, reduced_motion="reduce"
            )
            take(page, url + path, place, IMAGES / f"{name}.png")
            page.close()
        browser.close()


def take(page: Any, url: str, place: str | None, target: Path) -> None:
    """One picture."""
    page.goto(url)
    page.wait_for_function("() => !document.querySelector('[data-later]')")
    page.wait_for_timeout(1500)  # charts and texts that come after the page
    if place is not None:
        page.eval_on_selector(place, "element => element.scrollIntoView()")
    page.screenshot(path=target)
    if target.stat().st_size > MOST_BYTES:
        sys.exit(f"{target} has {target.stat().st_size:,} bytes, more than {MOST_BYTES:,}")


@contextlib.contextmanager
def viewing(runs: Path) -> Iterator[str]:
    """The address of a viewer."""
    words = [str(MLEB), "view", str(runs), "--port", "0", "--json"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads("".join(process.stdout.readline() for _ in range(3)))["url"]
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
