"""Checks that a flow hangs together before anything of it runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mergewright.domain.errors import WrongUse
from mergewright.domain.flow import (
    ABORT,
    DEFAULT_ROUTE,
    END,
    AgentComponent,
    DeterministicStepComponent,
    Flow,
    HumanInputComponent,
    Input,
    OneOffComponent,
)
from mergewright.flows.fields import nearest
from mergewright.flows.prompts import check_template

FREE_SOURCES = ("goal", "project_id", "inputs", "session")
"""What a flow is started with, beside the outputs of its components."""


@dataclass(frozen=True, slots=True)
class Known:
    """The names that a flow may use: the tools of agents and the steps that a flow calls itself."""

    tools: frozenset[str]
    steps: frozenset[str]


def check(flow: Flow, known: Known) -> None:
    """Raise WrongUse for the first thing that could not run."""
    _names(flow)
    for index, component in enumerate(flow.components.values()):
        where = f"components[{index}]"
        _inputs(flow, component.inputs, where)
        match component:
            case AgentComponent() | OneOffComponent():
                _known(component.prompt_id, flow.prompts, f"{where}.prompt_id", "prompt")
                prompt = flow.prompts[component.prompt_id]
                names = {given.name for given in component.inputs}
                for part, template in (("system", prompt.system), ("user", prompt.user)):
                    check_template(template, names, f"prompts.{prompt.id}.{part}")
                for use in component.toolset:
                    _known(use.name, known.tools, f"{where}.toolset", "tool")
                if isinstance(component, AgentComponent) and component.response_schema_id:
                    _known(component.response_schema_id, flow.response_schemas, f"{where}.response_schema_id", "schema")
                if isinstance(component, OneOffComponent) and not component.toolset:
                    raise WrongUse(f"{where}.toolset: a OneOffComponent needs a tool to call")
            case DeterministicStepComponent():
                _known(component.tool_name, known.steps, f"{where}.tool_name", "step")
            case HumanInputComponent():
                _known(component.sends_response_to, flow.components, f"{where}.sends_response_to", "component")
                names = {given.name for given in component.inputs}
                check_template(component.message_template, names, f"{where}.message_template")
    _ways(flow)


def _names(flow: Flow) -> None:
    for name in (END, ABORT):
        if name in flow.components:
            raise WrongUse(f"components: `{name}` is built in and cannot be defined again")
    _known(flow.entry_point, flow.components, "flow.entry_point", "component")
    for index, router in enumerate(flow.routers.values()):
        _known(router.source, flow.components, f"routers[{index}].from", "component")
        for target in router.targets:
            _known(target, (*flow.components, END, ABORT), f"routers[{index}]", "component")
        if router.input:
            _source(flow, router.input, f"routers[{index}].condition.input")
    for name in flow.components:
        if name not in flow.routers:
            raise WrongUse(f"components: no router leads on from `{name}`", hint=f"add `{{from: {name}, to: end}}`")


def _inputs(flow: Flow, inputs: Iterable[Input], where: str) -> None:
    taken: set[str] = set()
    for index, given in enumerate(inputs):
        if given.name in taken:
            raise WrongUse(f"{where}.inputs[{index}]: `{given.name}` is given twice", hint="rename one with `as`")
        taken.add(given.name)
        if not given.literal:
            _source(flow, given.source, f"{where}.inputs[{index}]")


def _source(flow: Flow, source: str, where: str) -> None:
    kind, colon, path = source.partition(":")
    if kind != "context" or not colon or not path:
        raise WrongUse(
            f"{where}: `{source}` is no source", hint="write `context:component.field`, or set `literal: true`"
        )
    _known(path.split(".")[0], (*flow.components, *FREE_SOURCES), where, "component")


def _ways(flow: Flow) -> None:
    forward: dict[str, set[str]] = {name: set(router.targets) for name, router in flow.routers.items()}
    backward: dict[str, set[str]] = {}
    for name, targets in forward.items():
        for target in targets:
            backward.setdefault(target, set()).add(name)
    reached = _reach({flow.entry_point}, forward)
    for name in flow.components:
        if name not in reached:
            raise WrongUse(f"components: nothing leads to `{name}`", hint="route to it, or take it out")
    ending = _reach({END}, backward)
    if flow.entry_point not in ending:
        raise WrongUse("routers: no way leads to `end`")
    for name in flow.components:
        if name not in ending and name not in _reach({ABORT}, backward):
            raise WrongUse(f"routers: from `{name}` no way leads to `end` or `abort`")
    for index, router in enumerate(flow.routers.values()):
        if router.routes and set(router.routes) == {DEFAULT_ROUTE}:
            raise WrongUse(f"routers[{index}].condition.routes: there is only a default", hint="use `to` instead")


def _reach(start: set[str], ways: Mapping[str, set[str]]) -> set[str]:
    found, todo = set(start), list(start)
    while todo:
        for target in ways.get(todo.pop(), ()):
            if target not in found:
                found.add(target)
                todo.append(target)
    return found


def _known(name: str, names: Iterable[str], where: str, noun: str) -> None:
    names = list(names)
    if name not in names:
        raise WrongUse(f"{where}: there is no {noun} `{name}`", hint=nearest(name, names))
