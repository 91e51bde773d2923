"""Comments on lines in the Changes of a merge request: written by a link and a form, kept as the API keeps them."""

import html
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any, Literal

import httpx2
import pytest
from playwright.sync_api import Browser, expect

from tests.browser.window import Window, chromium
from tests.localforge.conftest import FILES, People, World, commit, open_merge_request
from tests.localforge.test_pages import BASE, browser_of, said, sent

BRANCHES = (f"lines-{number}" for number in itertools.count())
LINES = FILES["src/app.py"].splitlines(keepends=True)
CHANGED = "".join([*LINES[:14], "changed\n", "added\n", *LINES[15:]])


def opened(world: World, people: People) -> dict[str, Any]:
    """A merge request that renames a file, replaces a line of it and adds one, and makes another file."""
    branch = next(BRANCHES)
    actions = [
        {"action": "move", "file_path": "src/shop.py", "previous_path": "src/app.py", "content": CHANGED},
        {"action": "create", "file_path": "bin/greet.sh", "content": "#!/bin/sh\necho hello\n"},
    ]
    body = {"branch": branch, "start_branch": "main", "commit_message": "Move", "actions": actions}
    assert people.dev.post(f"{world.path}/repository/commits", json=body).status_code == 201
    body = {"source_branch": branch, "target_branch": "main", "title": branch}
    return dict(people.dev.post(f"{world.path}/merge_requests", json=body).json())


@pytest.fixture(scope="module")
def row(world: World, people: People) -> dict[str, Any]:
    return opened(world, people)


@pytest.fixture(scope="module")
def rita(world: World) -> Iterator[httpx2.Client]:
    """A reporter, who may comment and not push."""
    with browser_of(world, "rita") as browser:
        yield browser


def page_of(row: dict[str, Any]) -> str:
    return f"{BASE}merge_requests/{row['iid']}/diffs"


def address(browser: httpx2.Client, page: str, line: str) -> str:
    """Where the link at a line leads, found by its accessible name."""
    found = re.search(f'<a href="([^"]*)" aria-label="Comment on {re.escape(line)}">', browser.get(page).text)
    assert found, line
    return f"{page}{html.unescape(found[1]).partition('#')[0]}"


def position_at(browser: httpx2.Client, at: str) -> str:
    """The position that the form at a line carries."""
    found = re.search(r'name="position" value="([^"]*)"', browser.get(at).text)
    assert found
    return html.unescape(found[1])


def comment(browser: httpx2.Client, page: str, line: str, body: str) -> httpx2.Response:
    at = address(browser, page, line)
    return sent(browser, at, page, body=body, position=position_at(browser, at))


def threads(world: World, people: People, row: dict[str, Any]) -> list[dict[str, Any]]:
    return list(people.dev.get(f"{world.path}/merge_requests/{row['iid']}/discussions?per_page=100").json())


def shape(thread: dict[str, Any]) -> dict[str, Any]:
    """What two threads at one line by one person have in common."""
    (note,) = thread["notes"]
    return {key: value for key, value in note.items() if key not in {"id", "created_at", "updated_at"}}


@pytest.mark.parametrize(
    ("line", "old", "new"),
    [
        ("line 15 of shop.py", None, 15),
        ("line 16 of shop.py", None, 16),
        ("removed line 15 of shop.py", 15, None),
        ("line 14 of shop.py", 14, 14),
        ("line 17 of shop.py", 16, 17),
        ("line 2 of greet.sh", None, 2),
    ],
)
def test_a_comment_on_a_line_is_the_thread_that_the_api_makes(
    world: World,
    people: People,
    row: dict[str, Any],
    rita: httpx2.Client,
    line: str,
    old: int | None,
    new: int | None,
) -> None:
    answer = comment(rita, page_of(row), line, f"Why {line}?")
    assert answer.status_code == 303, answer.text
    thread = threads(world, people, row)[-1]
    assert answer.headers["location"] == f"{page_of(row)}#thread_{thread['id'][:12]}"
    moved = "shop" in line
    position = row["diff_refs"] | {"position_type": "text", "old_line": old, "new_line": new}
    position["old_path"] = "src/app.py" if moved else "bin/greet.sh"
    position["new_path"] = "src/shop.py" if moved else "bin/greet.sh"
    sent_by_api = {"body": f"Why {line}?", "position": position}
    path = f"{world.path}/merge_requests/{row['iid']}/discussions"
    like = people.rita.post(path, json=sent_by_api).json()
    assert (thread["individual_note"], shape(thread)) == (like["individual_note"], shape(like))
    assert (thread["notes"][0]["type"], thread["notes"][0]["resolvable"]) == ("DiffNote", True)
    assert position.items() <= thread["notes"][0]["position"].items()
    shown = rita.get(page_of(row)).text
    rows = shown.split("<tr")
    above = next(number for number, text in enumerate(rows) if f'aria-label="Comment on {line}"' in text)
    assert f'id="thread_{thread["id"][:12]}"' in rows[above + 1]


