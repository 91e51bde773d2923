"""Groups: shown to whoever sees a project in them, with those for members who are members of all that lies there."""

from tests.localforge.conftest import LEVELS, PROJECT, People, World

GROUP = PROJECT.rpartition("/")[0]
ADDRESS = f"/groups/{GROUP.replace('/', '%2F')}"


def test_a_group_is_there_for_whoever_sees_a_project_in_it(world: World, people: People) -> None:
    shown = people.gus.get(ADDRESS)
    assert (shown.status_code, shown.json()["full_path"], shown.json()["kind"]) == (200, GROUP, "group")
    assert people.gus.get(ADDRESS.upper().replace("/GROUPS", "/groups")).json()["full_path"] == GROUP
    for path in (ADDRESS, f"{ADDRESS}/members/all/1", "/groups/nowhere", "/groups/%25"):
        answer = people.eve.get(path)
        assert (answer.status_code, answer.json()) == (404, {"message": "404 Group Not Found"})


def test_a_member_of_a_group_has_the_least_of_their_roles_in_its_projects(world: World, people: People) -> None:
    ids = {name: people.root.get("/users", params={"username": name}).json()[0]["id"] for name in ("owen", "mia")}

    def level(name: str) -> int:
        answer = people.mia.get(f"{ADDRESS}/members/all/{ids[name]}")
        return int(answer.json()["access_level"]) if answer.status_code == 200 else 0

    assert (level("owen"), level("mia")) == (LEVELS["owen"], LEVELS["mia"])
    world.forge.seed_project(f"{GROUP}/deep/other")
    assert (level("owen"), level("mia")) == (0, 0)
    world.forge.seed_member(f"{GROUP}/deep/other", "owen", 20)
    assert (level("owen"), level("mia")) == (20, 0)
    assert people.mia.get(f"{ADDRESS}/members/all/999999").status_code == 404
