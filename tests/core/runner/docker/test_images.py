"""The images of scaffolds: real builds on a real engine, on a base made of this machine's files."""

import ensurepip
import io
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

from mleb_core.agent import Image
from mleb_core.errors import PluginError, RunnerError, UsageError
from mleb_core.runner.docker.client import connect
from mleb_core.runner.docker.images import BuiltImage, build_base, build_image, ensure_image
from mleb_core.runner.docker.images_base import base_context
from mleb_core.runner.docker.images_build import build, find
from mleb_core.runner.docker.images_context import scaffold_context
from mleb_core.runner.docker.images_prune import own_images, prune
from mleb_core.testing.images import make_test_image

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("docker_engine")]


class Scaffold:
    """An agent whose image is as a test wants it."""

    summary = "For a test."

    def __init__(self, id, image):
        self.id, self.image = id, image

    def variants(self):
        return ()

    def launch(self, context):
        raise NotImplementedError


def docker(*arguments):
    return subprocess.run(["docker", *arguments], capture_output=True, text=True)


def images_of(id):
    """All that the engine has of an agent's images, intermediate ones too."""
    return docker("images", "-aq", "--no-trunc", "--filter", f"label=mleb.scaffold={id}").stdout.split()


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


def run_in(image: BuiltImage, *command):
    done = docker("run", "--rm", "--network=none", "--read-only", image.reference, image.python, *command)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# The image for tests


def test_two_processes_make_one_test_image():
    name = f"mleb-test-{secrets.token_hex(6)}"
    code = f"from mleb_core.testing.images import make_test_image; print(make_test_image({name!r}))"
    try:
        both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
        told = {process.communicate()[0].strip() for process in both}
        assert told == {make_test_image(name)}
        assert docker("images", "-q", name).stdout.count("\n") == 1
        code = "import ssl, sqlite3, ctypes, os; os.system('id -un; ls /home'); print(os.listdir('/mleb'))"
        options = ("--rm", "--user=1000", "--network=none", "--read-only")
        done = docker("run", *options, told.pop(), "python3", "-c", code)
        assert done.stdout.split() == [
            "agent", "agent", "code", "data", "instructions.txt", "logs", "submission", "validate_submission.sh", "[]",
        ]  # fmt: skip
        size = docker("image", "inspect", "--format={{.Size}}", name + ":" + make_test_image(name).split(":")[1])
        assert int(size.stdout) < 60e6
    finally:
        docker("rmi", make_test_image(name))


def test_a_test_image_has_the_packages_that_are_asked_for():
    name = f"mleb-test-{secrets.token_hex(6)}"
    reference = make_test_image(name, packages=("pluggy",))
    try:
        code = "import pluggy, importlib.metadata as m; print(m.version('pluggy'))"
        assert docker("run", "--rm", reference, "python3", "-c", code).stdout.strip()
        assert reference != make_test_image(name)
        with pytest.raises(RuntimeError, match="no-such-thing is not installed"):
            make_test_image(name, packages=("no-such-thing",))
    finally:
        docker("rmi", reference, make_test_image(name))


# A scaffold's layer


def test_packages_are_in_the_image_as_they_are_here(client, base, name, package):
    image = ensure_image(client, Scaffold(name, Image(packages=(name,))), base=base, gpus=False)
    assert image.reference.startswith(f"mleb/{name}:")
    assert image.digest == find(client, image.reference)["Id"]
    word, uid, compiled = run_in(image, "-m", name).split()
    assert (word, uid) == ("hello", "1000")
    assert Path(compiled).parent.name == "__pycache__"
    version = run_in(image, "-I", "-c", f"import importlib.metadata as m; print(m.version({name!r}))")
    assert version == "3.7"
    listed = run_in(image, "-c", "import os; [print(d, f) for d, _, fs in os.walk('/opt/mleb') for f in fs]")
    assert "old." not in listed
    assert "direct_url" not in listed
    assert "RECORD" not in listed
    compiled_in = run_in(image, "-c", f"import os; os.path.exists({compiled!r}) and print('yes')")
    assert compiled_in == "yes"
    labels = find(client, image.reference)["Config"]["Labels"]
    assert labels["mleb.image"] == "1"
    assert labels["mleb.scaffold"] == name
    assert image.reference.endswith(labels["mleb.hash"])


