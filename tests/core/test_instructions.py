"""What an agent is told."""

from pathlib import PurePosixPath

from mleb_core.agent import AgentPaths
from mleb_core.instructions import fill_in, render_instructions
from mleb_core.run import Limits

HOME = PurePosixPath("/home")
PATHS = AgentPaths(HOME, *(HOME / name for name in ("data", "submission", "code", "logs", "instructions.txt", "check")))


def told(limits: Limits | None = None, **facts) -> str:
    return fill_in(render_instructions(limits=limits or Limits(), sample="sample.csv", **facts), PATHS)


def test_every_path_is_filled_in():
    text = told(checker=True)
    assert "{" not in text
    for path in ("/home/data/description.md", "/home/data/sample.csv", "/home/submission/submission.csv", "/home/code"):
        assert path in text
    assert "`sh /home/check FILE`" in text


def test_only_what_there_is_is_told():
    text = told()
    assert "check" not in text
    assert "internet" not in text
    assert "You may use" not in text
    assert "24 hours" in text


def test_limits_are_told():
    text = told(Limits(time_s=5400, steps=20, cpus=1, memory_bytes=32 * 1024**3, gpus=2))
    assert "1.5 hours and 20 steps" in text
    assert "You may use 1 processor core, 32 GiB of memory, 2 GPUs." in text


def test_the_network_is_told():
    assert "There is no internet." in told(network=())
    assert "only these hosts, by the proxy that is set up: a.example, b.example." in told(
        network=("a.example", "b.example")
    )
    assert "internet" not in told(network=("*",))
