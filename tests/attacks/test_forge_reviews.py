"""Attacks on reviews at the local forge, each with its story."""

import base64
import itertools
import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.localforge.conftest import (
    PROJECT,
    Tiered,
    build_world,
    clients_of,
    commit,
    git,
    make_source,
)
from tests.localforge.test_webhooks import Receiver, receiver  # noqa: F401 - a fixture

BRANCHES = (f"attack-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiered]:
    """An ultimate forge with a second project that only `eve` belongs to."""
    place = tmp_path_factory.mktemp("forge")
    world = build_world(place, tier="ultimate")
    world.forge.seed_project("evil/own", source=make_source(place / "evil", {"a.txt": "a\n"}))
    world.forge.seed_member("evil/own", "eve", 50)
    world.forge.start()
    with ExitStack() as stack:
        stack.callback(world.forge.stop)
        people = clients_of(world, stack)
        rows = people.root.get("/users", params={"per_page": 100}).json()
        yield Tiered(world, people, {row["username"]: row["id"] for row in rows})


def mutation(name: str, path: str, more: str = "") -> str:
    given = f'projectPath: "{PROJECT}", iid: "{path.rpartition("/")[2]}"{more}'
    return f"mutation {{ {name}(input: {{{given}}}) {{ errors }} }}"


def position(forge: Tiered, path: str, **given: Any) -> dict[str, Any]:
    row = forge.people.dev.get(path).json()
    name = f"{row['source_branch']}.txt"
    return dict(row["diff_refs"]) | {"position_type": "text", "old_path": name, "new_path": name, "new_line": 1} | given


def verdicts(forge: Tiered, path: str) -> tuple[str, dict[str, str], list[Any]]:
    given = forge.people.mia.get(f"{path}/approvals").json()["approved_by"]
    return forge.status(path), forge.states(path), [row["user"]["username"] for row in given]


# --- who may say what ----------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["rita", "gus", "eve", "nobody"])
def test_whoever_may_not_review_changes_no_verdict_by_any_of_the_ways(forge: Tiered, who: str) -> None:
    """Somebody below Developer tries every way there is to a verdict."""
    client, path = getattr(forge.people, who), forge.opened(next(BRANCHES), "mia", "rita")
    forge.people.mia.post(f"{path}/notes", json={"body": "/request_changes"})
    before = verdicts(forge, path)
    for order in ("/approve", "/unapprove", "/request_changes", "/submit_review approve", "/ready", "/draft", "/merge"):
        client.post(f"{path}/notes", json={"body": order})
        client.post(f"{path}/discussions", json={"body": f"x\n{order}"})
        client.post(f"{path}/draft_notes", json={"note": order})
    client.post(f"{path}/draft_notes/bulk_publish", json={"reviewer_state": "requested_changes", "note": "/approve"})
    for end in ("approve", "unapprove", "approve?publish_review=true"):
        client.post(f"{path}/{end}")
    client.put(f"{path}/reset_approvals")
    client.put(f"{path}/merge")
    client.post(f"{path}/approval_rules", json={"name": "mine", "approvals_required": 0})
    for name, more in (
        ("mergeRequestRequestChanges", ""),
        ("mergeRequestDestroyRequestedChanges", ""),
        ("mergeRequestUpdate", ", overrideRequestedChanges: true"),
        ("mergeRequestSetDraft", ", draft: true"),
        ("mergeRequestSetReviewers", ", reviewerUsernames: []"),
        ("mergeRequestReviewerRereview", f', userId: "gid://gitlab/User/{forge.ids["mia"]}"'),
    ):
        url = f"{forge.world.forge.url}/api/graphql"
        client.post(url, json={"query": mutation(name, path, more)})
    assert verdicts(forge, path) == before


def test_an_author_does_not_approve_the_own_work_by_a_rule_that_names_them(forge: Tiered) -> None:
    """A Developer makes a rule that needs nobody but themselves."""
    people, path = forge.people, forge.opened(next(BRANCHES))
    rule = {"name": "Me", "approvals_required": 1, "user_ids": [forge.ids["dev"]]}
    assert people.dev.post(f"{path}/approval_rules", json=rule).status_code == 201
    assert people.dev.post(f"{path}/approve").status_code == 401
    assert people.dev.post(f"{path}/notes", json={"body": "/approve"}).json()["summary"] == [
        "Could not apply approve command."
    ]
    assert forge.status(path) == "not_approved"


def test_a_developer_does_not_lower_what_the_project_requires_where_that_is_locked(forge: Tiered) -> None:
    """The rule of a merge request from before the lock would ask for less than the project's."""
    people, settings = forge.people, f"{forge.path}/approvals"
    rule = {"name": "Security", "approvals_required": 1, "user_ids": [forge.ids["owen"]]}
    made = people.mia.post(f"{forge.path}/approval_rules", json=rule).json()
    try:
        path = forge.opened(next(BRANCHES))
        own = {"name": "Nothing", "approvals_required": 0}
        mine = people.dev.post(f"{path}/approval_rules", json=own).json()
        people.mia.post(settings, json={"disable_overriding_approvers_per_merge_request": True})
        for answer in (
            people.dev.post(f"{path}/approval_rules", json=own),
            people.dev.put(f"{path}/approval_rules/{mine['id']}", json=own),
            people.dev.put(f"{forge.path}/approval_rules/{made['id']}", json=own),
            people.dev.delete(f"{forge.path}/approval_rules/{made['id']}"),
            people.dev.post(settings, json={"disable_overriding_approvers_per_merge_request": False}),
        ):
            assert answer.status_code == 403
        assert forge.status(path) == "not_approved"
    finally:
        people.mia.post(settings, json={"disable_overriding_approvers_per_merge_request": False})
        people.mia.delete(f"{forge.path}/approval_rules/{made['id']}")


def test_a_token_that_only_reads_writes_nothing(forge: Tiered) -> None:
    """A leaked token of a Maintainer has the scope `read_api`."""
    path = forge.opened(next(BRANCHES), "mia")
    token = forge.world.forge.seed_token("mia", scopes=("read_api",))
    reader = {"PRIVATE-TOKEN": token}
    nobody, before = forge.people.nobody, verdicts(forge, path)
    assert nobody.get(path, headers=reader).status_code == 200
    document = {"query": mutation("mergeRequestRequestChanges", path)}
    assert nobody.post(f"{forge.world.forge.url}/api/graphql", json=document, headers=reader).status_code == 403
    for end, body in (("approve", {}), ("notes", {"body": "/approve"}), ("draft_notes", {"note": "x"})):
        assert nobody.post(f"{path}/{end}", json=body, headers=reader).status_code == 403
    assert verdicts(forge, path) == before


# --- approvals of something else -----------------------------------------------------------------


@pytest.mark.parametrize("trick", ["white space", "binary", "mode", "encoding"])
def test_an_approval_does_not_cover_what_was_slipped_in_afterwards(forge: Tiered, tmp_path: Path, trick: str) -> None:
    """After the approval the author rewrites the commit in a way that `git patch-id` does not see."""
    branch = next(BRANCHES)
    git(tmp_path, "clone", "-q", forge.world.remote("dev"), "clone")
    clone = tmp_path / "clone"
    git(clone, "checkout", "-q", "-b", branch)
    target = clone / f"{branch}.py"
    before, after = {
        "white space": (b"if admin:\n    pass\n    wipe()\n", b"if admin:\n    pass\nwipe()\n"),
        "binary": (b"\0harmless\n", b"\0harmful!\n"),
        "mode": (b"#!/bin/sh\n", b"#!/bin/sh\n"),
        "encoding": (b"name = '\xe9'\n", b"name = '\xe8'\n"),
    }[trick]
    target.write_bytes(before)
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "One")
    git(clone, "push", "-q", "origin", branch)
    body = {"source_branch": branch, "target_branch": "main", "title": branch}
    row = forge.people.dev.post(f"{forge.path}/merge_requests", json=body).json()
    path = f"{forge.path}/merge_requests/{row['iid']}"
    rule = {"name": "One", "approvals_required": 1, "usernames": ["mia"]}
    forge.people.dev.post(f"{path}/approval_rules", json=rule)
    assert forge.people.mia.post(f"{path}/approve", json={"sha": row["sha"]}).status_code == 201
    assert forge.status(path) == "mergeable"
    target.write_bytes(after)
    target.chmod(0o755 if trick == "mode" else 0o644)
    git(clone, "commit", "-q", "-a", "--amend", "-m", "One")
    git(clone, "push", "-q", "--force", "origin", branch)
    assert forge.status(path) == "not_approved"
    # What was approved once is not approved again by going back to it.
    target.write_bytes(before)
    target.chmod(0o644)
    git(clone, "commit", "-q", "-a", "--amend", "-m", "One")
    git(clone, "push", "-q", "--force", "origin", branch)
    assert forge.status(path) == "not_approved"


