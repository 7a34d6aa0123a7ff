"""A server as Kaggle's on loopback, credentials that are none, and small competitions that come from there."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mleb_core.competition import Competition


def load(name: str, path: Path) -> Any:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


here = Path(__file__).parent
kaggle_server = load("kaggle_server", here / "kaggle_server.py")
folders = load("prepare_conftest", here.parent / "prepare" / "conftest.py")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without credentials, and nothing of the user's environment that concerns Kaggle."""
    import os

    for name in list(os.environ):
        if name.startswith(("KAGGLE_", "MLEB_", "XDG_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("MLEB_KAGGLE_ENDPOINT", "http://127.0.0.1:9")  # nobody serves there
    return folder


@pytest.fixture
def kaggle(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[Any]:
    """The server, and credentials that it takes."""
    with kaggle_server.KaggleServer() as server:
        monkeypatch.setenv("MLEB_KAGGLE_ENDPOINT", server.endpoint)
        monkeypatch.setenv("KAGGLE_API_TOKEN", kaggle_server.TOKEN)
        server.competitions["toy"] = kaggle_server.Entry(kaggle_server.packed({"train.csv": folders.TABLE.encode()}))
        yield server
        assert server.leaked == []  # credentials never reach the file server


@pytest.fixture
def make_competition(tmp_path: Path) -> Callable[..., Competition]:
    """Write the folder of a competition whose source is Kaggle."""

    def make(id: str = "toy", *, extra: str = "", facts: str = folders.FACTS) -> Competition:
        folder = tmp_path / "competitions" / id
        folder.mkdir(parents=True, exist_ok=True)
        text = facts.format(id=id, kind="kaggle", version=1)
        (folder / "competition.toml").write_text(text + folders.RECIPE + extra)
        (folder / "description.md").write_text("# Toy\n")
        return Competition(folder)

    return make
