"""`mergewright policy`, `audit` and `metrics`: how the reviewer behaves, what it did, and what came of it."""

import sys

import click

from mergewright.cli import options
from mergewright.cli.output import print_json, say

MONTH = 30 * 86_400.0


@click.group(short_help="Show or change how the reviewer behaves.")
def policy() -> None:
    """Show or change how the reviewer behaves in a project, a group or everywhere."""


@policy.command("show")
@click.argument("project", metavar="PROJECT")
@options.as_json
def show_policy(project: str, *, as_json: bool) -> None:
    """Show the policy in force in a project, and where each value comes from.

    The file `.mergewright/review.yaml` of a target branch can tighten it further, for merge requests into that branch.
    """
    import asyncio

    from mergewright.app.records import policy_for
    from mergewright.app.reviewing import opened_reviews

    async def read() -> None:
        async with opened_reviews(options.settings_with()) as reviews:
            found = await policy_for(reviews, project)
        values = found.policy.encode()
        if as_json:
            told = {name: {"value": values[name], "from": found.sources[name]} for name in sorted(values)}
            print_json({"project": project, "policy": told, "locked": dict(found.locked)})
            return
        for name in sorted(values):
            locked = f", locked by {found.locked[name]}" if name in found.locked else ""
            say(f"{name:<16} {_written(values[name]):<14} {found.sources[name]}{locked}")
        for problem in found.problems:
            say(f"warning: {problem}", err=True)

    asyncio.run(read())


@policy.command("set")
@click.argument("scope", metavar="SCOPE")
@click.argument("values", metavar="NAME=VALUE…", nargs=-1)
@click.option("--lock", multiple=True, metavar="NAME", help="Lower levels may only tighten this; may be given again.")
@click.option("--unset", multiple=True, metavar="NAME", help="Take a value or a lock away; may be given again.")
@click.option("--reason", required=True, help="Why; it stands in the audit.")
def set_policy(
    scope: str, values: tuple[str, ...], *, lock: tuple[str, ...], unset: tuple[str, ...], reason: str
) -> None:
    """Set values of the policy for SCOPE: a project, a group, or `organisation`.

    As in: mergewright policy set group/project block_on=major approval=required --reason "agreed on Monday"
    """
    import asyncio

    from mergewright.app.local import person_name
    from mergewright.app.records import set_policy as change
    from mergewright.app.reviewing import opened_reviews

    given = dict(_pair(one) for one in values)
    place = "" if scope == "organisation" else scope.strip("/")

    async def write() -> None:
        async with opened_reviews(options.settings_with()) as reviews:
            after = await change(
                reviews, place, given, actor=f"local:{person_name()}", reason=reason, lock=lock, unset=unset
            )
        for name in sorted(after):
            say(f"{name:<16} {_written(after[name])}")

    asyncio.run(write())


@click.group(short_help="Verify or export the audit.")
def audit() -> None:
    """Verify or export the record of what the reviewer and people did."""


@audit.command("verify")
def verify_audit() -> None:
    """Walk the audit and find any line that was changed, removed, put in or moved.

    Exit code 0 when it is whole, 1 when it is not.
    """
    import asyncio

    from mergewright.app.reviewing import opened_reviews

    async def walk() -> int:
        async with opened_reviews(options.settings_with()) as reviews:
            found = await reviews.verify_audit()
        if found.problem:
            say(f"error: the audit was tampered with: {found.problem}", err=True)
            say("hint: compare it with your last export", err=True)
            return 1
        say(f"the audit is whole: {found.entries} lines")
        return 0

    sys.exit(asyncio.run(walk()))


@audit.command("export")
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.option("--project", default="", metavar="PROJECT", help="Only this project's lines.")
@click.option("--days", type=click.FloatRange(0), default=0, help="Only the last so many days.")
def export_audit(*, form: str, project: str, days: float) -> None:
    """Print the audit, oldest first."""
    import asyncio
    import time

    from mergewright.app.records import as_csv, as_jsonl
    from mergewright.app.reviewing import opened_reviews

    async def read() -> None:
        async with opened_reviews(options.settings_with()) as reviews:
            since = time.time() - days * 86_400 if days else 0.0
            found = await reviews.audit_entries(project, since=since)
        sys.stdout.write(as_jsonl(found) if form == "jsonl" else as_csv(found))

    asyncio.run(read())


@click.command()
@click.option("--project", default="", metavar="PROJECT", help="Only this project's.")
@click.option("--days", type=click.FloatRange(0), default=0, help="Only the last so many days.")
@click.option("--refresh", is_flag=True, help="First ask the forge what was merged, and for thumbs and comments.")
@options.gitlab_url
@options.as_json
def metrics(*, project: str, days: float, refresh: bool, gitlab_url: str, as_json: bool) -> None:
    """Tell what came of the reviews, in numbers."""
    import asyncio
    import time

    from mergewright.app.connect import connect
    from mergewright.app.records import look_again, metrics_of
    from mergewright.app.reviewing import opened_reviews

    settings = options.settings_with(gitlab_url=gitlab_url)
    since = time.time() - days * 86_400 if days else 0.0

    async def read() -> None:
        async with opened_reviews(settings) as reviews:
            if refresh:
                forge = connect(settings, role="reviewer")
                try:
                    await look_again(reviews, forge, project=project, since=since)
                finally:
                    forge.close()
            told = await metrics_of(reviews, project=project, since=since)
        if as_json:
            print_json(told)
            return
        for name, value in told.items():
            if not isinstance(value, dict):
                say(f"{name.replace('_', ' '):<56} {_written(value)}")
        fates = told["findings"]["fates"]
        say(f"{'findings':<56} {', '.join(f'{number} {name}' for name, number in fates.items() if number) or 'none'}")
        done = told["overrides"]
        say(f"{'overrides, dismissals, refused':<56} {done['overrides']}, {done['dismissals']}, {done['refused']}")

    asyncio.run(read())


def _written(value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(_written, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {one}" for name, one in value.items()) or "none"
    return str(value)


def _pair(text: str) -> tuple[str, object]:
    """Read NAME=VALUE; a list or mapping is written as YAML."""
    import yaml

    from mergewright.domain.errors import WrongUse
    from mergewright.domain.yaml_file import read_yaml

    name, equals, value = text.partition("=")
    if not equals:
        raise WrongUse(f"`{text}` is no NAME=VALUE", hint="as in `block_on=major`")
    try:
        return name, read_yaml(value)
    except yaml.YAMLError as error:
        raise WrongUse(f"`{value}` cannot be read", hint="as in `exclude=[docs/**]`") from error
