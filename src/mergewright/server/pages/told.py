"""Puts single events in words for the session page: a line, a short note beside it, and what folds out of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mergewright.agent.filetext import clip_lines, plain
from mergewright.domain.session import JSON, Event, EventKind

MOST = 20_000
"""Characters of one text on the page; the whole stands in the trace."""

Mood = Literal["", "good", "bad", "busy", "wait"]


@dataclass(frozen=True, slots=True)
class Block:
    """A text that folds out of a line."""

    look: Literal["text", "code", "diff"]
    text: str
    label: str = ""

    @property
    def lines(self) -> Sequence[tuple[str, str]]:
        """The lines of a diff, each with what it is."""
        return [(_SIGNS.get(line[:1], ""), line) for line in self.text.split("\n")]


_KINDS = frozenset({
    "answer", "check", "edit", "error", "finish", "forge", "message", "model", "plan", "progress", "prompt", "read",
    "run", "search", "status", "usage", "write",
})  # fmt: skip
_SIGNS = {"+": "add", "-": "del", "@": "hunk", "[": "hunk"}


@dataclass(frozen=True, slots=True)
class Told:
    """One line of the story."""

    tag: str
    """What kind of thing it is, in a word."""
    what: str
    note: str = ""
    mood: Mood = ""
    blocks: tuple[Block, ...] = ()
    href: str = ""
    fine: bool = False
    """Only for those who want to see everything."""
    open: bool = False
    """Shown unfolded."""

    @property
    def kind(self) -> str:
        """How it looks; a model can make up the name of a tool, but not how the page looks."""
        return self.tag if self.tag in _KINDS else ""


def shown(text: str) -> str:
    """Give a text as a person may read it: nothing hidden, nothing that moves, and not without end."""
    return clip_lines(plain(text), MOST)


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


def words(name: str) -> str:
    """Give a name of ours as words: `plan_approval_required` as `Plan approval required`."""
    return name.replace("_", " ").capitalize()


def _message(data: Mapping[str, JSON]) -> Told | None:
    role, text, note = str(data.get("role")), str(data.get("text") or ""), str(data.get("note") or "")
    if note == "person":
        return Told("message", f"@{data.get('by') or 'somebody'}", blocks=(Block("text", shown(text)),), open=True)
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


def link(address: str) -> str:
    """Give an address that a page may lead to; empty for what is none of the web's."""
    return address if address.startswith(("http://", "https://")) else ""


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


def called(call: Mapping[str, JSON], result: Mapping[str, JSON] | None) -> Told | None:
    """Put a tool's call and what came of it in words; a plan shows as one."""
    name, given = str(call["name"]), call.get("arguments")
    arguments: Mapping[str, JSON] = given if isinstance(given, dict) else {"": given}
    if name == "plan" and (result is None or result.get("ok", True)):
        return None
    what, blocks = _asked(name, arguments)
    if result is None:
        return Told(name, what, "running", "busy", tuple(blocks))
    text, ok = str(result.get("text") or ""), bool(result.get("ok", True))
    note, more = _came(name, arguments, result, text, ok=ok)
    return Told(name, what, note, "" if ok else "bad", (*blocks, *more))


def _asked(name: str, arguments: Mapping[str, JSON]) -> tuple[str, list[Block]]:
    """Give the short form of a call's arguments, and what of them folds out."""
    if name == "run" and isinstance(command := arguments.get("command"), str):
        first, _, more = plain(command).strip().partition("\n")
        long = bool(more) or len(first) > 160
        return f"{first[:160]}{' …' if long else ''}", [Block("code", shown(command), "command")] if long else []
    if name == "finish":
        counted = ", ".join(f"{len(one)} {key}" for key, one in arguments.items() if isinstance(one, list))
        summary = str(arguments.get("summary") or arguments.get("outcome") or counted)
        return _flat({"": summary}).removeprefix(": "), _finished(arguments)
    if name in {"read", "edit", "write"} and isinstance(path := arguments.get("path"), str):
        rest = {key: one for key, one in arguments.items() if key not in {"path", "edits", "content"}}
        return plain(path) + (f" {_flat(rest)}" if rest else ""), []
    if name == "search" and isinstance(pattern := arguments.get("pattern"), str):
        rest = {key: one for key, one in arguments.items() if key != "pattern"}
        return plain(pattern)[:160] + (f" {_flat(rest)}" if rest else ""), []
    text = _flat(arguments) if arguments else ""
    whole = [Block("code", shown(json.dumps(arguments, indent=2, ensure_ascii=False)), "arguments")]
    return text, whole if len(text) >= 140 else []


def _flat(arguments: Mapping[str, JSON]) -> str:
    text = ", ".join(
        f"{key}: {one if isinstance(one, str) else json.dumps(one, ensure_ascii=False)}"
        for key, one in arguments.items()
    )
    flat = " ".join(plain(text).split())
    return flat if len(flat) < 140 else f"{flat[:139]}…"


def _finished(arguments: Mapping[str, JSON]) -> list[Block]:
    blocks = []
    if isinstance(summary := arguments.get("summary"), str):
        blocks.append(Block("text", shown(summary)))
    rest = {key: one for key, one in arguments.items() if key != "summary" and one}
    if rest:
        blocks.append(Block("code", shown(json.dumps(rest, indent=2, ensure_ascii=False)), "answer"))
    return blocks


def _came(
    name: str, arguments: Mapping[str, JSON], result: Mapping[str, JSON], text: str, *, ok: bool
) -> tuple[str, list[Block]]:
    """Give the note on a call's result, and what of it folds out."""
    first, _, rest = plain(text).partition("\n")
    if name == "finish" and ok:
        return "", []
    if name == "run":
        return _ran(first, rest, result)
    if name in {"edit", "write"} and ok:
        return _changed(name, arguments, first, rest)
    note = first.partition(" · ")[2] if name == "read" and " · " in first else first
    note = f"{note[:160]}…" if len(note) > 160 else note
    blocks = [Block("code", shown(rest))] if rest.strip() else []
    if not ok:
        whole = json.dumps(arguments, indent=2, ensure_ascii=False)
        blocks.append(Block("code", shown(whole), "arguments"))
    return (note if ok else f"failed: {note}"), blocks


def _ran(first: str, rest: str, result: Mapping[str, JSON]) -> tuple[str, list[Block]]:
    tests = result.get("tests") or {}
    counts = [(tests.get(one) or 0, one) for one in ("failed", "passed", "skipped")]
    counted = ", ".join(f"{count} {word}" for count, word in counts if count)
    blocks = []
    if failures := tests.get("failures"):
        blocks.append(Block("text", shown("\n".join(f"✗ {one}" for one in failures)), "failed tests"))
    if rest.strip():
        blocks.append(Block("code", shown(rest), "output"))
    return " · ".join(one for one in (first, counted) if one), blocks


def _changed(name: str, arguments: Mapping[str, JSON], first: str, rest: str) -> tuple[str, list[Block]]:
    if "@@" in rest:
        lines = rest.split("\n")
        added, removed = (sum(line.startswith(sign) for line in lines) for sign in "+-")
        return f"+{added} −{removed}", [Block("diff", clip_lines(rest, MOST))]
    content = arguments.get("content")
    new = [Block("code", shown(content))] if name == "write" and isinstance(content, str) else []
    return first.rpartition(" created, ")[2] + (" in a new file" if " created, " in first else ""), new
