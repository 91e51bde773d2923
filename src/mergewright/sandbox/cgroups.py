"""Memory and process limits for a whole process tree, by cgroup v2, cgroup v1 or, with neither writable, rlimits."""

import os
import resource
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from mergewright.domain.sandbox import SandboxLimits

_PREFIX = "mergewright-"
_numbers = count(1)


@dataclass(frozen=True)
class Group:
    """The limits that hold one command's processes."""

    folders: tuple[Path, ...] = ()
    """One folder in cgroup v2, one each for memory and processes in v1, none with rlimits."""
    limits: SandboxLimits | None = None

    def add(self, pid: int) -> None:
        """Put a process, and all that it will start, under the limits."""
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(pid))
        if self.limits is not None:
            # Of the private writable memory, not of address space: Node, Go and Java reserve far more than they use.
            lower(pid, resource.RLIMIT_DATA, self.limits.memory)
            lower(pid, resource.RLIMIT_NPROC, self.limits.processes)

    def out_of_memory(self, pid: int = 0) -> bool:
        """Whether the kernel has killed a process for the group's memory, or the tree of a process has too much."""
        if self.limits is not None and pid:
            return _tree_memory(pid) > self.limits.memory
        for folder in self.folders:
            for name in ("memory.events", "memory.oom_control"):
                with suppress(FileNotFoundError):
                    for line in (folder / name).read_text().splitlines():
                        if line.startswith("oom_kill ") and line != "oom_kill 0":
                            return True
        return False

    def remove(self) -> None:
        """Take the group away once its processes are dead."""
        for folder in self.folders:
            with suppress(OSError):  # A process not yet buried keeps it; the next `open` takes it away.
                folder.rmdir()


@dataclass(frozen=True)
class Cgroups:
    """The place on this machine where limits for process trees can be set."""

    version: int
    """2 or 1; 0 when no cgroup can be written."""
    parents: tuple[Path, ...] = ()

    def describe(self) -> str:
        """Say in a few words what holds memory and processes."""
        if self.version:
            return f"memory and processes are limited by cgroup v{self.version}"
        nproc = "" if os.getuid() else "; as root the number of processes is not limited"
        return f"no cgroup can be written: memory is looked at twice a second, rlimits hold each process{nproc}"

    def open(self, limits: SandboxLimits) -> Group:
        """Make a group with these limits."""
        if not self.version:
            return Group(limits=limits)
        name = f"{_PREFIX}{os.getpid()}-{next(_numbers)}"
        group = Group(tuple(parent / name for parent in self.parents))
        memory, processes = group.folders[0], group.folders[-1]
        try:
            for folder in group.folders:
                _sweep(folder.parent)
                folder.mkdir()
            if self.version == 2:
                (memory / "memory.max").write_text(str(limits.memory))
                _try_write(memory / "memory.swap.max", "0")
                _try_write(memory / "memory.oom.group", "1")
            else:
                (memory / "memory.limit_in_bytes").write_text(str(limits.memory))
                _try_write(memory / "memory.memsw.limit_in_bytes", str(limits.memory))
            (processes / "pids.max").write_text(str(limits.processes))
        except OSError:
            group.remove()
            raise
        return group


def find_cgroups(*, proc: Path = Path("/proc/self"), usable: Callable[[Cgroups], bool] | None = None) -> Cgroups:
    """Look where this process may make cgroups with both a memory and a process limit."""
    check = usable or _usable
    own, mounts = _own_groups(proc / "cgroup"), _mounts(proc / "mountinfo")
    for mount in mounts.get("cgroup2", ()):
        for folder in _upwards(mount, own.get("", "/")):
            if _controls(folder) and check(found := Cgroups(2, (folder,))):
                return found
    if "memory" in mounts and "pids" in mounts:
        memory = [*_upwards(mounts["memory"][0], own.get("memory", "/"))]
        pids = [*_upwards(mounts["pids"][0], own.get("pids", "/"))]
        # The nearest first; one list may be longer, and its last folder then serves for the rest.
        for n in range(max(len(memory), len(pids))):
            found = Cgroups(1, (memory[min(n, len(memory) - 1)], pids[min(n, len(pids) - 1)]))
            if check(found):
                return found
    return Cgroups(0)


def _usable(cgroups: Cgroups) -> bool:
    """Make a group and put a process in it: only a trial tells what a container or systemd lets us do."""
    group: Group | None = None
    child = os.posix_spawn("/bin/sh", ["/bin/sh", "-c", "exec sleep 5"], {})
    try:
        group = cgroups.open(SandboxLimits())
        group.add(child)
    except OSError:
        return False
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        if group is not None:
            group.remove()
    return True


def _controls(folder: Path) -> bool:
    """Whether groups below this folder of cgroup v2 have the two controllers, switched on now if need be."""
    try:
        if {"memory", "pids"} <= set((folder / "cgroup.subtree_control").read_text().split()):
            return True
        (folder / "cgroup.subtree_control").write_text("+memory +pids")
    except OSError:
        return False
    return True


def _own_groups(path: Path) -> dict[str, str]:
    groups: dict[str, str] = {}
    for line in path.read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        groups.update(dict.fromkeys(controllers.split(","), group))
    return groups


def _mounts(path: Path) -> dict[str, list[Path]]:
    mounts: dict[str, list[Path]] = {}
    for line in path.read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        names = ("cgroup2",) if kind == "cgroup2" else options.split(" ")[-1].split(",") if kind == "cgroup" else ()
        for name in names:
            mounts.setdefault(name, []).append(Path(fields.split(" ")[4]))
    return mounts


def _upwards(mount: Path, group: str) -> list[Path]:
    """List the folder of our own group, then those above it, up to the mount."""
    folder = mount / group.lstrip("/")
    folders = [folder, *folder.parents]
    return [path for path in folders if path.is_relative_to(mount) and path.is_dir()] or [mount]


def _tree_memory(pid: int) -> int:
    """Add up the bytes that a process and all below it hold, what they share counted once."""
    held, pending = 0, [pid]
    while pending:
        folder = Path("/proc", str(pending.pop()))
        # A process may end while we look.
        with suppress(OSError):
            pending += map(int, (folder / "task" / folder.name / "children").read_text().split())
            for line in (folder / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    held += int(line.split()[1]) * 1024
    return held


def _sweep(parent: Path) -> None:
    """Take away the empty groups of processes of ours that were killed."""
    for folder in parent.glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX).split("-")[0]
        if not Path("/proc", owner).exists():
            with suppress(OSError):
                folder.rmdir()


def _try_write(path: Path, text: str) -> None:
    # Kernels without swap accounting have no such file, and need none.
    with suppress(OSError):
        path.write_text(text)


def lower(pid: int, what: int, limit: int) -> None:
    """Set an rlimit of a process, or leave it where it is lower already."""
    _, hard = resource.prlimit(pid, what)
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.prlimit(pid, what, (limit, limit))
