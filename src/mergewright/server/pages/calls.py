"""Puts the calls of tools in words for the session page, with what came of them."""

import json
from collections.abc import Mapping

from mergewright.agent.filetext import clip_lines, plain
from mergewright.domain.session import JSON
from mergewright.server.pages.told import MOST, Block, Told, shown


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
    # The tool's own first line often has the counts already.
    return " · ".join(one for one in (first, counted if counted not in first else "") if one), blocks


def _changed(name: str, arguments: Mapping[str, JSON], first: str, rest: str) -> tuple[str, list[Block]]:
    if "@@" in rest:
        lines = rest.split("\n")
        added, removed = (sum(line.startswith(sign) for line in lines) for sign in "+-")
        return f"+{added} −{removed}", [Block("diff", clip_lines(rest, MOST))]
    content = arguments.get("content")
    new = [Block("code", shown(content))] if name == "write" and isinstance(content, str) else []
    return first.rpartition(" created, ")[2] + (" in a new file" if " created, " in first else ""), new
