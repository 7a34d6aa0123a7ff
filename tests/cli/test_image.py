"""`mleb image build|list|prune` on a real engine."""

import json
import secrets
import subprocess

import pytest

from mleb_core.testing.images import make_test_image

HOOKS = """
import mleb_core

class Scaffold:
    id = "{name}"
    summary = "For a test."
    image = mleb_core.agent.Image({image})

    def variants(self):
        return ()

    def launch(self, context):
        raise NotImplementedError

@mleb_core.hookimpl
def mleb_register_agents():
    return [Scaffold()]
"""


def docker(*arguments):
    return subprocess.run(["docker", *arguments], capture_output=True, text=True).stdout.split()


class Agent:
    """A plugin with one agent, in a folder that is on the command line's path."""

    def __init__(self, name, folder):
        self.name, self.package = name, folder / name
        self.package.mkdir(parents=True)
        (self.package / "__init__.py").write_text("")
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[mleb]\n{name} = {name}.hooks\n")
        self.image = f"packages=('{name}',)"

    @property
    def image(self):
        raise AttributeError

    @image.setter
    def image(self, arguments):
        (self.package / "hooks.py").write_text(HOOKS.format(name=self.name, image=arguments))


@pytest.fixture
def agent(mleb, tmp_path):
    name = f"t{secrets.token_hex(6)}"
    agent = Agent(name, tmp_path / "site")
    mleb.env["PYTHONPATH"] = str(agent.package.parent)
    mleb.env["PYTHONDONTWRITEBYTECODE"] = "1"
    yield agent
    for image in docker("images", "-aq", "--no-trunc", "--filter", f"label=mleb.scaffold={name}"):
        docker("rmi", "-f", image)


@pytest.fixture(scope="module")
def base(docker_engine):
    return make_test_image()


@pytest.mark.docker
def test_build_list_and_prune(mleb, agent, base):
    built = mleb("image", "build", agent.name, "--base", base)
    assert built.returncode == 0, built.stderr
    first = built.stdout.split()[1]
    assert built.stdout == f"{agent.name}  {first}\n"
    assert f"{agent.name}: Step 1/" in built.stderr
    again = mleb("image", "build", agent.name, "--base", base, "--json")
    assert again.stderr == ""
    (row,) = json.loads(again.stdout)
    assert (row["agent"], row["image"], row["error"]) == (agent.name, first, None)
    assert [row["digest"]] == docker("image", "inspect", "--format={{.Id}}", first)

    (agent.package / "__init__.py").write_text("CHANGED = True\n")
    second = mleb("image", "build", agent.name, "--base", base).stdout.split()[1]
    assert second != first
    states = {row["reference"]: row["state"] for row in json.loads(mleb("image", "list", "--json").stdout)}
    assert (states[first], states[second]) == ("old", "current")
    table = mleb("image", "list").stdout
    assert table.startswith("IMAGE ")
    assert any(line.split()[:3] == [second, agent.name, "current"] for line in table.splitlines())

    dry = mleb("image", "prune", agent.name, "--dry-run")
    assert dry.stdout == f"{first}  old\n"
    assert "1 images would be removed" in dry.stderr
    assert docker("images", "-q", first)
    pruned = json.loads(mleb("image", "prune", agent.name, "--json").stdout)
    assert [row["reference"] for row in pruned["removed"]] == [first]
    assert (pruned["failed"], pruned["dry_run"]) == ([], False)
    assert not docker("images", "-q", first)
    assert docker("images", "-q", second)


@pytest.mark.docker
def test_one_that_fails_does_not_stop_the_others(mleb, agent, base, tmp_path):
    agent.image = "dockerfile='RUN echo no such luck; exit 7'"
    result = mleb("image", "build", agent.name, "dummy", "--base", base, "--json", env={"TMPDIR": str(tmp_path)})
    assert result.returncode == 1
    rows = {row["agent"]: row for row in json.loads(result.stdout)}
    assert rows["dummy"]["image"].startswith("mleb/dummy:")
    assert rows[agent.name]["image"] is None
    assert "RUN echo no such luck; exit 7: The command" in rows[agent.name]["error"]
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert errors == [f"Error: {rows[agent.name]['error']}"]
    assert f"1 of 2 images could not be built: {agent.name}" in result.stderr
    (log,) = tmp_path.glob("mleb-image-*.log")
    assert "no such luck" in log.read_text()


@pytest.mark.docker
def test_a_broken_plugin_is_told_in_one_line(mleb, agent, base):
    agent.image = "packages=('no_such_package',)"
    result = mleb("image", "build", agent.name, "--base", base)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"Error: agent {agent.name}: its image holds the package 'no_such_package', which is not installed here\n"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("build", "--base", "x"), "name agents, or --all"),
        (("build", "dummy", "--all"), "choose one of AGENT and --all"),
        (("build", "dummy", "--base", "x", "--gpu"), "choose one of --base and --gpu"),
        (("build", "dumy"), "did you mean dummy?"),
        (("frobnicate",), "frobnicate"),
    ],
)
def test_what_cannot_be_asked(mleb, arguments, words):
    result = mleb("image", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.docker
def test_a_base_that_is_not_here(mleb, docker_engine):
    result = mleb("image", "build", "dummy", "--base", "mleb-none/such:1")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "Error: the base image is not here; run `docker pull mleb-none/such:1`\n"


@pytest.mark.parametrize("command", [("image", "build"), ("image", "list"), ("image", "prune"), ("clean",)])
def test_without_an_engine_there_is_one_line(mleb, tmp_path, command):
    (tmp_path / "tmp").mkdir()  # in the machine's own, `mleb clean` may find something to remove
    env = {"DOCKER_HOST": f"unix://{tmp_path}/docker.sock", "TMPDIR": str(tmp_path / "tmp")}
    result = mleb(*command, env=env)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert "no Docker engine answers; run `sudo systemctl start docker`" in result.stderr
