"""The sandbox of a harness that is an ordinary user: no control groups, but a user namespace and rlimits."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

CODE = """
import json, sys, tempfile
from pathlib import Path
from mleb_bwrap.runner import BwrapRunner
from mleb_core.run import Limits
from mleb_core.runner.protocol import Stop
from mleb_core.testing.runner import Script
from mleb_core.testing.tinies import tiny_job, tiny_prepared
AGENTS = (
    "import os; print(os.getuid(), [l.split()[1] for l in open('/proc/self/status') if l.startswith('CapEff')][0])",
    "import time; held = []\\nwhile True: held.append(bytes(range(256)) * 40960); time.sleep(0.02)",
    "import os, time; n = 0\\ntry:\\n  while True:\\n    if not os.fork(): time.sleep(60)\\n    n += 1\\n"
    "except BlockingIOError: print('stopped', 40 < n < 50)",
    "import ctypes; print(ctypes.CDLL(None).unshare(0x10000000))",
)
with tempfile.TemporaryDirectory() as name:
    runner, data, told = BwrapRunner(), tiny_prepared(Path(name, "data")), []
    runner.check(Limits())
    for number, agent in enumerate(AGENTS):
        limits = Limits(time_s=60, memory_bytes=256 << 20, processes=50)
        job = tiny_job(Path(name, "group", "tiny", "script", str(number)), data, Script(agent), limits=limits)
        outcome = runner.run(job, Stop())
        told.append([outcome.status, outcome.message, job.layout.log.read_text()])
    left = [path.name for path in Path(name, "group").iterdir()]
print(json.dumps([runner.isolation.memory, told, left]))
"""
USER = 1000


def as_user(python: str, code: str, folder: str) -> "subprocess.CompletedProcess[str]":
    """Run Python as an ordinary user, with this one's packages."""
    who = {} if os.geteuid() else {"user": USER, "group": USER, "extra_groups": []}
    env = {"PATH": os.defpath, "HOME": folder, "TMPDIR": folder, "PYTHONPATH": ":".join(filter(None, sys.path))}
    return subprocess.run([python, "-c", code], capture_output=True, text=True, cwd=folder, env=env, timeout=240, **who)  # type: ignore[call-overload,no-any-return]


@pytest.mark.usefixtures("bubblewrap")
def test_an_ordinary_user_gets_a_sandbox_too() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        ready = "import sys, mleb_bwrap.runner, mleb_core.testing.runner; sys.exit(sys.version_info[:2] != {})"
        candidates = [sys.executable, f"/usr/bin/python3.{sys.version_info.minor}", "/usr/bin/python3"]
        wanted = ready.format(tuple(sys.version_info[:2]))
        python = next((one for one in candidates if Path(one).exists() and not fails(one, wanted, folder)), None)
        if python is None:
            pytest.skip("no Python here that ordinary users may run and that can use this one's packages")
        done = as_user(python, CODE, folder)
    assert done.returncode == 0, done.stderr
    _, told, left = json.loads(done.stdout)
    first, hungry, forking, nesting = told
    user = USER if os.geteuid() == 0 else os.geteuid()
    assert first == ["finished", "", f"{user} 0000000000000000\n"]
    assert hungry[0] == "failed" and hungry[1].startswith("out of memory")
    assert forking == ["finished", "", "stopped True\n"]
    assert nesting[2] == "-1\n"  # no user namespaces of its own
    assert left == ["tiny"]


def fails(python: str, code: str, folder: str) -> bool:
    try:
        return as_user(python, code, folder).returncode != 0
    except OSError:
        return True
