"""The images of scaffolds: real builds on a real engine, on a base made of this machine's files."""

import ensurepip
import io
import os
import secrets
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from image_builds import Scaffold, docker, images_of, run_in

from mleb_core.agent import Image
from mleb_core.errors import PluginError, RunnerError
from mleb_core.runner.docker.images import BuiltImage, build_image, ensure_image
from mleb_core.runner.docker.images_base import base_context
from mleb_core.runner.docker.images_build import build, find
from mleb_core.runner.docker.images_context import scaffold_context
from mleb_core.testing.images import make_test_image

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("docker_engine")]


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
