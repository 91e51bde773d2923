"""Attacks on the local forge, each with its story."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from mergewright.localforge.errors import LocalForgeError
from mergewright.localforge.server import ForgeSettings, LocalForge
from tests.localforge.conftest import PROJECT, World, build_world, git

OUTSIDE = ("../evil", "a/../../evil", "/etc/passwd", ".git/config", "a/.GIT/hooks/x", "./x", "a//b", "", "a\nb", "a\0b")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = build_world(tmp_path_factory.mktemp("world"), body_limit=1024 * 1024, push_limit=2 * 1024 * 1024)
    world.forge.start()
    yield world
    world.forge.stop()


@pytest.fixture(scope="module")
def dev(world: World) -> Iterator[httpx2.Client]:
    with world.client("dev") as client:
        yield client


@pytest.fixture(scope="module")
def mia(world: World) -> Iterator[httpx2.Client]:
    with world.client("mia") as client:
        yield client


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_file_path_cannot_lead_out_of_the_repository(world: World, dev: httpx2.Client, path: str) -> None:
    """Someone who may commit writes `.git/config` or `../../.ssh/authorized_keys`."""
    action = {"action": "create", "file_path": path, "content": "x"}
    body = {"branch": "attack", "start_branch": "main", "commit_message": "m", "actions": [action]}
    assert dev.post(f"{world.path}/repository/commits", json=body).status_code == 400
    move = {"action": "move", "file_path": "ok", "previous_path": path or "../x"}
    assert dev.post(f"{world.path}/repository/commits", json=body | {"actions": [move]}).status_code == 400
    if path:
        read = dev.get(f"{world.path}/repository/files/{quote(path, safe='')}/raw", params={"ref": "main"})
        assert read.status_code in {400, 404}
        assert dev.get(f"{world.path}/repository/tree", params={"path": path}).status_code in {400, 404}


@pytest.mark.parametrize(
    "name",
    [
        "-d",
        "--upload-pack=touch /tmp/x",
        "../main",
        "refs/../x",
        "a..b",
        "a b",
        "x~1",
        "x^",
        "x:y",
        "@{u}",
        "HEAD",
        "a.lock",
        "/a",
        "a\n",
        "f" * 40,
    ],
)
def test_a_branch_name_cannot_become_an_option_or_another_ref(world: World, dev: httpx2.Client, name: str) -> None:
    """A name that starts with a dash would be an option of git, one with dots another ref."""
    assert dev.post(f"{world.path}/repository/branches", json={"branch": name, "ref": "main"}).status_code == 400
    action = {"action": "create", "file_path": "x", "content": "x"}
    body = {"branch": name, "start_branch": "main", "commit_message": "m", "actions": [action]}
    assert dev.post(f"{world.path}/repository/commits", json=body).status_code == 400
    assert dev.get(f"{world.path}/repository/branches/{quote(name, safe='')}").status_code == 404


@pytest.mark.parametrize(
    "ref", ["--output=/tmp/x", "-h", "main:README.md", "main..main", "@{-1}", "refs/heads/../../config", ":/x"]
)
def test_a_ref_to_read_cannot_become_an_option(world: World, dev: httpx2.Client, ref: str) -> None:
    """`git log --output=FILE` writes a file: a ref is looked up over standard input and only ids become arguments."""
    for path in ("repository/tree", "repository/files/README.md"):
        assert dev.get(f"{world.path}/{path}", params={"ref": ref}).status_code == 404
    assert dev.get(f"{world.path}/repository/commits", params={"ref_name": ref}).status_code == 404
    assert dev.get(f"{world.path}/repository/compare", params={"from": ref, "to": "main"}).status_code == 404


def test_dates_and_authors_in_a_log_stay_values(world: World, dev: httpx2.Client, tmp_path: Path) -> None:
    """The filters of a log become `--author=…`: whatever they hold stays inside that one argument."""
    target = tmp_path / "written"
    for name in ("author", "since", "until"):
        answer = dev.get(f"{world.path}/repository/commits", params={name: f"x --output={target}"})
        assert answer.status_code == 200
    assert not target.exists()


def test_a_stranger_learns_nothing_of_a_private_project(world: World) -> None:
    """Every door says the same of a project one may not see and of one that is not there."""
    with world.client("eve") as eve:
        for path in ("", "/issues", "/merge_requests/1", "/repository/tree", "/hooks", "/pipelines", "/members/all"):
            seen = eve.get(f"{world.path}{path}")
            absent = eve.get(f"/projects/999999{path}")
            assert (
                (seen.status_code, seen.json())
                == (absent.status_code, absent.json())
                == (404, {"message": "404 Project Not Found"})
            )
        assert eve.post(f"{world.path}/issues", json={"title": "x"}).status_code == 404
        assert eve.get("/projects").json() == []
        assert eve.get("/merge_requests", params={"scope": "all"}).json() == []


def test_things_of_one_project_are_not_reached_through_another(
    world: World, mia: httpx2.Client, dev: httpx2.Client
) -> None:
    """The owner of one project names ids of another project's webhook, pipeline, job, note and version."""
    hook = mia.post(f"{world.path}/hooks", json={"url": "http://127.0.0.1:9/x"}).json()
    sha = dev.get(f"{world.path}/repository/branches/main").json()["commit"]["id"]
    status = dev.post(f"{world.path}/statuses/{sha}", json={"state": "success", "ref": "main"}).json()
    issue = dev.post(f"{world.path}/issues", json={"title": "x"}).json()
    note = dev.post(f"{world.path}/issues/{issue['iid']}/notes", json={"body": "x"}).json()
    with world.client("eve") as eve:
        own = f"/projects/{eve.post('/projects', json={'name': 'own', 'initialize_with_readme': True}).json()['id']}"
        mine = eve.post(f"{own}/issues", json={"title": "mine"}).json()
        for method, path in (
            ("GET", f"{own}/hooks/{hook['id']}"),
            ("DELETE", f"{own}/hooks/{hook['id']}"),
            ("POST", f"{own}/hooks/{hook['id']}/test/push_events"),
            ("GET", f"{own}/pipelines/{status['pipeline_id']}"),
            ("POST", f"{own}/pipelines/{status['pipeline_id']}/cancel"),
            ("GET", f"{own}/jobs/{status['id']}/trace"),
            ("GET", f"{own}/issues/{mine['iid']}/notes/{note['id']}"),
            ("GET", f"{own}/repository/commits/{sha}"),
        ):
            assert eve.request(method, path).status_code == 404, path


