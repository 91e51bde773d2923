"""What a sandbox sees of the machine, as arguments of bubblewrap."""

import os
from collections.abc import Sequence
from pathlib import Path

from mergewright.domain.errors import SandboxError, WrongUse
from mergewright.sandbox import seccomp
from mergewright.sandbox.settings import SandboxSettings

HOME = "/run/home"
OUTPUTS = "/run/outputs"
"""Where the kept outputs of earlier commands lie, inside the sandbox."""
_TMP = "/tmp"  # noqa: S108  The sandbox's own.
_SHM = "/dev/shm"  # noqa: S108
_SYSTEM_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = (
    *("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "mime.types", "protocols", "services"),
    # Public certificates: some libraries do not even start without. Never the keys beside them.
    *("ssl/certs", "ssl/openssl.cnf", "pki/tls/certs", "pki/ca-trust/extracted"),
)
_ETC_OF_LANGUAGES = ("java-*", "perl", "php", "python3*", "R")
_SHARED = str(256 * 1024**2)
"""Bytes of `/dev/shm`, where Python's multiprocessing and browsers share memory."""
_NO_WORK_TREE = tuple(map(Path, ("/dev", "/etc", "/proc", "/run", "/sys", "/usr", "/bin", "/lib", "/sbin")))


def system_arguments() -> list[str]:
    """Begin every sandbox: the system read-only, nothing shared, no capability, dead with its parent."""
    arguments = ["--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000", "--disable-userns"]
    arguments += ["--cap-drop", "ALL", "--die-with-parent", "--new-session", "--clearenv", "--hostname", "sandbox"]
    arguments += ["--ro-bind", "/usr", "/usr"]
    for name in _SYSTEM_FOLDERS:
        folder = Path("/", name)
        if folder.is_symlink():
            arguments += ["--symlink", os.readlink(folder), str(folder)]
        elif folder.is_dir():
            arguments += ["--ro-bind", str(folder), str(folder)]
    # Run as root, the sandbox's user is root to the kernel, and /proc/sys would let it set the host's core_pattern:
    # hence read-only. The root and /dev are so that nothing hides where no limit counts.
    arguments += ["--proc", "/proc", "--remount-ro", "/proc"]
    arguments += ["--dev", "/dev", "--perms", "1777", "--size", _SHARED, "--tmpfs", _SHM, "--remount-ro", "/dev"]
    return arguments


def session_arguments(root: Path, settings: SandboxSettings, git_dir: Path | None, outputs: Path) -> list[str]:
    """Go on with what one session sees: its work tree, its scratch folder, its toolchains."""
    arguments: list[str] = []
    languages = sorted(path for pattern in _ETC_OF_LANGUAGES for path in Path("/etc").glob(pattern))
    for path in (*(Path("/etc", name) for name in _ETC), *languages):
        arguments += ["--ro-bind-try", str(path), str(path)]
    if settings.scratch is None:
        size = str(settings.limits.memory)
        arguments += ["--perms", "1777", "--size", size, "--tmpfs", _TMP]
        arguments += ["--size", size, "--tmpfs", HOME]
    else:
        arguments += ["--bind", str(settings.scratch / "tmp"), _TMP]
        arguments += ["--bind", str(settings.scratch / "home"), HOME]
        # Whoever works in /tmp could put a link in the way to what is mounted below it, and bubblewrap, which is not
        # yet shut in when it makes that way, would follow. A mount of its own cannot be replaced by a link.
        for folder in sorted({f"{_TMP}/{p.parts[2]}" for p in (root, *settings.toolchains) if p.parts[1] == "tmp"}):
            arguments += ["--tmpfs", folder]
    for toolchain in settings.toolchains:
        arguments += ["--ro-bind", str(toolchain), str(toolchain)]
    arguments += ["--bind", str(root), str(root), "--ro-bind", str(outputs), OUTPUTS]
    if git_dir is not None:
        arguments += ["--ro-bind", str(git_dir), str(root / ".git")]
    for name, value in environment(settings).items():
        arguments += ["--setenv", name, value]
    return [*arguments, "--chdir", str(root), "--remount-ro", "/"]


def environment(settings: SandboxSettings) -> dict[str, str]:
    """Give all variables that a command sees."""
    bins = [str(toolchain / "bin") for toolchain in settings.toolchains]
    return {
        "PATH": ":".join([*bins, "/usr/local/bin", "/usr/bin", "/bin"]),
        "HOME": HOME,
        "USER": "sandbox",
        "TMPDIR": _TMP,
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "CI": "true",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_PAGER": "cat",
        "PAGER": "cat",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
        **settings.environment,
    }


def check_places(root: Path, settings: SandboxSettings, git_dir: Path | None, outputs: Path) -> None:
    """Refuse a layout in which one folder of a session would lie in or over another."""
    if len(root.parts) < 3 or any(root.is_relative_to(folder) for folder in _NO_WORK_TREE):
        raise WrongUse(f"`{root}` cannot be a work tree")
    ours = [path for path in (git_dir, outputs, settings.scratch) if path is not None]
    for path in (*ours, *settings.toolchains):
        if path.is_relative_to(root):
            raise WrongUse(f"`{path}` lies inside the work tree, where the sandbox can change it")
    for path in ours:
        if root.is_relative_to(path):
            raise WrongUse(f"the work tree lies inside `{path}`")
        if not path.is_dir():
            raise WrongUse(f"`{path}` is no folder")


def check_git_place(root: Path) -> None:
    """Make the empty folder that the git directory is mounted on; a link in its place would lead bubblewrap astray."""
    place = root / ".git"
    if not place.is_symlink() and not place.exists():
        place.mkdir()
    if place.is_symlink() or not place.is_dir():
        raise SandboxError(f"`{place}` is not the folder that the git directory is shown at")


def given_files() -> list[tuple[Sequence[str], bytes]]:
    """Give what is made up for each sandbox: who it is, where localhost is, and its filter of system calls."""
    files = (
        ("/etc/passwd", b"root:x:0:0:root:/:/bin/sh\nsandbox:x:1000:1000:sandbox:/run/home:/bin/sh\n"),
        ("/etc/group", b"root:x:0:\nsandbox:x:1000:\n"),
        ("/etc/hosts", b"127.0.0.1 localhost sandbox\n::1 localhost\n"),
        ("/etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files\n"),
    )
    given: list[tuple[Sequence[str], bytes]] = [(("--ro-bind-data", "{fd}", path), data) for path, data in files]
    if seccomp.known(os.uname().machine):
        given.append((("--seccomp", "{fd}"), seccomp.program(os.uname().machine)))
    return given
