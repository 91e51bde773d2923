"""Who may set a policy: maintainers a project's, owners a group's, administrators the organisation's."""

from collections.abc import Collection
from contextlib import suppress
from typing import Literal

from mergewright.app.people import People, Person
from mergewright.domain.errors import Forbidden, NotFound
from mergewright.domain.forge import AccessLevel

Kind = Literal["organisation", "group", "project"]
NEEDED = {"project": AccessLevel.MAINTAINER, "group": AccessLevel.OWNER}


def administers(person: Person, admins: Collection[str]) -> bool:
    """Whether somebody administers the forge, or is named as an administrator in the server's settings."""
    return person.user.admin or person.user.username in admins


async def find(people: People, person: Person, scope: str, *, admins: Collection[str] = ()) -> tuple[Kind, str]:
    """Say what a scope is, and how the forge writes it: policies count by that, and by no other letters or number.

    Raises NotFound for a group that the person does not see, or a project whose code they do not.
    """
    if not scope:
        return "organisation", ""
    if "/" in scope:
        with suppress(NotFound):
            return "project", await people.may_read(person, scope, code=True)
    with people.open_forge(person.token) as forge:
        try:
            path = await forge.group(scope)
        except NotFound:
            path = scope if administers(person, admins) else ""
    if path.lower() != scope.lower():
        raise NotFound(f"there is no project and no group `{scope}` that you can see")
    return "group", path


async def why_not(people: People, person: Person, scope: str, kind: Kind, *, admins: Collection[str]) -> str:
    """Say why a person may not set the policy of a scope; empty when they may."""
    if administers(person, admins):
        return ""
    if kind == "organisation":
        return "the organisation's policy is set by administrators"
    if kind == "project":
        level = await people.level(person, scope)
    else:
        with people.open_forge(person.token) as forge:
            level = await forge.group_level(scope, person.user.id)
    needed = NEEDED[kind]
    if level >= needed:
        return ""
    has = "no role there" if level == AccessLevel.NONE else f"the role {level.name.title()}"
    return f"to set the policy of `{scope}` takes the role {needed.name.title()} or more; you have {has}"


async def need(people: People, person: Person, scope: str, *, admins: Collection[str]) -> str:
    """Give a scope as the forge writes it.

    Raises Forbidden for one who may not set its policy, NotFound for one who does not see it.
    """
    kind, path = await find(people, person, scope, admins=admins)
    if why := await why_not(people, person, path, kind, admins=admins):
        raise Forbidden(why, hint="ask somebody who may")
    return path
