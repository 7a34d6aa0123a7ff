"""`mleb view --export`: files that open from disk."""

import json
import shutil

import pytest

TITANIC, DIABETES = "titanic-survival", "diabetes-progression"


@pytest.fixture(scope="module")
def site(made, tmp_path_factory):
    target = tmp_path_factory.mktemp("export") / "the site"
    result = made.mleb("view", made.root, "--export", target, "--json")
    assert result.returncode == 0, result.stderr
    # the list, 3 groups, 4 competitions of groups, 7 runs, 3 comparisons and their list
    assert json.loads(result.stdout) == {"directory": str(target), "pages": 19}
    return target


def test_all_pages_are_there_and_no_link_is_dead(made, site):
    import re
    from html import unescape
    from urllib.parse import unquote, urldefrag

    pages = sorted(site.rglob("*.html"))
    assert len(pages) == 19
    for page in pages:
        for link in re.findall(r'(?:href|src)="([^"]*)"', page.read_text()):
            path = unquote(urldefrag(unescape(link)).url)
            assert not path.startswith(("http", "/")), link
            assert (page.parent / path).exists() or not path, f"{page}: {link}"


def test_export_opens_from_disk(made, site, page):
    page.goto((site / "index.html").as_uri())
    page.get_by_role("link", name=made.group("baseline")).click()
    assert "pass@k" in page.inner_text("#figures")
    page.wait_for_selector(".chart canvas")
    page.locator("#matrix a.m").first.click()
    page.wait_for_function("() => document.querySelectorAll('.chart canvas').length >= 3")
    assert "handed in" in page.inner_text("#log")
    assert "The chain holds" in page.inner_text("#ledger")
    page.keyboard.press("u")
    page.wait_for_selector(".chart canvas")
    page.goto((site / "groups" / made.group("react") / TITANIC / "react" / "0" / "index.html").as_uri())
    assert page.locator("#talk article").count() == 5
    page.locator("button.file", has_text="page.html").click()
    assert "<script>window.hacked = 5</script>" in page.inner_text("#file")
    assert page.evaluate("() => window.hacked") is None
    page.goto((site / "compare" / "index.html").as_uri())
    page.locator(".links a").first.click()
    assert "A − B" in page.inner_text("main")


def test_logs_are_cut_in_the_middle_and_that_is_said(own, tmp_path, page):
    log = own.root / own.group("dummy") / TITANIC / "dummy" / "0" / "agent.log"
    log.write_text("".join(f"{number:>9} words\n" for number in range(100_000)))
    short = own.root / own.group("dummy") / TITANIC / "dummy" / "1" / "agent.log"
    short.write_text("".join(f"{number:>9} words\n" for number in range(12_000)))
    site = tmp_path / "site"
    assert own.mleb("view", own.root / own.group("dummy"), "--export", site).returncode == 0
    here = site / "groups" / own.group("dummy") / TITANIC / "dummy"
    page.goto((here / "0" / "index.html").as_uri())
    text = page.inner_text("#log")
    assert "0 words" in text and "99999 words" in text and "50000 words" not in text
    assert "bytes are left out here; this is an export" in text
    page.goto((here / "1" / "index.html").as_uri())
    numbers = [int(line.split()[0]) for line in page.inner_text("#log .pieces").splitlines() if line.strip()]
    assert numbers == list(range(12_000))


def test_an_export_is_replaced_and_nothing_else_is(made, tmp_path):
    target = tmp_path / "site"
    one = made.root / made.group("dummy")
    for _ in range(2):
        result = made.mleb("view", one, "--export", target)
        assert result.returncode == 0 and result.stdout.startswith("9 pages in "), result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    result = made.mleb("view", one, "--export", other)
    assert result.returncode == 2 and "is no export of mleb's" in result.stderr and len(result.stderr.splitlines()) == 1
    assert [path.name for path in other.iterdir()] == ["mine.txt"]


def test_damage_does_not_stop_an_export(own, tmp_path):
    dummy = own.root / own.group("dummy")
    (dummy / TITANIC / "dummy" / "0" / "run.json").write_text("{")
    (dummy / TITANIC / "dummy" / "1" / "agent.log").unlink()
    (dummy / DIABETES / "dummy" / "0" / "ledger.jsonl").write_bytes(b"\xff\xfe")
    (own.root / "foreign").mkdir()
    for agent in ("baseline", "react"):
        shutil.rmtree(own.root / own.group(agent))
    result = own.mleb("view", own.root, "--export", tmp_path / "site")
    assert result.returncode == 0, result.stderr
    page = tmp_path / "site" / "groups" / own.group("dummy") / TITANIC / "dummy" / "0" / "index.html"
    assert "not whole JSON" in page.read_text()
    assert "no run group" in (tmp_path / "site" / "index.html").read_text()
