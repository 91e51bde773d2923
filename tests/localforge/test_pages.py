"""The pages behind the addresses that GitLab's answers carry: what they show, to whom, and what their forms do."""

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

from tests.localforge.conftest import PROJECT, People, World, commit, open_merge_request

BASE = f"/{PROJECT}/-/"


@contextmanager
def browser_of(world: World, username: str = "") -> Iterator[httpx2.Client]:
    """A browser that came by the link which signs in once; without a name, one of a stranger."""
    with httpx2.Client(base_url=world.forge.url, timeout=30, trust_env=False, verify=False) as client:
        if username:
            assert client.get(world.forge.sign_in_link(username)).status_code == 303
        yield client


def sent(browser: httpx2.Client, page: str, to: str, **fields: str) -> httpx2.Response:
    """Send a form of a page, with the hidden field that it carries."""
    seen = browser.get(page)
    assert seen.status_code == 200, seen.text
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', seen.text)
    assert found
    return browser.post(to, data=fields | {"csrf": found[1]})


def said(answer: httpx2.Response) -> str:
    """What a page says, without its tags."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", answer.text)))


@pytest.fixture(scope="module")
def dev(world: World) -> Iterator[httpx2.Client]:
    with browser_of(world, "dev") as browser:
        yield browser


@pytest.fixture(scope="module")
def mia(world: World) -> Iterator[httpx2.Client]:
    with browser_of(world, "mia") as browser:
        yield browser


def test_the_addresses_of_issues_and_merge_requests_show_them(world: World, people: People, dev: httpx2.Client) -> None:
    issue = people.dev.post(f"{world.path}/issues", json={"title": "Seen", "description": "In full"}).json()
    people.dev.post(f"{world.path}/issues/{issue['iid']}/notes", json={"body": "A remark"})
    page = dev.get(issue["web_url"])
    assert page.status_code == 200
    assert all(text in page.text for text in ("Seen", "In full", "A remark", "@dev", "Open"))
    row = open_merge_request(people.dev, world.path, "pages/mr", description=f"Closes #{issue['iid']}")
    assert "Merge pages/mr" in dev.get(issue["web_url"]).text
    page = dev.get(row["web_url"])
    assert all(text in said(page) for text in ("requested to merge pages/mr into main", "mergeable", row["sha"][:8]))
    assert '<td class="src">three</td>' in dev.get(f"{row['web_url']}/diffs").text
    assert "Change pages-mr.txt" in dev.get(f"{row['web_url']}/commits").text
    people.dev.post(
        f"{world.path}/statuses/{row['sha']}", json={"state": "failed", "name": "outside", "ref": "pages/mr"}
    )
    pipeline = people.dev.get(f"{world.path}/pipelines", params={"sha": row["sha"]}).json()[0]
    assert "outside" in dev.get(pipeline["web_url"]).text
    assert f"#{pipeline['id']}" in dev.get(f"{row['web_url']}/pipelines").text
    for listing, text in (("issues", "Seen"), ("merge_requests", "Merge pages/mr"), ("jobs", "outside")):
        assert text in dev.get(f"{BASE}{listing}").text
    assert f"#{pipeline['id']}" in dev.get(f"{BASE}pipelines").text
    assert PROJECT in dev.get("/").text


def test_a_private_project_is_there_for_its_members_alone(world: World, people: People) -> None:
    issue = people.dev.post(f"{world.path}/issues", json={"title": "Only ours"}).json()
    addresses = [f"/{PROJECT}", *(f"{BASE}{below}" for below in ("issues", f"issues/{issue['iid']}", "tree/main"))]
    for username in ("", "eve"):
        with browser_of(world, username) as browser:
            nowhere = browser.get("/acme/none/-/issues/1")
            for address in addresses:
                page = browser.get(address)
                assert page.status_code == nowhere.status_code == 404
                assert "Only ours" not in page.text
                # Not even by a difference of words can one tell that there is a project.
                assert said(page).replace(PROJECT, "") == said(nowhere).replace("acme/none", "")
            assert PROJECT not in browser.get("/").text
    with browser_of(world, "gus") as guest:
        assert guest.get(f"{BASE}issues/{issue['iid']}").status_code == 200
        assert [guest.get(f"{BASE}{below}").status_code for below in ("tree/main", "merge_requests", "commits")] == [
            404
        ] * 3
        assert "README" not in guest.get(f"/{PROJECT}").text


def test_a_public_project_is_shown_to_anybody_and_changed_by_nobody(world: World, people: People) -> None:
    project = people.root.post("/projects", json={"name": "Open", "path": "open", "visibility": "public"}).json()
    commit(people.root, f"/projects/{project['id']}", "main", {"README.md": "# Hello"}, start=None)
    people.root.post(f"/projects/{project['id']}/issues", json={"title": "Known"})
    secret = {"title": "Unknown", "confidential": True}
    people.root.post(f"/projects/{project['id']}/issues", json=secret)
    people.root.post(f"/projects/{project['id']}/issues/1/notes", json={"body": "for us", "internal": True})
    base = f"/{project['path_with_namespace']}"
    with browser_of(world) as stranger:
        assert "<h1>Hello</h1>" in stranger.get(base).text
        assert project["path_with_namespace"] in stranger.get("/").text
        listed = stranger.get(f"{base}/-/issues").text
        assert "Known" in listed
        assert "Unknown" not in listed
        issue = stranger.get(f"{base}/-/issues/1").text
        assert "for us" not in issue
        assert 'method="post"' not in issue
        assert stranger.get(f"{base}/-/issues/2").status_code == 404
        assert stranger.post(f"{base}/-/issues/1/notes", data={"body": "x"}).status_code == 401


def test_folders_and_files_are_shown_with_their_lines(world: World, people: People, dev: httpx2.Client) -> None:
    code = 'def greet(name: str) -> str:\n    """Say\n    hello."""\n    return f"<{name}>"\n'
    commit(people.dev, world.path, "feature/files", {"lib/greet.py": code})
    bytes_ = {"branch": "feature/files", "commit_message": "Bytes", "content": "YQBi", "encoding": "base64"}
    people.dev.post(f"{world.path}/repository/files/lib%2Fbytes.bin", json=bytes_)
    assert "lib" in dev.get(f"{BASE}tree/feature/files").text
    assert "greet.py" in dev.get(f"{BASE}tree/feature/files/lib").text
    page = dev.get(f"{BASE}blob/feature/files/lib/greet.py").text
    assert '<tr id="L3"><td class="no"><a href="#L3"' in page
    assert '<span class="t-k">def</span>' in page
    assert '<span class="t-sd">    hello."""</span>' in page
    assert "&lt;" in page
    raw = dev.get(f"{BASE}raw/feature/files/lib/greet.py")
    assert (raw.text, raw.headers["content-type"]) == (code, "text/plain; charset=utf-8")
    assert "sandbox" in raw.headers["content-security-policy"]
    assert dev.get(f"{BASE}raw/feature/files/lib/bytes.bin").headers["content-disposition"].startswith("attachment")
    assert "no text" in dev.get(f"{BASE}blob/feature/files/lib/bytes.bin").text
    for wrong in (
        "tree/none",
        "blob/main/none",
        "blob/main/src%2F..%2FREADME.md",
        "blob/main/.git/config",
        "commit/0123456789",
    ):
        assert dev.get(f"{BASE}{wrong}").status_code == 404
    assert "<h1>Shop</h1>" in dev.get(f"/{PROJECT}").text
    assert "feature/files" in dev.get(f"{BASE}branches").text
    head = people.dev.get(f"{world.path}/repository/branches/feature%2Ffiles").json()["commit"]["id"]
    assert "lib/bytes.bin" in dev.get(f"{BASE}commit/{head}").text
    assert head[:8] in dev.get(f"{BASE}commits/feature/files/lib").text
    assert head[:8] not in dev.get(f"{BASE}commits/feature/files/src").text


