"""The system calls that no build or test needs and that have let others out of sandboxes or in at kept keys."""

import errno
import struct
from dataclasses import dataclass

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
"""Where they lie in what the kernel shows a filter, on machines whose low bytes come first."""
_FAMILIES = (1, 2, 10, 16)
"""The sockets that may be made: UNIX, IPv4, IPv6, netlink. A network namespace shuts in these, but not AF_VSOCK, which
speaks to the machine that hosts this one; the others are seldom used and often broken."""


@dataclass(frozen=True)
class _Machine:
    audit: int
    """The kernel's own number of the architecture."""
    denied: tuple[int, ...]
    socket: int
    ceiling: int = 0
    """From here on numbers belong to another convention; 0 where there is none."""


# In both: add_key, request_key, keyctl (the keys of whoever started us), bpf, perf_event_open, userfaultfd,
# io_uring_setup, _enter, _register, kexec_load, kexec_file_load, init_module, finit_module, delete_module,
# open_by_handle_at, quotactl.
_MACHINES = {
    "x86_64": _Machine(
        0xC000003E,
        (248, 249, 250, 321, 298, 323, 425, 426, 427, 246, 320, 175, 313, 176, 304, 179),
        socket=41,
        ceiling=0x40000000,
    ),
    "aarch64": _Machine(
        0xC00000B7,
        (217, 218, 219, 280, 241, 282, 425, 426, 427, 104, 294, 105, 273, 106, 265, 60),
        socket=198,
    ),
}


def known(machine: str) -> bool:
    """Whether there is a filter for this kind of machine."""
    return machine in _MACHINES


def program(machine: str) -> bytes:
    """Give the filter as the kernel reads it; empty for a machine whose numbers are not known here."""
    if machine not in _MACHINES:
        return b""
    kind = _MACHINES[machine]
    steps = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, kind.audit), (_RETURN, 0, 0, _ERROR | errno.ENOSYS)]
    steps.append((_LOAD, 0, 0, _NUMBER))
    if kind.ceiling:
        steps += [(_AT_LEAST, 0, 1, kind.ceiling), (_RETURN, 0, 0, _ERROR | errno.ENOSYS)]
    # Jumps count the steps between.
    ending = [(_EQUAL, 0, len(_FAMILIES) + 2, kind.socket), (_LOAD, 0, 0, _FIRST_ARGUMENT)]
    ending += [(_EQUAL, len(_FAMILIES) - place, 0, family) for place, family in enumerate(_FAMILIES)]
    ending += [(_RETURN, 0, 0, _ERROR | errno.EAFNOSUPPORT), (_RETURN, 0, 0, _ALLOW)]
    for place, number in enumerate(kind.denied):
        steps.append((_EQUAL, len(kind.denied) - place - 1 + len(ending), 0, number))
    steps += [*ending, (_RETURN, 0, 0, _ERROR | errno.EPERM)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