def test_the_agents_of_this_repository_get_their_layer(client, base):
    """Installed for editing, as here, or not."""
    from mleb_core.registry import Registry

    image = ensure_image(client, Registry().scaffold("dummy")[0], base=base, gpus=False)
    told = run_in(image, "-c", "import importlib.metadata as m; print(m.version('mleb-plugin-dummy'))")
    assert told == "0.1.0"
    done = docker("run", "--rm", "--network=none", "--read-only", image.reference, image.python, "-m", "mleb_dummy")
    assert done.returncode == 1
    assert "nothing handed in: MLEB_DATA is not set" in done.stdout
    assert "Traceback" not in done.stderr


def test_what_is_unchanged_is_not_built_again(client, base, name, package):
    scaffold = Scaffold(name, Image(packages=(name,)))
    first = ensure_image(client, scaffold, base=base, gpus=False)
    os.utime(package / "__init__.py", (1, 1))
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__" / "new.pyc").write_bytes(b"new")
    lines = []
    assert build_image(client, scaffold, base=base, gpus=False, tell=lines.append) == first
    assert lines == []
    (package / "deep" / "__init__.py").write_text("WORD = 'other'\n")
    second = build_image(client, scaffold, base=base, gpus=False, tell=lines.append)
    assert second.reference != first.reference
    assert run_in(second, "-m", name).startswith("other ")
    assert run_in(first, "-m", name).startswith("hello ")
    assert any(line.startswith("Step ") for line in lines)
    (package / "deep" / "__init__.py").write_text("WORD = 'hello'\n")
    assert ensure_image(client, scaffold, base=base, gpus=False) == first


def test_a_context_is_the_same_bytes_and_each_part_counts(name, package):
    def context(image, base="sha256:" + "0" * 64):
        return scaffold_context(Scaffold(name, image), base)

    plain = context(Image(packages=(name,), files={"a": b"1"}))
    again = context(Image(packages=(name,), files={"a": b"1"}))
    assert plain.archive() == again.archive()
    assert plain.hash == again.hash
    others = [
        context(Image(packages=(name,), files={"a": b"2"})),
        context(Image(packages=(name,), files={"b": b"1"})),
        context(Image(packages=(name,), files={"a": b"1"}, dockerfile="ENV A=1")),
        context(Image(packages=(name,), files={"a": b"1"}, requirements=("x==1",))),
        context(Image(packages=(name,), files={"a": b"1"}, python="python")),
        context(Image(packages=(name,), files={"a": b"1"}), "sha256:" + "1" * 64),
    ]
    assert len({plain.hash, *(other.hash for other in others)}) == len(others) + 1
    (package / "__main__.py").chmod(0o755)
    assert context(Image(packages=(name,), files={"a": b"1"})).hash != plain.hash