def test_an_approval_meant_for_one_commit_never_lands_on_another(forge: Tiered) -> None:
    """The author pushes between the reviewer's reading and the reviewer's approval."""
    people, branch = forge.people, next(BRANCHES)
    path = forge.opened(branch, "mia")
    read = people.mia.get(path).json()["sha"]
    commit(people.dev, forge.path, branch, {f"{branch}-more.txt": "x"}, start=None)
    assert people.mia.post(f"{path}/approve", json={"sha": read}).status_code == 409
    answer = people.mia.post(f"{path}/approve", json={"sha": read, "publish_review": True})
    assert answer.status_code == 409
    assert verdicts(forge, path)[2] == []
    assert people.mia.put(f"{path}/merge", json={"sha": read}).status_code == 409


# --- what belongs to others ----------------------------------------------------------------------


def test_numbers_of_others_things_open_nothing(forge: Tiered) -> None:
    """The owner of another project asks for drafts, rules, checks, threads and suggestions by their numbers."""
    people, path, other = forge.people, forge.opened(next(BRANCHES)), forge.opened(next(BRANCHES))
    draft = people.mia.post(f"{path}/draft_notes", json={"note": "secret draft"}).json()["id"]
    rule = people.dev.post(f"{path}/approval_rules", json={"name": "r", "approvals_required": 0}).json()["id"]
    check = people.mia.post(
        f"{forge.path}/external_status_checks", json={"name": "c", "external_url": "http://127.0.0.1:9/x"}
    ).json()["id"]
    sent = {"body": "```suggestion\nx\n```", "position": position(forge, path)}
    thread = people.rita.post(f"{path}/discussions", json=sent).json()
    suggestion = thread["notes"][0]["suggestions"][0]["id"]
    evil = "/projects/evil%2Fown"
    row = {"branch": "b", "start_branch": "main", "commit_message": "m"}
    action = {"action": "create", "file_path": "b.txt", "content": "b\n"}
    people.eve.post(f"{evil}/repository/commits", json=row | {"actions": [action]})
    mine = people.eve.post(
        f"{evil}/merge_requests", json={"source_branch": "b", "target_branch": "main", "title": "b"}
    ).json()
    base = f"{evil}/merge_requests/{mine['iid']}"
    answers = [
        people.eve.get(f"{base}/draft_notes/{draft}"),
        people.eve.put(f"{base}/draft_notes/{draft}/publish"),
        people.mia.get(f"{other}/draft_notes/{draft}"),
        people.mia.put(f"{other}/draft_notes/{draft}/publish"),
        people.eve.get(f"{base}/approval_rules/{rule}"),
        people.eve.put(f"{base}/approval_rules/{rule}", json={"name": "x"}),
        people.eve.delete(f"{evil}/approval_rules/{rule}"),
        people.dev.delete(f"{other}/approval_rules/{rule}"),
        people.eve.put(f"{evil}/external_status_checks/{check}", json={"external_url": "http://127.0.0.1:9/evil"}),
        people.eve.delete(f"{evil}/external_status_checks/{check}"),
        people.eve.post(f"{base}/status_checks/{check}/retry"),
        people.eve.put(f"/suggestions/{suggestion}/apply"),
        people.eve.put("/suggestions/batch_apply", json={"ids": [suggestion]}),
        people.eve.get(f"{base}/discussions/{thread['id']}"),
        people.dev.get(f"{other}/discussions/{thread['id']}"),
    ]
    assert [answer.status_code for answer in answers] == [404] * len(answers)
    body = {"sha": mine["sha"], "external_status_check_id": check, "status": "passed"}
    assert people.eve.post(f"{base}/status_check_responses", json=body).status_code == 404
    reply = {"note": "x", "in_reply_to_discussion_id": thread["id"]}
    assert people.eve.post(f"{base}/draft_notes", json=reply).status_code == 400
    assert people.mia.delete(f"{forge.path}/external_status_checks/{check}").status_code == 204


