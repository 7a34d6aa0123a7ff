"""`mleb clean`: real containers, networks and volumes of groups in every state."""

import contextlib
import fcntl
import json
import secrets
import shutil
import subprocess

import pytest

from mleb_core.layout import GroupLayout, write_json
from mleb_core.runner.docker.labels import HOST, labels_of
from mleb_core.testing.images import make_test_image

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("docker_engine")]


def docker(*arguments):
    done = subprocess.run(["docker", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Groups:
    """Groups on disk and objects on the engine, with names that no other test has."""

    def __init__(self, root):
        self.root, self.token, self.count = root / "runs", secrets.token_hex(6), 0
        self.image = make_test_image()

    def make(self, group, status, *, seed=0, running=False, **labels):
        """A run with a container; gives the container's name."""
        layout = GroupLayout(self.root / group).run("apples", "me", seed)
        layout.root.mkdir(parents=True)
        write_json(layout.run, {"status": status})
        GroupLayout(self.root / group).lock.touch()
        self.count += 1
        name = f"mleb-{self.token}-{self.count}"
        command = ("run", "-d") if running else ("create",)
        docker(*command, "--name", name, *self.labels(layout, **labels), "--network=none", self.image, "sleep", "1000")
        return name

    def labels(self, layout, **others):
        labels = labels_of(layout.root, 1) | {key.replace("_", "."): value for key, value in others.items()}
        return [
            word
            for key, value in [*labels.items(), ("mleb.test", self.token)]
            for word in ("--label", f"{key}={value}")
        ]

    def there(self, kind="container"):
        """The names of our objects on the engine."""
        form = {"container": ("ps", "-a", "--format={{.Names}}"), "network": ("network", "ls", "--format={{.Name}}"),
                "volume": ("volume", "ls", "--format={{.Name}}")}[kind]  # fmt: skip
        return set(docker(*form, "--filter", f"label=mleb.test={self.token}").split())


@pytest.fixture
def groups(tmp_path):
    groups = Groups(tmp_path)
    yield groups
    for name in groups.there():
        docker("rm", "-f", "-v", name)
    for kind in ("network", "volume"):
        for name in groups.there(kind):
            docker(kind, "rm", name)


@pytest.fixture
def clean(mleb, groups):
    """Runs `mleb clean --json` on the test's groups alone; gives what it tells."""

    def run(*arguments, code=0):
        result = mleb("clean", "--json", "--runs", groups.root, *arguments)
        assert result.returncode == code, result.stderr
        return json.loads(result.stdout)

    return run


def names(rows):
    return {row["name"] for row in rows}


def test_what_nobody_comes_back_for_goes_and_the_rest_stays(clean, groups, mleb):
    gone = groups.make("gone", "running", running=True)
    shutil.rmtree(groups.root / "gone")
    ended = [
        groups.make("kept", status, seed=i) for i, status in enumerate(["finished", "failed", "timed_out", "cancelled"])
    ]
    resumable = [
        groups.make("kept", status, seed=i) for i, status in enumerate(["interrupted", "running", "collecting"], 10)
    ]
    removed_run = groups.make("kept", "running", seed=20)
    shutil.rmtree(GroupLayout(groups.root / "kept").run("apples", "me", 20).root)

    before = groups.there()
    told = clean("--dry-run")
    assert names(told["removed"]) == {gone, *ended, removed_run}
    assert told["dry_run"] is True
    assert groups.there() == before

    told = clean()
    assert names(told["removed"]) == {gone, *ended, removed_run}
    assert names(told["kept"]) == set(resumable)
    assert told["failed"] == []
    assert groups.there() == set(resumable)
    whys = {row["name"]: row["why"] for row in [*told["removed"], *told["kept"]]}
    assert whys[gone] == "its group's directory is gone"
    assert whys[removed_run] == "its run's directory is gone"
    assert whys[ended[2]] == "its run has ended (timed_out)"
    assert whys[resumable[1]] == f"its run can be resumed: mleb eval --resume {groups.root / 'kept'}"
    runs = {row["name"]: row["run"] for row in told["kept"]}
    assert runs[resumable[0]] == str(GroupLayout(groups.root / "kept").run("apples", "me", 10).root)

    text = mleb("clean", "--runs", groups.root)
    assert (text.returncode, text.stdout) == (0, "")
    assert f"kept: container {resumable[1]}: its run can be resumed" in text.stderr
    assert text.stderr.endswith("0 objects removed, 0 bytes freed, 3 kept\n")

    told = clean("--interrupted")
    assert names(told["removed"]) == set(resumable)
    assert groups.there() == set()


def test_a_running_container_of_a_group_that_can_be_resumed_goes_on(clean, groups):
    name = groups.make("resumable", "running", running=True)
    clean()
    assert docker("inspect", "--format={{.State.Running}}", name) == "true"


def test_nothing_of_a_group_that_a_harness_works_on_is_touched(clean, groups):
    names_ = {groups.make("busy", "finished"), groups.make("busy", "running", seed=1)}
    with GroupLayout(groups.root / "busy").lock.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told = clean("--interrupted")
        assert told["removed"] == []
        assert {row["why"] for row in told["kept"]} == {"a harness is at work on its group"}
        assert groups.there() == names_
    assert names(clean("--interrupted")["removed"]) == names_


def test_a_run_whose_state_cannot_be_read_keeps_what_it_has(clean, groups):
    name = groups.make("odd", "running")
    run = GroupLayout(groups.root / "odd").run("apples", "me", 0).run
    for content in (b"{", b"[]", b'{"status": "dancing"}', b"\xff"):
        run.write_bytes(content)
        told = clean("--interrupted")
        assert names(told["kept"]) == {name}
        assert "run.json cannot be read" in told["kept"][0]["why"]


def test_what_another_host_made_is_left_alone(clean, groups):
    name = groups.make("far", "finished", mleb_host="another")
    assert HOST == "mleb.host"
    told = clean()
    assert (told["removed"], names(told["kept"])) == ([], {name})
    assert names(clean("--any-host")["removed"]) == {name}


def test_only_groups_in_the_directory_that_is_named(clean, groups, mleb, tmp_path):
    name = groups.make("a", "finished")
    other = json.loads(mleb("clean", "--json", "--runs", tmp_path / "elsewhere").stdout)
    assert (other["removed"], other["kept"]) == ([], [])
    assert names(clean()["removed"]) == {name}


def test_networks_and_volumes_go_after_their_containers(clean, groups):
    name = groups.make("whole", "finished")
    layout = GroupLayout(groups.root / "whole").run("apples", "me", 0)
    volume, network = f"mleb-v-{groups.token}", f"mleb-n-{groups.token}"
    docker("volume", "create", *groups.labels(layout), volume)
    docker("network", "create", "--internal", *groups.labels(layout), network)
    docker("run", "--rm", "-v", f"{volume}:/v", groups.image, "sh", "-c", "head -c 100000 /dev/zero > /v/file")
    second = f"{name}-b"
    mounted = ("-v", f"{volume}:/v", "--network", network)
    docker("run", "-d", "--name", second, *groups.labels(layout), *mounted, groups.image, "sleep", "1000")
    told = clean()
    assert [row["kind"] for row in told["removed"]] == ["container", "container", "network", "volume"]
    assert told["freed_bytes"] >= 100000
    for kind in ("container", "network", "volume"):
        assert groups.there(kind) == set()


def test_what_cannot_be_removed_is_told_and_the_rest_goes(clean, groups):
    first = groups.make("some", "finished")
    layout = GroupLayout(groups.root / "some").run("apples", "me", 0)
    volume = f"mleb-v-{groups.token}"
    docker("volume", "create", *groups.labels(layout), volume)
    stranger = f"stranger-{groups.token}"
    docker("create", "--name", stranger, "--label", f"mleb.test={groups.token}", "-v", f"{volume}:/v", groups.image)
    told = clean(code=1)
    assert names(told["removed"]) == {first}
    (failure,) = told["failed"]
    assert failure.startswith(f"volume {volume} cannot be removed: ")
    assert "volume is in use" in failure
    assert groups.there() == {stranger}
    with contextlib.suppress(AssertionError):
        docker("rm", "-f", stranger)
