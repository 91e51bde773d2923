"""Looks whether everything is there that a session needs, and names the way out where it is not."""

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from mergewright.app.adapters import model_name, model_settings
from mergewright.app.connect import connect, reach
from mergewright.app.settings import Settings
from mergewright.domain.agent import Message, Role
from mergewright.domain.errors import MergewrightError
from mergewright.domain.forge import AccessLevel, Forge, ForgeStatus
from mergewright.git import remote_head

OLDEST_PYTHON = (3, 11)
OLDEST_GIT = (2, 34)
FORGE_GIT = (2, 38)
"""The local forge tries merges without a work tree, which older ones cannot."""
USEFUL_SCOPES = {"api"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    ok: bool
    found: str
    fix: str = ""
    """What to do about it; empty where all is well."""


async def examine(settings: Settings, *, project: str = "") -> list[Finding]:
    """Look at this machine, the model and the forge; with a project, also at what the bot may do there."""
    findings = [_python(), _git(), _ripgrep()]
    findings.append(await _ask("home", lambda: _home(settings)))
    findings.append(await _ask("sandbox", lambda: _sandbox()))
    findings.append(await _ask("model", lambda: _model(settings)))
    findings += await _forge(settings, project)
    return findings


async def _ask(check: str, look: Callable[[], Awaitable[str]]) -> Finding:
    try:
        return Finding(check, True, await look())
    except MergewrightError as error:
        return Finding(check, False, error.message, error.hint)


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info[:2] >= OLDEST_PYTHON
    return Finding("python", ok, found, "" if ok else f"install Python {'.'.join(map(str, OLDEST_PYTHON))} or newer")


def _git() -> Finding:
    if shutil.which("git") is None:
        return Finding("git", False, "not found", "install git")
    return git_found(subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout)


def git_found(said: str) -> Finding:
    """Judge what git says of its version."""
    match = re.search(r"(\d+)\.(\d+)", said)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    found = said.strip()
    if version < OLDEST_GIT:
        return Finding("git", False, found, f"install git {'.'.join(map(str, OLDEST_GIT))} or newer")
    if version < FORGE_GIT:
        found += f"; `mergewright serve` needs {'.'.join(map(str, FORGE_GIT))} or newer"
    return Finding("git", True, found)


def _ripgrep() -> Finding:
    found = shutil.which("rg")
    return Finding("ripgrep", True, found or "not found; `git grep` is used instead, which is slower")


async def _home(settings: Settings) -> str:
    return str(settings.make_home())


async def _sandbox() -> str:
    from mergewright.sandbox.bubblewrap import describe

    return await asyncio.to_thread(describe)


async def _model(settings: Settings) -> str:
    from mergewright.models.select import open_model

    name = await model_name(settings)
    if name.startswith("recorded:"):
        await open_model(name, model_settings(settings, name)).close()
        return f"{name} (a recording: it answers only what it was asked)"
    model = open_model(name, replace(model_settings(settings, name), retries=1, silence=30.0))
    try:
        reply = await model.reply("doctor", [Message(Role.USER, "Answer with the word: ready")], [])
    finally:
        await model.close()
    return f"{name} answers ({reply.usage.input_tokens} tokens in, {reply.usage.output_tokens} out)"


async def _forge(settings: Settings, project: str) -> list[Finding]:
    try:
        forge = connect(settings)
    except MergewrightError as error:
        return [Finding("forge", False, error.message, error.hint)]
    try:
        status = await reach(settings, forge)
    except MergewrightError as error:
        return [Finding("forge", False, error.message, error.hint)]
    findings = [
        Finding("forge", True, f"{status.url}, GitLab {status.version}, as `{status.user.username}`"),
        _scopes(status),
    ]
    if project:
        findings.append(await _ask("branches", lambda: _branches(status, project, forge.access_level)))
        if findings[-1].ok:
            findings.append(await _ask("clone", lambda: _clone(forge, project)))
    forge.close()
    return findings


def _scopes(status: ForgeStatus) -> Finding:
    if not status.scopes:
        return Finding("token", True, "the forge does not tell this token's scopes")
    missing = USEFUL_SCOPES - set(status.scopes)
    fix = "make a token with the scope `api`" if missing else ""
    return Finding("token", not missing, f"scopes: {', '.join(status.scopes)}", fix)


async def _branches(
    status: ForgeStatus, project: str, access_level: Callable[[str, int], Awaitable[AccessLevel]]
) -> str:
    level = await access_level(project, status.user.id)
    if level < AccessLevel.DEVELOPER:
        raise MergewrightError(
            f"`{status.user.username}` may not create branches in `{project}`: its role is {level.name.title()}",
            hint="give it the role Developer or more in the project's members",
        )
    return f"`{status.user.username}` may create branches in `{project}`: its role is {level.name.title()}"


async def _clone(forge: Forge, project: str) -> str:
    # By another way than REST: a certificate, a proxy or a firewall may let the one through and not the other.
    await remote_head(await forge.remote(project), "main")
    return f"git reads `{project}`"
