"""What the forms of pages do: each calls the function that the API calls, and is refused what the API refuses."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from mergewright.localforge.api import (
    approvals,
    discussions,
    graphql,
    issues,
    jobs,
    merge_request_state,
    merge_requests,
    notes,
    pipelines,
    suggestions,
)
from mergewright.localforge.call import Answer, Call, Endpoint, Reply
from mergewright.localforge.errors import Refused, forbidden
from mergewright.localforge.instance import Instance
from mergewright.localforge.pages.visit import Visitor, visit
from mergewright.localforge.params import Params
from mergewright.localforge.positions import is_current

BYPASS = """mutation($input: MergeRequestUpdateInput!) {
  mergeRequestUpdate(input: $input) { errors }
}"""


@dataclass(frozen=True, slots=True)
class Form:
    """A form's address below a project, what it calls, with what, and where it leads afterwards."""

    pattern: re.Pattern[str]
    endpoint: Endpoint
    back: str
    """The page below the project, with the address's names; `{made}` is the answer, `{new}` the number in it."""
    method: str = "POST"
    given: Mapping[str, str] = field(default_factory=dict)


def _form(pattern: str, endpoint: Endpoint, back: str, *, method: str = "POST", **given: str) -> Form:
    return Form(re.compile(pattern, re.ASCII), endpoint, back, method, given)


def _ordered(order: str, *, rest: str = "") -> Endpoint:
    """A quick action; one that cannot be carried out is refused and not merely said."""

    def endpoint(call: Call) -> Reply:
        more = " ".join(call.params.texts(rest)) if rest else ""
        if "\n" in more or (rest and not more):
            raise Refused(400, {"error": f"{rest} is missing"})
        reply = notes.create(replace(call, params=Params({"body": f"/{order} {more}".rstrip()})))
        said = reply.body if isinstance(reply, Answer) else reply
        done = said.get("summary", []) if isinstance(said, dict) else []
        if any(text.startswith("Could not apply") for text in done):
            raise forbidden(f"/{order} could not be carried out")
        return reply

    return endpoint


def _at_line(call: Call) -> Reply:
    """Comment on a line, and give where that stands: what is about an older version is in the overview alone."""
    reply = discussions.create(call)
    if isinstance(reply, Answer):
        # Orders alone: they leave no thread.
        return {"at": "/diffs"}
    position = reply["notes"][0].get("position")
    current = position is not None and is_current(position, call.merge_request())
    return {"at": f"{'/diffs' if current else ''}#thread_{reply['id']:.12}"}


def _bypass(call: Call) -> Reply:
    """Set requests for changes aside, or no longer."""
    merge_request = call.merge_request()
    given = {
        "projectPath": call.project.path_with_namespace,
        "iid": str(merge_request.iid),
        "overrideRequestedChanges": call.params.flag("on", True),
    }
    said = graphql.execute(replace(call, params=Params({"query": BYPASS, "variables": {"input": given}})))
    told = ((said.get("data") or {}).get("mergeRequestUpdate") or {}).get("errors") or []
    if problems := [one["message"] for one in said.get("errors", [])] + told:
        raise forbidden("; ".join(problems))
    return said


def _labelled(call: Call) -> Reply:
    """Change an issue, where an empty field means that nothing is left of it."""
    values = dict(call.params.values)
    if "assignee" in values:
        values["assignee_ids"] = [values.pop("assignee")] if values["assignee"] else ["0"]
    return issues.update(replace(call, params=Params(values)))


