"""Downloading, resuming and checking a competition's archive."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kaggle_server import TOKEN, Content, Cut, Entry, Status, packed

from mleb_core.errors import PreparationError
from mleb_core.kaggle.credentials import Credentials
from mleb_core.kaggle.download import fetch_archive
from mleb_core.kaggle.patience import KaggleError, Patience
from mleb_core.layout import CompetitionData
from mleb_core.prepare import prepare

TABLE = b"id,x,target\n" + b"".join(b"%d,%d,%d\n" % (i, i * i, i % 2) for i in range(40))
QUICK = Patience(tries=3, first_s=0.001, timeout_s=20)
BIG = packed({"train.csv": b"id,x,target\n" + os.urandom(5_000_000).hex().encode()})


@pytest.fixture
def data(tmp_path) -> CompetitionData:
    return CompetitionData.of(tmp_path / "data", "toy")


def names(data: CompetitionData) -> list[str]:
    return sorted(p.relative_to(data.root).as_posix() for p in data.root.rglob("*") if not p.name.endswith(".lock"))


def zip_sum(content: bytes) -> str:
    return f'\n[checksums]\nzip = "{hashlib.md5(content).hexdigest()}"\n'


def test_prepare_downloads_unpacks_and_leaves_nothing_else(kaggle, make_competition, tmp_path, data):
    inner = packed({"a": b"1"})
    table = (Path(__file__).parents[1] / "prepare" / "conftest.py").read_bytes()  # any bytes
    kaggle.competitions["toy"].archive = archive = packed(
        {"train.csv": TABLE, "inner.zip": inner, "sub/deep/x.bin": table}
    )
    lines: list[str] = []
    prepare(make_competition(extra=zip_sum(archive)), tmp_path / "data", progress=lines.append)
    assert (data.raw / "inner.zip").read_bytes() == inner  # archives in it stay as they are
    assert (data.raw / "sub/deep/x.bin").read_bytes() == table
    assert not data.download.exists()
    assert (data.private / "answers.csv").is_file()
    assert [line for line in lines if line.startswith("downloading")]
    asked = len(kaggle.log)
    prepare(make_competition(), tmp_path / "data")
    assert len(kaggle.log) == asked  # nothing is left to do


@pytest.mark.parametrize("etag", [True, False])
def test_a_cut_connection_is_resumed_where_it_was_cut(kaggle, make_competition, data, etag):
    kaggle.competitions["toy"] = Entry(BIG, etag=etag)
    kaggle.script("toy", "file", Cut(3_000_000), None, Cut(2_500_000))
    archive = fetch_archive(make_competition(extra=zip_sum(BIG)), data, patience=QUICK)
    assert archive is not None and archive.read_bytes() == BIG
    ranges = [line for line in kaggle.log if "bytes=" in line]
    assert ranges == ["file toy bytes=3000000-", "file toy bytes=5500000-"]
    assert names(data) == [".download", ".download/toy.zip", ".download/toy.zip.md5"]


def test_a_killed_download_is_resumed_by_the_next_call(kaggle, make_competition, data):
    kaggle.competitions["toy"] = Entry(BIG)
    kaggle.script("toy", "file", Cut(4_000_000), *[Status(503)] * 9)
    with pytest.raises(KaggleError, match=r"^toy: .* answers 503, the server fails .*3 tries\); run it again later$"):
        fetch_archive(make_competition(), data, patience=QUICK)
    assert names(data) == [".download", ".download/toy.zip.part", ".download/toy.zip.part.json"]
    assert not data.raw.exists()
    kaggle._scripts.clear()
    archive = fetch_archive(make_competition(), data, patience=QUICK)
    assert archive is not None and archive.read_bytes() == BIG
    assert kaggle.log[-1] == "file toy bytes=4000000-"


def test_a_part_of_other_content_is_never_continued(kaggle, make_competition, data):
    kaggle.competitions["toy"] = Entry(BIG)
    kaggle.script("toy", "file", Cut(4_000_000), *[Status(503)] * 9)
    with pytest.raises(KaggleError):
        fetch_archive(make_competition(), data, patience=QUICK)
    kaggle._scripts.clear()
    other = packed({"train.csv": b"id,x,target\n" + os.urandom(5_000_000).hex().encode()})
    assert len(other) == len(BIG)
    kaggle.competitions["toy"] = Entry(other)
    archive = fetch_archive(make_competition(), data, patience=QUICK)
    assert archive is not None and archive.read_bytes() == other


def test_a_broken_part_is_found_by_its_checksum_and_downloaded_anew(kaggle, make_competition, data):
    kaggle.competitions["toy"] = Entry(BIG)
    kaggle.script("toy", "file", Cut(4_000_000), *[Status(503)] * 9)
    with pytest.raises(KaggleError):
        fetch_archive(make_competition(), data, patience=QUICK)
    kaggle._scripts.clear()
    part = data.download / "toy.zip.part"
    with part.open("r+b") as stream:
        stream.seek(1000)
        stream.write(b"broken")
    archive = fetch_archive(make_competition(extra=zip_sum(BIG)), data, patience=QUICK)
    assert archive is not None and archive.read_bytes() == BIG


def test_a_server_without_ranges_starts_anew(kaggle, make_competition, data):
    kaggle.competitions["toy"] = Entry(BIG, ranges=False)
    kaggle.script("toy", "file", Cut(3_000_000))
    archive = fetch_archive(make_competition(), data, patience=QUICK)
    assert archive is not None and archive.read_bytes() == BIG


def test_a_server_that_ever_breaks_at_the_same_place_is_given_up(kaggle, make_competition, data):
    kaggle.competitions["toy"] = Entry(BIG, ranges=False)
    kaggle.script("toy", "file", *[Cut(3_000_000)] * 50)
    with pytest.raises(KaggleError, match=r"connection .*\(3 tries\)"):
        fetch_archive(make_competition(), data, patience=QUICK)
    assert len(kaggle.asked("file")) < 10


@pytest.mark.parametrize("goog_md5", [True, False])
def test_a_wrong_checksum_is_one_line_and_never_taken(kaggle, make_competition, data, tmp_path, goog_md5):
    kaggle.competitions["toy"].goog_md5 = goog_md5
    competition = make_competition(extra=zip_sum(b"other"))
    with pytest.raises(
        PreparationError, match=r"toy: the download has md5 \w+, published is \w+; --skip-verif"
    ) as caught:
        prepare(competition, tmp_path / "data")
    assert "\n" not in str(caught.value)
    assert not data.raw.exists() and not data.prepared.exists()
    assert not (data.download / "toy.zip").exists()
    before = len(kaggle.asked("file"))
    prepare(competition, tmp_path / "data", verify=False)
    assert [line for line in kaggle.asked("file")[before:] if "bytes=" in line] == []
    assert data.prepared.is_dir() and not data.download.exists()


def test_a_download_that_broke_on_its_way_is_not_kept(kaggle, make_competition, data):
    wrong = {"x-goog-hash": "md5=AAAAAAAAAAAAAAAAAAAAAA=="}
    kaggle.script("toy", "file", Content(packed({"train.csv": b"x"}), wrong))
    with pytest.raises(PreparationError, match="toy: the download broke on its way"):
        fetch_archive(make_competition(), data, patience=QUICK)
    assert names(data) == []


def test_what_is_no_zip_is_refused_and_not_kept(kaggle, make_competition, data):
    kaggle.script("toy", "file", Content(b"<html>sign in</html>", {"Content-Type": "text/html"}))
    with pytest.raises(PreparationError, match="what Kaggle sends is no zip archive"):
        fetch_archive(make_competition(), data, patience=QUICK)
    assert names(data) == []


def test_a_zip_that_is_broken_inside_is_refused_and_downloaded_anew(kaggle, make_competition, data, tmp_path):
    broken = bytearray(packed({"train.csv": b"id,x,target\n" * 50}))
    broken[100] ^= 1
    kaggle.script("toy", "file", Content(bytes(broken)))
    with pytest.raises(PreparationError, match=r"train\.csv.*is broken or cut short"):
        prepare(make_competition(), tmp_path / "data")
    assert not data.raw.exists()
    prepare(make_competition(), tmp_path / "data")


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (Status(401, "bad"), "credentials", "Kaggle refuses the credentials in KAGGLE_API_TOKEN (it says: bad); make"),
        (Status(403, "no\nrules"), "rules", "toy: its rules are not accepted (it says: no rules); accept them at http"),
        (Status(404, "none"), "unknown", "toy: Kaggle has no such competition (it says: none); look at https://"),
        (Status(400, "odd"), "answer", "toy: Kaggle answers 400 (it says: odd)"),
        (Status(429, "slow"), "busy", "answers 429, too many requests (it says: slow) (3 tries); run it again later"),
        (Status(502, "down"), "busy", "answers 502, the server fails (it says: down) (3 tries)"),
        (Status(503, "x", "7200"), "busy", "and asks to wait 120 minutes; run it again then"),
    ],
)  # fmt: skip
def test_each_error_is_one_line_and_leaves_nothing(kaggle, make_competition, data, status, reason, words):
    kaggle.script("toy", "DownloadDataFiles", *[status] * 3)
    with pytest.raises(KaggleError) as caught:
        fetch_archive(make_competition(), data, patience=QUICK)
    assert caught.value.reason == reason
    assert words in str(caught.value)
    assert "\n" not in str(caught.value) and TOKEN not in str(caught.value)
    assert names(data) == []


def test_what_passes_is_borne(kaggle, make_competition, data):
    kaggle.script("toy", "DownloadDataFiles", Status(429), Status(503, retry_after=None))
    kaggle.script("toy", "file", Status(403, "the link has expired"), Status(500))
    archive = fetch_archive(make_competition(), data, patience=Patience(tries=5, first_s=0.001))
    assert archive is not None
    assert len(kaggle.asked("DownloadDataFiles")) == 5


def test_nobody_there_is_one_line(make_competition, data, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    with pytest.raises(
        KaggleError, match=r"^toy: no connection with 127\.0\.0\.1:9 \(Connection refused\) \(3 tries\)"
    ):
        fetch_archive(make_competition(), data, patience=QUICK)
    assert names(data) == []


def test_no_credentials_is_one_line_with_the_way_out(make_competition, tmp_path, home):
    with pytest.raises(PreparationError) as caught:
        prepare(make_competition(), tmp_path / "data")
    text = str(caught.value)
    assert text.startswith(f"no raw data of toy in {tmp_path}/data/toy/raw, and no Kaggle credentials: make a token")
    assert f"{home}/.kaggle/access_token" in text and text.endswith("or give --raw-dir")


def test_user_name_and_key_work_too(kaggle, make_competition, data, monkeypatch, home):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    (home / ".kaggle").mkdir()
    (home / ".kaggle/kaggle.json").write_text(json.dumps({"username": "me", "key": TOKEN}))
    assert fetch_archive(make_competition(), data, patience=QUICK) is not None


def test_the_endpoint_of_kagglesdk_for_tests_is_its_own(make_competition, data, monkeypatch):
    monkeypatch.delenv("MLEB_KAGGLE_ENDPOINT")
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "NOWHERE")
    with pytest.raises(KaggleError, match="Unrecognized value in KAGGLE_API_ENVIRONMENT"):
        fetch_archive(make_competition(), data, Credentials("here", token=TOKEN), patience=QUICK)


def test_an_archive_of_the_published_benchmark_is_used_and_stays(make_competition, data, tmp_path):
    content = packed({"train.csv": TABLE})
    data.root.mkdir(parents=True)
    (data.root / "toy.zip").write_bytes(b"PK broken")
    with pytest.raises(PreparationError, match=r"toy\.zip has md5 \w+, published is \w+; remove it"):
        prepare(make_competition(extra=zip_sum(content)), tmp_path / "data")
    (data.root / "toy.zip").write_bytes(content)
    prepare(make_competition(extra=zip_sum(content)), tmp_path / "data")  # without credentials
    assert (data.root / "toy.zip").read_bytes() == content
    assert data.prepared.is_dir()


def test_files_from_elsewhere_come_too(kaggle, make_competition, data, tmp_path):
    more = f'\n[[source.more]]\nfile = "meta.zip"\nurl = "{kaggle.files}/meta.zip"\n'
    kaggle.competitions["meta"] = Entry(BIG)
    kaggle.script("meta", "file", Cut(3_000_000))
    facts = (Path(__file__).parents[1] / "prepare" / "conftest.py").read_text().split('"""')[3]
    competition = make_competition(facts=facts.replace("[leaderboard]", more.replace("{", "{{") + "\n[leaderboard]"))
    prepare(competition, tmp_path / "data")
    assert (data.raw / "meta.zip").read_bytes() == BIG
    assert kaggle.log[-1].startswith(("file meta bytes=3000000-", "GetLeaderboard"))


