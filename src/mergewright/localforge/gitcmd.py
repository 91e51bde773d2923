"""Running git: argument lists only, no user's configuration, no hooks."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from mergewright.localforge.errors import GitFailed, LocalForgeError


@cache
def git_executable() -> str:
    """Where git is on this machine."""
    found = shutil.which("git")
    if found is None:
        raise LocalForgeError("git is not installed", hint="install git 2.38 or later")
    return found


def git_environment(home: Path) -> dict[str, str]:
    """The whole environment git gets: nothing of the caller's passes through."""
    # The configuration goes through the environment, so that the programs git starts obey it too.
    settings = {
        "core.hooksPath": "/dev/null",
        "gc.auto": "0",
        "safe.directory": "*",
        "http.receivepack": "true",
        # As GitLab: broken and harmful objects are refused, old oddities are not.
        "receive.fsckObjects": "true",
        "receive.fsck.badTimezone": "ignore",
        "receive.fsck.missingSpaceBeforeDate": "ignore",
        "receive.fsck.zeroPaddedFilemode": "ignore",
    }
    config = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        config |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return config | {
        "PATH": f"{Path(git_executable()).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_LITERAL_PATHSPECS": "1",
        # A repository that says of itself that it is partial would name programs to fetch the rest with.
        "GIT_NO_LAZY_FETCH": "1",
    }


def run_git(
    arguments: Sequence[str],
    *,
    directory: Path,
    home: Path,
    stdin: bytes | None = None,
    environment: Mapping[str, str] | None = None,
    accept: frozenset[int] = frozenset({0}),
) -> subprocess.CompletedProcess[bytes]:
    """Run one git command in a repository; any exit code not in `accept` raises GitFailed."""
    result = subprocess.run(
        [git_executable(), "-C", str(directory), *arguments],
        input=stdin if stdin is not None else b"",
        capture_output=True,
        env={**git_environment(home), **(environment or {})},
        check=False,
    )
    if result.returncode not in accept:
        raise GitFailed(arguments[0], result.returncode, result.stderr.decode("utf-8", "replace"))
    return result
