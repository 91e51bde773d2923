"""Tokens, scopes, access levels and the shapes of refusal."""

from tests.localforge.conftest import PROJECT, People, World


def test_no_token_and_a_bad_token_are_401(world: World, people: People) -> None:
    assert people.nobody.get("/user").json() == {"message": "401 Unauthorized"}
    bad = people.nobody.get("/user", headers={"PRIVATE-TOKEN": "glpat-wrong"})
    assert (bad.status_code, bad.json()) == (401, {"message": "401 Unauthorized"})
    assert people.nobody.post("/projects", json={"name": "x"}).status_code == 401


def test_a_token_is_taken_from_every_place_gitlab_takes_it_from(world: World, people: People) -> None:
    token = world.tokens["dev"]
    for answer in (
        people.nobody.get("/user", headers={"PRIVATE-TOKEN": token}),
        people.nobody.get("/user", headers={"Authorization": f"Bearer {token}"}),
        people.nobody.get("/user", params={"private_token": token}),
    ):
        assert answer.json()["username"] == "dev"


def test_a_private_project_does_not_exist_for_a_stranger(world: World, people: People) -> None:
    for path in (world.path, f"/projects/{PROJECT.replace('/', '%2F')}", "/projects/99999"):
        answer = people.eve.get(path)
        assert (answer.status_code, answer.json()) == (404, {"message": "404 Project Not Found"})


def test_a_member_may_do_what_the_access_level_allows_and_no_more(world: World, people: People) -> None:
    assert people.gus.get(world.path).status_code == 200
    code = people.gus.get(f"{world.path}/repository/tree")
    assert (code.status_code, code.json()) == (403, {"message": "403 Forbidden"})
    assert people.rita.get(f"{world.path}/repository/tree").status_code == 200
    assert people.rita.post(f"{world.path}/repository/branches", json={"branch": "b", "ref": "main"}).status_code == 403
    assert people.dev.get(f"{world.path}/hooks").status_code == 403
    assert people.mia.get(f"{world.path}/hooks").status_code == 200
    assert people.mia.delete(world.path).status_code == 403
    assert people.gus.post(f"{world.path}/issues", json={"title": "From a guest"}).status_code == 201


def test_a_read_only_token_writes_nothing(world: World, people: People) -> None:
    headers = {"PRIVATE-TOKEN": world.forge.seed_token("dev", scopes=["read_api"])}
    assert people.nobody.get(world.path, headers=headers).status_code == 200
    answer = people.nobody.post(f"{world.path}/issues", json={"title": "x"}, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["error"] == "insufficient_scope"


def test_a_token_for_the_repository_alone_does_not_open_the_api(world: World, people: People) -> None:
    headers = {"PRIVATE-TOKEN": world.forge.seed_token("dev", scopes=["write_repository"])}
    assert people.nobody.get(world.path, headers=headers).status_code == 403
    assert people.nobody.get("/personal_access_tokens/self", headers=headers).json()["scopes"] == ["write_repository"]


def test_an_expired_or_revoked_token_is_refused(world: World, people: People) -> None:
    user = people.root.get("/users", params={"username": "dev"}).json()[0]["id"]
    made = people.root.post(
        f"/users/{user}/impersonation_tokens", json={"name": "t", "scopes": ["api"], "expires_at": "2020-01-01"}
    )
    assert made.status_code == 201
    assert people.nobody.get("/user", headers={"PRIVATE-TOKEN": made.json()["token"]}).status_code == 401
    headers = {"PRIVATE-TOKEN": world.forge.seed_token("dev")}
    assert people.nobody.delete("/personal_access_tokens/self", headers=headers).status_code == 204
    assert people.nobody.get("/user", headers=headers).status_code == 401


def test_only_an_administrator_makes_users_and_acts_as_others(world: World, people: People) -> None:
    body = {"username": "nina", "name": "Nina", "email": "nina@example.com", "password": "unused-1234"}
    assert people.dev.post("/users", json=body).status_code == 403
    assert people.root.post("/users", json=body).status_code == 201
    assert people.root.post("/users", json=body).status_code == 409
    assert people.dev.get("/user", headers={"Sudo": "root"}).status_code == 403
    headers = {"PRIVATE-TOKEN": world.forge.seed_token("root", scopes=["api", "sudo"]), "Sudo": "nina"}
    assert people.nobody.get("/user", headers=headers).json()["username"] == "nina"


def test_no_token_is_stored_in_clear(world: World) -> None:
    stored = b"".join(path.read_bytes() for path in world.forge.settings.home.glob("forge.sqlite3*"))
    assert not any(token.encode() in stored for token in world.tokens.values())


def test_the_version_says_19_5(people: People) -> None:
    assert people.dev.get("/version").json()["version"].startswith("19.5")
    assert people.dev.get("/metadata").json()["enterprise"] is True


def test_unknown_paths_and_methods_are_refused(people: People) -> None:
    assert people.dev.get("/nothing/here").status_code == 404
    assert people.dev.patch("/version").status_code == 405


def test_a_project_token_is_a_bot_with_its_own_level(world: World, people: People) -> None:
    tokens = f"{world.path}/access_tokens"
    body = {"name": "reviewer", "scopes": ["api"], "access_level": 30}
    assert people.dev.post(tokens, json=body).status_code == 403
    assert people.mia.post(tokens, json=body | {"access_level": 50}).status_code == 400
    made = people.mia.post(tokens, json=body).json()
    headers = {"PRIVATE-TOKEN": made["token"]}
    bot = people.nobody.get("/user", headers=headers).json()
    assert (bot["bot"], bot["name"]) == (True, "reviewer")
    assert bot["username"].startswith(f"project_{world.id}_bot_")
    assert people.nobody.get(f"{world.path}/members/all/{bot['id']}", headers=headers).json()["access_level"] == 30
    assert "token" not in people.mia.get(tokens).json()[0]
    assert people.mia.delete(f"{tokens}/{made['id']}").status_code == 204
    assert people.nobody.get("/user", headers=headers).status_code == 401
