"""What a recorded GitLab answers and what this forge answers have the same keys."""

import json
from pathlib import Path

from mergewright.localforge.references import is_draft, issues_closed, issues_mentioned, task_completion, without_draft
from mergewright.localforge.tables import Project
from tests.localforge.conftest import People, World, open_merge_request

RECORDED = Path(__file__).parent / "recorded"
PAID = {"approvals_before_merge"}


def test_a_merge_request_has_every_key_a_recorded_one_has(world: World, people: People) -> None:
    recorded = json.loads((RECORDED / "get_merge_request.json").read_text())
    row = open_merge_request(people.dev, world.path, "wire/mr")
    people.dev.post(f"{world.path}/statuses/{row['sha']}", json={"state": "success", "ref": "wire/mr"})
    ours = people.dev.get(f"{world.path}/merge_requests/{row['iid']}").json()
    assert set(recorded) - PAID - set(ours) == set()
    for name in ("author", "head_pipeline", "pipeline", "diff_refs", "time_stats", "task_completion_status", "user"):
        assert set(recorded[name]) - set(ours[name]) == set(), name
    listed = people.dev.get(f"{world.path}/merge_requests", params={"source_branch": "wire/mr"}).json()[0]
    assert "diff_refs" not in listed
    assert listed["sha"] == ours["sha"]


PROJECT = Project(path_with_namespace="acme/shop", name="shop")


def test_closing_words_are_read_as_gitlab_reads_them() -> None:
    text = "Closes #1, #2 and #3. fixed: acme/shop#4\nResolves http://127.0.0.1:80/acme/shop/-/issues/5"
    assert issues_closed(text, PROJECT) == [1, 2, 3, 4, 5]
    assert issues_closed("See #1. Closes other/project#2. `Closes #3` <!-- Closes #4 --> discloses #5", PROJECT) == []
    assert issues_mentioned("#1 and x#2 and acme/shop#3, other/one#4 &#5;", PROJECT) == [1, 3]


def test_drafts_and_tasks_are_read_from_the_text() -> None:
    assert is_draft("[Draft] Draft: x")
    assert not is_draft("Drafting x")
    assert without_draft("[Draft] Draft: x") == "x"
    assert task_completion("- [x] a\n* [ ] b\n1. [X] c\n- not [x]") == {"count": 3, "completed_count": 2}
    assert task_completion(None) == {"count": 0, "completed_count": 0}