def test_an_unpublished_review_is_nowhere_to_be_read(forge: Tiered) -> None:
    """The author wants to know what the review will say before it is published."""
    people, path = forge.people, forge.opened(next(BRANCHES), "mia")
    secret = "the-unpublished-finding"
    people.mia.post(f"{path}/draft_notes", json={"note": secret, "position": position(forge, path)})
    url = people.dev.get(path).json()["web_url"]
    texts = [
        people.dev.get(f"{path}{end}").text
        for end in ("", "/notes", "/discussions", "/draft_notes", "/reviewers", "/approvals", "/approval_state")
    ]
    headers = {"PRIVATE-TOKEN": forge.world.tokens["dev"]}
    pages = [
        httpx2.get(f"{url}{tab}", headers=headers, trust_env=False, verify=False, timeout=30) for tab in ("", "/diffs")
    ]
    assert [page.status_code for page in pages] == [200, 200]
    texts += [page.text for page in pages]
    assert not any(secret in text for text in texts)


# --- words that are orders, and words that are code ----------------------------------------------


@pytest.mark.parametrize(
    "quoted",
    [
        "```\n{}\n```",
        "```python\n{}\n",
        "~~~\n```\n{}\n~~~",
        "````md\n```\n{}\n```\n````",
        "    {}",
        "> {}",
        "<details><summary>Output</summary>\n\n```\n{}\n```\n\n</details>",
        "\r\r```\r\n{}\r\n```",
        "<!-- \n{}\n-->",
    ],
)
def test_output_that_a_reviewer_quotes_gives_no_orders_in_its_name(forge: Tiered, quoted: str) -> None:
    """Code under review prints `/approve`; the reviewer's note quotes what it printed."""
    path = forge.opened(next(BRANCHES), "mia")
    text = quoted.format("/approve")
    forge.people.mia.post(f"{path}/notes", json={"body": f"It printed:\n\n{text}"})
    forge.people.mia.post(f"{path}/draft_notes", json={"note": f"It printed:\n\n{text}"})
    forge.people.mia.post(f"{path}/draft_notes/bulk_publish", json={"note": f"It printed:\n\n{text}"})
    assert verdicts(forge, path) == ("mergeable", {"mia": "unreviewed"}, [])