ISSUE = r"issues/(?P<iid>\d{1,18})"
REQUEST = r"merge_requests/(?P<iid>\d{1,18})"
THREAD = r"discussions/(?P<discussion_id>[0-9a-f]{40})"
PIPELINE = r"pipelines/(?P<pipeline_id>\d{1,18})"
JOB = r"jobs/(?P<job_id>\d{1,18})"
AT_ISSUE, AT_REQUEST = "issues/{iid}", "merge_requests/{iid}"
AT_THREAD = "#thread_{discussion_id:.12}"
FORMS = (
    _form("issues", issues.create, "issues/{new}"),
    _form(f"{ISSUE}/notes", notes.create, f"{AT_ISSUE}#activity"),
    _form(f"{ISSUE}/close", issues.update, AT_ISSUE, method="PUT", state_event="close"),
    _form(f"{ISSUE}/reopen", issues.update, AT_ISSUE, method="PUT", state_event="reopen"),
    _form(f"{ISSUE}/edit", _labelled, AT_ISSUE, method="PUT"),
    _form(f"{ISSUE}/{THREAD}/notes", discussions.reply, f"{AT_ISSUE}{AT_THREAD}"),
    _form("merge_requests", merge_requests.create, "merge_requests/{new}"),
    _form(f"{REQUEST}/notes", notes.create, f"{AT_REQUEST}#activity"),
    _form(f"{REQUEST}/diffs", _at_line, f"{AT_REQUEST}{{made[at]}}"),
    _form(f"{REQUEST}/{THREAD}/notes", discussions.reply, f"{AT_REQUEST}{AT_THREAD}"),
    _form(f"{REQUEST}/{THREAD}/resolve", discussions.resolve, f"{AT_REQUEST}{AT_THREAD}", method="PUT"),
    _form(f"{REQUEST}/close", merge_requests.update, AT_REQUEST, method="PUT", state_event="close"),
    _form(f"{REQUEST}/reopen", merge_requests.update, AT_REQUEST, method="PUT", state_event="reopen"),
    _form(f"{REQUEST}/edit", merge_requests.update, AT_REQUEST, method="PUT"),
    _form(f"{REQUEST}/draft", _ordered("draft"), AT_REQUEST),
    _form(f"{REQUEST}/ready", _ordered("ready"), AT_REQUEST),
    _form(f"{REQUEST}/approve", approvals.approve, AT_REQUEST),
    _form(f"{REQUEST}/unapprove", approvals.unapprove, AT_REQUEST),
    _form(f"{REQUEST}/request_changes", _ordered("request_changes"), AT_REQUEST),
    _form(f"{REQUEST}/bypass", _bypass, AT_REQUEST),
    _form(f"{REQUEST}/reviewers", _ordered("assign_reviewer", rest="reviewer"), AT_REQUEST),
    _form(f"{REQUEST}/unassign_reviewer", _ordered("unassign_reviewer", rest="reviewer"), AT_REQUEST),
    _form(f"{REQUEST}/merge", merge_request_state.accept, AT_REQUEST, method="PUT"),
    _form(f"{REQUEST}/cancel_auto_merge", merge_request_state.cancel_auto_merge, AT_REQUEST),
    _form(f"{REQUEST}/pipelines", merge_request_state.create_pipeline, f"{AT_REQUEST}/pipelines"),
    _form(f"{REQUEST}/suggestions/(?P<suggestion_id>\\d{{1,18}})/apply", suggestions.apply, AT_REQUEST, method="PUT"),
    _form("pipelines", pipelines.create, "pipelines/{new}"),
    _form(f"{PIPELINE}/retry", pipelines.retry, "pipelines/{pipeline_id}"),
    _form(f"{PIPELINE}/cancel", pipelines.stop, "pipelines/{pipeline_id}"),
    _form(f"{JOB}/retry", jobs.retry, "jobs/{new}"),
    _form(f"{JOB}/cancel", jobs.stop, "jobs/{job_id}"),
    _form(f"{JOB}/play", jobs.play, "jobs/{job_id}"),
)


def submit(instance: Instance, visitor: Visitor, project: str, below: str, values: Mapping[str, Any]) -> str:
    """Do what a form asks, as its sender, and give the address to show then; raises Refused."""
    form, found = next((one, match) for one in FORMS if (match := one.pattern.fullmatch(below)))
    names = found.groupdict()
    with instance.write() as session:
        # Met again in this transaction: what was loaded in another one is no longer held.
        user = session.merge(visitor.user, load=True) if visitor.user else None
        seen = visit(
            instance,
            session,
            replace(visitor, user=user),
            method=form.method,
            project=project,
            below=below,
            names=names,
            params=dict(values) | dict(form.given),
        )
        reply = form.endpoint(seen.call)
        home = seen.home
    made = reply.body if isinstance(reply, Answer) else reply
    new = made.get("iid" if "merge_requests" in below or "issues" in below else "id") if isinstance(made, dict) else ""
    return f"{quote(home)}/-/{form.back.format(**names, new=new, made=made)}"