def test_editions_share_a_download(kaggle, make_competition, tmp_path):
    competition = make_competition(extra="\n[editions.2.prepare.split]\nseed = 1\n")
    prepare(competition, tmp_path / "data")
    prepare(competition.in_edition(2), tmp_path / "data")
    assert len(kaggle.asked("file")) == 1


def test_many_at_once_download_once(kaggle, make_competition, tmp_path):
    folder = make_competition().folder
    code = (
        "import sys; from pathlib import Path; from mleb_core.competition import Competition\n"
        "from mleb_core.prepare import prepare; prepare(Competition(sys.argv[1]), Path(sys.argv[2]))"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, folder, tmp_path / "data"]) for _ in range(3)]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    assert len(kaggle.asked("file")) == 1


LIMITED = """
import resource, signal, sys
from pathlib import Path
from mleb_core.competition import Competition
from mleb_core.errors import PreparationError
from mleb_core.prepare import prepare
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))   # as a full disk: writing fails on the way
try:
    prepare(Competition(sys.argv[1]), Path(sys.argv[2]))
except PreparationError as error:
    print(error)
"""


def test_a_disk_that_is_full_is_one_line_and_the_part_goes_on_later(kaggle, make_competition, tmp_path, data):
    kaggle.competitions["toy"] = Entry(BIG)
    folder = make_competition().folder
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, folder, tmp_path / "data"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"toy cannot be downloaded into {data.download}: File too large\n", done
    assert not data.raw.exists()
    assert (data.download / "toy.zip.part").stat().st_size <= 2_000_000
    archive = fetch_archive(make_competition(), data, patience=QUICK)
    assert archive is not None and archive.read_bytes() == BIG


