"""Credentials, patience, background work, preflight."""

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from kaggle_server import TOKEN, Entry, Status, packed

from mleb_core.errors import PreparationError
from mleb_core.kaggle.background import in_background
from mleb_core.kaggle.credentials import find_credentials
from mleb_core.kaggle.patience import Patience, retry_after
from mleb_core.kaggle.preflight import preflight

QUICK = Patience(tries=2, first_s=0.001)


def test_credentials_are_found_in_their_order(home):
    def found(**env: str) -> tuple[str, str | None, str | None] | None:
        credentials = find_credentials(env, home)
        assert "secret" not in repr(credentials)
        return credentials and (credentials.place, credentials.token, credentials.key)

    assert found() is None
    xdg = home / ".config/kaggle"
    xdg.mkdir(parents=True)
    (xdg / "kaggle.json").write_text('{"username": "me", "key": "secret-xdg"}')
    assert found() == (str(xdg / "kaggle.json"), None, "secret-xdg")
    folder = home / ".kaggle"
    folder.mkdir()
    assert found() is None
    (folder / "kaggle.json").write_text('{"username": "me", "key": "secret-json"}')
    assert found() == (str(folder / "kaggle.json"), None, "secret-json")
    assert found(KAGGLE_CONFIG_DIR=str(xdg)) == (str(xdg / "kaggle.json"), None, "secret-xdg")
    names = {"KAGGLE_USERNAME": "me", "KAGGLE_KEY": "secret-env"}
    assert found(**names) == ("KAGGLE_USERNAME and KAGGLE_KEY", None, "secret-env")
    (folder / "access_token").write_text(" \n")  # empty: as if it were not there
    assert found(**names) == ("KAGGLE_USERNAME and KAGGLE_KEY", None, "secret-env")
    (folder / "access_token").write_text("secret-token\n")
    assert found(**names) == (str(folder / "access_token"), "secret-token", None)
    assert found(KAGGLE_API_TOKEN="secret-api", **names) == ("KAGGLE_API_TOKEN", "secret-api", None)
    (home / "file").write_text("secret-file\n")
    assert found(KAGGLE_API_TOKEN=str(home / "file")) == (str(home / "file"), "secret-file", None)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"username": "me"}', b'{"username": "me", "key": 3}', b"\xff"])
def test_broken_credentials_are_one_line_without_them(home, content):
    (home / ".kaggle").mkdir()
    (home / ".kaggle/kaggle.json").write_bytes(content)
    with pytest.raises(PreparationError, match=r"kaggle\.json (holds no credentials; expected|cannot be read)"):
        find_credentials({}, home)


def test_retry_after():
    assert retry_after("7") == 7
    assert retry_after("-1") == 0
    soon = retry_after(format_datetime(datetime.now(UTC) + timedelta(seconds=1000), usegmt=True))
    assert soon is not None and 900 < soon <= 1000
    assert retry_after(None) is retry_after("soon") is None


def test_background_work_is_ahead_of_its_user_but_not_far():
    begun: list[int] = []
    lock = threading.Lock()

    def work(item: int) -> None:
        with lock:
            begun.append(item)
        if item == 3:
            raise ValueError("three")

    results = in_background(range(30), work, at_a_time=2)
    taken = [next(results)]
    while len(begun) < 4:  # it works on while nobody asks
        time.sleep(0.001)
    for pair in results:
        assert len(begun) <= len(taken) + 5
        taken.append(pair)
    assert sorted(item for item, _ in taken) == list(range(30))
    assert [(item, str(error)) for item, error in taken if error] == [(3, "three")]


def test_preflight_asks_for_all_and_reads_nothing(kaggle, make_competition, tmp_path):
    kaggle.competitions["open"] = Entry(packed({"a": b"x"}))
    kaggle.competitions["closed"] = Entry(b"", rules=False)
    competitions = [make_competition(id) for id in ("toy", "closed", "gone", "open")]
    found = preflight(competitions, tmp_path / "data", patience=QUICK)
    assert [c.id for c in found.ready] == ["toy", "open"]
    assert [p.competitions for p in found.problems] == [("closed",), ("gone",)]
    assert "accept them at https://www.kaggle.com/c/closed/rules" in found.problems[0].line
    assert not (tmp_path / "data").exists()


def test_preflight_says_once_what_concerns_all(kaggle, make_competition, tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", "wrong")
    competitions = [make_competition(id) for id in ("toy", "other")]
    (problem,) = preflight(competitions, tmp_path / "data", patience=QUICK).problems
    assert problem.competitions == ("toy", "other")
    assert problem.line.startswith("Kaggle refuses the credentials in KAGGLE_API_TOKEN")
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    (problem,) = preflight(competitions, tmp_path / "data", patience=QUICK).problems
    assert problem.line.startswith("no Kaggle credentials: make a token") and len(problem.competitions) == 2


def test_preflight_weighs_the_space(kaggle, make_competition, tmp_path):
    kaggle.competitions["toy"].claimed = 10**18
    found = preflight([make_competition()], tmp_path / "data", patience=QUICK)
    assert found.ready == []
    assert found.problems[0].line.startswith("1 download of 1000000.0 TB needs at least 2000000.0 TB in")
    import shutil

    kaggle.competitions["toy"].claimed = int(shutil.disk_usage(tmp_path).free * 0.4)
    found = preflight([make_competition()], tmp_path / "data", patience=QUICK)
    assert len(found.ready) == 1 and "may not fit" in found.notice


def test_preflight_bears_what_passes(kaggle, make_competition, tmp_path):
    kaggle.script("toy", "DownloadDataFiles", Status(429))
    assert len(preflight([make_competition()], tmp_path / "data", patience=QUICK).ready) == 1
    assert kaggle.log.count("DownloadDataFiles toy") == 2
    assert TOKEN not in repr(kaggle.log)
