"""Shows what a merge request changes, from the session's own clone, fenced as data."""

from collections.abc import Mapping

from mergewright.agent.fence import fence
from mergewright.agent.filetext import reveal
from mergewright.domain.session import JSON
from mergewright.flows.repository import clone_of, numbers
from mergewright.flows.world import Done, Work

MOST_DIFF = 24_000
MOST_FILES = 200


async def step(work: Work, arguments: Mapping[str, JSON]) -> Done:
    """Give `text`: the files with their numbers of lines, and the diff as far as it fits; nothing without a base."""
    base = str(arguments.get("base") or "")
    repository = clone_of(work.workspace)
    head = await repository.head() if base else None
    if not head:
        return Done({"text": ""})
    diff = await repository.diff(base, tree=head)
    files = numbers(diff)
    listed = [f"{one.path} " + ("(no text)" if one.added is None else f"+{one.added} -{one.removed}") for one in files]
    more = [f"… and {len(files) - MOST_FILES} more"] if len(files) > MOST_FILES else []
    parts = [f"It changes {len(files)} files:", fence("names of files", "\n".join([*listed[:MOST_FILES], *more]))]
    cut = f"\n[… {len(diff) - MOST_DIFF} more characters are left out: read the files]" if len(diff) > MOST_DIFF else ""
    parts.append(fence("diff of the merge request", reveal(diff[:MOST_DIFF]) + cut))
    return Done({"text": "\n".join(parts)})