HARM = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


def test_nothing_that_people_write_acts_on_the_page(forge: Tiered) -> None:
    """Every text that somebody can choose holds a script."""
    people, branch = forge.people, f"{next(BRANCHES)}-{'<b>x</b>'.replace('/', '')}"
    name = "<script>alert(1)<!--.txt"
    content = base64.b64encode(f"{HARM}\n</table></td>\n".encode()).decode()
    action = {"action": "create", "file_path": name, "content": content, "encoding": "base64"}
    body = {"branch": branch, "start_branch": "main", "commit_message": HARM, "actions": [action]}
    assert people.dev.post(f"{forge.path}/repository/commits", json=body).status_code == 201
    fields = {"title": HARM, "description": f"{HARM}\n\n<details><summary>{HARM}</summary>\n\n{HARM}\n\n</details>"}
    sent = {"source_branch": branch, "target_branch": "main", "labels": HARM.replace(",", "")} | fields
    row = people.dev.post(f"{forge.path}/merge_requests", json=sent).json()
    path = f"{forge.path}/merge_requests/{row['iid']}"
    rule = {"name": HARM, "approvals_required": 1, "usernames": ["mia"]}
    assert people.dev.post(f"{path}/approval_rules", json=rule).status_code == 201
    check = people.mia.post(
        f"{forge.path}/external_status_checks", json={"name": HARM, "external_url": "http://127.0.0.1:9/x"}
    ).json()
    at = dict(row["diff_refs"]) | {"position_type": "text", "old_path": name, "new_path": name, "new_line": 1}
    note = f"{HARM}\n\n```suggestion\n{HARM}\n```\n\n[a](javascript:alert(1))\n<details open ontoggle=alert(1)>"
    assert people.rita.post(f"{path}/discussions", json={"body": note, "position": at}).status_code == 201
    for tab in ("", "/diffs"):
        headers = {"PRIVATE-TOKEN": forge.world.tokens["dev"]}
        answer = httpx2.get(f"{row['web_url']}{tab}", headers=headers, trust_env=False, verify=False, timeout=30)
        assert answer.status_code == 200
        # What the page itself is made of comes from the forge's own folder.
        plain = re.sub(r'<(?:script|img) src="/-/assets/[^>]*>(?:</script>)?', "", answer.text)
        tags = set(re.findall(r"<(/?[a-zA-Z][^\s>]*)", plain))
        assert not {tag for tag in tags if tag.strip("/") in {"script", "img", "b", "iframe", "object"}}
        assert not re.findall(r"<[^>]*\son\w+\s*=", answer.text)
        assert 'href="javascript' not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "&lt;script&gt;alert(1)" in answer.text
    people.mia.delete(f"{forge.path}/external_status_checks/{check['id']}")