def test_no_space_to_unpack_is_told_before_anything_is_written(kaggle, make_competition, tmp_path, data):
    import struct

    content = bytearray(packed({"train.csv": b"x"}))
    at = content.rindex(b"PK\x01\x02") + 24
    content[at : at + 4] = struct.pack("<I", 0xFFFFFFF0)
    many = (
        content[content.rindex(b"PK\x01\x02") : content.rindex(b"PK\x05\x06")] * 60_000
    )  # 4 GB each by their own word
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 60_000, 60_000, len(many), content.index(b"PK\x01\x02"), 0)
    kaggle.competitions["toy"].archive = bytes(content[: content.index(b"PK\x01\x02")] + many + end)
    with pytest.raises(PreparationError, match=r"toy cannot be prepared in .*257\.7 TB are needed to unpack it and"):
        prepare(make_competition(), tmp_path / "data")
    assert not data.raw.exists()


def test_nothing_of_kagglesdk_is_imported_before_it_is_needed(tmp_path, make_competition):
    make_competition()
    code = (
        "import sys, mleb_core.prepare.run, mleb_core.prepare.fetch, mleb_core.kaggle.download, "
        "mleb_core.kaggle.leaderboard, mleb_core.kaggle.preflight, mleb.app, mleb.checks, mleb.preparing\n"
        "print(*{'kagglesdk', 'requests', 'google', 'kaggle', 'urllib3'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []
