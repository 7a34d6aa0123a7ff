"""System calls that a sandbox's agent may not make, and what of the machine's network it does not reach."""

import contextlib
import errno
import os
import platform
import secrets
import socket
import subprocess
import sys
from typing import Any

import pytest

from mleb_bwrap.calls import call_filter
from mleb_core.run import RunStatus
from mleb_core.runner.protocol import Stop

pytestmark = pytest.mark.bwrap

USER_KEYRING = -4
KEYS = {"x86_64": (248, 249, 250), "aarch64": (217, 218, 219)}  # add_key, request_key, keyctl
UNSHARE = {"x86_64": 272, "aarch64": 97}
here = platform.machine()
known = pytest.mark.skipif(here not in KEYS, reason="no filter of system calls for this machine")


def key_of_user(name: str, number: int, keep: bool) -> str:
    """Python that lays a key into the keyring of the user who runs it, or takes it away; root does it as user 1000."""
    search = f"found = call({number}, 10, {USER_KEYRING}, b'user', {name!r}.encode(), 0)"
    act = f"call({KEYS[here][0]}, b'user', {name!r}.encode(), b'of the host', 11, {USER_KEYRING})"
    act = act if keep else f"{search}\ncall({number}, 9, found, {USER_KEYRING})"
    become = "os.setresuid(1000, 1000, 1000)" if os.geteuid() == 0 else ""
    return f"import ctypes, os\n{become}\ncall = ctypes.CDLL(None).syscall\n{act}\n"


@known
def test_the_keys_of_the_machines_user_1000_are_out_of_reach(runner: Any, make_job: Any) -> None:
    name, (add, request, keyctl) = f"mleb-{secrets.token_hex(8)}", KEYS[here]
    code = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
name = b"{name}"
for number, *words in (({keyctl}, 10, {USER_KEYRING}, b"user", name, 0), ({request}, b"user", name, None, 0),
                       ({add}, b"user", b"mine", b"x", 1, {USER_KEYRING}), ({keyctl}, 0, {USER_KEYRING}, 1)):
    print(libc.syscall(number, *words), ctypes.get_errno())
"""
    with contextlib.ExitStack() as stack:
        lay, take = ([sys.executable, "-c", key_of_user(name, keyctl, keep)] for keep in (True, False))
        subprocess.run(lay, check=True)
        stack.callback(subprocess.run, take, check=True)
        job = make_job(code)
        outcome = runner.run(job, Stop())
    assert outcome.status is RunStatus.FINISHED, outcome
    assert job.layout.log.read_text().splitlines() == [f"-1 {errno.EPERM}"] * 4


@known
def test_it_makes_no_user_namespace_and_threads_and_processes_all_the_same(runner: Any, make_job: Any) -> None:
    code = f"""
import ctypes, subprocess, threading
libc = ctypes.CDLL(None, use_errno=True)
print(libc.syscall({UNSHARE[here]}, 0x10000000), ctypes.get_errno())
print(libc.syscall({UNSHARE[here]}, 0x10000000 | 0x20000), ctypes.get_errno())
thread = threading.Thread(target=print, args=("thread",))
thread.start(); thread.join()
print(subprocess.run(["echo", "process"], capture_output=True, text=True).stdout.strip())
"""
    job = make_job(code)
    assert runner.run(job, Stop()).status is RunStatus.FINISHED
    first, second, *rest = job.layout.log.read_text().splitlines()
    # A sandbox made in a user namespace, as ordinary users get it, has none to spare: then that may be told instead.
    assert first in {f"-1 {errno.EPERM}", f"-1 {errno.ENOSPC}"} and second == first
    assert rest == ["thread", "process"]


def test_without_a_network_the_machines_nameless_sockets_are_out_of_reach(runner: Any, make_job: Any) -> None:
    """Sockets of the abstract kind belong to the network, not to files."""
    name = f"mleb-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"\0{name}")
        listening.listen()
        with socket.socket(socket.AF_UNIX) as near:
            near.connect(f"\0{name}")
        code = f"""
import socket
try:
    socket.socket(socket.AF_UNIX).connect("\\0{name}")
    print("REACHED")
except ConnectionRefusedError:
    print("refused")
"""
        job = make_job(code)
        runner.run(job, Stop())
    assert job.layout.log.read_text() == "refused\n"


def test_the_filter_is_whole_for_every_machine_that_is_known() -> None:
    for machine in KEYS:
        program = call_filter(machine)
        assert program is not None and len(program) % 8 == 0
        # Each jump lands within the program, and its last instruction answers.
        steps = [program[at : at + 8] for at in range(0, len(program), 8)]
        assert all(at + 1 + max(step[2], step[3]) < len(steps) for at, step in enumerate(steps) if step[0] != 6)
        assert steps[-1][0] == 6
    assert call_filter("pdp11") is None
