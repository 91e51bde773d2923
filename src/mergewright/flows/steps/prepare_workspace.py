"""Clones the project into the session's folder and finds out how it is built and checked."""

import re
import shutil
from collections.abc import Mapping

import yaml

from mergewright import git
from mergewright.agent.fence import fence
from mergewright.domain.errors import MergewrightError, WrongUse
from mergewright.domain.sandbox import Sandbox
from mergewright.domain.session import JSON
from mergewright.flows.checks import find_checks
from mergewright.flows.fields import Fields
from mergewright.flows.plain import clip
from mergewright.flows.project import Project, look_at, tree
from mergewright.flows.repository import text_at
from mergewright.flows.world import Done, Work

CONFIG = ".gitlab/duo/agent-config.yml"
MOST_RULES = 8_000
_SLUG = re.compile(r"[^a-z0-9]+")


async def step(work: Work, arguments: Mapping[str, JSON]) -> Done:
    """Give the branch to work on, the checks, and what the model's first message says of the project."""
    forge = work.world.forge
    subject = work.session.subject
    project = await forge.project(subject.project)
    target = project.default_branch or "main"
    workspace = work.workspace
    # A half-made clone of a killed run is worth nothing, and nothing else can be in there yet.
    shutil.rmtree(workspace.folder, ignore_errors=True)
    workspace.outputs.mkdir(parents=True)
    await work.say(f"cloning {subject.project}")
    repository = await git.clone(
        await forge.remote(subject.project),
        workspace.git_dir,
        workspace.work_tree,
        branch=target,
    )
    base = await repository.head()
    rules = await text_at(repository, base, "AGENTS.md") if base else None
    config = await text_at(repository, base, CONFIG) if base else None
    sandbox = work.sandbox()
    for command in _setup_script(config):
        await _set_up(work, sandbox, command)
    seen = await look_at(sandbox)
    checks = find_checks(seen.paths, seen.texts, modules=seen.modules)
    return Done(
        {
            "base": base,
            "target_branch": target,
            "branch": branch_name(subject.iid, str(arguments.get("title") or "")),
            "checks": [check.encode() for check in checks],
            "missing": list(seen.missing),
            "overview": _overview(work, seen, [check.command for check in checks], target),
            "rules": fence("AGENTS.md of the target branch", clip(rules, MOST_RULES)) if rules else "",
            "limits": _limits(work),
        }
    )


def branch_name(iid: int, title: str) -> str:
    """Give the branch of an issue: the same for the same issue, and never one that git refuses."""
    slug = _SLUG.sub("-", title.lower())[:40].strip("-")
    return f"mergewright/{iid}-{slug}" if slug else f"mergewright/{iid}"


def _setup_script(config: str | None) -> list[str]:
    if not config:
        return []
    try:
        document = yaml.safe_load(config)
    except (yaml.YAMLError, RecursionError) as error:
        raise WrongUse(f"`{CONFIG}` on the default branch is not YAML: {error}") from error
    if document is None:
        return []
    fields = Fields(document, "")
    script = fields.any("setup_script") if fields.has("setup_script") else []
    # These say where else the flow would run; here it runs in its own sandbox, without a network.
    for key in ("image", "cache", "network_policy", "id_tokens"):
        fields.has(key)
    try:
        fields.end()
    except WrongUse as error:
        raise WrongUse(f"`{CONFIG}` on the default branch: {error.message}", hint=error.hint) from error
    lines = [script] if isinstance(script, str) else script
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise WrongUse(f"`{CONFIG}` on the default branch: setup_script: expected text or a list of texts")
    return lines


async def _set_up(work: Work, sandbox: Sandbox, command: str) -> None:
    await work.say(f"setting up: `{command}`")
    result = await sandbox.run(command, seconds=work.world.settings.check_seconds)
    if result.exit_code != 0:
        raise MergewrightError(
            f"the project's setup_script failed: `{clip(command, 80)}` {result.ended.value} with {result.exit_code}:"
            f" {result.output.strip()[-300:]}",
            hint=f"it runs in the sandbox, without a network: mend `{CONFIG}` on the default branch",
        )


def _overview(work: Work, seen: Project, commands: list[str], target: str) -> str:
    lines = [
        f"Working directory: {work.workspace.work_tree}, a clone of {work.session.subject.project} at branch {target}.",
        f"Available: {', '.join(seen.versions) or 'the usual command line tools'}. No network.",
    ]
    if seen.missing:
        lines.append(f"Not installed: {', '.join(seen.missing)}.")
    lines.append("Checks: " + ("; ".join(f"`{command}`" for command in commands) if commands else "none found."))
    lines.append("Files:\n" + fence("names of files", tree(seen.paths)) if seen.paths else "The repository is empty.")
    return "\n".join(lines)


def _limits(work: Work) -> str:
    limits = work.world.settings.limits
    money = f", {limits.cost:g} US dollars" if limits.cost is not None else ""
    return (
        f"Limits: {limits.turns} replies, {limits.tokens:,} tokens, {limits.seconds / 60:.0f} minutes{money};"
        f" {work.world.settings.command_seconds:.0f} s a command."
    )