def pip_archive(folder: Path) -> Path:
    """pip as a file that Python can import: the wheel that Python has along, else the pip that is installed."""
    bundled = next(Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl"), None)
    if bundled is not None:
        return bundled
    import pip

    with zipfile.ZipFile(folder / "pip.zip", "w") as packed:
        for path in Path(pip.__file__).parent.rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                packed.write(path, path.relative_to(Path(pip.__file__).parents[1]))
    return folder / "pip.zip"


def test_dockerfile_text_files_and_requirements(client, base, name, tmp_path):
    """Offline: pip comes from the wheel that Python has along, and the requirement from a wheel in the context."""
    pip = pip_archive(tmp_path)
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr(f"{name}_lib.py", "ANSWER = 42\n")
        info = f"{name}_lib-1.0.dist-info"
        packed.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}_lib\nVersion: 1.0\n")
        packed.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        packed.writestr(f"{info}/RECORD", "")
    image = Image(
        dockerfile=f"USER agent\nCOPY wheels /opt/wheels\nENV PYTHONPATH=/opt/wheels/{pip.name}\n",
        files={f"wheels/{pip.name}": pip.read_bytes(), f"wheels/{name}_lib-1.0-py3-none-any.whl": wheel.getvalue()},
        requirements=(f"{name}_lib @ file:///opt/wheels/{name}_lib-1.0-py3-none-any.whl",),
    )
    scaffold = Scaffold(name, image)
    with pytest.raises(
        RunnerError, match=f"^the image of agent {name} is not built; run `mleb image build {name} --base "
    ):
        ensure_image(client, scaffold, base=base, gpus=False)
    built = build_image(client, scaffold, base=base, gpus=False)
    assert run_in(built, "-c", f"import {name}_lib; print({name}_lib.ANSWER)") == "42"
    assert ensure_image(client, scaffold, base=base, gpus=False) == built


def test_an_image_that_is_named_is_taken_as_it_is(client, base, name):
    scaffold = Scaffold(name, Image(reference=base, python="/usr/local/bin/python3"))
    for make in (ensure_image, build_image):
        assert make(client, scaffold, base="no/such:base", gpus=True) == BuiltImage(
            base, find(client, base)["Id"], "/usr/local/bin/python3"
        )
    assert images_of(name) == []


def test_what_is_missing_is_told_with_the_command_that_helps(client, name):
    missing = f"mleb-none/{name}:1"
    with pytest.raises(RunnerError, match=f"^the image of agent {name} is not here; run `docker pull {missing}`$"):
        ensure_image(client, Scaffold(name, Image(reference=missing)), base=None, gpus=False)
    with pytest.raises(RunnerError, match=f"^the base image is not here; run `docker pull {missing}`$"):
        ensure_image(client, Scaffold(name, Image()), base=missing, gpus=False)
    if find(client, base_context(True).reference) is None:
        with pytest.raises(RunnerError, match=r"^mleb's base image is not built; run `mleb image build --gpu`"):
            ensure_image(client, Scaffold(name, Image()), base=None, gpus=True)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (Image(packages=("no_such_package",)), "'no_such_package', which is not installed here"),
        (Image(packages=("../etc",)), "'../etc', which is not installed here"),
        (Image(packages=("sys",)), "'sys', which is not installed here"),
        (Image(files={"../x": b""}), "outside of the build context: '../x'"),
        (Image(files={"/x": b""}), "outside of the build context: '/x'"),
        (Image(files={"packages/x": b""}), "a name that mleb uses"),
        (Image(files={".dockerignore": b""}), "a name that mleb uses"),
        (Image(requirements=("aide",)), "expected something pinned"),
        (Image(requirements=("--index-url=x==1",)), "expected something pinned"),
        (Image(requirements=("a==1\n-r /etc/passwd",)), "expected something pinned"),
        (Image(dockerfile="RUN true\n from x"), "has a FROM"),
        (Image(python="python3 -c x"), "expected a program"),
        (Image(python=""), "expected a program"),
    ],
)
def test_an_image_that_cannot_be_is_refused_before_anything_is_built(client, base, name, image, words):
    with pytest.raises(PluginError) as caught:
        build_image(client, Scaffold(name, image), base=base, gpus=False)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert images_of(name) == []


def test_ids_of_any_form_make_names_that_the_engine_takes(client, base, name):
    contexts = [
        scaffold_context(Scaffold(id, Image()), find(client, base)["Id"]) for id in (name, name.upper(), f"{name}_._A")
    ]
    try:
        assert len({context.reference for context in contexts}) == 3
        for context in contexts:
            assert context.reference in build(client, context)["RepoTags"]
    finally:
        for context in contexts:
            docker("rmi", context.reference)


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
