"""Says how a session that worked on a goal ends."""

from collections.abc import Mapping

from mergewright.domain.session import JSON, Status
from mergewright.flows.steps.notes import pipeline_told
from mergewright.flows.world import Done, Ending, Work, given


async def step(work: Work, arguments: Mapping[str, JSON]) -> Done:
    """Finish when the checks spoke for the change, fail with their reason otherwise."""
    merge_request, verify, push = (given(arguments, name, "conclude") for name in ("merge_request", "verify", "push"))
    pipeline = arguments.get("pipeline") or {"status": "none"}
    if verify["verdict"] != "passed":
        return Done(ending=Ending(Status.FAILED, verify["reason"]))
    reference = f"!{merge_request['iid']}"
    what = f"pushed {push['sha'][:8]} to {reference}" if work.session.subject.kind else f"opened {reference}"
    return Done(ending=Ending(Status.FINISHED, f"{what}; {pipeline_told(pipeline)[1]}"))