def test_the_form_opens_under_the_chosen_line_alone(world: World, people: People, rita: httpx2.Client) -> None:
    row = opened(world, people)
    assert "<textarea" not in rita.get(page_of(row)).text
    shown = rita.get(address(rita, page_of(row), "line 16 of shop.py")).text
    assert shown.count("<textarea") == shown.count(" chosen") == 1
    line, form = shown.split(" chosen")[1].split("<tr")[:2]
    assert '<td class="src">added</td>' in line
    assert '<label for="comment">Comment on line 16 of shop.py</label>' in form
    assert re.search(r'<textarea id="comment" [^>]*autofocus>', form)


def test_a_suggestion_at_a_line_is_applied_as_one_of_the_api(world: World, people: People, rita: httpx2.Client) -> None:
    row = opened(world, people)
    # Browsers end the lines of a form so.
    body = "Better:\r\n\r\n```suggestion:-1+0\r\nto be sure\r\n```\r\n"
    assert comment(rita, page_of(row), "line 16 of shop.py", body).status_code == 303
    (suggestion,) = threads(world, people, row)[-1]["notes"][0]["suggestions"]
    assert "Suggested change to lines 15 to 16" in said(rita.get(page_of(row)))
    with browser_of(world, "dev") as dev:
        applied = f"{BASE}merge_requests/{row['iid']}/suggestions/{suggestion['id']}/apply"
        assert sent(dev, page_of(row), applied).status_code == 303
    file = f"{world.path}/repository/files/src%2Fshop.py/raw"
    text = people.dev.get(file, params={"ref": row["source_branch"]}).text
    assert text == CHANGED.replace("changed\nadded\n", "to be sure\n")


def test_orders_alone_leave_no_thread(world: World, people: People) -> None:
    row = opened(world, people)
    with browser_of(world, "dev") as dev:
        answer = comment(dev, page_of(row), "line 1 of greet.sh", "/draft\r\n")
        assert (answer.status_code, answer.headers["location"]) == (303, page_of(row))
    assert people.dev.get(f"{world.path}/merge_requests/{row['iid']}").json()["draft"] is True
    assert not [one for one in threads(world, people, row) if not one["notes"][0]["system"]]


@pytest.mark.parametrize("end", ["close", "merge"])
def test_what_is_closed_or_merged_is_still_commented_on(
    world: World, people: People, rita: httpx2.Client, end: str
) -> None:
    row = open_merge_request(people.dev, world.path, next(BRANCHES))
    path = f"{world.path}/merge_requests/{row['iid']}"
    done = people.mia.put(path, json={"state_event": "close"}) if end == "close" else people.mia.put(f"{path}/merge")
    assert done.status_code == 200, done.text
    answer = comment(rita, page_of(row), f"line 3 of {row['source_branch']}.txt", "Too late?")
    assert answer.headers["location"].startswith(f"{page_of(row)}#thread_")
    assert "Too late?" in rita.get(page_of(row)).text


# --- who may -------------------------------------------------------------------------------------


