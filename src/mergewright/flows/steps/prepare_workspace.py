"""Clones the project into the session's folder and finds out how it is built and checked."""

import re
import shutil
from collections.abc import Mapping

from mergewright import git
from mergewright.agent.fence import fence, without_hidden
from mergewright.domain.errors import MergewrightError
from mergewright.domain.plain import clip
from mergewright.domain.sandbox import Sandbox
from mergewright.domain.session import JSON
from mergewright.flows.checks import find_checks
from mergewright.flows.config import AGENT_CONFIG, OWN_CONFIG, RULES, own_checks, setup_script
from mergewright.flows.project import Project, look_at, tree
from mergewright.flows.repository import texts_at
from mergewright.flows.scratch import keep
from mergewright.flows.world import Done, Work

MOST_RULES = 8_000
NEVER_COMMITTED = ("__pycache__/", "*.pyc", ".pytest_cache/", ".mypy_cache/", ".ruff_cache/", ".coverage", "*.swp")
"""What running a project leaves behind, even where its own `.gitignore` does not say so."""
_SLUG = re.compile(r"[^a-z0-9]+")


async def step(work: Work, arguments: Mapping[str, JSON]) -> Done:
    """Give the branch to work on, the checks, and what the model's first message says of the project.

    A `branch` that is there already is gone on with; otherwise one is named after the issue or the goal.
    """
    forge = work.world.forge
    subject = work.session.subject
    project = await forge.project(subject.project)
    target = project.default_branch or "main"
    # Where there is a branch to go on with, what decides how we work still comes from the default one.
    branch = str(arguments.get("branch") or "")
    workspace = work.workspace
    # A half-made clone of a killed run is worth nothing, and nothing else can be in there yet.
    shutil.rmtree(workspace.folder, ignore_errors=True)
    workspace.folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # A command may leave programs here that run as us, whoever starts them: nobody else on this machine gets in.
    workspace.folder.mkdir(exist_ok=True, mode=0o700)
    workspace.outputs.mkdir(exist_ok=True)
    await work.say(f"cloning {subject.project}")
    repository = await git.clone(
        await forge.remote(subject.project),
        workspace.git_dir,
        workspace.work_tree,
        branch=branch or target,
    )
    base = await repository.head()
    exclude = workspace.git_dir / "info" / "exclude"
    exclude.parent.mkdir(exist_ok=True)
    exclude.write_text("".join(f"{pattern}\n" for pattern in NEVER_COMMITTED), "utf-8")
    named = await _policy(work, target) if branch else {}
    if base and not branch:
        named = await texts_at(repository, base, (RULES, AGENT_CONFIG, OWN_CONFIG))
    sandbox = work.sandbox()
    for command in setup_script(named.get(AGENT_CONFIG) or "") if work.may_run_commands else ():
        await _set_up(work, sandbox, command)
    keep(workspace)
    seen = await look_at(sandbox)
    wanted = own_checks(named.get(OWN_CONFIG) or "")
    checks = wanted or find_checks(seen.paths, seen.texts, modules=seen.modules)
    instead = () if wanted else find_checks(seen.paths, seen.texts, modules=seen.modules, by_ci=False)
    rules = named.get(RULES)
    return Done(
        {
            "base": base,
            "target_branch": target,
            "branch": branch or branch_name(subject.iid, str(arguments.get("title") or ""), session=work.session.id),
            "checks": [check.encode() for check in checks],
            "instead": [check.encode() for check in instead if check not in checks],
            "missing": list(seen.missing),
            "overview": _overview(work, seen, [check.command for check in checks], branch or target),
            "rules": clip(without_hidden(rules)[0].strip(), MOST_RULES) if rules else "",
            "limits": _limits(work),
        }
    )


def branch_name(iid: int, title: str, *, session: str = "") -> str:
    """Give the branch of an issue: the same for the same issue, and never one that git refuses.

    Where there is no issue, it ends with the session: goals of the same words stand beside one another.
    """
    slug = _SLUG.sub("-", title.lower())[:40].strip("-")
    if not iid:
        return f"mergewright/{slug or 'goal'}-{session[-6:]}"
    return f"mergewright/{iid}-{slug}" if slug else f"mergewright/{iid}"


async def _policy(work: Work, ref: str) -> dict[str, str]:
    """Give the files that decide how we work as they stand at a branch of the forge."""
    found = {}
    for path in (RULES, AGENT_CONFIG, OWN_CONFIG):
        if (data := await work.world.forge.file(work.session.subject.project, path, ref=ref)) is not None:
            found[path] = data.decode("utf-8", "replace")
    return found


async def _set_up(work: Work, sandbox: Sandbox, command: str) -> None:
    await work.say(f"setting up: `{command}`")
    result = await sandbox.run(command, seconds=work.world.settings.check_seconds)
    if result.exit_code != 0:
        raise MergewrightError(
            f"the project's setup_script failed: `{clip(command, 80)}` {result.ended.value} with {result.exit_code}:"
            f" {result.output.strip()[-300:]}",
            hint=f"it runs in the sandbox, without a network: mend `{AGENT_CONFIG}` on the default branch",
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
