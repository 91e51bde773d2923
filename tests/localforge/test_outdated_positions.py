"""Notes at lines after a push: they move with their lines, or are outdated where those changed."""

import base64
import itertools
from pathlib import Path
from typing import Any

import pytest

from tests.localforge.conftest import OnTier, Tiered, git
from tests.localforge.test_webhooks import Receiver, receiver  # noqa: F401 - a fixture

NAMES = (f"outdated-{number}" for number in itertools.count())
BASE = [f"line {number}" for number in range(1, 61)]


@pytest.fixture
def tiered(on_tier: OnTier) -> Tiered:
    return on_tier("premium")


def write(tiered: Tiered, branch: str, path: str, lines: list[str], *, action: str = "update", **more: Any) -> None:
    content = base64.b64encode("".join(f"{line}\n" for line in lines).encode()).decode()
    one = {"action": action, "file_path": path, "content": content, "encoding": "base64"} | more.pop("entry", {})
    body = {"branch": branch, "commit_message": "Change", "actions": [one]} | more
    answer = tiered.people.mia.post(f"{tiered.path}/repository/commits", json=body)
    assert answer.status_code == 201, answer.text


def opened(tiered: Tiered, lines: list[str]) -> tuple[str, str]:
    """A merge request that makes these lines of a file that was `BASE`; its path and its branch, the file's name."""
    name = next(NAMES)
    write(tiered, f"{name}-base", name, BASE, action="create", start_branch="main")
    write(tiered, name, name, lines, start_branch=f"{name}-base")
    body = {"source_branch": name, "target_branch": f"{name}-base", "title": name}
    row = tiered.people.dev.post(f"{tiered.path}/merge_requests", json=body).json()
    return f"{tiered.path}/merge_requests/{row['iid']}", name


def noted(tiered: Tiered, path: str, name: str, **given: Any) -> str:
    """Post a note at a line and return its thread's id."""
    refs = tiered.people.dev.get(path).json()["diff_refs"]
    sent = dict(refs) | {"position_type": "text", "old_path": name, "new_path": name} | given
    answer = tiered.people.rita.post(f"{path}/discussions", json={"body": "Here", "position": sent})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def thread(tiered: Tiered, path: str, wanted: str) -> list[dict[str, Any]]:
    return list(tiered.people.dev.get(f"{path}/discussions/{wanted}").json()["notes"])


def current(tiered: Tiered, path: str, note: dict[str, Any]) -> bool:
    refs = tiered.people.dev.get(path).json()["diff_refs"]
    return bool({name: note["position"][name] for name in refs} == refs)


def edited(at: int, to: str = "changed", lines: list[str] | None = None) -> list[str]:
    return [to if number == at else line for number, line in enumerate(lines or BASE, 1)]


@pytest.mark.parametrize(
    ("at", "then"),
    [
        ({"new_line": 20}, {"old_line": None, "new_line": 22}),
        ({"old_line": 20}, {"old_line": 20, "new_line": None}),
        ({"old_line": 22, "new_line": 22}, {"old_line": 22, "new_line": 24}),
        ({"old_line": 50, "new_line": 50}, {"old_line": 50, "new_line": 52}),
    ],
)
def test_a_note_moves_with_its_line(tiered: Tiered, at: dict[str, int], then: dict[str, int | None]) -> None:
    path, name = opened(tiered, edited(20))
    first = noted(tiered, path, name, **at)
    before = thread(tiered, path, first)[0]["position"]
    write(tiered, name, name, ["new 1", "new 2", *edited(20)])
    (note,) = thread(tiered, path, first)
    assert current(tiered, path, note)
    assert {key: note["position"][key] for key in then} == then
    assert note["position"]["line_code"] != before["line_code"] or at == {"old_line": 20}


@pytest.mark.parametrize(
    ("at", "lines"),
    [
        ({"new_line": 20}, edited(20, "changed again")),
        ({"new_line": 20}, [*BASE[:19], *BASE[20:]]),
        ({"new_line": 20}, edited(30)),
        ({"old_line": 20}, edited(30)),
        ({"old_line": 50, "new_line": 50}, edited(50, lines=edited(20))),
    ],
)
def test_a_note_is_outdated_where_its_line_changed(tiered: Tiered, at: dict[str, int], lines: list[str]) -> None:
    path, name = opened(tiered, edited(20))
    first = noted(tiered, path, name, **at)
    before = thread(tiered, path, first)[0]
    write(tiered, name, name, lines)
    after = thread(tiered, path, first)
    assert not current(tiered, path, after[0])
    assert after[0]["position"] == before["position"]
    assert (after[0]["resolvable"], after[0]["resolved"]) == (True, False)
    said = after[1]
    assert (said["system"], said["body"]) == (True, "changed this line in version 2 of the diff")
    assert said["author"]["username"] == "mia"
    # What is outdated stays so, and is not said again.
    write(tiered, name, name, edited(20, lines=edited(40)))
    assert len(thread(tiered, path, first)) == 2


