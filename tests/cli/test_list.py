"""`mleb list` and `mleb plugin list`."""

import json
import os

import pytest

from mleb.commands.list import KINDS
from mleb_core.registry import Registry


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_listed_for_people_and_programs(mleb, kind):
    table = mleb("list", kind)
    assert (table.returncode, table.stderr) == (0, "")
    rows = json.loads(mleb("list", kind, "--json").stdout)
    assert rows
    lines = table.stdout.splitlines()
    assert len(lines) == len(rows) + 1
    for line, row in zip(lines[1:], rows, strict=True):
        assert line.startswith(row.get("id", row.get("name")))


def test_the_direct_way_gives_what_typer_gives(mleb):
    for words in (["list", "agents"], ["list", "competitions", "--json"]):
        # An empty variable counts as absent for typer, but sends the command its way.
        assert mleb(*words).stdout == mleb(*words, env={"MLEB_JSON": ""}).stdout
    assert json.loads(mleb("list", "agents", env={"MLEB_JSON": "1"}).stdout)


def test_competitions_are_listed_with_their_facts(mleb):
    rows = {row["id"]: row for row in json.loads(mleb("list", "competitions", "-j").stdout)}
    registry = Registry()
    assert set(rows) == set(registry.competitions)
    row, competition = rows["titanic-survival"], registry.competition("titanic-survival")
    assert (row["title"], row["category"], tuple(row["splits"])) == (
        competition.title, competition.category, competition.splits,
    )  # fmt: skip
    assert row["plugin"] == "mleb-plugin-samples"


def test_splits_name_their_competitions(mleb):
    rows = {row["id"]: row for row in json.loads(mleb("list", "splits", "--json").stdout)}
    assert rows["samples"]["competitions"] == sorted(c.id for c in Registry().split("samples"))
    assert rows["samples"]["count"] == len(rows["samples"]["competitions"]) >= 5


def test_plugin_list_is_list_plugins(mleb):
    assert mleb("plugin", "list", "--json").stdout == mleb("list", "plugins", "--json").stdout
    assert {"dummy", "baseline", "samples", "metrics"} <= {
        p["name"] for p in json.loads(mleb("plugin", "list", "-j").stdout)
    }


def test_listing_works_where_the_cache_cannot_be_written_or_is_damaged(mleb, tmp_path):
    expected = mleb("list", "competitions").stdout
    cache = tmp_path / "home" / ".cache" / "mleb" / "competitions.json"
    assert json.loads(cache.read_text())["competitions"]
    for damage in ("", "[]", '{"version": 1}', "\0", json.dumps({"version": "0.1.0", "competitions": {"x": 3}})):
        cache.write_text(damage)
        assert mleb("list", "competitions").stdout == expected
    readonly = tmp_path / "readonly"
    readonly.write_text("a file where a directory should be")
    result = mleb("list", "competitions", env={"XDG_CACHE_HOME": str(readonly)})
    assert (result.returncode, result.stdout, result.stderr) == (0, expected, "")


def test_the_cache_follows_the_files(tmp_path, monkeypatch):
    from mleb.summaries import cache_file, competition_summaries
    from mleb_core.competition import competitions_in

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    pack = tmp_path / "pack"
    for name in ("one", "two"):
        (pack / name).mkdir(parents=True)
        (pack / name / "competition.toml").write_text(
            f'title = "{name}"\nsplits = ["s"]\n[[known_issues]]\nwhat = "leak"\n'
        )

    def titles():
        return [row.get("title", row.get("error")) for row in competition_summaries(competitions_in(pack))]

    assert titles() == ["one", "two"]
    stamp = cache_file().stat().st_mtime_ns
    assert titles() == ["one", "two"]
    assert cache_file().stat().st_mtime_ns == stamp
    (pack / "one" / "competition.toml").write_text('title = "uno"\n')
    os.utime(pack / "one" / "competition.toml", ns=(1, 1))
    assert titles() == ["uno", "two"]
    (pack / "two" / "competition.toml").write_text("title = \n")
    first, second = titles()
    assert first == "uno"
    assert str(pack / "two" / "competition.toml") in second
    (pack / "two" / "competition.toml").unlink()
    assert titles() == ["uno"]
