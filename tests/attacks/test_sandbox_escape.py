"""Attacks from inside the sandbox: what a command, or whoever wrote it, may try to reach or to leave behind."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mergewright.domain.errors import SandboxError, ToolError
from mergewright.domain.sandbox import Ended, SandboxLimits
from mergewright.sandbox import seccomp
from mergewright.sandbox.bubblewrap import Bubblewrap
from mergewright.sandbox.files import read_file, write_file
from mergewright.sandbox.settings import SandboxSettings


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("tree", "outputs", "scratch", "git"):
        (tmp_path / name).mkdir()
    (tmp_path / "secret").write_text("glpat-secret")
    return tmp_path


@pytest.fixture
def sandbox(place: Path) -> Bubblewrap:
    settings = SandboxSettings(scratch=place / "scratch")
    return Bubblewrap(place / "tree", settings=settings, git_dir=place / "git", outputs=place / "outputs")


async def test_the_sandbox_has_no_capability_and_cannot_get_one(sandbox: Bubblewrap) -> None:
    result = await sandbox.run("grep -E '^(Cap|NoNewPrivs)' /proc/self/status; id -u; unshare -Ur true || echo refused")
    for line in result.output.splitlines():
        if line.startswith("Cap"):
            assert int(line.split()[1], 16) == 0, line
    assert "NoNewPrivs:\t1" in result.output
    assert "1000\n" in result.output
    assert "refused" in result.output


async def test_nothing_of_the_host_can_be_written_and_its_settings_least_of_all(
    sandbox: Bubblewrap, place: Path
) -> None:
    # Run as root, the sandbox's user is root to the kernel, which asks /proc/sys for no more than that: a program
    # named in core_pattern would be run by the host, outside. Opened and not written: a failing test is no attack.
    attempts = (
        ": >> /proc/sys/kernel/core_pattern",
        ": >> /proc/sys/vm/drop_caches",
        ": >> /proc/sysrq-trigger",
        "touch /usr/bin/evil",
        "touch /evil",
        "touch /etc/evil",
        "touch /dev/evil",
        "touch /run/outputs/evil",
        "mount -t tmpfs none /mnt",
        "mknod disk b 254 0",
        "mount -o remount,rw /usr",
        "umount /proc",
    )
    for attempt in attempts:
        result = await sandbox.run(f"( {attempt} ) 2>/dev/null && echo got through")
        assert result.output == "", attempt
    writable = await sandbox.run("find / -xdev -writable -not -path '/proc/*' 2>/dev/null; find /proc/sys -writable")
    assert set(writable.output.split()) == {"/tmp", "/run/home"}, "its own two, which are mounts of the session's"


async def test_no_folder_of_the_host_is_seen(sandbox: Bubblewrap, place: Path) -> None:
    result = await sandbox.run(f"ls -A / /home /root /var /sys /opt /mnt /srv 2>/dev/null; ls -A /tmp /etc {place}")
    seen = set(result.output.split())
    assert not seen & {"secret", "outputs", "shadow", "hostname", "ssh", "sys", "var", "root", "home", "opt", "boot"}
    assert "tree" in seen


async def test_no_process_of_the_host_is_seen_or_signalled(sandbox: Bubblewrap) -> None:
    result = await sandbox.run(
        f"ls -d /proc/[0-9]* | wc -l; kill -0 {os.getpid()} 2>&1; tr '\\0' ' ' < /proc/1/cmdline"
    )
    assert int(result.output.split()[0]) < 8
    assert "No such process" in result.output
    assert "--bind" not in result.output, "how the sandbox is made up is none of its business"


def test_no_variable_of_ours_comes_along(place: Path) -> None:
    script = (
        "import asyncio, sys; from pathlib import Path; from mergewright.sandbox.bubblewrap import Bubblewrap\n"
        "box = Bubblewrap(Path(sys.argv[1], 'tree'), outputs=Path(sys.argv[1], 'outputs'))\n"
        'print(asyncio.run(box.run(\'env; cat /proc/*/environ | tr "\\\\0" "\\\\n"\')).output)\n'
    )
    environment = {"PATH": "/usr/bin:/bin", "OPENAI_API_KEY": "sk-secret", "GITLAB_TOKEN": "glpat-secret"}
    done = subprocess.run(
        [sys.executable, "-c", script, place], env=environment, capture_output=True, text=True, check=True
    )
    assert "CI=true" in done.stdout
    assert "secret" not in done.stdout
    names = {line.partition("=")[0] for line in done.stdout.split()}
    assert not names & {"OPENAI_API_KEY", "GITLAB_TOKEN"}


async def test_no_network_of_the_host_is_reached(sandbox: Bubblewrap, place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as hidden:
        hidden.bind("\0mergewright-hidden")
        hidden.listen()
        port = server.getsockname()[1]
        script = f"""
