"""A session from beginning to end over REST, watched as it goes; the server is killed in the middle."""

import json
import threading
import time
from typing import Any

import httpx2

from tests.journeys.conftest import Serve
from tests.journeys.place import Place, recorded

TITLE = "Add an option `--shout`"
TEXT = "`sh greet.sh --shout Ada` shall print `HELLO, ADA!`. Without a name it shouts at the world.\n"


def ask(place: Place, verb: str, path: str, **body: Any) -> Any:
    answer = httpx2.request(
        verb,
        f"{place.pages}/api/v1/sessions{path}",
        headers={"Authorization": f"Bearer {place.token}"},
        json=body or None,
        trust_env=False,
        timeout=30,
        verify=False,
    )
    assert answer.is_success, answer.text
    return answer.json()


def until(place: Place, session: str, status: str, *, seconds: float = 90.0) -> Any:
    ends = time.monotonic() + seconds
    told: Any = {}
    while time.monotonic() < ends:
        told = ask(place, "GET", f"/{session}")
        if told["status"] == status and told["waits_for"] != "":
            return told
        if told["status"] == status == "finished":
            return told
        assert told["status"] not in {"failed", "stopped"}, told
        time.sleep(0.2)
    raise AssertionError(f"it never was {status}: {told}")


def watch(place: Place, session: str, seen: list[tuple[str, Any]]) -> None:
    headers = {"Authorization": f"Bearer {place.token}"}
    url = f"{place.pages}/api/v1/sessions/{session}/events/stream"
    with httpx2.stream("GET", url, headers=headers, trust_env=False, timeout=60, verify=False) as answer:
        name = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                seen.append((name, json.loads(line[6:])))


def test_a_plan_is_sent_back_and_approved_over_rest_and_a_killed_server_loses_no_answer(serve: Serve) -> None:
    place = serve("greet", start=False, whole=True)
    place.serve_with = ("--model", f"recorded:{recorded('replanned')}")
    place.start()
    issue = place.open_issue(TITLE, TEXT)
    session = ask(place, "POST", "", flow="developer", subject=issue, approve_plan=True)["id"]
    waits = until(place, session, "plan_approval_required")
    assert "--shout" in waits["plan"][1]["text"]

    ask(place, "POST", f"/{session}/reject", reason="Call the option --loud, please")
    # Whether or not the answer is being worked on: it is kept.
    place.kill()
    place.start()
    waits = until(place, session, "plan_approval_required")
    assert waits["plan"][1]["text"] == "Take `--loud` in greet.sh and print the greeting in capitals"

    seen: list[tuple[str, Any]] = []
    watching = threading.Thread(target=watch, args=(place, session, seen), daemon=True)
    watching.start()
    ask(place, "POST", f"/{session}/approve")
    done = until(place, session, "finished")
    watching.join(30)
    assert done["reason"].startswith("opened !1")
    assert done["actor"] == place.person
    assert seen[-1] == ("end", {"status": "finished", "reason": done["reason"]})
    assert [one["seq"] for _, one in seen[:-1]] == list(range(1, len(seen)))
    answers = [one["data"]["approval"] for _, one in seen[:-1] if one["kind"] == "approval"]
    assert answers == ["reject", "approve"]
    assert len(place.merge_requests()) == 1
