"""The viewer in a real browser: pages, charts, what is live, keys, hostile texts, accessibility."""

import os
import re
import signal
import subprocess

import pytest

TITANIC, DIABETES = "titanic-survival", "diabetes-progression"
DRAWN = """() => [...document.querySelectorAll('.chart canvas')].map((canvas) => {
  const pixels = new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  return new Set(pixels).size;
})"""
"""How many colours each chart has; an empty one has a single one."""
SPILLS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def addresses(runs):
    baseline, dummy, react = (runs.group(agent) for agent in ("baseline", "dummy", "react"))
    return {
        "list": ("index.html", 0),
        "group": (f"groups/{baseline}/index.html", 1),
        "group of several": (f"groups/{dummy}/index.html", 0),
        "competition": (f"groups/{baseline}/{TITANIC}/index.html", 1),
        "run": (f"groups/{baseline}/{TITANIC}/baseline/0/index.html", 3),
        "run with models": (f"groups/{react}/{TITANIC}/react/0/index.html", 0),
        "comparison": (f"compare/index.html?a={baseline}|baseline&b={dummy}|dummy", 0),
        "missing": ("groups/none/index.html", 0),
    }


PAGES = ["list", "group", "group of several", "competition", "run", "run with models", "comparison", "missing"]


def settled(page):
    """Wait until all parts are there."""
    page.wait_for_function("() => !document.querySelector('[data-later]')")
    page.wait_for_function("() => !document.getElementById('log') || document.querySelector('#log pre, #log p')")
    page.wait_for_function("() => !document.getElementById('talk') || document.querySelector('#talk .bar, #talk p')")
    page.wait_for_function(
        "() => !document.getElementById('ledger') || document.querySelector('#ledger tr, #ledger p')"
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_page_is_whole_drawn_and_accessible(made, view, page, name, theme):
    from axe_playwright_python.sync_playwright import Axe

    path, charts = addresses(made)[name]
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    answer = page.goto(view.url + path)
    if name == "missing":
        assert answer.status == 404
        page.told.clear()  # the browser tells of that
    else:
        assert answer.status == 200
        settled(page)
        page.wait_for_function(f"() => document.querySelectorAll('.chart canvas').length >= {charts}")
        drawn = page.evaluate(DRAWN)
        assert len(drawn) >= charts and all(colours > 3 for colours in drawn)
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]})
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("name", PAGES[:-1])
def test_page_fits_a_phone(made, view, page, name):
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(view.url + addresses(made)[name][0])
    settled(page)
    assert page.evaluate(SPILLS) <= 0


