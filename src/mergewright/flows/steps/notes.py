"""What texts that we write to the forge have in common."""

from collections.abc import Mapping, Sequence

from mergewright.domain.forge import Note
from mergewright.domain.plain import code
from mergewright.domain.session import JSON
from mergewright.flows.world import Work


def signature(work: Work) -> str:
    """Say which session wrote it, for whom, with which model."""
    session = work.session
    kind, _, name = session.model.partition(":")
    # Where a recording lies on somebody's machine is nobody's business.
    model = f"{kind}:{name.rpartition('/')[2]}" if kind == "recorded" else session.model
    return f"<sub>mergewright session {code(session.id)}, for {code(session.actor)}, model {code(model)}</sub>"


async def tell(work: Work, body: str, *, mark: str) -> Note:
    """Write a note once on what the session is about: in the thread that it was asked in, where there is one."""
    subject, forge = work.session.subject, work.world.forge
    discussion = str(work.session.inputs.get("discussion") or "")
    note = await (
        forge.reply(subject, discussion, body, mark=mark) if discussion else forge.add_note(subject, body, mark=mark)
    )
    await work.wrote("reply" if discussion else "note", subject=str(subject), web_url=note.web_url)
    return note


def checks_told(work: Work, ran: Sequence[Mapping[str, JSON]]) -> str:
    """Say what the checks show of a change that none of them speaks against."""
    failing = ", ".join(code(one["command"]) for one in ran if one["exit_code"] != 0)
    if not work.may_run_commands:
        return "no check was run, because the session had no right to run commands: nothing shows yet that it is right"
    if not ran:
        return "no check of the project could be found, so nothing shows yet that it is right"
    if not failing:
        return "the project's checks pass on it"
    if all(one["exit_code"] != 0 for one in ran):
        return f"the project's checks fail on it as they did before ({failing}), so nothing shows yet that it is right"
    return f"the project's checks pass on it, except for {failing}, which failed before it too"


def pipeline_told(pipeline: Mapping[str, JSON]) -> tuple[str, str]:
    """Say how a pipeline ended: in a sentence, and in a few words."""
    if pipeline["status"] == "none":
        return "There is no pipeline for it.", "no pipeline"
    named = f"pipeline {pipeline['id']}"
    if not pipeline["ended"]:
        return f"Its {named} is still `{pipeline['status']}`: {pipeline['web_url']}", f"{named} is {pipeline['status']}"
    failed = ", ".join(code(name) for name in pipeline.get("failed_jobs") or ())
    jobs = f" (failed: {failed})" if failed else ""
    return (
        f"Its {named} ended with `{pipeline['status']}`{jobs}: {pipeline['web_url']}",
        f"{named}: {pipeline['status']}",
    )
