"""Projects, members, labels, webhooks' settings, and how lists are paged."""

from tests.localforge.conftest import PROJECT, People, World


def test_a_project_is_found_by_number_and_by_encoded_path(world: World, people: People) -> None:
    by_path = people.dev.get(f"/projects/{PROJECT.replace('/', '%2F')}").json()
    assert by_path["id"] == world.id
    assert by_path["path_with_namespace"] == PROJECT
    assert by_path["permissions"]["project_access"]["access_level"] == 30
    assert by_path["http_url_to_repo"] == f"{world.forge.url}/{PROJECT}.git"
    assert by_path["default_branch"] == "main"
    assert by_path["empty_repo"] is False


def test_a_new_project_is_empty_and_its_maker_owns_it(people: People) -> None:
    made = people.dev.post("/projects", json={"name": "My Tool"})
    assert made.status_code == 201, made.text
    assert made.json()["path_with_namespace"] == "dev/my-tool"
    assert made.json()["empty_repo"] is True
    assert people.dev.get("/projects/dev%2Fmy-tool/members/all").json()[0]["access_level"] == 50
    again = people.dev.post("/projects", json={"name": "My Tool"})
    assert (again.status_code, again.json()["message"]["path"]) == (400, ["has already been taken"])
    assert people.dev.delete("/projects/dev%2Fmy-tool").status_code == 202
    assert people.dev.get("/projects/dev%2Fmy-tool").status_code == 404


def test_a_project_can_start_with_a_readme(people: People) -> None:
    made = people.dev.post("/projects", json={"path": "with-readme", "initialize_with_readme": True}).json()
    assert [row["path"] for row in people.dev.get(f"/projects/{made['id']}/repository/tree").json()] == ["README.md"]


def test_settings_are_changed_by_maintainers(world: World, people: People) -> None:
    setting = {"only_allow_merge_if_all_discussions_are_resolved": True}
    assert people.dev.put(world.path, json=setting).status_code == 403
    assert people.mia.put(world.path, json=setting).json()["only_allow_merge_if_all_discussions_are_resolved"] is True
    people.mia.put(world.path, data={"only_allow_merge_if_all_discussions_are_resolved": "false"})
    assert people.dev.get(world.path).json()["only_allow_merge_if_all_discussions_are_resolved"] is False


def test_nobody_gives_more_than_they_have(world: World, people: People) -> None:
    eve = people.root.get("/users", params={"username": "eve"}).json()[0]["id"]
    members = f"{world.path}/members"
    assert people.dev.post(members, json={"user_id": eve, "access_level": 30}).status_code == 403
    assert people.mia.post(members, json={"user_id": eve, "access_level": 50}).status_code == 403
    assert people.mia.post(members, json={"user_id": eve, "access_level": 31}).status_code == 400
    assert people.mia.post(members, json={"user_id": eve, "access_level": 30}).status_code == 201
    assert people.mia.post(members, json={"user_id": eve, "access_level": 30}).status_code == 409
    assert people.dev.get(f"{members}/all/{eve}").json()["access_level"] == 30
    assert people.mia.put(f"{members}/{eve}", json={"access_level": 20}).json()["access_level"] == 20
    assert people.mia.delete(f"{members}/{eve}").status_code == 204
    assert people.dev.get(f"{members}/all/{eve}").status_code == 404


def test_lists_are_paged_as_gitlab_pages_them(world: World, people: People) -> None:
    for number in range(5):
        people.rita.post(f"{world.path}/labels", json={"name": f"label {number}", "color": "#ff0000"})
    first = people.dev.get(f"{world.path}/labels", params={"per_page": 2})
    assert [row["name"] for row in first.json()] == ["label 0", "label 1"]
    expected = {"x-page": "1", "x-per-page": "2", "x-next-page": "2", "x-prev-page": "", "x-total": "5"}
    assert {name: first.headers[name] for name in expected} == expected
    assert first.headers["x-total-pages"] == "3"
    assert 'rel="next"' in first.headers["link"]
    assert 'rel="prev"' not in first.headers["link"]
    last = people.dev.get(first.links["last"]["url"])
    assert [row["name"] for row in last.json()] == ["label 4"]
    assert last.headers["x-next-page"] == ""
    assert people.dev.get(f"{world.path}/labels", params={"page": 9}).json() == []


def test_labels_are_made_renamed_and_removed(world: World, people: People) -> None:
    labels = f"{world.path}/labels"
    assert people.gus.post(labels, json={"name": "bug", "color": "#000"}).status_code == 403
    assert people.rita.post(labels, json={"name": "bug", "color": "nonsense!"}).status_code == 400
    assert people.rita.post(labels, json={"name": "type::bug / ui", "color": "#000000"}).status_code == 201
    assert people.rita.post(labels, json={"name": "type::bug / ui", "color": "#000000"}).status_code == 409
    assert people.rita.put(labels, json={"name": "type::bug / ui", "new_name": "bug"}).json()["name"] == "bug"
    assert people.rita.delete(f"{labels}/bug").status_code == 204


def test_a_webhook_never_shows_its_secret(world: World, people: People) -> None:
    hooks = f"{world.path}/hooks"
    made = people.mia.post(hooks, json={"url": "http://127.0.0.1:1/x", "token": "s3cret", "note_events": True})
    assert made.status_code == 201
    assert "s3cret" not in made.text
    hook = made.json()
    assert (hook["note_events"], hook["push_events"], hook["issues_events"]) == (True, True, False)
    changed = people.mia.put(
        f"{hooks}/{hook['id']}", json={"url": "https://example.com/y", "push_events": False}
    ).json()
    assert (changed["url"], changed["push_events"], changed["note_events"]) == ("https://example.com/y", False, True)
    assert people.mia.delete(f"{hooks}/{hook['id']}").status_code == 204
    assert people.mia.get(f"{hooks}/{hook['id']}").status_code == 404


def test_nobody_makes_a_project_in_a_namespace_that_is_not_theirs(people: People) -> None:
    mia = people.mia.get("/user").json()["namespace_id"]
    refused = people.dev.post("/projects", json={"name": "taken-over", "namespace_id": mia})
    assert (refused.status_code, refused.json()) == (400, {"message": {"namespace": ["is not valid"]}})


def test_anybody_signed_in_reads_a_public_project_and_opens_issues_there(world: World, people: People) -> None:
    made = people.owen.post("/projects", json={"name": "open", "visibility": "public", "initialize_with_readme": True})
    path = f"/projects/{made.json()['id']}"
    assert people.nobody.get(path).status_code == 200
    assert people.nobody.get(f"{path}/repository/tree").json()[0]["path"] == "README.md"
    assert people.nobody.post(f"{path}/issues", json={"title": "x"}).status_code == 401
    assert people.eve.post(f"{path}/issues", json={"title": "x", "labels": "a"}).json()["labels"] == []
    assert people.eve.post(f"{path}/repository/branches", json={"branch": "b", "ref": "main"}).status_code == 403
