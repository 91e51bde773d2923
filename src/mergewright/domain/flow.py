"""A flow: a named graph of components, as flow registry v1 writes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mergewright.domain.session import JSON

END = "end"
"""The built-in component in which a flow finishes."""
ABORT = "abort"
"""The built-in component in which a flow fails."""
DEFAULT_ROUTE = "default_route"


@dataclass(frozen=True, slots=True)
class Input:
    """One value that a component is given, under a name."""

    source: str
    """`context:plan.final_answer.summary`, or the value itself when `literal`."""
    name: str
    optional: bool = False
    literal: bool = False


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool that a component may call, with the arguments that it cannot choose."""

    name: str
    forced: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AgentComponent:
    """A model that works with tools until it calls `finish`."""

    name: str
    prompt_id: str
    inputs: tuple[Input, ...] = (Input("context:goal", "goal"),)
    toolset: tuple[ToolUse, ...] = ()
    description: str = ""
    max_cycles: int = 280
    response_schema_id: str = ""
    """The schema of the answer; without one the answer is a summary."""


@dataclass(frozen=True, slots=True)
class DeterministicStepComponent:
    """A tool that the flow calls by itself, with the inputs as its arguments."""

    name: str
    tool_name: str
    inputs: tuple[Input, ...] = ()


@dataclass(frozen=True, slots=True)
class OneOffComponent:
    """A single round of tool calls by a model, tried again when they fail."""

    name: str
    prompt_id: str
    toolset: tuple[ToolUse, ...]
    inputs: tuple[Input, ...] = (Input("context:goal", "goal"),)
    max_correction_attempts: int = 3


@dataclass(frozen=True, slots=True)
class HumanInputComponent:
    """A wait for a person, which holds no process."""

    name: str
    sends_response_to: str
    message_template: str
    inputs: tuple[Input, ...] = ()
    interaction_type: Literal["approval", "input"] = "approval"


Component = AgentComponent | DeterministicStepComponent | OneOffComponent | HumanInputComponent


@dataclass(frozen=True, slots=True)
class Router:
    """Where a flow goes on behind a component: always to one place, or by a value."""

    source: str
    to: str = ""
    """The one next component; empty when `routes` decide."""
    input: str = ""
    """Whose text is looked up in `routes`."""
    routes: Mapping[str, str] = field(default_factory=dict)

    @property
    def targets(self) -> tuple[str, ...]:
        """Every component that this router may lead to."""
        return (self.to,) if self.to else tuple(self.routes.values())


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is told: two templates, filled from the component's inputs."""

    id: str
    name: str
    system: str
    user: str
    placeholder: str = ""
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class FlowInput:
    """A category of further context that the flow may be started with."""

    category: str
    fields: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Flow:
    """A checked flow: every name in it leads somewhere, and every component can come to the end."""

    name: str
    entry_point: str
    components: Mapping[str, Component]
    routers: Mapping[str, Router]
    prompts: Mapping[str, Prompt]
    inputs: tuple[FlowInput, ...] = ()
    response_schemas: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict)
    environment: str = "ambient"
