import json
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mleb_core.layout import CompetitionData, GroupLayout, default_data_dir, group_name, write_json, write_whole

WRITER = """
import sys
from pathlib import Path
from mleb_core.layout import write_whole
path, durable = Path(sys.argv[1]), sys.argv[2] == "durable"
print("ready", flush=True)
number = 0
while True:
    number += 1
    write_whole(path, f"{number}\\n".encode() * 20_000, durable=durable)
"""


@pytest.mark.parametrize("durable", ["durable", "quick"])
def test_a_killed_writer_leaves_the_old_or_the_new_content_whole(tmp_path: Path, durable: str):
    path = tmp_path / "state.json"
    before = 0
    write_whole(path, b"0\n" * 20_000)
    for attempt in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), durable], stdout=subprocess.PIPE, start_new_session=True
        ) as writer:
            assert writer.stdout is not None and writer.stdout.readline() == b"ready\n"
            time.sleep(0.004 * attempt)
            writer.send_signal(signal.SIGKILL)
        assert writer.returncode == -signal.SIGKILL
        lines = path.read_bytes().split(b"\n")
        assert lines.pop() == b"" and len(lines) == 20_000 and len(set(lines)) == 1
        before = max(before, int(lines[0]))
    assert before > 0  # some writer got somewhere
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith(".")) == ["state.json"]


def test_write_whole_replaces_and_leaves_nothing_beside(tmp_path: Path):
    path = tmp_path / "report.md"
    write_whole(path, "first")
    write_whole(path, "second, ü")
    assert path.read_text(encoding="utf-8") == "second, ü"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [p.name for p in tmp_path.iterdir()] == ["report.md"]


def test_readers_never_see_a_part(tmp_path: Path):
    path = tmp_path / "state.json"
    write_whole(path, b"0\n" * 20_000)
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path), "quick"], stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout is not None and writer.stdout.readline() == b"ready\n"
            seen = set()
            for _ in range(300):
                lines = path.read_bytes().split(b"\n")[:-1]
                assert len(lines) == 20_000 and len(set(lines)) == 1
                seen.add(lines[0])
        finally:
            writer.kill()
    assert seen


def test_a_write_that_fails_keeps_the_old_content_and_cleans_up(tmp_path: Path):
    path = tmp_path / "run.json"
    write_whole(path, "old")
    program = (
        "import resource, sys; from pathlib import Path; from mleb_core.layout import write_whole\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_whole(Path(sys.argv[1]), b'x' * 100_000)\n"
        "except OSError as error: print(error.filename, error.strerror)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert done.stdout == f"{path} File too large\n"
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000  # the limit was the child's alone


def test_writing_into_a_directory_that_is_not_there(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "absent" / "file", "text")


def test_a_directory_in_the_way_is_an_error_and_stays(tmp_path: Path):
    (tmp_path / "report.json").mkdir()
    with pytest.raises(OSError, match=r"report\.json"):
        write_whole(tmp_path / "report.json", "text")
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_write_json_is_readable_by_people_and_machines(tmp_path: Path):
    write_json(tmp_path / "a.json", {"ü": [1, None]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"ü": [1, None]}
    assert text == '{\n  "ü": [\n    1,\n    null\n  ]\n}\n'


def test_editions_share_raw_and_leaderboard_but_not_what_is_prepared(tmp_path: Path):
    first, second = CompetitionData.of(tmp_path, "iris"), CompetitionData.of(tmp_path, "iris@2")
    assert first.raw == second.raw == tmp_path / "iris/raw"
    assert first.leaderboard == second.leaderboard == tmp_path / "iris/leaderboard.csv"
    assert first.public == tmp_path / "iris/prepared/public"
    assert second.private == tmp_path / "iris@2/prepared/private"
    assert second.manifest == tmp_path / "iris@2/prepared.json"


def test_runs_of_a_group_have_places_of_their_own(tmp_path: Path):
    layout = GroupLayout(tmp_path)
    asked = [
        (competition, agent, seed)
        for competition in ("iris", "iris@2")
        for agent in ("aide", "aide/o1-preview", "aide/o1")
        for seed in (0, 1, 10)
    ]
    places = [layout.run(*key) for key in asked]
    assert len({place.root for place in places}) == len(asked)
    assert places[3].root == tmp_path / "iris/aide__o1-preview/0"
    assert list(layout.runs()) == []
    for place in places:
        place.root.mkdir(parents=True)
        place.run.write_text("{}")
    (tmp_path / "iris/aide/5").mkdir()  # a directory without run.json is no run
    assert {place.root for place in layout.runs()} == {place.root for place in places}


def test_two_agents_never_share_a_directory(tmp_path: Path):
    layout = GroupLayout(tmp_path)
    words = ["a", "a_", "_a", "a__a", "a_a", "a___a", "_", "__"]
    agents = [*words, *(f"{scaffold}/{variant}" for scaffold in words for variant in words)]
    assert len({layout.run("iris", agent, 0).root for agent in agents}) == len(agents)
    assert layout.run("iris", "aide/gpt_4", 0).root == tmp_path / "iris/aide__gpt_4/0"


def test_group_names_are_as_published_runs_have_them():
    assert group_name("aide/o1", "2026-01-31T12:00:00+00:00") == "2026-01-31T12-00-00_run-group_aide__o1"
    assert group_name("dummy", "2026-01-31T12:00:00.123+00:00") == "2026-01-31T12-00-00_run-group_dummy"
    assert group_name("dummy", "2026-01-31T12:00:00Z") == "2026-01-31T12-00-00_run-group_dummy"


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"MLEB_DATA_DIR": "/somewhere"}, "/somewhere"),
        ({"XDG_DATA_HOME": "/xdg"}, "/xdg/mleb/data"),
        ({"HOME": "/home/me"}, "/home/me/.local/share/mleb/data"),
        ({"HOME": "/home/me", "MLEB_DATA_DIR": "~/data"}, "/home/me/data"),
    ],
)
def test_default_data_dir(env, expected):
    program = "from mleb_core.layout import default_data_dir; print(default_data_dir())"
    clean = {name: value for name, value in os.environ.items() if name not in ("MLEB_DATA_DIR", "XDG_DATA_HOME")}
    done = subprocess.run([sys.executable, "-c", program], env=clean | env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected
    assert default_data_dir().is_absolute()
