"""Reads a flow registry v1 document."""

from collections.abc import Callable, Mapping
from typing import Literal, cast

from mergewright.domain.errors import WrongUse
from mergewright.domain.flow import (
    AgentComponent,
    Component,
    DeterministicStepComponent,
    Flow,
    FlowInput,
    HumanInputComponent,
    Input,
    OneOffComponent,
    Prompt,
    Router,
    ToolUse,
)
from mergewright.domain.session import JSON
from mergewright.flows.check import Known, check
from mergewright.flows.document import read_document
from mergewright.flows.fields import Fields

MAX_CYCLES = 280
"""Replies after which a model is told to wrap up where a flow does not say; GitLab's own default."""

LARGEST = 256 * 1024
"""Characters of a flow document; GitLab's own stay far below."""


def load_flow(text: str, *, name: str, known: Known) -> Flow:
    """Read and check a flow; raises WrongUse with the path to the first mistake."""
    if len(text) > LARGEST:
        raise WrongUse(f"the flow `{name}` is larger than {LARGEST // 1024} KiB")
    document = read_document(text, name=f"the flow `{name}`")
    flow = _flow(Fields(document, ""), name)
    check(flow, known)
    return flow


def _flow(fields: Fields, name: str) -> Flow:
    fields.choice("version", ("v1",))
    environment = fields.choice("environment", ("ambient",))
    components: dict[str, Component] = {}
    for value, path in fields.items("components"):
        component = _component(Fields(value, path))
        if component.name in components:
            raise WrongUse(f"{path}.name: `{component.name}` is given twice")
        components[component.name] = component
    routers: dict[str, Router] = {}
    for value, path in fields.items("routers"):
        router = _router(Fields(value, path))
        if router.source in routers:
            raise WrongUse(f"{path}.from: `{router.source}` has a router already")
        routers[router.source] = router
    prompts: dict[str, Prompt] = {}
    for value, path in fields.items("prompts"):
        prompt = _prompt(Fields(value, path))
        if prompt.id in prompts:
            raise WrongUse(f"{path}.prompt_id: `{prompt.id}` is given twice")
        prompts[prompt.id] = prompt
    schemas: dict[str, Mapping[str, JSON]] = {}
    for value, path in fields.items("response_schemas"):
        entry = Fields(value, path)
        schemas[entry.text("response_schema_id")] = entry.below("schema").plain()
        entry.end()
    flow = fields.below("flow")
    entry_point = flow.text("entry_point")
    inputs = tuple(_flow_input(Fields(value, path)) for value, path in flow.items("inputs"))
    flow.end()
    fields.end()
    return Flow(name, entry_point, components, routers, prompts, inputs, schemas, environment)


_WITHOUT_EFFECT = {"description", "model_tags", "model_size_preference", "ui_log_events", "ui_role_as", "compaction"}
"""Fields of GitLab's that choose a model of its own or what its pages show: here there is one model, everything is
logged, and a long conversation is always made shorter."""

_NOT_YET = ("prompt_version", "subagents", "max_delegations", "require_tool_approval", "pre_approved_tools")
"""Fields of GitLab's that would change what a flow does or may do: never passed over in silence."""


def _component(fields: Fields) -> Component:
    name = fields.text("name")
    if not name or ":" in name or "." in name:
        raise fields.fail("name", f"`{name}` may not be empty or hold `:` or `.`")
    kind = fields.choice("type", tuple(_COMPONENTS))
    component = _COMPONENTS[kind](fields, name)
    for field in _WITHOUT_EFFECT:
        fields.has(field)
    for field in _NOT_YET:
        if fields.has(field) and fields.any(field) not in (False, [], 0):
            raise fields.fail(field, "GitLab has this field, and mergewright cannot do it yet", hint="leave it out")
    fields.end()
    return component


def _agent(fields: Fields, name: str) -> Component:
    return AgentComponent(
        name,
        prompt_id=fields.text("prompt_id"),
        inputs=_inputs(fields) or (Input("context:goal", "goal"),),
        toolset=_toolset(fields),
        description=fields.text("description", ""),
        max_cycles=_max_cycles(fields),
        response_schema_id=fields.text("response_schema_id", ""),
    )