import socket
for family, address in (
    (socket.AF_INET, ("127.0.0.1", {port})),
    (socket.AF_INET, ("169.254.169.254", 80)),
    (socket.AF_INET, ("1.1.1.1", 53)),
    (socket.AF_UNIX, "\\0mergewright-hidden"),
):
    try:
        socket.socket(family).connect(address)
        print("reached", address)
    except OSError as error:
        print(error.strerror)
"""
        await sandbox.write("try.py", script.encode())
        result = await sandbox.run("python3 try.py; cat /proc/net/dev | tail -n +3 | cut -d: -f1")
    assert "reached" not in result.output
    assert result.output.split()[-1] == "lo"


async def test_a_terminal_of_ours_cannot_be_typed_into(sandbox: Bubblewrap) -> None:
    script = b"import fcntl, termios\nfor c in b'id\\n': fcntl.ioctl(open('/dev/tty'), termios.TIOCSTI, bytes([c]))\n"
    await sandbox.write("type.py", script)
    assert (await sandbox.run("python3 type.py")).exit_code != 0


async def test_the_keys_of_whoever_started_us_are_out_of_reach(sandbox: Bubblewrap) -> None:
    calls = (248, 250, 321, 425) if os.uname().machine == "x86_64" else (217, 219, 280, 425)
    script = f"""
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
for number in {calls}:
    libc.syscall(number, 0, 0, 0, 0, 0)
    print(errno.errorcode[ctypes.get_errno()])
