"""The page of a merge request: why it is held, who has reviewed, and the threads where they stand."""

import itertools
import re
from html import unescape
from typing import Any

import httpx2
import pytest

from tests.localforge.conftest import OnTier, Tiered, commit

BRANCHES = (f"page-{number}" for number in itertools.count())


def shown(tiered: Tiered, path: str, tab: str = "") -> str:
    """A page as a browser gets it."""
    url = tiered.people.dev.get(path).json()["web_url"]
    headers = {"PRIVATE-TOKEN": tiered.world.tokens["dev"]}
    answer = httpx2.get(f"{url}{tab}", headers=headers, trust_env=False, verify=False, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.text


def words(page: str) -> str:
    """What a page says, without its tags."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)))


def noted(tiered: Tiered, path: str, who: str, body: str, **given: Any) -> str:
    row = tiered.people.dev.get(path).json()
    name = f"{row['source_branch']}.txt"
    sent = dict(row["diff_refs"]) | {"position_type": "text", "old_path": name, "new_path": name} | given
    answer = getattr(tiered.people, who).post(f"{path}/discussions", json={"body": body, "position": sent})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


@pytest.mark.parametrize(
    ("tier", "held"),
    [
        ("free", "Ready to merge mergeable @mia requested changes; on this tier that holds no merge"),
        ("premium", "Merge blocked: @mia requested changes; they must approve, or somebody who may merge bypasses it"),
        ("ultimate", "Merge blocked: @mia requested changes;"),
    ],
)
def test_r38_the_page_says_why_a_merge_is_held_and_claims_no_block_that_is_none(
    on_tier: OnTier, tier: str, held: str
) -> None:
    tiered = on_tier(tier)
    path = tiered.opened(next(BRANCHES), "mia")
    assert "Ready to merge mergeable" in words(shown(tiered, path))
    tiered.people.mia.post(f"{path}/notes", json={"body": "/request_changes"})
    page = words(shown(tiered, path))
    assert held in page
    assert "mia @mia requested changes" in page
    tiered.people.mia.post(f"{path}/approve")
    assert "Approved by @mia; " in words(shown(tiered, path))


def test_each_reason_is_said_in_words(on_tier: OnTier) -> None:
    tiered = on_tier("premium")
    path = tiered.opened(next(BRANCHES), description="What it *does*")
    rule = {"name": "Security", "approvals_required": 2, "usernames": ["mia", "owen"]}
    tiered.people.dev.post(f"{path}/approval_rules", json=rule)
    page = words(shown(tiered, path))
    assert "Merge blocked: required approvals are missing: 2 for “Security” not_approved" in page
    assert "Nobody has approved; still needed: 2 for “Security”" in page
    tiered.people.dev.post(f"{path}/notes", json={"body": "/draft"})
    assert "Merge blocked: it is a draft" in words(shown(tiered, path))
    tiered.people.dev.post(f"{path}/notes", json={"body": "/close"})
    assert "Closed: it cannot be merged" in words(shown(tiered, path))


def test_threads_show_their_file_line_and_code_and_resolved_ones_are_folded(on_tier: OnTier) -> None:
    tiered, branch = on_tier("premium"), next(BRANCHES)
    path = tiered.opened(branch)
    first = noted(tiered, path, "mia", "Why *three*?", new_line=3)
    second = noted(tiered, path, "mia", "All of it?", position_type="file")
    tiered.people.dev.post(f"{path}/discussions/{first}/notes", json={"body": "Because"})
    tiered.people.dev.put(f"{path}/discussions/{second}", params={"resolved": True})
    page = shown(tiered, path)
    opened, folded = page.split('<details class="thread resolved"')
    assert f"{branch}.txt:3" in opened
    assert all(f'<td class="src">{line}</td>' in opened for line in ("one", "two", "three"))
    assert "Why <em>three</em>?" in opened
    assert "Because" in opened
    assert "All of it?" in folded.split("</details>")[0]
    assert "1 open" in words(page)
    changes = shown(tiered, path, "/diffs")
    assert changes.index("All of it?") < changes.index('<td class="src">one</td>')
    assert changes.index('<td class="src">three</td>') < changes.index("Why <em>three</em>?")


def test_an_outdated_thread_keeps_the_code_it_was_about(on_tier: OnTier) -> None:
    tiered, branch = on_tier("premium"), next(BRANCHES)
    path = tiered.opened(branch)
    noted(tiered, path, "mia", "Why?\n\n```suggestion\n3\n```", new_line=3)
    action = {"action": "update", "file_path": f"{branch}.txt", "content": "one\ntwo\n4\n"}
    body = {"branch": branch, "commit_message": "Four", "actions": [action]}
    tiered.people.dev.post(f"{tiered.path}/repository/commits", json=body)
    page = shown(tiered, path)
    assert f"{branch}.txt:3 outdated" in words(page)
    assert '<td class="src">three</td>' in page
    assert "Can't apply as these lines were changed in a more recent version." in words(page)
    assert "Why?" not in shown(tiered, path, "/diffs")


def test_a_suggestion_is_shown_as_a_change(on_tier: OnTier) -> None:
    tiered = on_tier("premium")
    path = tiered.opened(next(BRANCHES))
    noted(tiered, path, "mia", "Better:\n\n```suggestion:-1+0\nzwei\n```", new_line=3)
    page = shown(tiered, path)
    assert "Suggested change to lines 2 to 3" in page
    removed = re.findall(r'<tr class="removed">.*?<td class="src">(.*?)</td>', page)
    added = re.findall(r'<tr class="added">.*?<td class="src">(.*?)</td>', page)
    assert (removed, added[-1]) == (["two", "three"], "zwei")
    assert "suggestion:" not in page


def test_a_thread_at_a_line_outside_of_the_hunks_has_its_code_too(on_tier: OnTier) -> None:
    tiered, branch = on_tier("premium"), next(BRANCHES)
    tiered.people.dev.post(f"{tiered.path}/repository/branches", params={"branch": branch, "ref": "main"})
    lines = "".join(f"line {number}\n" for number in range(2, 31))
    action = {"action": "update", "file_path": "src/app.py", "content": f"first\n{lines}"}
    body = {"branch": branch, "commit_message": "First", "actions": [action]}
    tiered.people.dev.post(f"{tiered.path}/repository/commits", json=body)
    sent = {"source_branch": branch, "target_branch": "main", "title": branch}
    row = tiered.people.dev.post(f"{tiered.path}/merge_requests", json=sent).json()
    path, name = f"{tiered.path}/merge_requests/{row['iid']}", "src/app.py"
    noted(tiered, path, "mia", "Far away", old_path=name, new_path=name, old_line=25, new_line=25)
    page = shown(tiered, path)
    assert all(f'<td class="src">line {number}</td>' in page for number in (22, 23, 24, 25))
    assert "Far away" in shown(tiered, path, "/diffs")


def test_the_free_tier_speaks_of_optional_approvals_and_ultimate_of_status_checks(on_tier: OnTier) -> None:
    free, ultimate = on_tier("free"), on_tier("ultimate")
    assert "Nobody has approved; approvals are optional here" in words(shown(free, free.opened(next(BRANCHES))))
    made = {"name": "page gate", "external_url": "http://127.0.0.1:9/x"}
    check = ultimate.people.mia.post(f"{ultimate.path}/external_status_checks", json=made).json()
    switch = "only_allow_merge_if_all_status_checks_passed"
    try:
        ultimate.people.mia.put(ultimate.path, json={switch: True})
        page = words(shown(ultimate, ultimate.opened(next(BRANCHES))))
        assert "Merge blocked: status checks have not passed: page gate (pending)" in page
    finally:
        ultimate.people.mia.put(ultimate.path, json={switch: False})
        ultimate.people.mia.delete(f"{ultimate.path}/external_status_checks/{check['id']}")


def test_an_empty_and_a_very_long_change_are_shown(on_tier: OnTier) -> None:
    tiered, branch = on_tier("premium"), next(BRANCHES)
    commit(tiered.people.dev, tiered.path, branch, {f"{branch}.txt": "x\n" * 2_000, f"{branch}-empty": ""})
    sent = {"source_branch": branch, "target_branch": "main", "title": branch}
    row = tiered.people.dev.post(f"{tiered.path}/merge_requests", json=sent).json()
    page = words(shown(tiered, f"{tiered.path}/merge_requests/{row['iid']}", "/diffs"))
    assert "500 more lines are not shown." in page
    assert "There are no lines to show." in page


def test_only_merge_requests_have_changes(on_tier: OnTier) -> None:
    tiered = on_tier("premium")
    issue = tiered.people.dev.post(f"{tiered.path}/issues", json={"title": "Plain"}).json()
    for wrong in (f"{issue['web_url']}/diffs", issue["web_url"].replace("issues", "merge_requests") + "000/diffs"):
        assert httpx2.get(wrong, trust_env=False, verify=False, timeout=30).status_code == 404
