"""System calls that agents may not make, as a seccomp filter: the one thing that namespaces do not part.

The kernel's keys belong to users, and under root agents are the machine's user 1000; so none of the calls for keys. And
no user namespaces, in which an agent has rights that reach more of the kernel. Both are refused as in a container: with
EPERM, and `clone3`, whose flags no filter can see, with ENOSYS, upon which the C library takes `clone`.
"""

import errno
import platform
import struct
from dataclasses import dataclass

__all__ = ["call_filter"]

# Instructions of classic BPF (linux/bpf_common.h), and what a filter answers (linux/seccomp.h).
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_NEW_USER = 0x10000000
_X32 = 0x40000000
"""What numbers of x86_64's second set of calls have: the same calls under further numbers."""
_REFUSED, _ABSENT = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS


@dataclass(frozen=True)
class _Calls:
    """Numbers of one architecture (linux/audit.h, asm/unistd.h)."""

    architecture: int
    keys: tuple[int, ...]
    """add_key, request_key, keyctl."""
    clone: int
    unshare: int
    clone3: int = 435


_X86_64 = _Calls(0xC000003E, (248, 249, 250), clone=56, unshare=272)
_I386 = _Calls(0x40000003, (286, 287, 288), clone=120, unshare=310)
_AARCH64 = _Calls(0xC00000B7, (217, 218, 219), clone=220, unshare=97)
_ARM = _Calls(0x40000028, (309, 310, 311), clone=120, unshare=337)
_OF_MACHINES = {"x86_64": (_X86_64, _I386), "aarch64": (_AARCH64, _ARM)}


def call_filter(machine: str | None = None) -> bytes | None:
    """The filter as a program that `bwrap --seccomp` takes.

    Args:
        machine: as `platform.machine` names it; None: this one.

    Returns:
        The program, 8 bytes an instruction; None for a machine whose numbers are not known here.
    """
    known = _OF_MACHINES.get(platform.machine() if machine is None else machine)
    if known is None:
        return None
    program = [_instruction(_LOAD, _ARCHITECTURE_AT)]
    for calls in known:
        body = _of(calls)
        program += [_instruction(_EQUAL, calls.architecture, 0, len(body)), *body]
    # The calls of an architecture that this machine should not have.
    return b"".join([*program, _instruction(_RETURN, _REFUSED)])


def _of(calls: _Calls) -> list[bytes]:
    program = [_instruction(_LOAD, _NUMBER_AT)]
    if calls is _X86_64:
        program += [_instruction(_AT_LEAST, _X32, 0, 1), _instruction(_RETURN, _REFUSED)]
    for number in calls.keys:
        program += [_instruction(_EQUAL, number, 0, 1), _instruction(_RETURN, _REFUSED)]
    program += [_instruction(_EQUAL, calls.clone3, 0, 1), _instruction(_RETURN, _ABSENT)]
    program += [_instruction(_EQUAL, calls.clone, 1, 0), _instruction(_EQUAL, calls.unshare, 0, 3)]
    program += [_instruction(_LOAD, _FIRST_ARGUMENT_AT), _instruction(_ANY_BIT, _NEW_USER, 0, 1)]
    return [*program, _instruction(_RETURN, _REFUSED), _instruction(_RETURN, _ALLOW)]


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
