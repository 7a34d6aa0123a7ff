"""A base, and agents with images of their own; what a test builds it removes."""

import secrets

import pytest
from image_builds import docker, images_of

from mleb_core.runner.docker.client import connect
from mleb_core.testing.images import make_test_image


@pytest.fixture
def client():
    client = connect()
    yield client
    client.close()


@pytest.fixture(scope="module")
def base():
    return make_test_image()


@pytest.fixture
def name():
    """A name for an agent that no other test has; what was made for it goes at the end."""
    name = f"t{secrets.token_hex(6)}"
    yield name
    for container in docker("ps", "-aq", "--filter", f"label=mleb.scaffold={name}").stdout.split():
        docker("rm", "-f", container)
    # A parent that is listed before its child (both of one second) goes only when the child is gone.
    while images := images_of(name):
        for image in images:
            docker("rmi", "-f", image)
        assert len(images_of(name)) < len(images)


@pytest.fixture
def package(name, tmp_path, monkeypatch):
    """The folder of an import package of that name, which Python finds."""
    folder = tmp_path / "site" / name
    (folder / "deep").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "__main__.py").write_text(f"import os, {name}.deep as d; print(d.WORD, os.getuid(), d.__cached__)\n")
    (folder / "deep" / "__init__.py").write_text("WORD = 'hello'\n")
    (folder / "deep" / "__pycache__").mkdir()
    (folder / "deep" / "__pycache__" / "old.cpython-39.pyc").write_bytes(b"old")
    info = folder.parent / f"{name}-3.7.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 3.7\n")
    (info / "RECORD").write_text(f"{name}/__init__.py,,\n")
    (info / "direct_url.json").write_text('{"url": "file:///secret/place"}')
    monkeypatch.syspath_prepend(str(folder.parent))
    return folder