def test_an_issue_is_written_answered_assigned_and_closed(world: World, people: People, dev: httpx2.Client) -> None:
    made = sent(dev, f"{BASE}issues/new", f"{BASE}issues", title="From a page", description="Do *it*")
    assert made.status_code == 303
    page = made.headers["location"]
    iid = page.rpartition("/")[2]
    assert sent(dev, page, f"{page}/notes", body="First").headers["location"] == f"{page}#activity"
    (thread,) = people.dev.get(f"{world.path}/issues/{iid}/discussions").json()
    assert sent(dev, page, f"{page}/discussions/{thread['id']}/notes", body="Second").status_code == 303
    mia = people.dev.get("/users", params={"username": "mia"}).json()[0]["id"]
    sent(dev, page, f"{page}/edit", assignee=str(mia))
    sent(dev, page, f"{page}/edit", labels="bug, agent")
    sent(dev, page, f"{page}/edit", title="From a page, edited", description="Do it")
    row = people.dev.get(f"{world.path}/issues/{iid}").json()
    assert (row["title"], row["author"]["username"]) == ("From a page, edited", "dev")
    assert ([one["username"] for one in row["assignees"]], sorted(row["labels"])) == (["mia"], ["agent", "bug"])
    assert all(text in said(dev.get(page)) for text in ("First", "Second", "assigned to @mia", "bug"))
    sent(dev, page, f"{page}/edit", assignee="")
    sent(dev, page, f"{page}/close")
    row = people.dev.get(f"{world.path}/issues/{iid}").json()
    assert (row["assignees"], row["state"]) == ([], "closed")
    sent(dev, page, f"{page}/reopen")
    assert people.dev.get(f"{world.path}/issues/{iid}").json()["state"] == "opened"


