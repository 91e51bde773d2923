"""The flows and the deterministic steps there are, by name."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module, resources

from mergewright.domain.errors import WrongUse
from mergewright.domain.flow import Flow
from mergewright.flows.check import Known
from mergewright.flows.fields import nearest
from mergewright.flows.load import load_flow
from mergewright.flows.world import Step

BUILT_IN = ("code_review", "developer", "feedback", "software_development")

AGENT_TOOLS = frozenset({"read", "search", "edit", "write", "run", "plan"})
"""The tools that a component may be given; `finish` every agent has."""

STEPS = (
    "answer_goal",
    "answer_threads",
    "ask_again",
    "ask_questions",
    "await_pipeline",
    "choose",
    "commit_and_push",
    "conclude",
    "note_on_issue",
    "open_merge_request",
    "prepare_workspace",
    "read_changes",
    "read_feedback",
    "read_goal",
    "read_issue",
    "review",
    "run_checks",
    "stop_session",
    "update_merge_request",
    "verify",
)
"""Each is the function `step` of the module with its name."""

KNOWN = Known(tools=AGENT_TOOLS, steps=frozenset(STEPS))


class Registry:
    """The flows that can be started: the built-in ones, and those that were handed in."""

    def __init__(self, flows: Mapping[str, Flow] | None = None) -> None:
        self._flows = dict(flows or {})

    def flow(self, name: str) -> Flow:
        """Give a flow by name, `developer` or `developer/v1`; raises WrongUse for an unknown one."""
        short = name.removesuffix("/v1")
        if short in self._flows:
            return self._flows[short]
        if short in BUILT_IN:
            return built_in(short)
        raise WrongUse(f"there is no flow `{name}`", hint=nearest(short, (*self._flows, *BUILT_IN)))


@cache
def built_in(name: str) -> Flow:
    """Read one of the flows that come with the product."""
    text = resources.files("mergewright.flows").joinpath("builtin", f"{name}.yml").read_text("utf-8")
    return load_flow(text, name=name, known=KNOWN)


def step_named(name: str) -> Step:
    """Give a deterministic step; its module is imported only now."""
    step: Step = import_module(f"mergewright.flows.steps.{name}").step
    return step
