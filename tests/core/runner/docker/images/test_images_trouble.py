"""Builds that fail, are killed, or are wanted by many at once; and images that are of no use any more."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from image_builds import Scaffold, docker, images_of

from mleb_core.agent import Image
from mleb_core.errors import RunnerError, UsageError
from mleb_core.runner.docker.images import build_base, build_image, ensure_image
from mleb_core.runner.docker.images_build import build, find
from mleb_core.runner.docker.images_context import scaffold_context
from mleb_core.runner.docker.images_prune import own_images, prune
from mleb_core.testing.images import make_test_image

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("docker_engine")]


# Builds that fail


def containers_running(token):
    listed = docker("ps", "-a", "--no-trunc", "--format={{.ID}} {{.Command}}")
    assert listed.returncode == 0, listed.stderr
    return [line.split()[0] for line in listed.stdout.splitlines() if token in line]


def test_a_build_that_fails_names_the_step_and_keeps_the_log(client, base, name, tmp_path):
    image = Image(dockerfile=f"ENV A=1\nRUN echo all is {name} && exit 3\nRUN true")
    context = scaffold_context(Scaffold(name, image), find(client, base)["Id"])
    before = set(docker("images", "-aq", "--no-trunc").stdout.split())
    with pytest.raises(RunnerError) as caught:
        build(client, context, log_dir=tmp_path)
    message = str(caught.value)
    assert message.startswith(f"image of {name} cannot be built at step 5/10 : RUN echo all is {name} && exit 3: ")
    assert "returned a non-zero code: 3" in message
    assert "\n" not in message
    (log,) = tmp_path.iterdir()
    assert message.endswith(f"; the whole log is {log}")
    assert f"all is {name}" in log.read_text().splitlines()
    assert images_of(name) == []
    assert containers_running(name) == []
    left = set(
        docker("images", "-q", "--no-trunc", "--filter=dangling=true", "--filter=label=mleb.image").stdout.split()
    )
    assert not left - before


def test_an_interpreter_that_does_not_find_the_package_fails_the_build(
    client, base, name, package, tmp_path, monkeypatch
):
    scaffold = Scaffold(name, Image(packages=(name,), python="/no/such/python"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with pytest.raises(RunnerError, match=r"at step \d/\d+ : RUN /no/such/python .* returned a non-zero code: 127"):
        ensure_image(client, scaffold, base=base, gpus=False)


def test_a_build_whose_process_is_killed_leaves_what_prune_removes(client, base, name, package):
    (package / "agent.py").write_text(
        "import sys\nfrom mleb_core.agent import Image\nfrom mleb_core.runner.docker.client import connect\n"
        "from mleb_core.runner.docker.images import build_image\n"
        f"class S:\n    id = {name!r}\n    image = Image(dockerfile='ENV X=1\\nRUN sleep 1000; echo {name}')\n"
        "build_image(connect(), S(), base=sys.argv[1], gpus=False)\n"
    )
    process = subprocess.Popen([sys.executable, package / "agent.py", base])
    wait_until(lambda: containers_running(name))
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not containers_running(name))

    def left():
        return [image for image in own_images(client, {}) if image.scaffold == name]

    # The engine holds the image of the build's container a moment longer than it lists the container.
    wait_until(lambda: [image.state for image in left()] != ["in use"])
    mine = left()
    assert [image.state for image in mine] == ["broken off"]
    removed, failures = prune(client, mine)
    assert (removed, failures) == (mine, [])
    assert images_of(name) == []


def wait_until(met):
    ends = time.monotonic() + 60
    while not met():
        assert time.monotonic() < ends
        time.sleep(0.1)


def test_a_password_does_not_get_into_an_image(client, base, name, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "https://me:secret@index.example/simple")
    with pytest.raises(UsageError, match="PIP_INDEX_URL holds a password") as caught:
        build_image(client, Scaffold(name, Image(dockerfile="ENV A=1")), base=base, gpus=False)
    assert "secret" not in str(caught.value)
    with pytest.raises(UsageError):
        build_base(client, gpus=False)


# Many at once


def test_threads_that_want_the_same_image_get_one_build(client, base, name, package):
    scaffold = Scaffold(name, Image(packages=(name,)))
    got = []
    threads = [
        threading.Thread(target=lambda: got.append(ensure_image(client, scaffold, base=base, gpus=False)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8
    assert len(set(got)) == 1
    assert [image.state for image in own_images(client, {name: scaffold}) if image.scaffold == name] == ["current"]


def test_two_processes_that_want_the_same_image(client, base, name, package):
    code = (
        "import sys\nfrom mleb_core.agent import Image\nfrom mleb_core.runner.docker.client import connect\n"
        "from mleb_core.runner.docker.images import ensure_image\n"
        f"class S:\n    id = {name!r}\n    image = Image(packages=({name!r},))\n"
        "print(ensure_image(connect(), S(), base=sys.argv[1], gpus=False).reference)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(package.parent)}
    both = [
        subprocess.Popen([sys.executable, "-c", code, base], stdout=subprocess.PIPE, text=True, env=env)
        for _ in range(2)
    ]
    told = [process.communicate()[0].strip() for process in both]
    scaffold = Scaffold(name, Image(packages=(name,)))
    assert told == [ensure_image(client, scaffold, base=base, gpus=False).reference] * 2
    mine = [image for image in own_images(client, {name: scaffold}) if image.scaffold == name]
    assert sorted(image.state for image in mine) in (["current"], ["broken off", "current"])
    prune(client, mine)
    assert find(client, told[0]) is not None


# What is of no use any more


def test_prune_keeps_what_is_current_in_use_or_of_others(client, base, name, package):
    scaffold = Scaffold(name, Image(packages=(name,)))
    words = ["one", "two", "three"]
    built = []
    for word in words:
        (package / "deep" / "__init__.py").write_text(f"WORD = {word!r}\n")
        built.append(ensure_image(client, scaffold, base=base, gpus=False))
    old, used, current = built
    docker("create", "--label", f"mleb.scaffold={name}", used.reference)
    # Images that users build on ours inherit the labels.
    theirs = f"their-{name}:1"
    dockerfile = f"FROM {old.reference}\nENV MINE=1\n"
    assert subprocess.run(
        ["docker", "build", "-q", "-t", theirs, "-"], input=dockerfile, text=True, capture_output=True,
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
    ).returncode == 0  # fmt: skip
    nameless = subprocess.run(
        ["docker", "build", "-q", "-"], input=f"FROM {current.reference}\nENV MINE=2\n", text=True,
        capture_output=True, env={**os.environ, "DOCKER_BUILDKIT": "0"},
    ).stdout.strip()  # fmt: skip
    assert nameless.startswith("sha256:")

    def mine(scaffolds):
        return {i.reference: i.state for i in own_images(client, scaffolds) if i.scaffold == name}

    assert mine({name: scaffold}) == {old.reference: "old", used.reference: "in use", current.reference: "current"}
    assert mine({}) == {old.reference: "gone", used.reference: "in use", current.reference: "gone"}
    assert mine({name: Scaffold(name, Image(reference=base))})[current.reference] == "old"
    assert mine({name: Scaffold(name, "broken")})[current.reference] == "current"
    removed, failures = prune(client, [i for i in own_images(client, {name: scaffold}) if i.scaffold == name])
    assert [image.reference for image in removed] == [old.reference]
    assert failures == []
    assert find(client, old.reference) is None
    for reference in (used.reference, current.reference, theirs, nameless):
        assert find(client, reference) is not None, reference


def test_an_image_whose_base_is_gone_is_of_no_use(client, name, package):
    base = make_test_image(f"mleb-test-{name}")
    again = f"mleb-test-{name}:again"
    subprocess.run(["docker", "build", "-q", "-t", again, "-"], input=f"FROM {base}\nENV A={name}\n", text=True,
                   capture_output=True, check=True, env={**os.environ, "DOCKER_BUILDKIT": "0"})  # fmt: skip
    scaffold = Scaffold(name, Image(packages=(name,)))
    built = ensure_image(client, scaffold, base=again, gpus=False)
    states = {i.reference: i.state for i in own_images(client, {name: scaffold}) if i.scaffold == name}
    assert states == {built.reference: "current"}
    docker("rmi", again, base)
    states = {i.reference: i.state for i in own_images(client, {name: scaffold}) if i.scaffold == name}
    assert states == {built.reference: "gone"}
