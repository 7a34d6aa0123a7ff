"""What the kernel counts of a container: files of both versions of control groups, as the kernel writes them."""

from pathlib import Path

import pytest

from mleb_core.runner.docker.cgroup import ControlGroup

ID = "4f0e6b" * 10
FIRST = f"""12:pids:/docker/{ID}
8:memory:/docker/{ID}
5:cpu,cpuacct:/docker/{ID}
1:name=systemd:/docker/{ID}
0::/system.slice/containerd.service
"""
SECOND = f"0::/system.slice/docker-{ID}.scope\n"


@pytest.mark.parametrize(
    ("lines", "folder", "name", "content"),
    [
        (FIRST, f"memory/docker/{ID}", "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
        (
            SECOND,
            f"system.slice/docker-{ID}.scope",
            "memory.events",
            "low 0\nhigh 0\nmax 17\noom 3\noom_kill 2\noom_group_kill 0\n",
        ),
    ],
)
def test_both_versions_tell_of_kills_and_processes(
    tmp_path: Path, lines: str, folder: str, name: str, content: str
) -> None:
    root, proc = tmp_path / "cgroup", tmp_path / "proc"
    (proc / "17").mkdir(parents=True)
    (proc / "17" / "cgroup").write_text(lines)
    (root / folder).mkdir(parents=True)
    (root / folder / "cgroup.procs").write_text("17\n23\n")
    (root / folder / name).write_text(content)
    found = ControlGroup.of(17, ID, root=root, proc=proc)
    assert found.folder == root / folder
    assert (found.killed_for_memory(), found.processes()) == (2, [17, 23])
    (root / folder / name).unlink()
    assert found.killed_for_memory() == 0
    other = ControlGroup.of(17, "another", root=root, proc=proc)
    assert (other.folder, other.killed_for_memory(), other.processes()) == (None, 0, [])
    assert ControlGroup.of(18, ID, root=root, proc=proc).folder is None