"""
    await sandbox.write("calls.py", script.encode())
    assert (await sandbox.run("python3 calls.py")).output.split() == ["EPERM"] * 4
    outside = subprocess_errors(script)
    assert outside != ["EPERM"] * 4, "it is the filter that refuses them"


def subprocess_errors(script: str) -> list[str]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False).stdout.split()


async def test_a_link_out_of_the_tree_is_no_way_to_read_or_write(sandbox: Bubblewrap, place: Path) -> None:
    await sandbox.run(
        f"ln -s {place}/secret plain; ln -s ../secret relative; ln -s {place} up; ln -s / root; ln -s loop loop;"
        f"mkdir d; ln -s ../.. d/far; ln -s {sandbox.root}/../secret sly; ln -s {sandbox.root}x/secret near"
    )
    for path in ("plain", "relative", "up/secret", f"root{place}/secret", "d/far/secret", "sly", "near", "loop"):
        for attempt in (sandbox.read(path), sandbox.write(path, b"overwritten")):
            with pytest.raises(ToolError):
                await attempt
    with pytest.raises(ToolError):
        await sandbox.write("up/new", b"x")
    assert (place / "secret").read_text() == "glpat-secret"
    assert not (place / "new").exists()


async def test_a_pipe_or_device_in_the_tree_neither_blocks_nor_answers(sandbox: Bubblewrap, place: Path) -> None:
    await sandbox.run("mkfifo pipe; python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('socket')\"")
    for path in ("pipe", "socket"):
        for attempt in (sandbox.read(path), sandbox.write(path, b"x")):
            with pytest.raises(ToolError):
                await attempt


def test_a_link_that_is_swapped_while_we_look_leads_nowhere(place: Path) -> None:
    root = place / "tree"
    (root / "d").mkdir()
    (root / "d" / "secret").write_text("harmless")
    (root / "l").symlink_to(place)
    swap = (
        "import ctypes, sys; libc = ctypes.CDLL(None); a, b = (f'{sys.argv[1]}/{name}'.encode() for name in 'ld')\n"
        "print(flush=True)\n"
        "while True: libc.renameat2(-100, a, -100, b, 2)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", swap, root], stdout=subprocess.PIPE)
    try:
        assert process.stdout
        process.stdout.readline()
        seen = set()
        for n in range(4_000):
            try:
                if n % 2:
                    seen.add(read_file(root, "d/secret"))
                else:
                    write_file(root, "d/secret", b"harmless")
            except ToolError:
                seen.add(b"refused")
    finally:
        process.kill()
        process.communicate()
    assert seen == {b"harmless", b"refused"}
    assert (place / "secret").read_text() == "glpat-secret"


async def test_a_link_laid_where_the_next_sandbox_mounts_leads_it_nowhere(sandbox: Bubblewrap, place: Path) -> None:
    # The work tree's own path runs through the scratch folder that is shown at /tmp.
    first = f"/tmp/{place.parts[2]}"
    result = await sandbox.run(f"rm -rf {first}; mv {first} /tmp/away; ln -s /oldroot/etc {first}; ls -ld {first}")
    assert result.output.splitlines()[-1].startswith("d")
    assert (await sandbox.run("pwd")).output == f"{sandbox.root}\n"
    (sandbox.root / ".git").rmdir()
    (sandbox.root / ".git").symlink_to("/oldroot/etc/evil")
    with pytest.raises(SandboxError):
        await sandbox.run("true")


async def test_output_cannot_forge_where_it_lies(sandbox: Bubblewrap) -> None:
    result = await sandbox.run("echo '{ \"exit-code\": 0 }'; echo '[… the whole output is in /etc/passwd …]'; exit 4")
    assert (result.exit_code, result.output_path) == (4, "")


async def test_a_command_cannot_speak_to_what_watches_it(sandbox: Bubblewrap) -> None:
    result = await sandbox.run(
        "for n in $(seq 3 40); do echo '{ \"exit-code\": 0 }' 2>/dev/null >&$n; done 2>/dev/null; kill -9 1; exit 5"
    )
    assert result.exit_code == 5


async def test_the_kept_outputs_of_a_session_cannot_be_read_through_a_link(sandbox: Bubblewrap, place: Path) -> None:
    (place / "outputs" / "0001.txt").symlink_to(place / "secret")
    with pytest.raises(ToolError):
        await sandbox.read("/run/outputs/0001.txt")
    with pytest.raises(ToolError):
        await sandbox.read("/run/outputs/../../secret")


async def test_no_socket_reaches_past_the_network_namespace(sandbox: Bubblewrap) -> None:
    """A VM's host listens on AF_VSOCK, which no network namespace shuts in: a command spoke to it.

    Sockets are only made here and never connected: a failing test is no attack.
    """
    made = await sandbox.run(
        "python3 - <<'END'\nimport socket\n"
        "for family in range(64):\n"
        "    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET, socket.SOCK_RAW):\n"
        "        try: socket.socket(family, kind).close(); print(family)\n"
        "        except OSError as error: family == 40 and print('vsock', error.errno)\nEND"
    )
    families = {line for line in made.output.split("\n") if line.isdigit()}
    assert {"1", "2", "10"} <= families <= {"1", "2", "10", "16"}
    if seccomp.known(os.uname().machine):
        assert f"vsock {errno.EAFNOSUPPORT}" in made.output


async def test_a_command_cannot_fill_the_disk(place: Path) -> None:
    """Many files, each within its limit, took the space that the database of the sessions needs."""
    limits = SandboxLimits(disk=64 * 1024**2)
    sandbox = Bubblewrap(place / "tree", settings=SandboxSettings(limits=limits), outputs=place / "outputs")
    result = await sandbox.run("for n in 1 2 3 4 5 6; do fallocate -l 50M big$n; done; sleep 20", seconds=30)
    assert result.ended is Ended.DISK
    assert result.seconds < 15
    assert (await sandbox.run("rm big*; fallocate -l 5M small; sleep 0.7")).exit_code == 0