def _max_cycles(fields: Fields) -> int:
    """A number, or GitLab's longer form, in which the warning comes some replies before the number is reached."""
    if not fields.is_mapping("max_cycles"):
        return fields.number("max_cycles", MAX_CYCLES, least=1)
    given = fields.below("max_cycles")
    threshold = given.number("threshold", MAX_CYCLES, least=1)
    early = given.number("iteration_warning_offset", 0, least=0) if given.has("iteration_warning_offset") else 0
    given.end()
    return max(1, threshold - early)


def _step(fields: Fields, name: str) -> Component:
    return DeterministicStepComponent(name, tool_name=fields.text("tool_name"), inputs=_inputs(fields))


def _one_off(fields: Fields, name: str) -> Component:
    return OneOffComponent(
        name,
        prompt_id=fields.text("prompt_id"),
        toolset=_toolset(fields),
        inputs=_inputs(fields) or (Input("context:goal", "goal"),),
        max_correction_attempts=fields.number("max_correction_attempts", 3, least=0),
    )


def _human(fields: Fields, name: str) -> Component:
    interaction = fields.choice("interaction_type", ("approval", "input"), "approval")
    return HumanInputComponent(
        name,
        sends_response_to=fields.text("sends_response_to"),
        message_template=fields.text("message_template"),
        inputs=_inputs(fields),
        interaction_type=cast(Literal["approval", "input"], interaction),
    )


_COMPONENTS: dict[str, Callable[[Fields, str], Component]] = {
    "AgentComponent": _agent,
    "DeterministicStepComponent": _step,
    "OneOffComponent": _one_off,
    "HumanInputComponent": _human,
}


def _inputs(fields: Fields) -> tuple[Input, ...]:
    found = []
    for value, path in fields.items("inputs"):
        if isinstance(value, str):
            found.append(Input(value, value.rpartition(":")[2].rpartition(".")[2]))
            continue
        item = Fields(value, path)
        source = item.text("from")
        given = Input(
            source,
            item.text("as", source.rpartition(":")[2].rpartition(".")[2]),
            optional=item.flag("optional"),
            literal=item.flag("literal"),
        )
        item.end()
        if not given.name.isidentifier():
            raise item.fail("as", f"`{given.name}` cannot name a value in a template", hint="use letters, digits and _")
        found.append(given)
    return tuple(found)


def _toolset(fields: Fields) -> tuple[ToolUse, ...]:
    found = []
    for value, path in fields.items("toolset"):
        if isinstance(value, str):
            found.append(ToolUse(value))
            continue
        if not isinstance(value, Mapping) or len(value) != 1:
            raise WrongUse(f"{path}: expected a tool's name, or one name with the arguments that are fixed")
        name = next(iter(value))
        forced = Fields(value, path).below(name).plain()
        for key, argument in forced.items():
            if isinstance(argument, list | Mapping):
                raise WrongUse(f"{path}.{name}.{key}: a fixed argument must be a plain value")
        found.append(ToolUse(name, forced))
    return tuple(found)


def _router(fields: Fields) -> Router:
    source = fields.text("from")
    if fields.has("to") == fields.has("condition"):
        raise fields.fail("to", "a router has either `to` or `condition`")
    if fields.has("to"):
        router = Router(source, to=fields.text("to"))
    else:
        condition = fields.below("condition")
        routes = condition.below("routes")
        names = {value: routes.text(value) for value in routes.plain()}
        if not names:
            raise condition.fail("routes", "there is no route")
        router = Router(source, input=condition.text("input"), routes=names)
        condition.end()
    fields.end()
    return router


def _prompt(fields: Fields) -> Prompt:
    template = fields.below("prompt_template")
    params = fields.below("params")
    prompt = Prompt(
        fields.text("prompt_id"),
        name=fields.text("name", ""),
        system=template.text("system", ""),
        user=template.text("user"),
        placeholder=template.text("placeholder", ""),
        timeout=float(params.number("timeout", 0, least=0)) or None,
    )
    # Both are GitLab's: read so that its flows load, and of no use to any other model server.
    fields.has("unit_primitives")
    params.has("vertex_location")
    template.end()
    params.end()
    fields.end()
    return prompt


def _flow_input(fields: Fields) -> FlowInput:
    category = fields.text("category")
    fields.text("version_constraint", "")
    schema = fields.below("input_schema")
    names, required = [], []
    for name in schema.plain():
        entry = schema.below(name)
        entry.text("type", "string")
        entry.text("format", "")
        entry.text("description", "")
        names.append(name)
        if not entry.flag("optional"):
            required.append(name)
        entry.end()
    fields.end()
    return FlowInput(category, tuple(names), tuple(required))
