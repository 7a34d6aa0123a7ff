"""Entry points are read without importlib.metadata, for speed; they must be the ones that it finds."""

import sys
from importlib.metadata import distributions

from mleb_core.plugins import load_plugins


def test_the_plugins_found_are_those_of_importlib_metadata():
    expected = {
        (entry.name, distribution.metadata["Name"], distribution.version, entry.value)
        for distribution in distributions()
        for entry in distribution.entry_points
        if entry.group == "mleb"
    }
    found = {(p.name, p.distribution, p.version, p.target) for p in load_plugins().plugins}
    assert found == expected
    assert ("dummy", "mleb-plugin-dummy") in {(name, distribution) for name, distribution, _, _ in found}


def _install(place, folder, metadata, entry_points):
    (place / folder).mkdir(parents=True)
    (place / folder / "METADATA").write_text(metadata)
    (place / folder / "entry_points.txt").write_text(entry_points)


def test_metadata_is_read_as_the_standards_lay_it_out(tmp_path, monkeypatch):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    (first / "odd_plugin.py").write_text("class Holder:\n    class Plugin:\n        pass\n")
    _install(
        first,
        "Odd_Name-1.5.dist-info",
        "Metadata-Version: 2.4\nName: Odd-Name\nVersion: 1.5\n\nVersion: not this one\n",
        "[console_scripts]\nmleb-odd = odd_plugin:run\n\n[mleb]\n# a comment\nodd = odd_plugin:Holder.Plugin [extra]\n"
        "\n[other]\nx = y\n",
    )
    _install(second, "odd_name-9.9.dist-info", "Name: odd-name\nVersion: 9.9\n", "[mleb]\nodd = nowhere\n")
    (second / "broken-1.dist-info").mkdir()
    (second / "broken-1.dist-info" / "entry_points.txt").write_bytes(b"[mleb]\nx = \xff\n")
    monkeypatch.setattr(sys, "path", [str(first), str(second), str(tmp_path / "gone"), *sys.path])
    (plugin,) = load_plugins(only=["odd"]).plugins
    assert (plugin.distribution, plugin.version, plugin.target) == (
        "Odd-Name",
        "1.5",
        "odd_plugin:Holder.Plugin [extra]",
    )
    assert plugin.error is not None and "implements no hook" in plugin.error
