"""The viewer over HTTP, as a process of its own: pages, guards, what changes, how it ends."""

import json
import shutil
import signal
import socket
import subprocess
from urllib.parse import quote

import pytest
from viewer_places import DIABETES, TITANIC, run_of


def test_pages_are_there(made, view):
    index = view.text("/")
    assert all(made.group(agent) in index for agent in ("dummy", "baseline", "react"))
    group = view.text(f"/groups/{made.group('dummy')}/index.html")
    assert TITANIC in group and DIABETES in group and group.count('class="m v"') >= 4
    assert "reference models" in view.text(f"/groups/{made.group('dummy')}/{TITANIC}/index.html")
    run = view.text(run_of(made, "baseline") + "/index.html")
    assert "Score over time" in run and '"lines":[{"name":"gold"' in run and "Processor" in run
    assert "Compare two agents" in view.text("/compare/index.html")


def test_figures_are_those_of_the_report(made, view):
    report = json.loads(made.mleb("report", made.root / made.group("baseline"), "--json").stdout)
    (agent,) = report["agents"]
    shown = view.text(f"/groups/{made.group('baseline')}/figures.html")
    estimate = agent["any_medal_percentage"]
    assert f"<strong>{estimate['mean']:.1f}</strong> ± {estimate['standard_error']:.1f}" in shown
    assert f"{estimate['interval'][0]:.1f} to {estimate['interval'][1]:.1f}" in shown
    assert f"2 verdicts, 2 times, {report['figures'][0]['cost']['runs_with_usage']} costs of 2 runs" in shown
    live = view.data(f"/groups/{made.group('baseline')}/live.json")
    assert live["counts"]["medals"] == report["counts"]["medals"]
    assert live["counts"]["graded"] == report["counts"]["graded"] == 2
    scores = {run["competition_report"]["score"] for run in report["runs"]}
    assert set(live["scores"]) == scores


def test_two_agents_are_compared_as_by_the_command(made, view):
    groups = [made.group("baseline"), made.group("dummy")]
    compared = json.loads(made.mleb("compare", *(made.root / group for group in groups), "--json").stdout)
    page = view.text(f"/compare/index.html?a={quote(groups[0] + '|baseline')}&b={quote(groups[1] + '|dummy')}")
    assert f"{compared['difference']:+.1f} points" in page and f"p = {compared['p_value']:.3g}" in page
    assert DIABETES in page  # only the dummy was asked for it
    assert "not there (any more)" in view.text("/compare/index.html?a=nothing&b=nothing")


def test_an_answer_that_the_page_has_is_not_sent_again(made, view):
    path = f"/groups/{made.group('dummy')}/live.json"
    status, headers, _ = view.ask(path)
    assert status == 200
    again, _, body = view.ask(path, {"If-None-Match": headers["etag"]})
    assert (again, body) == (304, b"")


def test_headers_forbid_all_scripts_but_ours(made, view):
    for path in ("/", run_of(made, "react") + "/index.html", "/static/core.js", "/nothing", "/live.json"):
        _, headers, _ = view.ask(path)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "169.254.1.1", ""])
def test_other_host_names_are_refused(view, host):
    status, _, body = view.ask("/", {"Host": host})
    assert status == 421 and b"<" not in body
    for good in (f"127.0.0.1:{view.port}", "localhost:1234", "LOCALHOST", "[::1]:5"):
        assert view.ask("/live.json", {"Host": good})[0] == 200


def test_nothing_can_be_changed(view):
    for method in ("POST", "PUT", "DELETE"):
        assert view.ask("/", method=method)[0] == 405


NAMES = (
    "../0/agent.log", "code/../../../../../../../../etc/passwd", "/etc/passwd", "code/%00", "work/x", "group.json",
    "code//etc/passwd", "code/passwd.txt", "..", "", "code", "code/.",
)  # fmt: skip


