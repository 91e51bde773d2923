"""Who may set a policy: maintainers a project's, owners a group's, administrators the organisation's."""

from collections.abc import Collection
from typing import Literal

from mergewright.app.people import People, Person
from mergewright.domain.errors import Forbidden, NotFound
from mergewright.domain.forge import AccessLevel

Kind = Literal["organisation", "group", "project"]
NEEDED = {"project": AccessLevel.MAINTAINER, "group": AccessLevel.OWNER}


def administers(person: Person, admins: Collection[str]) -> bool:
    """Whether somebody administers the forge, or is named as an administrator in the server's settings."""
    return person.user.admin or person.user.username in admins


async def kind_of(people: People, person: Person, scope: str, *, admins: Collection[str] = ()) -> Kind:
    """Say what a scope is; raises NotFound for a project or group that the person does not see."""
    if not scope:
        return "organisation"
    with people.open_forge(person.token) as forge:
        if "/" in scope:
            try:
                await forge.project(scope)
            except NotFound:
                pass
            else:
                return "project"
        try:
            await forge.group_level(scope, person.user.id)
        except NotFound as error:
            if not administers(person, admins):
                raise NotFound(f"there is no project and no group `{scope}` that you can see") from error
    return "group"


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


async def need(people: People, person: Person, scope: str, *, admins: Collection[str]) -> None:
    """Raise Forbidden for one who may not set the policy of a scope, NotFound for a scope they do not see."""
    kind = await kind_of(people, person, scope, admins=admins)
    if why := await why_not(people, person, scope, kind, admins=admins):
        raise Forbidden(why, hint="ask somebody who may")