def test_runs_under_way_are_seen_live(made, viewing, page, tmp_path, until):
    go = tmp_path / "go"
    wait = f"until [ -e {go} ]; do sleep 0.1; done; cp $MLEB_DATA/sample_submission.csv $MLEB_SUBMISSION/submission.csv"
    words = ["-p", "command", "--set", f"command=echo it begins; {wait}; echo it ends", "-c", TITANIC]
    out = tmp_path / "runs"
    out.mkdir()
    viewer = viewing(out)
    page.goto(viewer.url)
    assert "No run groups" in page.inner_text("main")
    mleb = viewer.process.args[0]
    where = ["--data-dir", str(made.data), "--output", str(out)]
    harness = subprocess.Popen(
        [mleb, "eval", *words, *where], env=made.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        page.get_by_role("link", name=re.compile("run-group_command")).click()  # appears by itself
        page.wait_for_selector("#matrix a.m.r")
        assert "at work" in page.inner_text("#state")
        page.evaluate("() => { window.same = true }")
        second = page.context.new_page()
        second.goto(page.locator("#matrix a.m.r").evaluate("link => link.href"))
        second.wait_for_function("() => document.querySelector('#log pre')?.textContent.includes('it begins')")
        assert "it ends" not in second.inner_text("#log")
        go.touch()
        page.wait_for_selector("#matrix a.m.v")
        assert page.inner_text("#count-ended") == "1"
        page.wait_for_function("() => document.querySelector('#state').textContent.includes('complete')")
        page.wait_for_function("() => document.querySelector('#figures').textContent.includes('1 verdicts, 1 times')")
        assert page.evaluate("() => window.same")  # nothing was loaded anew
        second.wait_for_function("() => document.querySelector('#log pre').textContent.includes('it ends')")
        second.wait_for_function("() => document.querySelector('#head').textContent.includes('valid, no medal, score')")
    finally:
        go.touch()
        harness.communicate(timeout=120)
    assert harness.returncode == 0


def test_a_viewer_that_ended_is_told(made, viewing, page, until):
    viewer = viewing(made.root)
    page.goto(viewer.url)
    viewer.process.send_signal(signal.SIGINT)
    viewer.process.wait(timeout=60)
    page.wait_for_selector("#live.gone")
    page.told.clear()  # the browser tells of requests that fail


def test_hostile_texts_never_run(made, view, page):
    page.goto(view.url + addresses(made)["run with models"][0])
    settled(page)
    for name in ("page.html", "a.svg", "note.ipynb", "<img src=x onerror=window.hacked=9>.py"):
        page.locator("button.file", has_text=name).first.click()
        page.wait_for_function("(name) => document.querySelector('#file .bar b')?.textContent.endsWith(name)", arg=name)
        page.wait_for_selector("#file pre")
    shown = page.inner_text("main")
    for words in (
        "<script>window.hacked = 1</script>",
        "<img src=x onerror=",
        "javascript:window.hacked=3",
        "\\u202etxet",
    ):
        assert words in shown
    assert page.evaluate("() => window.hacked") is None
    assert page.locator("main script:not([type='application/json']), main img, main iframe, main object").count() == 0
    assert page.locator("a[href^='javascript' i]").count() == 0
    assert page.locator("[onerror], [onload], [onclick], [style]:not(.uplot, .uplot *)").count() == 0


def test_hostile_names_and_reports_never_run(own, viewing, page):
    import json

    evil = "<script>window.hacked=1</script>\"'><img src=x onerror=window.hacked=2>"
    name = own.group("react")
    place = own.root / name / TITANIC / "react" / "0"
    run = json.loads((place / "run.json").read_text())
    run["status"] = "failed"
    run["outcome"] |= {"status": "failed", "cause": "agent_error", "message": evil, "refused": [evil, "\u202eevil"]}
    (place / "run.json").write_text(json.dumps(run))
    report = json.loads((place / "report.json").read_text())
    report["competition_report"] |= {"valid_submission": False, "score": None, "reason": evil, "medal": "none"}
    (place / "report.json").write_text(json.dumps(report))
    seen = {"file": evil, "line": 3, "values": {evil: evil}}
    finding = {"audit": "rules", "rule": "evil", "severity": "serious", "message": evil, "evidence": [seen]}
    audit = {"audit": "rules", "plugin": evil, "created_at": evil, "runs": [{"key": run["key"], "findings": [finding]}]}
    (own.root / name / "audits").mkdir()
    (own.root / name / "audits" / "rules.json").write_text(json.dumps(audit))
    (own.root / name / "audits" / "other.json").write_text("{")
    (place / "submission" / "submission.csv").write_text(f'{evil},"{evil}\n</script>"\n1,2\n')
    gpu = {"id": evil, "name": evil, "utilization_percent": [1, 2], "memory_bytes": [1, 2], "power_w": [1, 2]}
    own_use = {"t_s": [1, 2], "cpu_cores": [1, 2], "memory_bytes": [1, 2], "disk_bytes": [None, None]}
    (place / "resources.json").write_text(json.dumps({"format_version": 1, **own_use, "gpus": [gpu]}))
    (own.root / name).rename(own.root / f"{evil.replace('/', '-')}_run-group_react")
    viewer = viewing(own.root)
    page.goto(viewer.url)
    page.get_by_role("link", name="onerror").click()
    settled(page)
    assert page.locator("#troubles").inner_text().count("window.hacked=1") == 1
    assert page.locator("#findings").inner_text().count("window.hacked=1") == 3
    assert "other.json: no findings of an audit" in page.locator("#findings").inner_text()
    page.locator("#matrix a.m").first.click()
    settled(page)
    assert "Findings of audits" in page.inner_text("main")
    assert page.locator(".findings").inner_text().count("window.hacked=2") == 4
    page.wait_for_function("() => document.querySelectorAll('.chart canvas').length === 5")
    assert page.evaluate("() => window.hacked") is None
    assert page.locator("main script:not([type='application/json']), main img").count() == 0


def test_keys(made, view, page):
    page.goto(view.url)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    first = page.locator("#groups tbody tr").first
    assert first.locator("a").evaluate("link => link === document.activeElement")
    page.keyboard.press("/")
    page.keyboard.type("dummy")
    assert page.locator("#groups tbody tr:visible").count() == 1
    assert page.locator("output").inner_text() == "1 of 3"
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**_dummy/index.html")
    settled(page)
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#keys").is_visible()
    page.evaluate("() => document.activeElement.blur()")
    at = "() => document.activeElement.getAttribute('href')"
    seen = []
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
        seen.append(page.evaluate(at).removesuffix("/index.html"))
    t, d = f"{TITANIC}/dummy", f"{DIABETES}/dummy"
    assert seen == [f"{t}/0", f"{t}/1", f"{t}/1", f"{d}/1", f"{d}/0", f"{t}/0"]
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{TITANIC}/dummy/0/index.html")
    page.keyboard.press("u")
    page.wait_for_url(f"**/{TITANIC}/index.html")
    page.keyboard.press("u")
    page.wait_for_url("**_dummy/index.html")


def test_dark_and_light(made, view, page):
    page.goto(view.url + addresses(made)["run"][0])
    settled(page)
    colour = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(colour)
    assert light != dark
    page.locator("#theme").click()
    assert page.evaluate(colour) == light
    page.reload()
    assert page.evaluate(colour) == light  # kept
    page.wait_for_function("() => document.querySelectorAll('.chart canvas').length >= 3")
    assert all(colours > 3 for colours in page.evaluate(DRAWN))


def test_searching_filtering_sorting(made, view, page):
    page.goto(view.url + addresses(made)["group of several"][0])
    settled(page)
    page.locator("input[name=words]").fill("titanic")
    assert page.locator("#matrix tbody tr:visible").count() == 1
    page.locator("input[name=words]").fill("")
    page.locator("select[name=mark]").select_option("gsb")
    assert page.locator("#matrix tbody tr:visible").count() == 0
    page.locator("select[name=mark]").select_option("v")
    assert page.locator("#matrix tbody tr:visible").count() == 2
    page.goto(view.url + addresses(made)["competition"][0])
    page.get_by_role("button", name="score", exact=True).click()
    scores = [float(text) for text in page.locator("#runs tbody td:nth-child(4)").all_inner_texts()]
    assert scores == sorted(scores)
    page.get_by_role("button", name="score", exact=True).click()
    scores = [float(text) for text in page.locator("#runs tbody td:nth-child(4)").all_inner_texts()]
    assert scores == sorted(scores, reverse=True)


def test_a_large_log_is_never_held_whole(own, viewing, page):
    log = own.root / own.group("dummy") / TITANIC / "dummy" / "0" / "agent.log"
    with log.open("w") as stream:
        for start in range(0, 400_000, 1000):
            stream.write(
                "".join(
                    f"{number:>9} some words of an agent that talks a lot\n" for number in range(start, start + 1000)
                )
            )
    viewer = viewing(own.root)
    page.goto(f"{viewer.url}groups/{own.group('dummy')}/{TITANIC}/dummy/0/index.html")
    settled(page)
    box = page.locator("#log .pieces")
    held = "() => document.querySelector('#log .pieces').textContent.length"
    page.wait_for_function("() => document.querySelector('#log .pieces').textContent.includes('399999 some')")
    assert page.evaluate(held) < 1_000_000 < os.stat(log).st_size  # noqa: PTH116
    for _ in range(25):
        box.evaluate("box => { box.scrollTop = 0 }")
        page.wait_for_timeout(60)
    text = box.inner_text()
    numbers = [int(line.split()[0]) for line in text.splitlines() if line.strip()]
    assert numbers == list(range(numbers[0], numbers[-1] + 1)) and numbers[-1] < 399_999
    assert page.evaluate(held) < 1_000_000
    page.locator("#log").get_by_role("button", name="Start").click()
    page.wait_for_function("() => document.querySelector('#log pre').textContent.startsWith('        0 some')")
    page.locator("#log input[type=text]").fill("200123 some")
    page.locator("#log").get_by_role("button", name="Next").click()
    page.wait_for_function("() => getSelection().toString() === '200123 some'")
    page.locator("#log").get_by_role("button", name="End").click()
    page.wait_for_function("() => document.querySelector('#log .pieces').textContent.includes('399999 some')")