def test_a_note_in_another_file_stays_where_it_is(tiered: Tiered) -> None:
    path, name = opened(tiered, edited(20))
    first = noted(tiered, path, name, new_line=20)
    whole = noted(tiered, path, name, position_type="file")
    write(tiered, name, f"{name}-other", ["x"], action="create")
    for one in (first, whole):
        (note,) = thread(tiered, path, one)
        assert current(tiered, path, note)
    write(tiered, name, name, edited(30, lines=edited(20)))
    assert current(tiered, path, thread(tiered, path, first)[0])
    assert thread(tiered, path, whole)[1]["body"] == "changed this file in version 3 of the diff"


def test_every_note_of_a_thread_moves_and_its_range_too(tiered: Tiered) -> None:
    path, name = opened(tiered, [*BASE[:19], "one", "two", "three", *BASE[20:]])
    draft = tiered.people.rita.post(
        f"{path}/draft_notes",
        json={"note": "x", "position": thread(tiered, path, noted(tiered, path, name, new_line=20))[0]["position"]},
    ).json()
    start, end = draft["line_code"], draft["line_code"].rpartition("_")[0] + "_22"
    span = {"start": {"line_code": start, "type": "new"}, "end": {"line_code": end, "type": "new"}}
    first = noted(tiered, path, name, new_line=22, line_range=span)
    tiered.people.dev.post(f"{path}/discussions/{first}/notes", json={"body": "Answer"})
    write(tiered, name, name, ["new", *BASE[:19], "one", "two", "three", *BASE[20:]])
    notes = thread(tiered, path, first)
    assert [note["position"]["new_line"] for note in notes] == [23, 23]
    shown = notes[0]["position"]["line_range"]
    assert (shown["start"]["new_line"], shown["end"]["new_line"]) == (21, 23)
    write(tiered, name, name, ["new", *BASE[:19], "other", "two", "three", *BASE[20:]])
    after = thread(tiered, path, first)[0]["position"]
    assert (after["new_line"], after["line_range"]) == (23, None)


def test_a_note_follows_a_rename(tiered: Tiered) -> None:
    path, name = opened(tiered, edited(20))
    first = noted(tiered, path, name, new_line=20)
    write(tiered, name, f"{name}-moved", edited(20), action="move", entry={"previous_path": name})
    (note,) = thread(tiered, path, first)
    assert current(tiered, path, note)
    assert (note["position"]["old_path"], note["position"]["new_path"]) == (name, f"{name}-moved")


def test_a_note_is_outdated_when_its_file_goes(tiered: Tiered) -> None:
    path, name = opened(tiered, edited(20))
    added, removed = noted(tiered, path, name, new_line=20), noted(tiered, path, name, old_line=20)
    write(tiered, name, name, [], action="delete")
    assert not current(tiered, path, thread(tiered, path, added)[0])
    assert current(tiered, path, thread(tiered, path, removed)[0])


def test_notes_survive_a_rebase_by_force(tiered: Tiered, tmp_path: Path) -> None:
    path, name = opened(tiered, edited(20))
    threads = [noted(tiered, path, name, **at) for at in ({"new_line": 20}, {"old_line": 20})]
    write(tiered, f"{name}-base", name, ["top", *BASE])
    git(tmp_path, "clone", "-q", tiered.world.remote("dev"), "clone")
    clone = tmp_path / "clone"
    git(clone, "checkout", "-q", name)
    git(clone, "rebase", "-q", f"origin/{name}-base")
    git(clone, "push", "-q", "--force", "origin", name)
    for one, wanted in zip(
        threads, ({"old_line": None, "new_line": 21}, {"old_line": 21, "new_line": None}), strict=True
    ):
        (note,) = thread(tiered, path, one)
        assert current(tiered, path, note)
        assert {key: note["position"][key] for key in wanted} == wanted


def test_the_webhook_knows_where_a_note_was_written(
    tiered: Tiered,
    receiver: Receiver,  # noqa: F811
) -> None:
    path, name = opened(tiered, edited(20))
    first = noted(tiered, path, name, new_line=20)
    (note,) = thread(tiered, path, first)
    write(tiered, name, name, ["new", *edited(20)])
    wanted = {"url": receiver.url, "note_events": True, "push_events": False}
    hook = tiered.people.mia.post(f"{tiered.path}/hooks", json=wanted).json()["id"]
    tiered.people.rita.put(f"{path}/notes/{note['id']}", json={"body": "Changed"})
    facts = receiver.last("note")["object_attributes"]
    tiered.people.mia.delete(f"{tiered.path}/hooks/{hook}")
    assert (facts["original_position"]["new_line"], facts["position"]["new_line"]) == (20, 21)