def test_no_path_leads_out_of_a_run(own, viewing):
    run = own.root / own.group("react") / TITANIC / "react" / "0"
    (run / "code" / "passwd.txt").symlink_to("/etc/passwd")  # as a foreign archive may bring
    viewer = viewing(own.root)
    for name in NAMES:
        for address in ("text.json", "raw"):
            status, _, body = viewer.ask(f"{run_of(own, 'react')}/{address}?file={quote(name, safe='/%')}")
            assert b"root:" not in body, name
            assert status in (400, 404) or "problem" in json.loads(body), name


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/groups/..%2f..",
        "/groups/../../etc/passwd",
        "/groups/%2e%2e/index.html",
    ],
)
def test_addresses_lead_nowhere_else(view, path):
    status, _, body = view.ask(path)
    assert status == 404 and b"root:" not in body and b"import" not in body


def test_links_in_place_of_directories_are_not_followed(own, viewing, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "agent.log").write_text("the secret")
    (secret / "note.txt").write_text("the secret")
    run = own.root / own.group("react") / TITANIC / "react" / "0"
    (run / "agent.log").unlink()
    (run / "agent.log").symlink_to(secret / "agent.log")
    (run / "code").rename(run / "old")
    (run / "code").symlink_to(secret)
    other = own.root / own.group("dummy") / TITANIC / "dummy"
    (other / "1").rename(tmp_path / "moved")
    (other / "1").symlink_to(tmp_path / "moved")
    viewer = viewing(own.root)
    here = run_of(own, "react")
    assert "link" in viewer.data(f"{here}/text.json?file=agent.log")["problem"]
    for path in (f"{here}/text.json?file=code/note.txt", f"{here}/raw?file=code/note.txt", f"{here}/index.html"):
        assert b"the secret" not in viewer.ask(path)[2]
    live = viewer.data(f"/groups/{own.group('dummy')}/live.json")
    assert live["marks"].count("p") == 1  # what is behind a link is not there


def test_files_of_agents_are_never_active(made, view):
    for name in ("code/page.html", "code/a.svg", "code/note.ipynb"):
        status, headers, body = view.ask(f"{run_of(made, 'react')}/raw?file={name}")
        assert status == 200 and b"window.hacked" in body
        assert headers["content-type"] == "application/octet-stream"
        assert headers["content-disposition"].startswith("attachment")
        assert "sandbox" in headers["content-security-policy"]


def test_texts_of_agents_stand_escaped_and_visible(made, view):
    here = run_of(made, "react")
    page = view.text(f"{here}/index.html")
    assert "<script>window" not in page and "<img src=x" not in page
    log = view.data(f"{here}/text.json")["text"]
    assert "red  end" in log and "\x1b" not in log and "\u202e" not in log and "\\u202etxet" in log
    assert "bad \ufffd\ufffd utf-8" in log
    raw = view.text(f"{here}/transcript.json")
    assert "<" not in raw  # JSON with escapes, should anything ever take it for a page


def test_a_transcript_is_a_conversation(made, view):
    here = run_of(made, "react")
    found = view.data(f"{here}/transcript.json")
    assert (found["total"], len(found["items"])) == (5, 5)
    first, second = found["items"][:2]
    assert [part["role"] for part in first["parts"]] == ["system", "user"]
    assert first["reply"][0]["role"] == "assistant" and first["tokens"]["input"] == 1200
    assert second["known"] == 3 and [part["role"] for part in second["parts"]] == ["user"]  # what it said is known
    last = view.data(f"{here}/transcript.json?last&count=2")
    assert last["first"] == 3 and last["items"][-1]["reply"][0]["text"] == "DONE"
    assert last["items"][0]["known"] == found["items"][3]["known"]


def test_a_ledger_holds_or_not(own, viewing):
    viewer = viewing(own.root)
    here = run_of(own, "react")
    found = viewer.data(f"{here}/ledger.json")
    assert found["problems"] == [] and found["kinds"]["gateway"] == 5
    assert {entry["kind"] for entry in viewer.data(f"{here}/ledger.json?kind=gateway")["entries"]} == {"gateway"}
    path = own.root / own.group("react") / TITANIC / "react" / "0" / "ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"status":"finished"', b'"status":"timed_out"'))
    assert viewer.data(f"{here}/ledger.json")["problems"]


