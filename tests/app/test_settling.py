"""R30: who may set the policy of a project, a group and the organisation, as the forge tells it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mergewright.app.people import People, Person
from mergewright.app.settling import find, need, why_not
from mergewright.domain.errors import Forbidden, NotFound
from mergewright.domain.forge import Forge
from mergewright.gitlab.forge import GitLabForge
from mergewright.localforge.server import LocalForge
from mergewright.localforge.settings import ForgeSettings

LEVELS = {"ann": 40, "bob": 30, "olga": 50, "reviewer": 30}


class Place:
    """A forge with two projects of one group: olga owns both, oskar one of them; root administers the forge."""

    def __init__(self, folder: Path) -> None:
        self.served = LocalForge(ForgeSettings(folder / "forge"))
        self.served.start()
        self.served.seed_user("root", admin=True)
        for name in (*LEVELS, "oskar", "eve"):
            self.served.seed_user(name)
        self.tokens = {name: self.served.seed_token(name) for name in (*LEVELS, "oskar", "eve", "root")}
        for project in ("team/one", "team/two"):
            self.served.seed_project(project)
            for name, level in LEVELS.items():
                self.served.seed_member(project, name, level)
        self.served.seed_member("team/one", "oskar", 50)
        self.forge = GitLabForge(self.served.url, self.tokens["reviewer"])
        self.people = People(self.open, self.forge)

    @contextmanager
    def open(self, token: str) -> Iterator[Forge]:
        forge = GitLabForge(self.served.url, token, retries=1)
        yield forge
        forge.close()

    async def person(self, name: str) -> Person:
        return await self.people.who(f"Bearer {self.tokens[name]}", "")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("settling"))
    yield made
    made.forge.close()
    made.served.stop()


@pytest.mark.parametrize(
    ("name", "scope", "allowed"),
    [
        ("ann", "team/one", True),
        ("bob", "team/one", False),
        ("olga", "team/one", True),
        ("ann", "team", False),
        ("olga", "team", True),
        ("oskar", "team/one", True),
        ("oskar", "team", False),
        ("olga", "", False),
        ("root", "", True),
        ("root", "team", True),
        ("bob", "", False),
    ],
)
async def test_r30_a_level_is_set_by_those_who_are_responsible_for_it(
    place: Place, name: str, scope: str, allowed: bool
) -> None:
    person = await place.person(name)
    if allowed:
        await need(place.people, person, scope, admins=())
        return
    with pytest.raises(Forbidden) as caught:
        await need(place.people, person, scope, admins=())
    needed = {"team/one": "Maintainer", "team": "Owner", "": "administrators"}[scope]
    assert needed in caught.value.message


async def test_r30_whoever_the_server_names_sets_the_organisations_policy(place: Place) -> None:
    await need(place.people, await place.person("bob"), "", admins={"bob"})
    assert await why_not(place.people, await place.person("eve"), "", "organisation", admins={"bob"})


@pytest.mark.parametrize("scope", ["team", "team/one", "nowhere", "no/where", "..", "team/..", "."])
async def test_a_scope_that_somebody_does_not_see_is_not_there_for_them(place: Place, scope: str) -> None:
    with pytest.raises(NotFound):
        await need(place.people, await place.person("eve"), scope, admins=())


async def test_a_project_and_a_group_are_told_apart_by_the_forge(place: Place) -> None:
    ann = await place.person("ann")
    assert await find(place.people, ann, "") == ("organisation", "")
    assert await find(place.people, ann, "team") == ("group", "team")
    assert await find(place.people, ann, "team/one") == ("project", "team/one")


async def test_r31_other_letters_lead_to_the_same_policy_and_no_number_stands_for_a_group(place: Place) -> None:
    olga = await place.person("olga")
    assert await need(place.people, olga, "TEAM/One", admins=()) == "team/one"
    assert await need(place.people, olga, "Team", admins=()) == "team"
    with pytest.raises(NotFound):
        await need(place.people, olga, "1", admins=())
