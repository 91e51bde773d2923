"""What every sandbox must do, whatever it is made of."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from mergewright.domain.errors import ToolError
from mergewright.domain.sandbox import Ended, Sandbox, SandboxLimits
from mergewright.sandbox.bubblewrap import Bubblewrap
from mergewright.sandbox.settings import SandboxSettings


@pytest.fixture(params=["bubblewrap"])
def sandbox(tmp_path: Path) -> Sandbox:
    for name in ("tree", "outputs", "scratch"):
        (tmp_path / name).mkdir()
    limits = SandboxLimits(seconds=20, memory=256 * 1024**2, processes=64, output=1024**2)
    settings = SandboxSettings(limits=limits, scratch=tmp_path / "scratch")
    return Bubblewrap(tmp_path / "tree", settings=settings, outputs=tmp_path / "outputs")


def git(*arguments: str, cwd: Path) -> None:
    subprocess.run(["git", *arguments], cwd=cwd, check=True)


async def test_a_command_runs_at_the_root_of_the_work_tree(sandbox: Sandbox) -> None:
    result = await sandbox.run("pwd; echo oops >&2; exit 3")
    assert (result.ended, result.exit_code) == (Ended.EXITED, 3)
    assert result.output == f"{sandbox.root}\noops\n"
    assert result.output_bytes == len(result.output)
    assert result.output_path == ""
    assert 0 < result.seconds < 10


async def test_a_command_that_reads_gets_nothing_at_once(sandbox: Sandbox) -> None:
    result = await sandbox.run("cat; read x; echo got:$x")
    assert result.output == "got:\n"


async def test_output_is_told_as_it_comes(sandbox: Sandbox) -> None:
    heard: list[bytes] = []
    result = await sandbox.run("echo one; sleep 0.3; echo two", on_output=heard.append)
    assert heard == [b"one\n", b"two\n"]
    assert result.output == "one\ntwo\n"


async def test_a_hanging_command_ends_at_its_limit_with_what_it_said(sandbox: Sandbox) -> None:
    result = await sandbox.run("echo begun; sleep 1000", seconds=0.5)
    assert (result.ended, result.exit_code, result.output) == (Ended.TIMEOUT, None, "begun\n")
    assert result.seconds < 5


async def test_a_command_that_leaves_children_behind_is_over_when_it_ends(sandbox: Sandbox) -> None:
    result = await sandbox.run("sleep 300 & setsid sleep 300 & nohup sleep 300 & echo done")
    assert (result.ended, result.exit_code, result.output) == (Ended.EXITED, 0, "done\n")
    assert result.seconds < 5


async def test_a_signal_is_told_as_a_shell_does(sandbox: Sandbox) -> None:
    assert (await sandbox.run("kill -9 $$")).exit_code == 137


async def test_too_much_memory_ends_a_command(sandbox: Sandbox) -> None:
    result = await sandbox.run("python3 -c 'x = bytearray(10**9); print(len(x))'")
    # Where no cgroup can be written, a limit on each process refuses the memory, and the program ends by itself.
    refused = result.ended is Ended.EXITED and result.exit_code == 1 and "MemoryError" in result.output
    assert refused or (result.ended, result.exit_code) == (Ended.MEMORY, None)
    assert "1000000000" not in result.output


async def test_too_much_output_ends_a_command(sandbox: Sandbox) -> None:
    result = await sandbox.run("yes")
    assert (result.ended, result.exit_code, result.output_bytes) == (Ended.OUTPUT, None, 1024**2)


async def test_long_output_is_shown_from_both_ends_and_kept_whole(sandbox: Sandbox) -> None:
    result = await sandbox.run("seq 100000")
    assert result.output.startswith("1\n2\n")
    assert result.output.endswith("\n99999\n100000\n")
    assert len(result.output) < 30_000
    assert result.output_path in result.output
    again = await sandbox.run(f"wc -c < {result.output_path}; sed -n 50000p {result.output_path}")
    assert again.output == f"{result.output_bytes}\n50000\n"
    assert (await sandbox.read(result.output_path)).count(b"\n") == 100_000


async def test_several_commands_run_at_the_same_time(sandbox: Sandbox) -> None:
    results = await asyncio.gather(*(sandbox.run(f"sleep 0.2; seq {n}0000") for n in range(1, 6)))
    assert [result.output.split()[-1] for result in results] == [f"{n}0000" for n in range(1, 6)]
    assert len({result.output_path for result in results}) == 5


async def test_a_cancelled_command_is_dead(sandbox: Sandbox) -> None:
    task = asyncio.create_task(sandbox.run("until [ -e go ]; do sleep 0.05; done; touch later"))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (sandbox.root / "go").touch()
    await asyncio.sleep(0.4)
    assert not (sandbox.root / "later").exists()


async def test_bytes_are_written_and_read_as_they_are(sandbox: Sandbox) -> None:
    data = bytes(range(256)) + "\ufeffä\r\n\ttab\x0c".encode("utf-16")
    await sandbox.write("deep/er/file.bin", data)
    assert await sandbox.read("deep/er/file.bin") == data
    assert await sandbox.read(f"{sandbox.root}/deep/../deep/er/file.bin") == data
    shown = await sandbox.run("cksum < deep/er/file.bin")
    assert shown.output.split()[1] == str(len(data))


async def test_a_file_keeps_its_mode_and_a_link_stays_a_link(sandbox: Sandbox) -> None:
    (sandbox.root / "real.sh").write_text("old")
    (sandbox.root / "real.sh").chmod(0o755)
    (sandbox.root / "link.sh").symlink_to("real.sh")
    await sandbox.write("link.sh", b"new")
    assert (sandbox.root / "link.sh").is_symlink()
    assert (sandbox.root / "real.sh").read_bytes() == b"new"
    assert os.stat(sandbox.root / "real.sh").st_mode & 0o777 == 0o755


@pytest.mark.parametrize("path", ["gone", "", "../out", "/etc/passwd", "a/../../out", "folder", "nul\0byte"])
async def test_what_is_no_file_of_the_tree_is_an_error_to_read(sandbox: Sandbox, path: str) -> None:
    (sandbox.root / "folder").mkdir()
    with pytest.raises(ToolError):
        await sandbox.read(path)


async def test_only_files_that_git_would_track_are_listed(sandbox: Sandbox) -> None:
    assert await sandbox.paths() == []
    git("init", "-q", cwd=sandbox.root)
    for name in ("kept.py", "gone.py", "ünter weg.txt", "noise.log", "build/out"):
        await sandbox.write(name, b"x")
    await sandbox.write(".gitignore", b"*.log\nbuild/\n")
    git("add", "kept.py", "gone.py", cwd=sandbox.root)
    (sandbox.root / "gone.py").unlink()
    assert await sandbox.paths() == [".gitignore", "kept.py", "ünter weg.txt"]