# --- what reaches out ----------------------------------------------------------------------------


def test_a_status_check_reaches_web_addresses_alone_and_carries_no_secret(
    forge: Tiered,
    receiver: Receiver,  # noqa: F811
) -> None:
    """A Maintainer points a check at files, other protocols and redirects, and somebody looks for its secret."""
    people, base = forge.people, f"{forge.path}/external_status_checks"
    for url in (
        "file:///etc/passwd",
        "gopher://127.0.0.1:25/x",
        "javascript:alert(1)",
        "//127.0.0.1/x",
        "http:///x",
        "http://127.0.0.1:0/",
        "http://127.0.0.1/\r\nX-Evil: 1",
        "http://[::1/",
    ):
        assert people.mia.post(base, json={"name": url, "external_url": url}).status_code == 422, url
    secret = "s3cret-of-the-check"
    body = {"name": "asked", "external_url": receiver.url, "shared_secret": secret}
    check = people.mia.post(base, json=body).json()
    path = forge.opened(next(BRANCHES))
    headers, payload = receiver.wait(1)[0]
    assert secret not in json.dumps([headers, payload])
    for text in (people.mia.get(base).text, people.dev.get(f"{path}/status_checks").text):
        assert secret not in text
    assert not any(name in json.dumps([headers, payload]) for name in forge.world.tokens.values())
    people.mia.delete(f"{base}/{check['id']}")


# --- what is made to be slow or to break ---------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        "{ a }" + "#" * 19_000,
        "{" + ",#" * 9_000,
        "{ " + '"' + "\\" * 19_000,
        "{" * 19_000,
        "{ currentUser { " + "id " * 6_000 + "} }",
        "{ x: currentUser(a: " + "[" * 9_000,
        "query(" + "$a: Int = 1 " * 1_500 + ") { currentUser { id } }",
        "{ " + " ".join(f"a{n}: currentUser {{ id }}" for n in range(700)) + " }",
    ],
)
def test_a_document_made_to_be_slow_is_answered_at_once(forge: Tiered, document: str) -> None:
    """A reader sends GraphQL that is expensive to read or to carry out."""
    began = time.process_time()
    answer = forge.people.rita.post(f"{forge.world.forge.url}/api/graphql", json={"query": document[:20_500]})
    assert answer.status_code == 200
    assert time.process_time() - began < 5