def test_a_read_only_token_cannot_push(world: World, tmp_path: Path) -> None:
    """A token for reading, leaked from a build, is used to push."""
    for scope in ("read_repository", "read_api"):
        token = world.forge.seed_token("dev", scopes=[scope])
        url = f"http://x:{token}@{world.forge.url.removeprefix('http://')}/{PROJECT}.git"
        refused = git(tmp_path.parent, "push", url, "HEAD:refs/heads/x", check=False)
        assert refused.returncode != 0
        refused = git(world.forge.settings.home.parent / "source", "push", url, f"main:refs/heads/{scope}", check=False)
        assert refused.returncode != 0
        assert "403" in refused.stderr


@pytest.mark.parametrize("ref", ["refs/merge-requests/1/head", "refs/keep-around/x", "refs/notes/commits"])
def test_a_push_reaches_branches_and_tags_only(world: World, ref: str) -> None:
    """Whoever may push a branch rewrites the head of somebody's merge request."""
    source = world.forge.settings.home.parent / "source"
    refused = git(source, "push", world.remote("dev"), f"main:{ref}", check=False)
    assert refused.returncode != 0
    assert "You can only push to branches and tags." in refused.stderr


def test_a_push_that_lies_about_its_format_is_refused(world: World, dev: httpx2.Client) -> None:
    """A body with broken packets must not reach git unread."""
    url = f"{world.forge.url}/{PROJECT}.git/git-receive-pack"
    auth = ("x", world.tokens["dev"])
    for body in (b"zzzz", b"0010not a command", b"00ff0" * 100):
        answer = httpx2.post(url, content=body, auth=auth, trust_env=False, verify=False, timeout=30)
        assert answer.status_code == 400, body


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://x.test/",
        "gopher://x.test/",
        "javascript:alert(1)",
        "//x.test/",
        "http://",
        "x",
        "http://a b/",
        "http://x.test/\nHost: y",
    ],
)
def test_a_webhook_goes_to_web_addresses_only(world: World, mia: httpx2.Client, url: str) -> None:
    """A webhook to `file:` or `gopher:` would read files or speak to a database."""
    assert mia.post(f"{world.path}/hooks", json={"url": url}).status_code == 422
    assert mia.post(f"{world.path}/hooks", json={"url": "http://x.test", "token": "a\r\nX-Evil: 1"}).status_code == 422


