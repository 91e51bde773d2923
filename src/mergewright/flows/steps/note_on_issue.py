"""Tells the issue which merge request was made of it, and how its pipeline ended."""

from collections.abc import Mapping

from mergewright.domain.plain import one_line
from mergewright.domain.session import JSON, Status
from mergewright.flows.steps.notes import checks_told, pipeline_told, signature
from mergewright.flows.world import Done, Ending, Work, given


async def step(work: Work, arguments: Mapping[str, JSON]) -> Done:
    """Write one note, and say how the session ends."""
    merge_request, verify, pipeline = (
        given(arguments, name, "note_on_issue") for name in ("merge_request", "verify", "pipeline")
    )
    reference = f"!{merge_request['iid']}"
    told, short = pipeline_told(pipeline)
    if verify["verdict"] == "passed":
        first = f"Draft merge request {reference} is ready to be looked at: {checks_told(work, verify['ran'])}."
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