def test_a_note_made_to_be_slow_is_stored_at_once(forge: Tiered) -> None:
    """A note of a megabyte is all orders, all fences or all blanks."""
    path = forge.opened(next(BRANCHES))
    began = time.process_time()
    for piece in ("/approve\n", "```\n", "/ ", " ", "/approve " + " " * 50, "<!--", "```suggestion\n", "> /approve\n"):
        body = {"body": "x\n/approve" + (piece * (900_000 // len(piece)))}
        assert forge.people.rita.post(f"{path}/notes", json=body).status_code in {201, 202}, piece
    assert time.process_time() - began < 60
    assert verdicts(forge, path)[2] == []


def test_a_position_names_no_file_outside_and_no_option(forge: Tiered) -> None:
    """A position's paths and commits are chosen to be read by git or by the file system."""
    path = forge.opened(next(BRANCHES))
    for given in (
        {"old_path": "../../etc/passwd", "new_path": "../../etc/passwd"},
        {"old_path": "--output=x", "new_path": "--output=x"},
        {"old_path": "/etc/passwd", "new_path": "/etc/passwd"},
        {"head_sha": "--output=/tmp/x"},
        {"base_sha": "HEAD"},
        {"start_sha": "main"},
        {"head_sha": "refs/heads/main"},
        {"old_path": "a\nb", "new_path": "a\nb"},
    ):
        for end, key in (("discussions", "body"), ("draft_notes", "note")):
            sent = {key: "x", "position": position(forge, path, **given)}
            assert forge.people.rita.post(f"{path}/{end}", json=sent).status_code == 400, given


def test_a_suggestion_writes_where_its_note_stands_and_nowhere_else(forge: Tiered) -> None:
    """Somebody makes a note that suggests on a link, on lines far away, or onto a protected branch."""
    people, branch = forge.people, next(BRANCHES)
    commit(people.dev, forge.path, branch, {f"{branch}.txt": "1\n2\n3\n"})
    body = {"source_branch": "main", "target_branch": branch, "title": "The wrong way round"}
    commit(people.mia, forge.path, "main", {f"{branch}-main.txt": "protected\n"}, start=None)
    row = people.dev.post(f"{forge.path}/merge_requests", json=body).json()
    path, name = f"{forge.path}/merge_requests/{row['iid']}", f"{branch}-main.txt"
    at = dict(row["diff_refs"]) | {"position_type": "text", "old_path": name, "new_path": name, "new_line": 1}
    text = "```suggestion:-100+100\nevil\n```"
    thread = people.dev.post(f"{path}/discussions", json={"body": text, "position": at}).json()
    suggestion = thread["notes"][0]["suggestions"][0]
    assert (suggestion["from_line"], suggestion["to_line"]) == (1, 1)
    head = people.mia.get(path).json()["sha"]
    assert people.dev.put(f"/suggestions/{suggestion['id']}/apply").status_code == 403
    assert people.mia.get(path).json()["sha"] == head
    assert people.mia.get(f"{path}/discussions").json()[-1]["notes"][0]["resolved"] is False


def test_a_link_takes_no_suggestion(forge: Tiered, tmp_path: Path) -> None:
    """A link under review is suggested to point somewhere else."""
    branch = next(BRANCHES)
    git(tmp_path, "clone", "-q", forge.world.remote("dev"), "clone")
    clone = tmp_path / "clone"
    git(clone, "checkout", "-q", "-b", branch)
    (clone / "link").symlink_to("README.md")
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "A link")
    git(clone, "push", "-q", "origin", branch)
    body = {"source_branch": branch, "target_branch": "main", "title": branch}
    row = forge.people.dev.post(f"{forge.path}/merge_requests", json=body).json()
    at = dict(row["diff_refs"]) | {"position_type": "text", "old_path": "link", "new_path": "link", "new_line": 1}
    sent = {"body": "```suggestion\n/etc/passwd\n```", "position": at}
    answer = forge.people.rita.post(f"{forge.path}/merge_requests/{row['iid']}/discussions", json=sent).json()
    assert answer["notes"][0]["suggestions"] == []


def test_eight_verdicts_at_once_leave_one(forge: Tiered) -> None:
    """A reviewer's client sends the same approval many times at once."""
    from concurrent.futures import ThreadPoolExecutor

    path = forge.opened(next(BRANCHES), "mia")
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: forge.people.mia.post(f"{path}/approve").status_code, range(8)))
    assert sorted(statuses) == [201] + [401] * 7
    assert verdicts(forge, path) == ("mergeable", {"mia": "approved"}, ["mia"])
    assert forge.said(path).count("approved this merge request") == 1
