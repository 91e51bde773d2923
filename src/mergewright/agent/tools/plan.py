"""`plan`: the checklist that people see in the session and in the merge request."""

from collections.abc import Mapping

from mergewright.domain.agent import Access, ToolResult, ToolSpec
from mergewright.domain.errors import ToolError
from mergewright.domain.session import JSON, Plan


class WritePlan:
    """Takes the whole checklist each time; the loop writes it to the session's log."""

    spec = ToolSpec(
        "plan",
        "Write your checklist, whole each time; mark what is done.",
        {
            "type": "object",
            "properties": {
                "tasks": {
                    "type": "array",
                    "maxItems": 50,
                    "items": {
                        "type": "object",
                        "properties": {"text": {"type": "string"}, "done": {"type": "boolean"}},
                        "required": ["text"],
                    },
                }
            },
            "required": ["tasks"],
        },
    )
    access = Access.READ

    async def call(self, arguments: Mapping[str, JSON]) -> ToolResult:
        plan = Plan.decode(arguments["tasks"])
        if any(not task.text.strip() for task in plan.tasks):
            raise ToolError("a task needs a text")
        done = sum(task.done for task in plan.tasks)
        return ToolResult(f"noted: {done} of {len(plan.tasks)} tasks done", facts={"tasks": plan.encode()})
