"""What a session's sandbox is given beyond its work tree."""

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mergewright.domain.errors import WrongUse
from mergewright.domain.sandbox import SandboxLimits

_SYSTEM = tuple(map(Path, ("/", "/boot", "/dev", "/etc", "/home", "/proc", "/root", "/run", "/srv", "/sys", "/var")))
_SECRETS = (".aws", ".azure", ".config", ".docker", ".gnupg", ".kube", ".netrc", ".ssh")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class SandboxSettings:
    """Limits, and what the sandbox sees of the machine besides `/usr`."""

    limits: SandboxLimits = field(default_factory=SandboxLimits)
    toolchains: tuple[Path, ...] = ()
    """Folders shown read-only at their own path, such as a pyenv or node prefix; their `bin` comes first in PATH."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables besides PATH, HOME and the few that are always set; never a secret."""
    scratch: Path | None = None
    """The session's own folder for `/tmp` and HOME, which then last from one command to the next."""
    private: tuple[Path, ...] = ()
    """Folders that no toolchain may be or contain, such as our own data folder."""

    def __post_init__(self) -> None:
        for toolchain in self.toolchains:
            check_toolchain(toolchain, private=self.private)
        for name in self.environment:
            if not _VARIABLE.fullmatch(name):
                raise WrongUse(f"`{name}` is no name of an environment variable")


def check_toolchain(toolchain: Path, *, private: tuple[Path, ...] = ()) -> None:
    """Refuse a toolchain that would show the sandbox a home, a system folder or a place of secrets."""
    if not toolchain.is_absolute() or ".." in toolchain.parts:
        raise WrongUse(f"the toolchain `{toolchain}` is not an absolute path")
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    secrets = [home / name for name in _SECRETS]
    # The path as given and what it leads to: a link to the home folder is the home folder.
    for path in (toolchain, toolchain.resolve()):
        shown = [folder for folder in (*_SYSTEM, home, *secrets, *private) if folder.resolve().is_relative_to(path)]
        if path in _SYSTEM or shown or any(path.is_relative_to(secret) for secret in secrets):
            raise WrongUse(
                f"the toolchain `{toolchain}` would show the sandbox what must stay hidden",
                hint="name the folder of the one tool that is needed, such as `~/.pyenv/versions/3.12.4`",
            )
    if not toolchain.is_dir():
        raise WrongUse(f"the toolchain `{toolchain}` is no folder")