def test_an_oversized_body_is_refused_before_it_is_kept(world: World, dev: httpx2.Client) -> None:
    """Somebody fills the memory with one request, with and without saying how long it is."""
    big = b"x" * (2 * 1024 * 1024)

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(big), 65536):
            yield big[start : start + 65536]

    for content in (big, chunks()):
        try:
            answer = dev.post(f"{world.path}/issues", content=content, headers={"Content-Type": "application/json"})
        except (httpx2.WriteError, httpx2.RemoteProtocolError):
            continue
        assert answer.status_code == 413
    assert dev.get("/user").status_code == 200


def test_an_oversized_push_and_a_gzip_bomb_are_refused(world: World) -> None:
    """A small gzip body unpacks to more than the limit."""
    import gzip

    url = f"{world.forge.url}/{PROJECT}.git/git-upload-pack"
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/x-git-upload-pack-request"}
    bomb = gzip.compress(b"0" * (64 * 1024 * 1024))
    auth = ("x", world.tokens["dev"])
    answer = httpx2.post(url, content=bomb, headers=headers, auth=auth, trust_env=False, verify=False, timeout=30)
    assert answer.status_code == 413


def test_html_in_texts_stays_text(world: World, dev: httpx2.Client) -> None:
    """An issue's title carries a script for the person who opens its page."""
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"
    issue = dev.post(f"{world.path}/issues", json={"title": evil, "description": evil, "labels": [evil]}).json()
    dev.post(f"{world.path}/issues/{issue['iid']}/notes", json={"body": evil})
    headers = {"PRIVATE-TOKEN": world.tokens["dev"]}
    for address in (issue["web_url"], f"{world.forge.url}/{PROJECT}/-/issues"):
        page = httpx2.get(address, headers=headers, trust_env=False, verify=False, timeout=30)
        assert page.status_code == 200
        assert not re.search(r"<script(?! src=\"/-/)|<img(?! src=\"/-/)", page.text)
        assert "&lt;script&gt;" in page.text


@pytest.mark.parametrize("host", ["evil.test", "evil.test:80", "127.0.0.1.evil.test", "localhost.evil.test", ""])
@pytest.mark.parametrize(
    "path", ["/", "/api/v4/version", "/api/v4/projects", f"/{PROJECT}.git/info/refs?service=git-upload-pack"]
)
def test_nothing_is_served_under_a_foreign_name(world: World, host: str, path: str) -> None:
    """DNS rebinding: a page of evil.test, whose name now means 127.0.0.1, reads what is here."""
    answer = httpx2.get(f"{world.forge.url}{path}", headers={"Host": host}, trust_env=False, verify=False, timeout=30)
    assert answer.status_code in {400, 403}
    assert PROJECT not in answer.text


def test_the_forge_serves_this_machine_only(tmp_path: Path) -> None:
    """Tokens and pages go over plain HTTP: they must never be bound to the network."""
    with pytest.raises(LocalForgeError):
        LocalForge(ForgeSettings(home=tmp_path, host="0.0.0.0"))