def test_a_log_is_read_by_its_bytes(own, viewing):
    path = own.root / own.group("dummy") / TITANIC / "dummy" / "0" / "agent.log"
    lines = [f"line {number} é\n" for number in range(60_000)]
    path.write_text("".join(lines), encoding="utf-8")
    viewer = viewing(own.root)
    here = run_of(own, "dummy") + "/text.json"
    tail = viewer.data(f"{here}?length=1000")
    assert tail["end"] == tail["size"] == path.stat().st_size and tail["text"].endswith(lines[-1])
    assert tail["text"].startswith("line ")
    seen, at = tail["text"], tail["start"]
    for _ in range(3):
        piece = viewer.data(f"{here}?end={at}&length=1000")
        assert piece["end"] == at
        seen, at = piece["text"] + seen, piece["start"]
    assert seen == "".join(lines)[-len(seen) :]
    start = viewer.data(f"{here}?start=0&length=1000")
    following = viewer.data(f"{here}?start={start['end']}&length=1000")
    assert "".join(lines).startswith(start["text"] + following["text"])
    at = viewer.data(f"{here}?find={quote('LINE 31337 ')}")["found"]
    assert path.read_bytes()[at:].startswith(b"line 31337 ")
    assert viewer.data(f"{here}?find=nowhere")["found"] is None
    path.write_bytes("é".encode() * 100_000)  # one line, longer than a piece
    pieces = [viewer.data(f"{here}?start={start}&length=1001") for start in (0, 1000, 2000)]
    assert all(set(piece["text"]) == {"é"} for piece in pieces)


def test_a_download_is_the_file(own, viewing):
    run = own.root / own.group("dummy") / TITANIC / "dummy" / "0"
    content = b"x" * 3_000_000 + b"\n" * 300_000  # a line without an end, and very many
    (run / "agent.log").write_bytes(content)
    status, headers, body = viewing(own.root).ask(f"{run_of(own, 'dummy')}/raw?file=agent.log")
    assert (status, body == content, headers["content-type"]) == (200, True, "application/octet-stream")


def test_what_changes_and_vanishes_is_seen(own, viewing, until):
    viewer = viewing(own.root)
    name = own.group("dummy")
    path = f"/groups/{name}/live.json"
    before = viewer.data(path)
    assert before["marks"] == "vvvv" and before["state"] == "complete"
    report = own.root / name / TITANIC / "dummy" / "0" / "report.json"
    document = json.loads(report.read_text())
    document["competition_report"] |= {"score": 0.99, "medal": "gold", "any_medal": True, "gold_medal": True}
    report.write_text(json.dumps(document))
    until(lambda: viewer.data(path)["marks"] == "gvvv")
    assert viewer.data(path)["scores"][0] == 0.99
    shutil.rmtree(own.root / name / DIABETES)
    until(lambda: viewer.data(path)["marks"] == "gvpp")
    shutil.rmtree(own.root / name)
    until(lambda: viewer.ask(path)[0] == 404)
    assert name not in viewer.text("/")


def test_snapshots_that_are_graded_later_are_seen(own, viewing, until):
    name = own.group("baseline")
    graded = own.root / name / TITANIC / "baseline" / "0" / "snapshot_scores.json"
    scored = json.loads(graded.read_text())
    other = graded.parents[1] / "1" / graded.name
    graded.unlink()
    other.unlink(missing_ok=True)
    viewer = viewing(own.root)
    assert "medal over time" not in viewer.text(f"/groups/{name}/figures.html")
    graded.write_text(json.dumps(scored))
    until(lambda: "medal over time" in viewer.text(f"/groups/{name}/figures.html"))


def test_one_group_alone_is_shown(made, viewing):
    name = made.group("dummy")
    viewer = viewing(made.root / name)
    assert name in viewer.text("/") and made.group("react") not in viewer.text("/")
    assert viewer.ask(f"/groups/{name}/index.html")[0] == 200


def test_a_directory_without_groups_waits_for_some(tmp_path, viewing):
    (tmp_path / "runs").mkdir()
    assert "No run groups in" in viewing(tmp_path / "runs").text("/")


def test_ctrl_c_ends_it_cleanly(made, viewing):
    viewer = viewing(made.root)
    assert viewer.ask("/")[0] == 200
    viewer.process.send_signal(signal.SIGINT)
    out, err = viewer.process.communicate(timeout=60)
    assert (viewer.process.returncode, out, err) == (0, "", "")