def test_a_stranger_sees_the_changes_and_no_way_to_comment(world: World, people: People) -> None:
    project = people.root.post("/projects", json={"name": "Lines", "path": "lines", "visibility": "public"}).json()
    path = f"/projects/{project['id']}"
    commit(people.root, path, "main", {"README.md": "# Hello"}, start=None)
    row = open_merge_request(people.root, path, "open")
    page = f"/{project['path_with_namespace']}/-/merge_requests/{row['iid']}/diffs"
    with browser_of(world, "eve") as eve, browser_of(world) as stranger:
        at = address(eve, page, "line 2 of open.txt")
        for seen in (stranger.get(page), stranger.get(at)):
            assert '<td class="src">two</td>' in seen.text
            assert not re.search(r"\?comment=|<textarea|<form|no such line", seen.text)
        fields = {"body": "x", "position": position_at(eve, at)}
        assert stranger.post(page, data=fields).status_code == 401
        assert comment(eve, page, "line 2 of open.txt", "From outside").status_code == 303
        assert "From outside" in stranger.get(page).text
    with browser_of(world, "gus") as guest:
        assert guest.get(f"{BASE}merge_requests/1/diffs").status_code == 404


def test_the_changes_of_a_commit_have_no_links(row: dict[str, Any], rita: httpx2.Client) -> None:
    shown = rita.get(f"{BASE}commit/{row['sha']}").text
    assert '<td class="src">added</td>' in shown
    assert "?comment=" not in shown


def test_a_form_that_another_site_sends_writes_nothing(
    world: World, people: People, row: dict[str, Any], rita: httpx2.Client
) -> None:
    count = len(threads(world, people, row))
    fields = {"body": "forged", "position": position_at(rita, address(rita, page_of(row), "line 15 of shop.py"))}
    for csrf in ({}, {"csrf": "0" * 64}):
        answer = rita.post(page_of(row), data=fields | csrf)
        assert (answer.status_code, "forged" in answer.text) == (403, False)
    assert len(threads(world, people, row)) == count


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "forged",
    [
        {"new_line": 16, "old_line": 16},
        {"new_line": 4_000},
        {"new_line": 16, "old_path": "src/shop.py"},
        {"new_path": "README.md", "old_path": "README.md"},
        {"new_path": "../../etc/passwd"},
        {"head_sha": "0" * 40},
        {"base_sha": "--output=/tmp/x"},
        {"position_type": "commit"},
    ],
)
def test_a_forged_position_is_refused_and_the_words_are_given_back(
    world: World, people: People, row: dict[str, Any], rita: httpx2.Client, forged: dict[str, Any]
) -> None:
    count = len(threads(world, people, row))
    at = address(rita, page_of(row), "line 16 of shop.py")
    position = json.dumps(json.loads(position_at(rita, at)) | forged)
    answer = sent(rita, at, page_of(row), body="A long thought,\n<b>in two lines", position=position)
    assert answer.status_code == 400
    assert 'rows="8" readonly>A long thought,\n&lt;b&gt;in two lines</textarea>' in answer.text
    assert f'href="{page_of(row)}">Back' in answer.text
    assert "line_code" not in answer.text
    assert len(threads(world, people, row)) == count


def test_the_versions_of_another_project_are_none_of_this_one(
    world: World, people: People, row: dict[str, Any], rita: httpx2.Client
) -> None:
    project = people.root.post("/projects", json={"name": "Other", "path": "other"}).json()
    commit(people.root, f"/projects/{project['id']}", "main", {"README.md": "# Other"}, start=None)
    other = open_merge_request(people.root, f"/projects/{project['id']}", "other")
    name = "other.txt"
    position = other["diff_refs"] | {"position_type": "text", "old_path": name, "new_path": name, "new_line": 1}
    answer = sent(rita, page_of(row), page_of(row), body="x", position=json.dumps(position))
    assert (answer.status_code, "The changes have no such line" in said(answer)) == (400, True)


def test_an_empty_comment_is_refused(row: dict[str, Any], rita: httpx2.Client) -> None:
    assert comment(rita, page_of(row), "line 16 of shop.py", " \n ").status_code == 400


def test_a_comment_written_during_a_push_stands_at_the_version_that_was_seen(
    world: World, people: People, rita: httpx2.Client
) -> None:
    row = opened(world, people)
    at = address(rita, page_of(row), "line 16 of shop.py")
    position = position_at(rita, at)
    action = {"action": "update", "file_path": "src/shop.py", "content": CHANGED.replace("added", "added again")}
    body = {"branch": row["source_branch"], "commit_message": "Again", "actions": [action]}
    people.dev.post(f"{world.path}/repository/commits", json=body)
    answer = sent(rita, page_of(row), page_of(row), body="Why added?", position=position)
    thread = threads(world, people, row)[-1]
    assert thread["notes"][0]["position"]["head_sha"] == row["sha"]
    overview, _, anchor = answer.headers["location"].partition("#")
    assert f"{overview}/diffs" == page_of(row)
    assert f'id="{anchor}"' in rita.get(overview).text
    assert "src/shop.py:16 outdated" in said(rita.get(overview))
    # A line that was chosen before the push may be another one now.
    late = rita.get(at)
    assert "There is no such line in the changes as they are now" in said(late)
    assert 'id="comment"' not in late.text
    assert address(rita, page_of(row), "line 16 of shop.py") != at


