"""`finish`: the only way for an agent to end its run."""

from collections.abc import Mapping

from mergewright.domain.agent import ToolSpec
from mergewright.domain.session import JSON

NAME = "finish"


def finish_spec(answer: Mapping[str, JSON]) -> ToolSpec:
    """The tool whose arguments are the component's answer."""
    return ToolSpec(NAME, "End your work with this answer; as the last call of a reply.", answer)
