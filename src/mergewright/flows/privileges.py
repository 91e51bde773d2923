"""What a session may do, and whether its flow can do its work with that: GitLab's agent privileges."""

from collections.abc import Iterable, Mapping

from mergewright.domain.errors import Forbidden, WrongUse
from mergewright.domain.flow import AgentComponent, DeterministicStepComponent, Flow, OneOffComponent
from mergewright.domain.session import JSON, Subject
from mergewright.flows.fields import nearest

READ_WRITE_FILES = "read_write_files"
READ_ONLY_GITLAB = "read_only_gitlab"
READ_WRITE_GITLAB = "read_write_gitlab"
RUN_COMMANDS = "run_commands"
USE_GIT = "use_git"
RUN_MCP_TOOLS = "run_mcp_tools"

ALL = (READ_WRITE_FILES, READ_ONLY_GITLAB, READ_WRITE_GITLAB, RUN_COMMANDS, USE_GIT, RUN_MCP_TOOLS)
"""In GitLab's order: its numbers for them begin with 1."""

TOOLS: Mapping[str, tuple[str, ...]] = {
    "edit": (READ_WRITE_FILES,),
    "write": (READ_WRITE_FILES,),
    # A command can write every file of the work tree.
    "run": (RUN_COMMANDS, READ_WRITE_FILES),
}
"""What a tool takes; the others only look at the session's clone, or tick its plan."""

CHANGING = frozenset({"edit", "write"})
"""The tools that are there to change files."""

_STEPS: Mapping[str, tuple[str, ...]] = {
    "answer_threads": (READ_WRITE_GITLAB,),
    "ask_again": (READ_WRITE_GITLAB,),
    "ask_questions": (READ_WRITE_GITLAB,),
    "commit_and_push": (USE_GIT,),
    "note_on_issue": (READ_WRITE_GITLAB,),
    "open_merge_request": (READ_WRITE_GITLAB, USE_GIT),
    # A review proves its findings with tests that it runs.
    "review": (READ_WRITE_GITLAB, RUN_COMMANDS),
    "update_merge_request": (READ_WRITE_GITLAB,),
}
"""What the steps take by which a flow changes something outside its clone."""


def privileges_of(inputs: Mapping[str, JSON]) -> frozenset[str]:
    """Give a session's privileges; without any word about them it has all."""
    named = inputs.get("agent_privileges")
    return frozenset(ALL if named is None else map(str, named))


def check_names(names: Iterable[str]) -> tuple[str, ...]:
    """Give the privileges each once, in GitLab's order; raises WrongUse for one that does not exist."""
    wanted = set(names)
    for name in sorted(wanted - set(ALL)):
        raise WrongUse(f"there is no agent privilege `{name}`", hint=nearest(name, ALL))
    return tuple(name for name in ALL if name in wanted)


def missing(flow: Flow, subject: Subject, inputs: Mapping[str, JSON]) -> tuple[str, ...]:
    """Name the privileges that a flow needs on a subject and was not given."""
    held = privileges_of(inputs)
    components = flow.components.values()
    steps = {one.tool_name for one in components if isinstance(one, DeterministicStepComponent)}
    if "answer_goal" in steps and READ_WRITE_FILES not in held:
        # Without a change of files a goal can still be answered: in a note where there is something to write it on.
        needs = {READ_WRITE_GITLAB} if subject.kind else set()
    else:
        needs = {each for step in steps for each in _STEPS.get(step, ())}
        uses = (use for one in components if isinstance(one, AgentComponent | OneOffComponent) for use in one.toolset)
        if any(use.name in CHANGING for use in uses):
            needs.add(READ_WRITE_FILES)
    return tuple(each for each in ALL if each in needs - held)


def check_privileges(flow: Flow, subject: Subject, inputs: Mapping[str, JSON]) -> None:
    """Raise Forbidden when a flow cannot do its work with what it may do."""
    if lacking := missing(flow, subject, inputs):
        raise Forbidden(
            f"the flow `{flow.name}` needs the agent privilege{'' if len(lacking) == 1 else 's'}"
            f" `{'`, `'.join(lacking)}`",
            hint="give it in `agent_privileges`, or leave them all out",
        )


def usable(tools: Iterable[str], inputs: Mapping[str, JSON]) -> list[str]:
    """Keep the tools that a session may use; the model never hears of the others."""
    held = privileges_of(inputs)
    return [name for name in tools if held.issuperset(TOOLS.get(name, ()))]