@pytest.mark.parametrize("body", ["[" * 100_000, '{"a":' * 50_000, "{", "[]", '"x"', "null"])
def test_a_malformed_body_is_a_400(world: World, dev: httpx2.Client, body: str) -> None:
    """Deeply nested JSON must not end the request in a crash."""
    answer = dev.post(f"{world.path}/issues", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    fields: dict[str, Any] = {"title" + "[a]" * 5000: "x"}
    assert dev.post(f"{world.path}/issues", data=fields).status_code == 400


def test_an_odd_number_is_not_found_and_not_a_crash(world: World, dev: httpx2.Client) -> None:
    """Numbers beyond the database's are tried everywhere."""
    huge = "9" * 40
    for path in (
        f"/projects/{huge}",
        f"{world.path}/issues/{huge}",
        f"{world.path}/issues/-1",
        f"{world.path}/jobs/{huge}",
        f"{world.path}/labels/{huge}",
        f"/users/{huge}",
    ):
        assert dev.get(path).status_code == 404, path
    assert dev.get(f"{world.path}/issues", params={"page": huge}).status_code == 400
    assert dev.get(f"{world.path}/issues", params={"page": "999999999999999999", "per_page": "-5"}).status_code == 200


def test_a_text_made_to_be_slow_to_read_is_read_fast(world: World, dev: httpx2.Client) -> None:
    """A guest's description makes the search for references or check boxes run for hours."""
    for text in (
        "/a" * 300_000,
        "-" * 600_000,
        "\n" * 400_000,
        "closes " * 80_000,
        "closes #1" + " " * 600_000,
        "a" * 600_000,
    ):
        start = time.monotonic()
        assert dev.post(f"{world.path}/issues", json={"title": "slow", "description": text}).status_code == 201
        assert time.monotonic() - start < 10, text[:10]


def test_a_slow_pattern_in_a_configuration_is_given_up(world: World, dev: httpx2.Client) -> None:
    """Somebody who may push a branch hangs the forge with `=~ /(a+)+$/` and a branch named to fit."""
    rule = 'job: {script: x, rules: [{if: "$CI_COMMIT_BRANCH =~ /^(a+)+$/"}]}'
    start = time.monotonic()
    action = {"action": "create", "file_path": ".gitlab-ci.yml", "content": rule}
    body = {"branch": "a" * 60 + "b", "start_branch": "main", "commit_message": "m", "actions": [action]}
    sha = dev.post(f"{world.path}/repository/commits", json=body).json()["id"]
    assert time.monotonic() - start < 15
    (pipeline,) = dev.get(f"{world.path}/pipelines", params={"sha": sha}).json()
    assert "takes too long" in dev.get(f"{world.path}/pipelines/{pipeline['id']}").json()["yaml_errors"]


def test_null_bytes_and_broken_characters_are_refused(world: World, dev: httpx2.Client) -> None:
    """Such texts would end in a crash further down, in git's arguments or in the database."""
    headers = {"Content-Type": "application/json"}
    for body in (r'{"title": "a\u0000b"}', r'{"title": "\ud800"}', r'{"a": [{"b": "\u0000"}], "title": "x"}'):
        assert dev.post(f"{world.path}/issues", content=body, headers=headers).status_code == 400
    assert dev.post(f"{world.path}/issues", data={"title": "a\0b"}).status_code == 400
    assert dev.post(f"{world.path}/issues", params={"title": "a\0b"}).status_code == 400
    assert dev.get(f"{world.path}/repository/branches/a%00b").status_code == 400


def test_a_harmful_tree_is_not_taken_in(world: World, tmp_path: Path) -> None:
    """A tree with an entry `.git` writes a hook into the clone of whoever checks it out."""
    git(tmp_path, "clone", "-q", world.remote("dev"), "clone")
    clone = tmp_path / "clone"
    blob = git(clone, "rev-parse", "HEAD:README.md").stdout.strip()
    raw = b"100644 .git\0" + bytes.fromhex(blob)
    (tmp_path / "tree").write_bytes(raw)
    tree = git(clone, "hash-object", "-w", "-t", "tree", "--literally", str(tmp_path / "tree")).stdout.strip()
    evil = git(clone, "commit-tree", tree, "-m", "evil").stdout.strip()
    refused = git(clone, "push", "origin", f"{evil}:refs/heads/evil", check=False)
    assert refused.returncode != 0
    with world.client("dev") as dev:
        assert dev.get(f"{world.path}/repository/branches/evil").status_code == 404
