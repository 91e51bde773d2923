"""Tells the issue which merge request was made of it, and how its pipeline ended."""

from collections.abc import Mapping, Sequence

from mergewright.domain.plain import code, one_line
from mergewright.domain.session import JSON, Status
from mergewright.flows.steps.notes import signature
from mergewright.flows.world import Done, Ending, Work, given


async def step(work: Work, arguments: Mapping[str, JSON]) -> Done:
    """Write one note, and say how the session ends."""
    merge_request, verify, pipeline = (
        given(arguments, name, "note_on_issue") for name in ("merge_request", "verify", "pipeline")
    )
    reference = f"!{merge_request['iid']}"
    told, short = _pipeline(pipeline)
    if verify["verdict"] == "passed":
        first = f"Draft merge request {reference} is ready to be looked at: {_checks(verify['ran'])}."
        if verify.get("weakened"):
            first += " But some tests hold less than before: it names them."
        ending = Ending(Status.FINISHED, f"opened {reference}; {short}")
    else:
        first = f"Draft merge request {reference} is not finished: {one_line(verify['reason'], most=1_000)}."
        ending = Ending(Status.FAILED, verify["reason"])
    body = "\n\n".join([first, told, merge_request["web_url"], signature(work)])
    note = await work.world.forge.add_note(work.session.subject, body, mark=work.session.id)
    await work.wrote("note", subject=str(work.session.subject), web_url=note.web_url)
    return Done({"note": note.id, "web_url": note.web_url}, ending)


def _checks(ran: Sequence[Mapping[str, JSON]]) -> str:
    """Say what the checks show of a change that none of them speaks against."""
    failing = ", ".join(code(one["command"]) for one in ran if one["exit_code"] != 0)
    if not ran:
        return "no check of the project could be found, so nothing shows yet that it is right"
    if not failing:
        return "the project's checks pass on it"
    if all(one["exit_code"] != 0 for one in ran):
        return f"the project's checks fail on it as they did before ({failing}), so nothing shows yet that it is right"
    return f"the project's checks pass on it, except for {failing}, which failed before it too"


def _pipeline(pipeline: Mapping[str, JSON]) -> tuple[str, str]:
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
