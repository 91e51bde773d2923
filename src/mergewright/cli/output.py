"""How the command speaks: data on standard output, everything else on standard error."""

import json
import sys
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mergewright.domain.errors import MergewrightError

if TYPE_CHECKING:
    from mergewright.domain.session import JSON, Session

_STEERING = frozenset({"Cc", "Cf", "Cs"})
WAITS_FOR_A_PERSON = 3


def fail(error: MergewrightError) -> None:
    """Say what went wrong and, where there is one, the way out."""
    say(f"error: {error.message}", err=True)
    if error.hint:
        say(f"hint: {error.hint}", err=True)


def plain(text: str) -> str:
    """Drop what would steer a terminal: a file's name or a tool's output may hold escape sequences."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in _STEERING)


def say(text: str, *, err: bool = False) -> None:
    """Print a line for a person, whoever's words are in it."""
    print(plain(text), file=sys.stderr if err else sys.stdout)


def print_json(value: "Mapping[str, JSON] | list[JSON]") -> None:
    """Print one line of JSON."""
    text = json.dumps(value, ensure_ascii=False)
    # A terminal may obey what JSON lets stand, and half a letter cannot be printed.
    print("".join(json.dumps(c)[1:-1] if unicodedata.category(c) in _STEERING else c for c in text), flush=True)


def exit_code(session: "Session") -> int:
    """Give the exit code that a session's status asks for."""
    if session.status == "finished":
        return 0
    return WAITS_FOR_A_PERSON if session.status.waiting else 1


def session_json(session: "Session") -> "dict[str, JSON]":
    """Give a session as one JSON object."""
    return {
        "id": session.id,
        "flow": session.flow,
        "subject": str(session.subject),
        "goal": session.goal,
        "actor": session.actor,
        "model": session.model,
        "status": session.status.value,
        "reason": session.reason,
        "turn": session.turn,
        "created_at": session.created_at,
        "updated_at": session.updated_at,
    }


def summarize(told: "Mapping[str, JSON]") -> None:
    """Print what a session came to, for a person."""
    say(f"session        {told['session']}  {told['status']}" + (f": {told['reason']}" if told["reason"] else ""))
    if told.get("answer"):
        say(told["answer"])
    if told["issue"]["web_url"]:
        say(f"issue          {told['issue']['web_url']}")
    if merge_request := told["merge_request"]:
        linked = "linked to the issue" if merge_request["linked"] else "not linked"
        state = "draft" if merge_request["draft"] else "ready"
        say(f"merge request  {merge_request['web_url']}  ({state}, {linked}, {merge_request['sha'][:8]})")
    for check in told["checks"]:
        say(f"check          {check['when']}: {check['command']}  exit code {check['exit_code']}")
    tokens = told["tokens"]
    print(f"model          {told['requests']} requests, {tokens['input']} tokens in, {tokens['output']} out", end="")
    print(f", ${told['cost']:.4f}" if told["cost"] is not None else "")
    print(f"seconds        {told['seconds']}")


def summarize_review(told: "Mapping[str, JSON]") -> None:
    """Print what a review came to, for a person."""
    say(f"session        {told['session']}  {told['status']}" + (f": {told['reason']}" if told["reason"] else ""))
    for one in told["findings"]:
        where = f"{one['path']}:{one['line']}" if one["line"] else one["path"]
        late = ", cannot block" if one["late"] else ""
        say(f"{one['state']:<14} {one['severity']:<8} {where}  {one['title']}{late}")
    for one in told["not_seen"]:
        say(f"not seen       {one['path']}  {one['shown']} of {one['changed']} lines: {one['reason']}")
    if told["gate"]:
        say(f"gate           {told['gate']}")
    if told["requests"]:
        print(f"model          {told['requests']} requests, {told['tokens']['input']} tokens in")
    print(f"seconds        {told['seconds']}")


def hint_next(told: "Mapping[str, JSON]") -> None:
    """Say what a person can do with a session that waits or failed."""
    if told["status"] == "plan_approval_required":
        print(f"hint: mergewright sessions approve {told['session']}", file=sys.stderr)
        print(f'hint: mergewright sessions reject {told["session"]} --reason "…"', file=sys.stderr)
    elif told["status"] == "failed":
        print(f"hint: mergewright sessions resume {told['session']}", file=sys.stderr)