def test_names_and_words_that_are_html_are_shown_as_text(world: World, people: People, rita: httpx2.Client) -> None:
    harm = "\"'><script>alert(1)<img src=x onerror=alert(1)>"
    branch = next(BRANCHES)
    commit(people.dev, world.path, branch, {harm: f"{harm}\n"})
    sent_by_api = {"source_branch": branch, "target_branch": "main", "title": branch}
    row = people.dev.post(f"{world.path}/merge_requests", json=sent_by_api).json()
    found = re.search(r"\?comment=\w+", rita.get(page_of(row)).text)
    assert found
    at = f"{page_of(row)}{found[0]}"
    answer = sent(rita, at, page_of(row), body=f"{harm}</textarea>", position=position_at(rita, at))
    assert answer.status_code == 303
    for shown in (rita.get(at).text, rita.get(page_of(row)).text):
        assert not re.search(r"<script>|<img src=x", shown)
        assert "&lt;script&gt;alert(1)" in shown
    for wrong in ("_", "__", "x_0_1", harm, "\ud7ff", "0" * 5_000):
        assert "no such line" in said(rita.get(page_of(row), params={"comment": wrong}))


def test_a_long_change_stays_a_page_that_can_be_loaded(world: World, people: People, rita: httpx2.Client) -> None:
    branch = next(BRANCHES)
    files = {f"src/part_{number}.py": "".join(f"value_{n} = {n}\n" for n in range(1_000)) for number in (1, 2)}
    commit(people.dev, world.path, branch, files)
    sent_by_api = {"source_branch": branch, "target_branch": "main", "title": branch}
    row = people.dev.post(f"{world.path}/merge_requests", json=sent_by_api).json()
    shown = rita.get(page_of(row)).text
    links = re.findall(r'<a href="\?comment=[^>]*>\d+</a>', shown)
    assert len(links) == 2_000
    assert sum(map(len, links)) < 105 * len(links)
    at = address(rita, page_of(row), "line 1000 of part_2.py")
    assert len(rita.get(at).text) - len(shown) < 2_000


# --- in the browser ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def test_a_line_is_commented_on_by_keyboard_and_without_any_script(
    world: World, people: People, browser: Browser
) -> None:
    row = opened(world, people)
    window = Window(browser, scripts=False)
    page = window.page
    page.goto(world.forge.sign_in_link("dev"))
    page.goto(f"{row['web_url']}/diffs")
    page.get_by_role("link", name="src/shop.py").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Comment on line 1 of greet.sh")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Comment on line 2 of greet.sh").and_(page.get_by_role("textbox"))).to_be_focused()
    page.keyboard.type("Whom?")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("article:target")).to_contain_text("Whom?")
    expect(page.locator("article:target")).to_be_in_viewport()
    window.close()


@pytest.mark.parametrize(("theme", "width"), [("light", "wide"), ("dark", "phone")])
def test_the_form_at_a_line_can_be_read_and_used_by_everybody(
    world: World,
    row: dict[str, Any],
    browser: Browser,
    theme: Literal["light", "dark"],
    width: Literal["wide", "phone"],
) -> None:
    window = Window(browser, theme=theme, width=width)
    page = window.page
    page.goto(world.forge.sign_in_link("mia"))
    page.goto(f"{row['web_url']}/diffs")
    assert window.audit() == []
    link = page.get_by_role("link", name="Comment on removed line 15 of shop.py")
    link.hover()
    link.click()
    expect(page.get_by_role("textbox", name="Comment on removed line 15 of shop.py")).to_be_focused()
    expect(page.get_by_role("cell", name="line 15", exact=True)).to_be_in_viewport()
    assert window.audit() == []
    assert not window.too_wide()
    window.close()
