"""The separate pass that holds a change against what it is said to do; nothing it finds can block by default."""

from collections.abc import Sequence
from dataclasses import replace

from mergewright.agent.fence import fence
from mergewright.domain.errors import MergewrightError
from mergewright.domain.forge import Issue
from mergewright.domain.plain import clip
from mergewright.domain.review import Candidate, Severity
from mergewright.review import prompts
from mergewright.review.find import candidate
from mergewright.review.groups import shown_name
from mergewright.review.look import looking
from mergewright.review.talk import Talk, passing
from mergewright.review.world import Case

MOST_FILES = 150
SHORTEST = 40
"""Letters of a description that asks for something."""


async def requirements(talk: Talk, case: Case, issue: Issue | None) -> tuple[Sequence[Candidate], str]:
    """Give unmet requirements, and what went wrong with the pass; a text that asks for nothing is not held against."""
    told = case.merge_request
    if len(told.description.strip()) < SHORTEST and issue is None:
        return (), ""
    most = case.window * 2 // 3
    parts = [fence("title and description of the merge request", f"{told.title}\n{clip(told.description, most)}")]
    if issue is not None:
        parts.append(fence(f"the linked issue {issue.iid}", f"{issue.title}\n{clip(issue.description, most)}"))
    names = [f"{file.status} {shown_name(file.path)} +{file.added} -{file.removed}" for file in case.files]
    more = [f"and {len(names) - MOST_FILES} more files"] if len(names) > MOST_FILES else []
    parts.append(fence("changed files", "\n".join([*names[:MOST_FILES], *more])))
    tools = looking(case.history, head=case.refs.head_sha, base=case.refs.base_sha, room=case.window)
    try:
        answer = await talk.ask(
            "requirements:1", prompts.REQUIREMENTS, "\n".join(parts), prompts.required_schema(), tools
        )
    except MergewrightError as error:
        if not passing(error):
            raise
        return (), f"the look at the requirements failed: {clip(error.message, 200)}"
    found = [candidate(item, category="requirement") for item in answer["findings"][:10]]
    mild = [replace(one, severity=min(one.severity, Severity.MAJOR, key=lambda each: each.rank)) for one in found]
    return mild, ""
