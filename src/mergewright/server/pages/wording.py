"""Puts single events in words for the session page."""

from collections.abc import Mapping

from mergewright.domain.session import JSON, Event, EventKind
from mergewright.server.pages.calls import called
from mergewright.server.pages.told import Block, Mood, Told, link, shown, words


def tell(event: Event) -> Told | None:
    """Put an event in words; None for what shows elsewhere on the page."""
    data = event.data
    match event.kind:
        case EventKind.MESSAGE:
            return _message(data)
        case EventKind.CHECK:
            return _check(data)
        case EventKind.FORGE:
            return _written(data)
        case EventKind.APPROVAL:
            return _answer(data)
        case EventKind.ERROR:
            hint = (Block("text", shown(str(data["hint"]))),) if data.get("hint") else ()
            return Told("error", shown(str(data["message"])), mood="bad", blocks=hint, open=True)
        case EventKind.PROGRESS:
            return Told("progress", shown(str(data["text"])))
        case EventKind.PLAN:
            return _plan(data)
        case EventKind.STATUS:
            return Told("status", words(str(data["status"])), shown(str(data.get("reason") or "")))
        case EventKind.USAGE:
            return _usage(data)
        case EventKind.TOOL_CALL:
            return called(data, None)
        case EventKind.TOOL_RESULT:
            return called({"name": data.get("name", "?"), "arguments": {}}, data)
        case _:
            return None


def _message(data: Mapping[str, JSON]) -> Told | None:
    role, text, note = str(data.get("role")), str(data.get("text") or ""), str(data.get("note") or "")
    if note == "person":
        return Told("message", f"@{data.get('by') or 'somebody'}", blocks=(Block("text", shown(text)),), open=True)
    if note == "heard":
        return Told("progress", "the agent read the message")
    if role == "assistant":
        cut = "cut off at its length limit" if data.get("cut") else ""
        return Told("model", "", cut, blocks=(Block("text", shown(text)),), open=True) if text.strip() else None
    what = {"system": "Instructions", "user": words(note) if note else "Task"}.get(role, words(role))
    return Told("prompt", what, f"{len(text):,} characters", blocks=(Block("text", shown(text)),), fine=True)


def _check(data: Mapping[str, JSON]) -> Told:
    code = data.get("exit_code")
    outcome = "passed" if code == 0 else f"exit code {code}" if code is not None else "did not end"
    said = [outcome, str(data.get("summary") or ""), f"{float(data.get('seconds') or 0):.1f} s"]
    when = {"before": "before the change", "after": "after the change"}.get(str(data.get("when")), "")
    note = " · ".join(part for part in (*said, when) if part)
    return Told("check", shown(str(data["command"])), note, "good" if code == 0 else "bad")


_ACTIONS = {
    "push": "Pushed",
    "open_merge_request": "Opened the merge request",
    "update_merge_request": "Updated the merge request",
    "note": "Wrote a note",
    "reply": "Replied in a thread",
    "resolve": "Resolved a thread",
    "ask_again": "Asked for another look",
}


def _written(data: Mapping[str, JSON]) -> Told:
    action = str(data["action"])
    if "branch" in data:
        note = f"{data['branch']} at {str(data.get('sha', ''))[:8]}"
    else:
        note = str(data.get("subject") or "") + (f" @{data['reviewer']}" if data.get("reviewer") else "")
    return Told("forge", _ACTIONS.get(action, words(action)), shown(note), href=link(str(data.get("web_url") or "")))


def _answer(data: Mapping[str, JSON]) -> Told:
    given = str(data["approval"])
    said = {"approve": "Approved", "reject": "Rejected"}.get(given, words(given))
    reason = (Block("text", shown(str(data["reason"]))),) if data.get("reason") else ()
    mood: Mood = "good" if given == "approve" else "bad"
    return Told("answer", f"{said} by @{data.get('by') or 'somebody'}", mood=mood, blocks=reason, open=True)


def _plan(data: Mapping[str, JSON]) -> Told:
    tasks = data["tasks"]
    done = sum(bool(task.get("done")) for task in tasks)
    text = "\n".join(f"{'✓' if task.get('done') else '○'} {task['text']}" for task in tasks)
    by = f" by @{data['by']}" if data.get("by") else ""
    return Told("plan", f"{done} of {len(tasks)} tasks done{by}", blocks=(Block("text", shown(text)),))


def _usage(data: Mapping[str, JSON]) -> Told:
    cost = data.get("cost")
    parts = [
        f"{int(data.get('input_tokens') or 0):,} tokens in",
        f"{int(data.get('cached_tokens') or 0):,} of them cached",
        f"{int(data.get('output_tokens') or 0):,} out",
        f"{float(data.get('seconds') or 0):.1f} s",
    ]
    return Told("usage", " · ".join(parts) + (f" · ${cost:.4f}" if cost is not None else ""), fine=True)
