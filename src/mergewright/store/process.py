"""Which process this is, and whether another one still lives."""

import os
import socket
from functools import cache
from pathlib import Path


@cache
def _host() -> str:
    # Containers may share a host name, but a process id means something only inside its own namespace.
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return f"{socket.gethostname()}{namespace}"


def this_process() -> str:
    """Name this process so that no other one, before or after it, has the same name."""
    pid = os.getpid()
    return f"{_host()}|{pid}|{_born(pid)}"


def is_gone(process: str) -> bool:
    """Whether a process of this machine has certainly ended; of other machines nothing is certain."""
    host, _, rest = process.partition("|")
    pid, _, born = rest.partition("|")
    if host != _host() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return _born(int(pid)) != born


def _born(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty where the kernel does not say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return ""
    # The command's name stands in parentheses and may hold spaces and parentheses itself.
    fields = stat.rpartition(")")[2].split()
    return "ended" if fields[0] in {"Z", "X"} else fields[19]
