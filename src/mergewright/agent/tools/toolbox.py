"""The tools of an agent, by name."""

from collections.abc import Callable, Sequence

from mergewright.agent.tools.edit import EditFile
from mergewright.agent.tools.plan import WritePlan
from mergewright.agent.tools.read import Read
from mergewright.agent.tools.run import SECONDS, Run
from mergewright.agent.tools.search import Search
from mergewright.agent.tools.seen import Seen
from mergewright.agent.tools.write import WriteFile
from mergewright.domain.agent import Tool
from mergewright.domain.errors import WrongUse
from mergewright.domain.sandbox import Sandbox

READ_ONLY = ("read", "search", "plan")
ALL = ("read", "search", "edit", "write", "run", "plan")


def open_tools(sandbox: Sandbox, names: Sequence[str] = ALL, *, seconds: float = SECONDS) -> tuple[Tool, ...]:
    """Fresh tools for one run of a component; `finish` is always there and comes from its answer.

    `seconds` is the longest time for one command.
    """
    seen = Seen()
    makers: dict[str, Callable[[], Tool]] = {
        "read": lambda: Read(sandbox, seen),
        "search": lambda: Search(sandbox),
        "edit": lambda: EditFile(sandbox, seen),
        "write": lambda: WriteFile(sandbox, seen),
        "run": lambda: Run(sandbox, seconds=seconds),
        "plan": WritePlan,
    }
    wanted = [name for name in names if name != "finish"]
    if unknown := [name for name in wanted if name not in makers]:
        raise WrongUse(f"there is no tool `{unknown[0]}`", hint=f"the tools are {', '.join(makers)}, finish")
    # In one order whatever the flow wrote, so that a provider's cache sees one prefix.
    return tuple(make() for name, make in makers.items() if name in wanted)
