"""`mleb prepare` of competitions that come from Kaggle: a server on loopback, real processes."""

import hashlib
import importlib.util
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest


def load(name: str, path: Path) -> Any:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


CORE = Path(__file__).parents[1] / "core"
server = load("kaggle_server", CORE / "kaggle" / "kaggle_server.py")
folders = load("prepare_conftest", CORE / "prepare" / "conftest.py")
SCORES = [0.95] * 9 + [0.9] + [0.85] * 9 + [0.8] + [0.75] * 19 + [0.7] + [0.6] * 9 + [0.5] * 51
TOYS = ("toy-a", "toy-b", "toy-c")
FILLER = os.urandom(3_000_000)


@pytest.fixture
def kaggle(mleb, tmp_path):
    """The server with three competitions, a plugin that has them, and credentials in the command's home."""
    plugin = tmp_path / "plugin"
    record = plugin / "mleb_toys-1.0.dist-info"
    record.mkdir(parents=True)
    (record / "METADATA").write_text("Name: mleb-toys\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text("[mleb]\ntoys = mleb_toys\n")
    (plugin / "mleb_toys.py").write_text(
        "from pathlib import Path\nfrom mleb_core import competitions_in, hookimpl\n\n@hookimpl\n"
        "def mleb_register_competitions():\n    return competitions_in(Path(__file__).parent / 'toys')\n"
    )
    with server.KaggleServer() as kaggle:
        for id in TOYS:
            archive = server.packed({"train.csv": folders.TABLE.encode(), "filler.bin": FILLER + id.encode()})
            kaggle.competitions[id] = server.Entry(archive, server.board(SCORES))
            folder = plugin / "toys" / id
            folder.mkdir(parents=True)
            text = folders.FACTS.format(id=id, kind="kaggle", version=1).replace("version = 1", 'splits = ["toys"]')
            sums = f'\n[checksums]\nzip = "{hashlib.md5(archive).hexdigest()}"\n'
            (folder / "competition.toml").write_text(text + folders.RECIPE + sums)
            (folder / "description.md").write_text("# Toy\n")
        proxies = {name for name in mleb.env if name.lower().endswith("_proxy")}
        for name in proxies:
            del mleb.env[name]
        mleb.env |= {
            "PYTHONPATH": str(plugin),
            "PYTHONDONTWRITEBYTECODE": "1",
            "MLEB_KAGGLE_ENDPOINT": kaggle.endpoint,
            "MLEB_DATA_DIR": str(tmp_path / "data"),
        }
        credentials = Path(mleb.env["HOME"], ".kaggle")
        credentials.mkdir()
        (credentials / "access_token").write_text(server.TOKEN)
        yield kaggle
        assert kaggle.leaked == []


def whole(data: Path, id: str) -> bool:
    """Whether a competition is all there, and nothing half made beside it."""
    names = {path.name for path in (data / id).iterdir()}
    return names == {"raw", "prepared", "prepared.json", "leaderboard.csv", ".prepare.lock", ".download.lock"}


def test_a_split_is_downloaded_prepared_and_done(mleb, kaggle, tmp_path):
    first = mleb("prepare", "--split", "toys", "--json")
    assert first.returncode == 0, first.stderr
    assert [(r["competition"], r["prepared"], r["error"]) for r in json.loads(first.stdout)] == [
        (id, True, None) for id in TOYS
    ]
    for id in TOYS:
        assert whole(tmp_path / "data", id)
        assert (tmp_path / "data" / id / "raw/filler.bin").stat().st_size == len(FILLER) + len(id)
        assert len((tmp_path / "data" / id / "leaderboard.csv").read_text().splitlines()) == 101
        assert f"{id}: downloading, " in first.stderr and " of 3.0 MB" in first.stderr
    assert server.TOKEN not in first.stderr
    asked = len(kaggle.log)
    second = mleb("prepare", "--split", "toys")
    assert second.returncode == 0
    assert len(kaggle.log) == asked


def test_what_is_missing_is_told_before_anything_is_downloaded_and_the_rest_goes_on(mleb, kaggle, tmp_path):
    kaggle.competitions["toy-a"].rules = False
    del kaggle.competitions["toy-c"]
    first = mleb("prepare", *TOYS, "--json")
    assert first.returncode == 1
    results = {result["competition"]: result for result in json.loads(first.stdout)}
    assert [results[id]["prepared"] for id in TOYS] == [False, True, False]
    assert "accept them at https://www.kaggle.com/c/toy-a/rules" in results["toy-a"]["error"]
    assert "Kaggle has no such competition" in results["toy-c"]["error"]
    lines = first.stderr.splitlines()
    told = [i for i, line in enumerate(lines) if line.startswith("Error: toy-")]
    assert len(told) == 2  # once each
    assert max(told) < min(i for i, line in enumerate(lines) if "downloading" in line)
    assert "2 of 3 competitions could not be prepared: toy-a, toy-c" in lines[-1]
    probes = [i for i, line in enumerate(kaggle.log) if line.startswith("DownloadDataFiles")]
    assert len(probes) == 4  # three at once, then the one download

    kaggle.competitions["toy-a"].rules = True
    before = len(kaggle.log)
    second = mleb("prepare", "-c", "toy-a", "-c", "toy-b")
    assert second.returncode == 0, second.stderr
    assert not [line for line in kaggle.log[before:] if "toy-b" in line]
    assert whole(tmp_path / "data", "toy-a") and whole(tmp_path / "data", "toy-b")


def test_no_credentials_is_told_once_and_other_sources_go_on(mleb, kaggle, tmp_path):
    shutil.rmtree(Path(mleb.env["HOME"], ".kaggle"))
    result = mleb("prepare", *TOYS, "diabetes-progression")
    assert result.returncode == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error:")]
    assert line.startswith("Error: no Kaggle credentials: make a token at https://www.kaggle.com/settings")
    assert line.endswith("(for toy-a, toy-b, toy-c)")
    assert result.stdout.startswith("diabetes-progression  ")
    assert kaggle.log == []


def test_wrong_credentials_are_told_once(mleb, kaggle):
    result = mleb("prepare", *TOYS, env={"KAGGLE_API_TOKEN": "expired"})
    assert result.returncode == 1
    assert len([line for line in result.stderr.splitlines() if line.startswith("Error:")]) == 1
    assert "Error: Kaggle refuses the credentials in KAGGLE_API_TOKEN" in result.stderr
    assert kaggle.asked("file") == []


def test_space_that_does_not_do_is_told_before_anything_is_downloaded(mleb, kaggle, tmp_path):
    kaggle.competitions["toy-b"].claimed = 10**18
    result = mleb("prepare", *TOYS)
    assert result.returncode == 1
    assert "Error: 3 downloads of 1000000.0 TB need at least 2000000.0 TB in" in result.stderr
    assert "choose another --data-dir, or ask for fewer (for toy-a, toy-b, toy-c)" in result.stderr
    assert not (tmp_path / "data").exists()


def test_one_that_fails_on_its_way_stops_no_other_and_goes_on_later(mleb, kaggle, tmp_path):
    cut = [None, server.Cut(1_500_000), *[server.Status(503)] * 30]
    kaggle.script("toy-b", "file", *cut)
    kaggle.script("toy-c", "file", None, server.Cut(2_000_000), server.Status(429), server.Status(500))
    first = mleb("prepare", "--split", "toys")
    assert first.returncode == 1
    (line,) = [line for line in first.stderr.splitlines() if line.startswith("Error:")]
    assert line.startswith("Error: toy-b: 127.0.0.1:") and line.endswith("(5 tries); run it again later")
    assert whole(tmp_path / "data", "toy-a") and whole(tmp_path / "data", "toy-c")
    assert not (tmp_path / "data/toy-b/raw").exists()
    assert (tmp_path / "data/toy-b/.download/toy-b.zip.part").stat().st_size == 1_500_000
    kaggle._scripts.clear()
    second = mleb("prepare", "--split", "toys")
    assert second.returncode == 0, second.stderr
    assert kaggle.asked("file toy-b")[-1] == "file toy-b bytes=1500000-"
    assert whole(tmp_path / "data", "toy-b")


def test_a_wrong_checksum_is_refused_and_can_be_taken_without_another_download(mleb, kaggle, tmp_path):
    kaggle.competitions["toy-a"].archive = server.packed({"train.csv": folders.TABLE.encode()})
    first = mleb("prepare", "-c", "toy-a")
    assert first.returncode == 1
    assert "Error: toy-a: the download has md5 " in first.stderr and "--skip-verification" in first.stderr
    assert not (tmp_path / "data/toy-a/raw").exists() and not (tmp_path / "data/toy-a/prepared").exists()
    second = mleb("prepare", "-c", "toy-a", "--skip-verification")
    assert second.returncode == 0, second.stderr
    assert not [line for line in kaggle.log if "bytes=" in line]
    assert whole(tmp_path / "data", "toy-a")


def test_a_disk_that_is_full_is_one_line(mleb, kaggle, tmp_path):
    def limit() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    first = mleb("prepare", "-c", "toy-a", preexec_fn=limit)
    assert first.returncode == 1
    errors = [line for line in first.stderr.splitlines() if line.startswith("Error:")]
    assert errors == [f"Error: toy-a cannot be downloaded into {tmp_path}/data/toy-a/.download: File too large"]
    assert not (tmp_path / "data/toy-a/raw").exists()
    assert mleb("prepare", "-c", "toy-a").returncode == 0
    assert kaggle.log[-1].startswith("DownloadLeaderboard")
    assert whole(tmp_path / "data", "toy-a")


def test_raw_data_goes_where_it_is_not_kept(mleb, kaggle, tmp_path):
    assert mleb("prepare", "-c", "toy-a", "--no-keep-raw").returncode == 0
    assert not (tmp_path / "data/toy-a/raw").exists()
    asked = len(kaggle.log)
    assert mleb("prepare", "-c", "toy-a").returncode == 0
    assert len(kaggle.log) == asked
    assert mleb("prepare", "-c", "toy-a", "--force").returncode == 0
    assert (tmp_path / "data/toy-a/raw/train.csv").is_file()


def test_data_of_the_published_benchmark_is_taken_over_as_it_is(mleb, kaggle, tmp_path):
    assert mleb("prepare", "--split", "toys").returncode == 0
    old = tmp_path / "mle-bench"
    for id in TOYS:
        shutil.copytree(tmp_path / "data" / id / "prepared", old / id / "prepared")
    inode = (old / "toy-a/prepared").stat().st_ino
    shutil.rmtree(Path(mleb.env["HOME"], ".kaggle"))
    asked = len(kaggle.log)
    result = mleb("prepare", "--split", "toys", "--data-dir", old)
    assert result.returncode == 0, result.stderr
    assert len(kaggle.log) == asked
    assert (old / "toy-a/prepared").stat().st_ino == inode
    assert "Warning: no human scores, so no ranks, of toy-a, toy-b, toy-c: no Kaggle credentials" in result.stderr
    result = mleb("prepare", "--split", "toys", "--data-dir", old, env={"KAGGLE_API_TOKEN": server.TOKEN})
    assert (result.returncode, "Warning" in result.stderr) == (0, False)
    assert (old / "toy-a/leaderboard.csv").is_file()
    assert len(kaggle.asked("file")) == 6


def test_a_raw_directory_needs_no_network(mleb, kaggle, tmp_path):
    raw = tmp_path / "mine"
    raw.mkdir()
    (raw / "train.csv").write_text(folders.TABLE)
    result = mleb("prepare", "-c", "toy-a", "--raw-dir", raw)
    assert (result.returncode, kaggle.log) == (0, [])


def test_a_leaderboard_that_differs_is_a_warning(mleb, kaggle, tmp_path):
    kaggle.competitions["toy-a"].leaderboard = server.board(SCORES[:-1])
    result = mleb("prepare", "-c", "toy-a")
    assert result.returncode == 0
    assert "Warning: toy-a: the leaderboard that Kaggle gives differs from the published one: 99 teams" in result.stderr


def test_ctrl_c_and_a_kill_keep_what_came(mleb, kaggle, tmp_path):
    for number in (signal.SIGINT, signal.SIGKILL):
        kaggle.script("toy-a", "file", None, server.Cut(1_500_000), *[server.Status(503, retry_after="600")] * 9)
        process = mleb.start("prepare", "-c", "toy-a", stdout=-3, stderr=-3)
        part = tmp_path / "data/toy-a/.download/toy-a.zip.part"
        end = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size >= 1_500_000) and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(timeout=30) == (130 if number == signal.SIGINT else -9)
        assert part.stat().st_size >= 1_500_000
        kaggle._scripts.clear()
    assert mleb("prepare", "-c", "toy-a").returncode == 0
    assert whole(tmp_path / "data", "toy-a")


def test_a_terminal_shows_a_bar_for_each_download(mleb, kaggle):
    code, shown = mleb.in_terminal("prepare", "--split", "toys", "--downloads", "2")
    assert code == 0
    assert "toy-b: downloading" in shown
    assert "\r\nError" not in shown
