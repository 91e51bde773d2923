"""Whether this machine can start a sandbox, and what to do where it cannot."""

import re
import shutil
import subprocess
from pathlib import Path

from mergewright.domain.errors import NoSandbox
from mergewright.sandbox.mounts import system_arguments

_PLACES = "/usr/bin:/bin:/usr/local/bin:/run/current-system/sw/bin"
_OLDEST = (0, 8)
"""The first version with `--disable-userns`: without it a sandbox inside the sandbox has capabilities again."""
_INSTALL = {
    "apt-get": "apt-get install bubblewrap",
    "dnf": "dnf install bubblewrap",
    "apk": "apk add bubblewrap",
    "pacman": "pacman -S bubblewrap",
    "zypper": "zypper install bubblewrap",
}


def find_bubblewrap(*, places: str = _PLACES) -> Path:
    """Give the bubblewrap of this machine, once it has really started a sandbox."""
    found = shutil.which("bwrap", path=places)
    if found is None:
        raise NoSandbox("this machine has no bubblewrap, the sandbox that commands run in", hint=_how_to_install())
    version = bubblewrap_version(Path(found))
    if version < _OLDEST:
        shown = ".".join(map(str, version))
        raise NoSandbox(f"bubblewrap {shown} is too old", hint=f"version 0.8 or newer is needed: {_how_to_install()}")
    trial = subprocess.run(
        [found, *system_arguments(), "--", "/bin/sh", "-c", "exit 7"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=False,
        env={},
    )
    if trial.returncode != 7:
        said = trial.stderr.decode(errors="replace").strip().removeprefix("bwrap: ")
        raise NoSandbox(f"bubblewrap cannot start a sandbox here: {said}", hint=_way_out())
    return Path(found)


def bubblewrap_version(bubblewrap: Path) -> tuple[int, ...]:
    """Give the version that a bubblewrap names; zero when it names none."""
    said = subprocess.run([bubblewrap, "--version"], capture_output=True, timeout=30, check=False, env={}).stdout
    match = re.search(rb"(\d+)\.(\d+)(?:\.(\d+))?", said)
    return tuple(int(number or 0) for number in match.groups()) if match else (0, 0, 0)


def _how_to_install() -> str:
    for tool, command in _INSTALL.items():
        if shutil.which(tool, path=f"{_PLACES}:/usr/sbin:/sbin"):
            return f"`{command}`"
    return "install the package `bubblewrap` of your system"


def _way_out(*, proc: Path = Path("/proc/sys")) -> str:
    """Tell which switch of this machine forbids a sandbox, and how to turn it."""
    switches = (
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
        ("kernel/unprivileged_userns_clone", "0", "1"),
        ("user/max_user_namespaces", "0", "15000"),
    )
    for name, bad, good in switches:
        path = proc / name
        if path.exists() and path.read_text().strip() == bad:
            return f"unprivileged user namespaces are off: `sysctl -w {name.replace('/', '.')}={good}`"
    # All three at once: whoever is told of one after the other tries three times.
    return (
        "in a container, allow user namespaces and a fresh /proc: `docker run --security-opt seccomp=unconfined "
        "--security-opt apparmor=unconfined --security-opt systempaths=unconfined …`"
    )
