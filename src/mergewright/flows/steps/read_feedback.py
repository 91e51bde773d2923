"""Reads what reviewers want of a merge request: its open threads, each fenced as data with who wrote it."""

import re
from collections.abc import Mapping, Sequence

from mergewright.agent.fence import fence
from mergewright.domain.errors import Conflict, Forbidden, NotFound, WrongUse
from mergewright.domain.forge import AccessLevel, Discussion, MergeRequest, User
from mergewright.domain.plain import clip
from mergewright.domain.session import JSON
from mergewright.flows.world import Done, Work

_MARK = re.compile(r"\n*(<sub>[^\n]*</sub>\s*)?<!-- mergewright:\S+ -->\s*$")
MOST_TEXT = 8_000
"""Characters of one thread."""
MOST_THREADS = 30
"""Threads that one session works on; the others wait for the next."""


async def step(work: Work, arguments: Mapping[str, JSON]) -> Done:
    """Give the branch and the threads to answer; what people without the role Developer opened is left out."""
    subject = work.session.subject
    if subject.kind != "!":
        raise WrongUse(f"`{subject}` is no merge request", hint="this flow starts from one, written `group/project!7`")
    forge = work.world.forge
    merge_request = await forge.merge_request(subject.project, subject.iid)
    _check(merge_request, str(subject))
    discussions = await forge.discussions(subject)
    wanted = str(arguments.get("discussion") or "")
    threads = _named(discussions, wanted, str(subject)) if wanted else [one for one in discussions if _open(one)]
    levels: dict[int, AccessLevel] = {}

    async def level(user: User) -> AccessLevel:
        if user.id not in levels:
            levels[user.id] = await forge.access_level(subject.project, user.id)
        return levels[user.id]

    heard = [one for one in threads if await level(one.notes[0].author) >= AccessLevel.DEVELOPER]
    if not heard:
        strangers = f"; {len(threads)} are by people who are no developers of the project" if threads else ""
        raise Conflict(f"no open thread on `{subject}` asks for a change{strangers}", hint="open a thread on the diff")
    kept = heard[:MOST_THREADS]
    parts = [
        f"The merge request is {subject}, from the branch {merge_request.source_branch}.",
        fence(f"title of merge request {subject.iid}", merge_request.title),
    ]
    for number, thread in enumerate(kept, start=1):
        said = [note for note in thread.notes if not note.system and not note.internal]
        lines = [
            f"{note.author.username}: {_said(note.body)}"
            for note in said
            if await level(note.author) > AccessLevel.NONE
        ]
        parts.append(fence(f"thread {number}{_place(thread)}", clip("\n\n".join(lines), MOST_TEXT)))
    if len(heard) > len(kept):
        parts.append(f"({len(heard) - len(kept)} more threads are left for later.)")
    await work.say(f"read {len(kept)} open threads of {subject}")
    return Done(
        {
            "title": merge_request.title,
            "text": "\n".join(parts),
            "branch": merge_request.source_branch,
            "sha": merge_request.sha,
            "threads": [
                {
                    "number": number,
                    "discussion": thread.id,
                    "by": thread.notes[0].author.username,
                    "bot": thread.notes[0].author.bot,
                    "wanted": bool(wanted),
                }
                for number, thread in enumerate(kept, start=1)
            ],
            "left_out": len(threads) - len(kept),
        }
    )


def _check(merge_request: MergeRequest, name: str) -> None:
    if merge_request.state != "opened":
        raise Conflict(f"`{name}` is {merge_request.state}", hint="reopen it if there is still something to do")
    if merge_request.source_project:
        raise Forbidden(
            f"the branch of `{name}` lies in a fork, where this session may not push",
            hint="its author can work the feedback in, or open the merge request from a branch of the project",
        )


def _said(body: str) -> str:
    """Leave out of a note what is there for the forge alone."""
    return _MARK.sub("", body).rstrip()


def _open(thread: Discussion) -> bool:
    first = thread.notes[0]
    return first.resolvable and not first.resolved and not first.system and not first.internal


def _named(discussions: Sequence[Discussion], wanted: str, name: str) -> list[Discussion]:
    found = [one for one in discussions if one.id == wanted]
    if not found:
        raise NotFound(f"`{name}` has no thread `{wanted}`", hint="copy the id from the API, or leave it out")
    return found


def _place(thread: Discussion) -> str:
    """Say where a thread stands, as far as a label can hold the name of the file."""
    first = thread.notes[0]
    if not first.path:
        return ""
    plain = "".join(letter if letter.isalnum() or letter in "_./-" else "_" for letter in first.path)[:80]
    return f", on {plain}" + (f" line {first.line}" if first.line else "")
