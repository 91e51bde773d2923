"""Runs git: with our configuration alone, its credentials in the environment of one process, and an end in time."""

import asyncio
import os
import re
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mergewright.domain.errors import (
    Conflict,
    Forbidden,
    ForgeError,
    MergewrightError,
    NotFound,
    Unauthorized,
    Unreachable,
    WrongUse,
)
from mergewright.domain.forge import Remote

OWN_AUTHORITY = "let `REQUESTS_CA_BUNDLE` name the file with the certificate of your own authority"
"""What to do where a certificate cannot be trusted."""
_REMOTE_SECONDS = 900.0
LOCAL_SECONDS = 300.0
"""A pipe named `.gitignore` would otherwise hold git, and us, for ever."""
_CONFIG = (
    *((name, "/dev/null") for name in ("core.hooksPath", "core.attributesFile", "core.excludesFile")),
    *((name, "false") for name in ("core.fsmonitor", "core.quotePath", "maintenance.auto")),
    ("core.pager", "cat"),
    *((name, "false") for name in ("submodule.recurse", "fetch.recurseSubmodules")),
    ("push.recurseSubmodules", "no"),
    ("diff.ignoreSubmodules", "all"),
    ("diff.external", ""),
    ("gc.auto", "0"),
    ("protocol.allow", "never"),
    *((f"protocol.{name}.allow", "always") for name in ("https", "http", "file")),
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "120"),
    ("credential.helper", ""),
)
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/bin/false",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
}
# The shell prints the password from its own memory: it is in no argument and in no file.
_CREDENTIALS = '!f() { test "$1" = get && printf \'username=%s\\npassword=%s\\n\' "$MW_USERNAME" "$MW_PASSWORD"; }; f'
_UNREACHABLE = re.compile(
    r"Could not resolve|Failed to connect|Couldn't connect|Connection (?:refused|reset|timed out)|timed out|Empty reply"
    r"|hung up unexpectedly|early EOF|RPC failed|error: 5\d\d|error: 429|SSL|Recv failure|unexpected disconnect"
)
_BAD_BRANCH = re.compile(r"^[-/.]|[\x00-\x20~^:?*\[\\\x7f]|\.\.|@\{|//|/\.|\.lock(?:/|$)|[/.]$|^@$|^$")


@dataclass(frozen=True)
class Done:
    code: int
    out: bytes
    err: str


async def run(
    *arguments: str, environment: Mapping[str, str], cwd: Path, stdin: bytes = b"", remote: Remote | None = None
) -> Done:
    """Run git to its end; when we are cancelled, it and what it started are killed."""
    config = list(_CONFIG)
    secret: dict[str, str] = {}
    if remote is not None:
        config += _way(remote)
        secret = {"MW_USERNAME": remote.username, "MW_PASSWORD": remote.password}
    settings = {"GIT_CONFIG_COUNT": str(len(config))}
    for number, (key, value) in enumerate(config):
        settings |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    pipe, full = asyncio.subprocess.PIPE, {**environment, **settings, **secret}
    process = await asyncio.create_subprocess_exec(
        "git", *arguments, stdin=pipe, stdout=pipe, stderr=pipe, cwd=cwd, env=full, start_new_session=True
    )
    try:
        async with asyncio.timeout(_REMOTE_SECONDS if remote else LOCAL_SECONDS):
            out, err = await process.communicate(stdin)
    except TimeoutError:
        if remote is None:
            raise MergewrightError(f"`git {arguments[0]}` did not end within {LOCAL_SECONDS:.0f} seconds") from None
        raise Unreachable(f"the forge at `{_origin(remote)}` did not answer git in time") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    said = err.decode(errors="replace")
    if remote is not None and remote.password:
        said = said.replace(remote.password, "***")
    return Done(process.returncode or 0, out, said)


def _way(remote: Remote) -> list[tuple[str, str]]:
    """Give the configuration that answers this forge, and no other that it sends us on to, with the password.

    Certificates and proxy are those that REST goes by.
    """
    parts = urlsplit(remote.url)
    if parts.scheme not in ("http", "https", "file"):
        raise WrongUse(f"git speaks http, https and file here, not `{parts.scheme}`")
    if parts.password is not None or parts.username is not None:
        raise WrongUse("the address of a repository must not hold a name or a password")
    if parts.scheme == "file":
        return []
    found = [(f"credential.{_origin(remote)}.helper", _CREDENTIALS)] if remote.password else []
    if remote.authorities:
        found.append(("http.sslCAInfo", remote.authorities))
    if remote.proxy:
        found.append(("http.proxy", remote.proxy))
    return found


def checked(done: Done, *, accept: Sequence[int] = (0,)) -> Done:
    """Give what git answered; raises MergewrightError, with its last line, when it ended in another way."""
    if done.code not in accept:
        lines = [line for line in done.err.splitlines() if line.strip()]
        said = lines[-1].removeprefix("fatal: ").removeprefix("error: ") if lines else f"it ended with {done.code}"
        raise MergewrightError(f"git failed: {said}")
    return done


def push_refusal(done: Done, remote: Remote, branch: str) -> ForgeError:
    for line in done.out.decode(errors="replace").splitlines():
        if not line.startswith("!"):
            continue
        reason = line.rpartition("\t")[2]
        if re.search(r"\[rejected\]|failed to update ref|cannot lock ref|failed to lock|already exists", reason):
            return Conflict(f"the branch `{branch}` has moved on the forge: {reason}")
        return Forbidden(f"the forge refused the push to `{branch}`: {_said(done) or reason}")
    return refusal(done, remote)


def refusal(done: Done, remote: Remote) -> ForgeError:
    """Say in our classes why the forge did not do what git asked."""
    where = _origin(remote)
    if re.search(r"Authentication failed|could not read (?:Username|Password)|error: 401", done.err):
        return Unauthorized(f"the forge at `{where}` does not accept this token for git")
    if re.search(r"error: 403|\b403 Forbidden", done.err):
        return Forbidden(f"the forge refused: {_said(done) or 'no right to this repository'}")
    if "certificate" in done.err:
        return Unreachable(
            f"git cannot trust the certificate of the forge at `{where}`",
            hint=OWN_AUTHORITY,
        )
    if _UNREACHABLE.search(done.err):
        return Unreachable(f"the forge at `{where}` cannot be reached by git: {_last(done)}")
    if re.search(
        r"not found|couldn't find remote ref|does not appear to be a git repository|does not exist|error: 404", done.err
    ):
        return NotFound(f"there is no repository `{remote.url}`, or the token may not see it")
    return Unreachable(f"git got no sense out of the forge at `{where}`: {_last(done)}")


def _said(done: Done) -> str:
    """Give what the forge itself said, in one line."""
    lines = (line.removeprefix("remote:").strip() for line in done.err.splitlines() if line.startswith("remote:"))
    said = (line.removeprefix("GitLab:").strip() for line in lines)
    return " ".join(line for line in said if line.strip("=-* "))


def _last(done: Done) -> str:
    lines = [line.strip() for line in done.err.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if line.startswith(("fatal:", "error:"))), lines[-1] if lines else "")


def _origin(remote: Remote) -> str:
    parts = urlsplit(remote.url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else parts.geturl()


def revision(ref: str) -> str:
    if not ref or ref.startswith("-") or "\0" in ref:
        raise WrongUse(f"`{ref}` names no commit")
    return ref


def check_branch(branch: str) -> None:
    if _BAD_BRANCH.search(branch):
        raise WrongUse(f"`{branch}` is no name of a branch")