def test_errors_are_one_line(made, tmp_path):
    result = made.mleb("view", tmp_path / "nowhere")
    assert result.returncode == 2 and "no such directory" in result.stderr and len(result.stderr.splitlines()) == 1
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = made.mleb("view", made.root, "--port", port, "--json")
    assert result.returncode == 2 and result.stderr.startswith(f"Error: port {port} is in use; ")
    assert len(result.stderr.splitlines()) == 1 and json.loads(result.stdout)["error"]["type"] == "UsageError"


def test_what_is_lacking_is_told_with_how_to_install_it(made, tmp_path):
    code = (
        "import sys; sys.modules['jinja2'] = None; import importlib.util as u; find = u.find_spec;"
        "u.find_spec = lambda name, *more: None if name == 'jinja2' else find(name, *more);"
        "import mleb.app; sys.exit(mleb.app.main(['view', sys.argv[1]]))"
    )
    import sys

    result = subprocess.run([sys.executable, "-c", code, made.root], capture_output=True, text=True, env=made.env)
    assert (result.returncode, result.stderr) == (1, "Error: mleb view needs jinja2: pip install 'mleb[view]'\n")


def test_results_of_another_harness_are_shown(made, tmp_path, viewing):
    report = made.root / made.group("react") / "grading_report.json"
    result = made.mleb("import", report, "--agent", "other", "--output", tmp_path / "runs")
    assert result.returncode == 0, result.stderr
    viewer = viewing(tmp_path / "runs")
    (group,) = viewer.data("/live.json")["groups"]
    assert "imported" in viewer.text("/") and str(report) in viewer.text(f"/groups/{group}/index.html")
    here = f"/groups/{group}/{TITANIC}/other/0"
    assert "score" in viewer.text(f"{here}/index.html")
    for part in ("text.json", "transcript.json", "ledger.json"):
        assert viewer.data(f"{here}/{part}")["missing"] is True


def test_a_competition_that_is_not_installed_is_shown_by_its_reports(own, viewing):
    group = own.root / own.group("baseline")
    (group / TITANIC).rename(group / "not-here")
    for path in (group / "group.json", *group.glob("*/*/*/*.json")):
        path.write_text(path.read_text().replace(TITANIC, "not-here"))
    viewer = viewing(own.root)
    here = f"/groups/{own.group('baseline')}/not-here/index.html"
    page = viewer.text(here)
    assert "only the runs" in page and '"counts":[0]' in page and '{"name":"gold","at":' in page
    assert "reference models, not of people" in page
    for path in group.glob("*/*/*/report.json"):
        path.unlink()
    assert "only the runs" in viewer.text(here)


def test_files_of_any_name_are_shown_or_refused(own, viewing):
    code = own.root / own.group("react") / TITANIC / "react" / "0" / "code"
    for name in ("\u202egpj.py", "a%2fb #?&.py", "é\u200d.py"):
        (code / name).write_text("here it is")
    (code / b"\xff.py".decode("utf-8", "surrogateescape")).write_text("not this")
    viewer = viewing(own.root)
    here = run_of(own, "react")
    page = viewer.text(f"{here}/index.html")
    assert "\u202e" not in page and "\\u202egpj.py" in page
    assert "code/\\udcff.py: its name is not UTF-8, not shown" in page
    for name in ("\u202egpj.py", "a%2fb #?&.py", "é\u200d.py"):
        path = quote(f"code/{name}", safe="")
        assert f'data-path="{path}"' in page
        assert viewer.data(f"{here}/text.json?file={path}")["text"] == "here it is"
        assert viewer.ask(f"{here}/raw?file={path}")[2] == b"here it is"
    assert viewer.ask(f"{here}/raw?file=code/%FF.py")[0] == 404


def test_leaderboards_may_lie_elsewhere(own, viewing, tmp_path):
    (tmp_path / "data" / TITANIC).mkdir(parents=True)
    (tmp_path / "data" / TITANIC / "leaderboard.csv").write_text("score\n" + "0.5\n0.75\n" * 30)
    here = f"/groups/{own.group('dummy')}/{TITANIC}/index.html"
    assert "How the 60 scores" in viewing(own.root, "--data-dir", tmp_path / "data").text(here)
    viewer = viewing(own.root, "--data-dir", tmp_path / "nothing")
    assert "How the 184 scores" in viewer.text(here)
