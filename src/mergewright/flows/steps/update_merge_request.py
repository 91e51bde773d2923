"""Writes into the merge request what was done, from facts: the model's words are only quoted."""

from collections.abc import Mapping

from mergewright.domain.session import JSON, EventKind, Plan, Task
from mergewright.flows.description import Facts, describe
from mergewright.flows.steps.notes import signature, tell
from mergewright.flows.verdict import Ran, worse
from mergewright.flows.weakened import Weakening
from mergewright.flows.world import Done, Work, given


async def step(work: Work, arguments: Mapping[str, JSON]) -> Done:
    """Replace the description of our own draft, which stays one; on anybody else's merge request write a note."""
    merge_request, plan, verify, push, workspace = (
        given(arguments, name, "update_merge_request")
        for name in ("merge_request", "plan", "verify", "push", "workspace")
    )
    subject = work.session.subject
    answer = arguments.get("answer") or {}
    before = [Ran.decode(value) for value in arguments.get("before") or []]
    after = [Ran.decode(value) for value in verify["ran"]]
    earlier = {ran.command: ran for ran in before}
    description = describe(
        Facts(
            issue=subject.iid if subject.kind == "#" else 0,
            goal="" if subject.kind == "#" else work.session.goal,
            summary=str(answer.get("summary") or plan.get("summary") or ""),
            plan=await _plan(work, plan),
            changed_by=str((arguments.get("changed") or {}).get("by") or ""),
            no_commands=not work.may_run_commands,
            before=tuple(before),
            after=tuple(after),
            failed_before=tuple(
                ran.command for ran in after if not ran.passed and not worse(earlier.get(ran.command), ran)
            ),
            files=tuple((file["path"], file["added"], file["removed"]) for file in push["files"]),
            changed=tuple(change["path"] for change in verify["changes"]),
            weakened=tuple(Weakening(one["path"], one["test"], one["what"]) for one in verify["weakened"]),
            open_points=tuple(str(point) for point in answer.get("open_points") or ()),
            tests_run=tuple(str(command) for command in answer.get("tests_run") or ()),
            left_undone=str(verify["reason"] or ""),
            found_late=bool(verify["found_late"]),
            not_installed=(*(workspace.get("missing") or ()), *(arguments.get("not_run") or ())),
            worked=True,
            signature=signature(work),
        )
    )
    if subject.kind == "!":
        note = await tell(work, description, mark=work.session.id)
        return Done({"iid": subject.iid, "web_url": note.web_url})
    project = subject.project
    updated = await work.world.forge.update_merge_request(project, merge_request["iid"], description=description)
    await work.wrote("update_merge_request", subject=f"{project}!{updated.iid}", web_url=updated.web_url)
    return Done({"iid": updated.iid, "web_url": updated.web_url, "draft": updated.draft})


async def _plan(work: Work, plan: Mapping[str, JSON]) -> Plan:
    """Give the plan as the agent last left it, ticks included."""
    events = await work.world.store.events(work.session.id, kinds=(EventKind.PLAN,))
    if events:
        return Plan.decode(events[-1].data["tasks"])
    return Plan(tuple(Task(str(text)) for text in plan.get("tasks") or ()))
