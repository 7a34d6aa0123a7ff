"""`mleb view`: a directory of 10,000 runs (aims: 2 s, 100 MB), the page of a run with a log of 100 MB (aim: 1 s).

Seconds in a browser are measured where chromium and playwright are installed: until the words are on the screen.
"""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from common import table
from group import make_group

from mleb_core.layout import GroupLayout

MLEB = str(Path(sys.executable).with_name("mleb"))
LOG_BYTES = 100_000_000


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as root:
        runs = Path(root)
        one, ten = runs / "one", runs / "ten"
        group = make_group(one / "group", 10_000)
        for number in range(10):
            make_group(ten / f"group-{number}", 1000)
        place = GroupLayout(one / "group").run(group.competitions[0], group.agents[0], 0)
        line = b"2026-01-31 12:00:00 step 123456 loss 0.123456 accuracy 0.98765, some words of an agent\n"
        place.log.write_bytes(line * (LOG_BYTES // len(line)) + b"the last line\n")
        here = f"groups/group/{group.competitions[0]}/{place.root.parent.name}/0/"
        rows = [*measure(ten, "ten groups of 1,000 runs", "index.html", "group-9"), *measure_one(one, here)]
    table("mleb view", ("what", "seconds", "server, MB at most"), rows)


def measure(runs: Path, what: str, path: str, words: str) -> Iterator[tuple[str, str, str]]:
    """From nothing to a page with all its numbers."""
    start = time.perf_counter()
    with viewing(runs) as (url, process):
        started = time.perf_counter() - start
        assert words in ask(url + path)
        yield f"{what}: start, then the list", f"{time.perf_counter() - start:.2f}", memory(process)
        yield "  of that until it listens", f"{started:.2f}", ""


def measure_one(runs: Path, run: str) -> Iterator[tuple[str, str, str]]:
    """The pages of one large group, and of a run with a large log."""
    start = time.perf_counter()
    with viewing(runs) as (url, process):
        ask(url + "index.html")
        yield "one group of 10,000 runs: start, then the list", f"{time.perf_counter() - start:.2f}", memory(process)
        for what, path in (
            ("its page, matrix included", "groups/group/index.html"),
            ("its figures, in a child process", "groups/group/figures.html"),
            ("what changed in it", "groups/group/live.json"),
            ("a run with a log of 100 MB", run + "index.html"),
            ("the end of that log", run + "text.json"),
            ("words at its end, searched from its start", run + "text.json?find=the+last+line"),
        ):
            start = time.perf_counter()
            ask(url + path)
            yield what, f"{time.perf_counter() - start:.2f}", memory(process)
        for _ in range(100):
            ask(url + "groups/group/live.json")
        yield "asked 100 times what changed", "", memory(process)
        yield from in_browser(url, run, process)


def in_browser(url: str, run: str, process: "subprocess.Popen[str]") -> Iterator[tuple[str, str, str]]:
    """The same pages in a browser, until they can be read."""
    path = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path = None
    if path is None:
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(url)
        ends = "() => document.querySelector('#log pre')?.textContent.endsWith('the last line\\n')"
        for what, address, ready in (
            (
                "in a browser: one group of 10,000 runs",
                "groups/group/index.html",
                "() => document.querySelector('a.m')",
            ),
            ("in a browser: a run with a log of 100 MB, its end in sight", run + "index.html", ends),
        ):
            start = time.perf_counter()
            page.goto(url + address, wait_until="commit")
            page.wait_for_function(ready)
            yield what, f"{time.perf_counter() - start:.2f}", memory(process)
        browser.close()


@contextlib.contextmanager
def viewing(runs: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A viewer, and where it answers."""
    words = [MLEB, "view", str(runs), "--port", "0", "--json"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads("".join(process.stdout.readline() for _ in range(3)))["url"], process
    finally:
        process.kill()
        process.wait()


def ask(url: str) -> str:
    """A page."""
    with urllib.request.urlopen(url) as answer:
        text: str = answer.read().decode()
        return text


def memory(process: "subprocess.Popen[str]") -> str:
    """The most that a process had in memory so far (Linux)."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return f"{int(line.split()[1]) / 1024:.0f}"


if __name__ == "__main__":
    main()