def test_a_merge_request_goes_from_draft_to_merged_by_its_buttons(
    world: World, people: People, dev: httpx2.Client, mia: httpx2.Client
) -> None:
    commit(people.dev, world.path, "buttons", {"buttons.txt": "one\n"})
    fields = {"source_branch": "buttons", "target_branch": "main", "title": "Draft: Buttons"}
    page = sent(dev, f"{BASE}merge_requests/new", f"{BASE}merge_requests", **fields).headers["location"]
    assert "Merge blocked: it is a draft" in said(dev.get(page))
    sent(dev, page, f"{page}/ready")
    assert "Mark as draft" in said(dev.get(page))
    assert "Ready to merge" in said(dev.get(page))
    sent(dev, page, f"{page}/reviewers", reviewer="mia")
    sent(mia, page, f"{page}/request_changes")
    assert "Merge blocked: @mia requested changes" in said(dev.get(page))
    sent(mia, page, f"{page}/bypass", on="true")
    assert "Merge with caution" in said(dev.get(page))
    sent(mia, page, f"{page}/bypass", on="false")
    sent(mia, page, f"{page}/approve")
    assert "Approved by @mia" in said(dev.get(page))
    sent(mia, page, f"{page}/unapprove")
    assert "Nobody has approved" in said(mia.get(page))
    iid = page.rpartition("/")[2]
    thread = people.mia.post(f"{world.path}/merge_requests/{iid}/discussions", json={"body": "Why?"}).json()["id"]
    assert "1 open thread" in said(dev.get(page))
    sent(dev, page, f"{page}/discussions/{thread}/notes", body="Because")
    assert (
        sent(dev, page, f"{page}/discussions/{thread}/resolve", resolved="true")
        .headers["location"]
        .endswith(f"#thread_{thread[:12]}")
    )
    assert "0 open threads" in said(dev.get(page))
    assert "Because" in said(dev.get(page))
    moved = sent(mia, page, f"{page}/merge", sha="0" * 40)
    assert (moved.status_code, "SHA does not match" in moved.text) == (409, True)
    assert sent(mia, page, f"{page}/merge").status_code == 303
    assert "Merged" in said(dev.get(page))
    assert people.dev.get(f"{world.path}/merge_requests/{iid}").json()["state"] == "merged"


def test_a_form_is_refused_what_the_api_refuses(world: World, people: People, dev: httpx2.Client) -> None:
    row = open_merge_request(people.dev, world.path, "refused")
    page = f"{BASE}merge_requests/{row['iid']}"
    assert "Merge</button>" not in dev.get(page).text
    answer = sent(dev, page, f"{page}/merge")
    assert (answer.status_code, "You may not do this" in said(answer)) == (401, True)
    assert sent(dev, page, f"{page}/approve").status_code == 401
    assert sent(dev, page, f"{page}/request_changes").status_code == 403
    assert sent(dev, page, f"{page}/bypass", on="true").status_code == 403
    assert sent(dev, page, f"{page}/unapprove").status_code == 404
    with browser_of(world, "rita") as rita:
        assert "Mark as draft" not in rita.get(page).text
        assert [sent(rita, page, f"{page}/{what}").status_code for what in ("draft", "close")] == [403, 403]
    assert people.dev.get(f"{world.path}/merge_requests/{row['iid']}").json()["state"] == "opened"


def test_pipelines_and_jobs_are_run_cancelled_and_retried(world: World, people: People, dev: httpx2.Client) -> None:
    commit(people.dev, world.path, "ci", {".gitlab-ci.yml": "test:\n  script: [echo ok]\n"})
    made = sent(dev, f"{BASE}pipelines", f"{BASE}pipelines", ref="ci")
    page = made.headers["location"]
    assert "runs no jobs" in dev.get(page).text
    assert sent(dev, page, f"{page}/cancel").status_code == 303
    assert "Canceled" in said(dev.get(page)).replace("canceled", "Canceled")
    job = re.search(r'href="(/acme/shop/-/jobs/\d+)"', dev.get(page).text)
    assert job
    again = sent(dev, job[1], f"{job[1]}/retry")
    assert again.status_code == 303
    assert again.headers["location"] != job[1]
    assert sent(dev, again.headers["location"], f"{again.headers['location']}/cancel").status_code == 303
    assert sent(dev, page, f"{page}/retry").status_code == 303


def test_what_is_nowhere_is_said_to_be_nowhere(world: World, dev: httpx2.Client) -> None:
    for address in (f"{BASE}issues/999", "/none/such", f"{BASE}nothing", f"{BASE}jobs/999999", "/-/assets/none.css"):
        assert dev.get(address).status_code == 404
    assert dev.get("/-/assets/..%2Fserver.py").status_code == 404
    assert dev.post(f"{BASE}nothing").status_code == 404
    assert dev.put("/").status_code == 405
    assert dev.get(f"{BASE}issues?page=99999999999999999999").status_code == 400


def test_each_page_keeps_scripts_frames_and_strangers_out(world: World, dev: httpx2.Client) -> None:
    for address in ("/", "/none", f"/{PROJECT}", f"{BASE}issues"):
        headers = dev.get(address).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
    page = dev.get(f"{BASE}issues").text
    assert not re.search(r"\sstyle=|<style|\son\w+=", page)
    for address in re.findall(r'(?:href|src)="(/-/assets/[^"]+)"', page):
        asset = dev.get(address)
        assert asset.status_code == 200
        assert "immutable" in asset.headers["cache-control"]
