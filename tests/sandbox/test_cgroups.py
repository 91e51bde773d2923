"""Where limits are set: on this machine, and on trees of plain files that look like other machines."""

import asyncio
import os
import subprocess
from pathlib import Path

from mergewright.domain.sandbox import SandboxLimits
from mergewright.sandbox.cgroups import Cgroups, Group, find_cgroups

LIMITS = SandboxLimits(memory=123456, processes=7)


def machine(tmp_path: Path, groups: str, *mounts: str) -> Path:
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / "cgroup").write_text(groups)
    (proc / "mountinfo").write_text("".join(f"{mount}\n" for mount in ("1 1 0:1 / / rw - ext4 /dev/a rw", *mounts)))
    return proc


def folder(path: Path, **files: str) -> Path:
    path.mkdir(parents=True)
    for name, text in files.items():
        (path / name.replace("__", ".")).write_text(text)
    return path


def test_the_nearest_group_of_v2_with_both_controllers_is_taken(tmp_path: Path) -> None:
    mount = folder(tmp_path / "sys", cgroup__subtree_control="cpu memory pids\n")
    folder(mount / "user", cgroup__subtree_control="cpu memory pids\n")
    (mount / "user" / "scope").mkdir()
    proc = machine(tmp_path, "0::/user/scope\n", f"2 1 0:2 / {mount} rw - cgroup2 cgroup2 rw")
    found = find_cgroups(proc=proc, usable=lambda cgroups: True)
    assert found == Cgroups(2, (mount / "user",))
    group = found.open(LIMITS)
    (held,) = group.folders
    assert held.parent == mount / "user"
    assert (held / "memory.max").read_text() == "123456"
    assert (held / "memory.swap.max").read_text() == "0"
    assert (held / "pids.max").read_text() == "7"
    group.add(42)
    assert (held / "cgroup.procs").read_text() == "42"
    (held / "memory.events").write_text("low 0\noom 1\noom_kill 0\n")
    assert not group.out_of_memory()
    (held / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    assert group.out_of_memory()


def test_both_hierarchies_of_v1_are_used(tmp_path: Path) -> None:
    memory, pids = folder(tmp_path / "memory" / "ours"), folder(tmp_path / "pids")
    proc = machine(
        tmp_path,
        "5:pids:/\n4:memory:/ours\n0::/\n",
        f"2 1 0:2 / {memory.parent} rw - cgroup cgroup rw,memory",
        f"3 1 0:3 / {pids} rw - cgroup cgroup rw,pids",
    )
    found = find_cgroups(proc=proc, usable=lambda cgroups: True)
    assert found == Cgroups(1, (memory, pids))
    group = found.open(LIMITS)
    assert (group.folders[0] / "memory.limit_in_bytes").read_text() == "123456"
    assert (group.folders[1] / "pids.max").read_text() == "7"


def test_without_a_writable_group_it_is_said_that_limits_are_weaker(tmp_path: Path) -> None:
    found = find_cgroups(proc=machine(tmp_path, "0::/\n"))
    assert found == Cgroups(0)
    assert "rlimits" in found.describe()


async def test_rlimits_hold_a_process_and_its_children() -> None:
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", "read go; ulimit -d; sh -c 'ulimit -d'", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    group = Cgroups(0).open(SandboxLimits(memory=512 * 1024**2, processes=300))
    group.add(process.pid)
    out, _ = await process.communicate(b"\n")
    assert out.split() == [b"524288", b"524288"]
    assert not group.out_of_memory()
    assert group == Group(limits=SandboxLimits(memory=512 * 1024**2, processes=300))


def test_groups_that_a_killed_process_left_are_taken_away(tmp_path: Path) -> None:
    parent = folder(tmp_path / "sys")
    dead = subprocess.Popen(["true"])
    dead.wait()
    (parent / f"mergewright-{dead.pid}-1").mkdir()
    (parent / f"mergewright-{os.getpid()}-0").mkdir()
    (parent / "other").mkdir()
    Cgroups(2, (parent,)).open(LIMITS)
    assert not (parent / f"mergewright-{dead.pid}-1").exists()
    assert (parent / f"mergewright-{os.getpid()}-0").exists()
    assert (parent / "other").exists()


def test_a_group_is_gone_after_use() -> None:
    found = find_cgroups()
    group = found.open(LIMITS)
    # Without a cgroup that we may write there is none, and `doctor` says what holds instead.
    assert bool(group.folders) == ("cgroup v" in found.describe())
    assert all(path.is_dir() for path in group.folders)
    group.remove()
    assert not any(path.exists() for path in group.folders)
