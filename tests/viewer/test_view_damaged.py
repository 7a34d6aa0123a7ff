"""What is damaged, foreign or beyond all sense is shown as such by the viewer, and costs its part only."""

import json
import os

from viewer_places import DIABETES, TITANIC, run_of


def damage(root, own):
    """Every sort of damage, each in a place of its own."""
    dummy = root / own.group("dummy")
    (dummy / TITANIC / "dummy" / "0" / "run.json").write_text('{"format_version": 1, "key": {"compe')
    (dummy / TITANIC / "dummy" / "1" / "report.json").write_text('{"format_version": 99}')
    (dummy / DIABETES / "dummy" / "0" / "report.json").unlink()
    other = dummy / DIABETES / "dummy" / "1"
    (other / "run.json").write_text((dummy / DIABETES / "dummy" / "0" / "run.json").read_text())
    for name in ("usage.json", "resources.json", "events.jsonl", "ledger.jsonl", "transcript.jsonl"):
        (other / name).write_bytes(b'\xff{"format_version": [')
    (other / "snapshots" / "snapshots.jsonl").write_text("[]\nnothing\n{}\n")
    (other / "snapshot_scores.json").write_text("{}")
    (other / "submission" / "submission.csv").write_bytes(b'"\x00\xff\n"' * 50)
    (root / "foreign" / "deep").mkdir(parents=True)
    (root / "empty-group").mkdir()
    (root / "empty-group" / "group.json").write_text("")
    (root / "later").mkdir()
    (root / "later" / "group.json").write_text('{"format_version": 7}')
    (root / "pipe").mkdir()
    os.mkfifo(root / "pipe" / "group.json")
    (root / "a file").write_text("")


def test_what_is_damaged_is_shown_as_such(own, viewing):
    damage(own.root, own)
    viewer = viewing(own.root)
    index = viewer.text("/")
    for name, why in (
        ("foreign", "no run group"),
        ("empty-group", "the file is empty"),
        ("later", "format_version is 7"),
        ("pipe", "no plain file"),
    ):
        assert name in index and why in index
    name = own.group("dummy")
    group = viewer.text(f"/groups/{name}/index.html")
    for why in ("not whole JSON", "format_version is 99", "report.json is missing", "that of another run"):
        assert why in group
    assert viewer.data(f"/groups/{name}/live.json")["marks"].count("d") == 4
    assert "What cannot be read: 6 files" in viewer.text(f"/groups/{name}/figures.html")
    for competition in (TITANIC, DIABETES):
        assert viewer.ask(f"/groups/{name}/{competition}/index.html")[0] == 200
        for seed in (0, 1):
            here = f"/groups/{name}/{competition}/dummy/{seed}"
            assert viewer.ask(f"{here}/index.html")[0] == 200
            for part in ("text.json", "transcript.json", "ledger.json", "live.json", "head.html", "files.html"):
                assert viewer.ask(f"{here}/{part}")[0] == 200, part
    for path in ("/groups/later/index.html", "/groups/foreign/", f"/groups/{name}/{TITANIC}/dummy/7/index.html"):
        status, _, body = viewer.ask(path)
        assert status == 404 and b"Traceback" not in body
    assert viewer.process.poll() is None


def test_numbers_and_depths_beyond_all_sense_cost_their_part_only(own, viewing):
    huge, deep = "1" + "0" * 400, "[" * 600 + '"hi"' + "]" * 600
    dummy = own.root / own.group("dummy") / TITANIC / "dummy"
    state = json.loads((dummy / "0" / "run.json").read_text())
    state["outcome"]["runtime_s"] = "HUGE"
    (dummy / "0" / "run.json").write_text(json.dumps(state).replace('"HUGE"', huge))
    series = '"t_s":[0],"cpu_cores":[%s],"memory_bytes":[1],"disk_bytes":[1],"gpus":[]'
    (dummy / "0" / "resources.json").write_text("{" + series % huge + "}")
    snapshot = '{"elapsed_s":1,"time":"","bytes":Infinity,"file":null,"sha256":""}\n'
    (dummy / "0" / "snapshots" / "snapshots.jsonl").write_text(snapshot)
    said = '{"request":{"messages":[{"role":"user","content":%s}]},"reply":null}\n'
    counted = '{"tokens":%s,"request":null,"reply":{"content":"still here"}}\n'
    (dummy / "0" / "transcript.jsonl").write_text(said % deep + counted % deep)
    (dummy / "0" / "events.jsonl").write_text('{"time":"","event":"deep","x":' + deep + "}\n")
    viewer = viewing(own.root)
    name = own.group("dummy")
    assert name in viewer.text("/") and "run.json cannot be read" in viewer.text(f"/groups/{name}/troubles.html")
    page = viewer.text(run_of(own, "dummy") + "/index.html")
    assert "nested too deeply" in page and "it is not as mleb writes it" in page
    first, second = viewer.data(run_of(own, "dummy") + "/transcript.json")["items"]
    assert "no exchange" in first["problem"] and second["reply"][0]["text"] == "still here"
    assert viewer.process.poll() is None
