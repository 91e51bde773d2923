"""Flow registry v1 documents: what loads, and which mistakes are named with their path."""

import pytest
import yaml

from mergewright.domain.errors import WrongUse
from mergewright.domain.flow import AgentComponent, Flow, Input, OneOffComponent, ToolUse
from mergewright.domain.session import JSON
from mergewright.flows.load import load_flow
from mergewright.flows.registry import KNOWN, Registry

TRIAGE = """
version: v1
environment: ambient
components:
  - name: triage
    type: AgentComponent
    prompt_id: triage_prompt
    inputs: [{from: "context:goal", as: goal}, {from: "context:inputs.user_rule", as: rules, optional: true}]
    toolset: [read, {run: {command: make test}}]
    max_cycles: 40
prompts:
  - prompt_id: triage_prompt
    name: Triage
    unit_primitives: [duo_agent_platform]
    prompt_template: {system: "Sort the issue.", user: "{{goal}}"}
    params: {timeout: 120}
routers:
  - {from: triage, condition: {input: "context:triage.final_answer", routes: {bug: end, default_route: abort}}}
flow: {entry_point: triage}
"""


def load(text: str) -> Flow:
    return load_flow(text, name="triage", known=KNOWN)


def changed(path: str, value: JSON) -> str:
    """The triage flow with one value set, at a path such as `components.0.name`; None takes it out."""
    document = yaml.safe_load(TRIAGE)
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place = document
    for part in way:
        place = place[part]
    if value is None:
        del place[last]
    elif isinstance(place, list) and last == len(place):
        place.append(value)
    else:
        place[last] = value
    return yaml.safe_dump(document)


def test_a_flow_of_gitlabs_own_documentation_loads() -> None:
    flow = load(TRIAGE)
    component = flow.components["triage"]
    assert isinstance(component, AgentComponent)
    assert component.inputs[1] == Input("context:inputs.user_rule", "rules", optional=True)
    assert component.toolset == (ToolUse("read"), ToolUse("run", {"command": "make test"}))
    assert component.max_cycles == 40
    assert flow.prompts["triage_prompt"].timeout == 120
    assert flow.routers["triage"].routes == {"bug": "end", "default_route": "abort"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("description", "Sorts"),
        ("model_tags", ["fast"]),
        ("ui_log_events", ["on_agent_final_answer"]),
        ("ui_role_as", "tool"),
        ("compaction", True),
        ("require_tool_approval", False),
        ("subagents", []),
    ],
)
def test_what_gitlab_only_shows_or_leaves_off_loads(path: str, value: JSON) -> None:
    assert load(changed(f"components.0.{path}", value)).components["triage"].name == "triage"


def test_gitlabs_longer_form_of_max_cycles_warns_earlier() -> None:
    for value, warned in (
        ({"threshold": 50, "iteration_warning_offset": 5}, 45),
        ({"threshold": 50, "iteration_warning_offset": None}, 50),
        ({}, 280),
    ):
        component = load(changed("components.0.max_cycles", value)).components["triage"]
        assert isinstance(component, AgentComponent)
        assert component.max_cycles == warned


def test_the_developer_flow_loads_by_both_of_its_names() -> None:
    assert Registry().flow("developer") is Registry().flow("developer/v1")


def test_an_unknown_flow_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(WrongUse, match="there is no flow `develper`") as caught:
        Registry().flow("develper")
    assert caught.value.hint == "did you mean `developer`?"


SECOND = {"name": "second", "type": "OneOffComponent", "prompt_id": "triage_prompt", "toolset": ["read"]}
MISTAKES: list[tuple[str, JSON, str, str]] = [
    ("components.0.promt_id", "x", "components[0].promt_id: unknown field", "did you mean `prompt_id`?"),
    ("components.0.name", "a:b", "components[0].name: `a:b` may not be empty or hold `:` or `.`", ""),
    ("components.0.name", "a.b", "components[0].name: `a.b` may not be empty or hold `:` or `.`", ""),
    ("components.0.name", "end", "components: `end` is built in and cannot be defined again", ""),
    ("components.0.type", "Agent", "components[0].type: `Agent` is not known", "AgentComponent"),
    ("components.0.prompt_id", "x", "components[0].prompt_id: there is no prompt `x`", "triage_prompt"),
    ("components.0.prompt_id", None, "components[0].prompt_id: missing", ""),
    ("components.0.max_cycles", "many", "components[0].max_cycles: expected a whole number, found text", ""),
    ("components.0.max_cycles", 0, "components[0].max_cycles: must be at least 1", ""),
    ("components.0.max_cycles", {"treshold": 3}, "components[0].max_cycles.treshold: unknown field", "`threshold`"),
    ("components.0.prompt_version", "1.0.0", "components[0].prompt_version: GitLab has this field", "leave it out"),
    ("components.0.require_tool_approval", True, "components[0].require_tool_approval: GitLab has this field", ""),
    ("components.0.subagents", [{"name": "x"}], "components[0].subagents: GitLab has this field", ""),
    ("components.0.toolset", ["raed"], "components[0].toolset: there is no tool `raed`", "did you mean `read`?"),
    ("components.0.toolset", [{"run": {"a": [1]}}], "components[0].toolset[0].run.a: a fixed argument must be", ""),
    ("components.0.inputs", ["goal"], "components[0].inputs[0]: `goal` is no source", "context:component.field"),
    ("components.0.inputs", ["context:nope.x"], "components[0].inputs[0]: there is no component `nope`", ""),
    ("components.0.inputs", [{"from": "context:goal", "az": "x"}], "components[0].inputs[0].az: unknown field", ""),
    ("components.1", TRIAGE and yaml.safe_load(TRIAGE)["components"][0], "components[1].name: `triage` is given", ""),
    ("components.1", SECOND, "components: no router leads on from `second`", "to: end"),
    ("routers.0.condition.routes.bug", "nowhere", "routers[0]: there is no component `nowhere`", ""),
    ("routers.0.condition.routes.bug", "abort", "routers: no way leads to `end`", ""),
    ("routers.0.to", "end", "routers[0].to: a router has either `to` or `condition`", ""),
    ("routers.0.condition.input", "goal", "routers[0].condition.input: `goal` is no source", ""),
    ("routers.1", {"from": "triage", "to": "end"}, "routers[1].from: `triage` has a router already", ""),
    ("prompts.0.prompt_template.user", "{{ goa", "prompts.triage_prompt.user: line 1: unexpected end", ""),
    ("prompts.0.prompt_template.user", "{{ goa }}", "prompts.triage_prompt.user: `goa` is not among", "`inputs`"),
    ("prompts.0.prompt_template.user", "{{ goal | rot13 }}", "prompts.triage_prompt.user: line 1: No filter", ""),
    ("prompts.0.model", "x", "prompts[0].model: unknown field", ""),
    ("prompts.0.params.stop", ["x"], "prompts[0].params.stop: unknown field", ""),
    ("flow.entry_point", "x", "flow.entry_point: there is no component `x`", "triage"),
    ("version", "v2", "version: `v2` is not known", "v1"),
    ("environment", "chat", "environment: `chat` is not known", ""),
    ("name", "x", "name: unknown field", ""),
]


@pytest.mark.parametrize(("path", "value", "problem", "hint"), MISTAKES)
def test_a_mistake_is_named_with_its_path(path: str, value: JSON, problem: str, hint: str) -> None:
    with pytest.raises(WrongUse) as caught:
        load(changed(path, value))
    assert caught.value.message.startswith(problem)
    assert hint in caught.value.hint


def test_a_component_that_nothing_leads_to_is_refused() -> None:
    document = yaml.safe_load(changed("components.1", SECOND))
    document["routers"].append({"from": "second", "to": "end"})
    with pytest.raises(WrongUse, match="nothing leads to `second`"):
        load(yaml.safe_dump(document))


def test_a_one_off_component_loads() -> None:
    document = yaml.safe_load(changed("components.1", SECOND))
    document["routers"][0]["condition"]["routes"]["bug"] = "second"
    document["routers"].append({"from": "second", "to": "end"})
    component = load(yaml.safe_dump(document)).components["second"]
    assert isinstance(component, OneOffComponent)
    assert component.max_correction_attempts == 3


def test_a_circle_without_a_way_out_is_refused() -> None:
    document = yaml.safe_load(changed("components.1", SECOND))
    document["routers"] = [
        {"from": "triage", "condition": {"input": "context:goal", "routes": {"a": "second", "default_route": "end"}}},
        {"from": "second", "to": "second"},
    ]
    with pytest.raises(WrongUse, match="from `second` no way leads to `end` or `abort`"):
        load(yaml.safe_dump(document))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [", "line 1: the flow `triage` is not YAML"),
        ("- a", "the document: expected fields, found a list"),
        ("a: &x 1\nb: *x", "line 2: aliases are not allowed in the flow"),
        ("a: 1\na: 2", "line 2: `a` is given twice"),
        ("a: !!python/object/apply:os.system [ls]", "the flow `triage` is not YAML"),
        ("#" * 300_000, "the flow `triage` is larger than 256 KiB"),
        ("[" * 5_000, "the flow `triage` is nested too deeply"),
        ("1: x", "the field name 1 is not text"),
    ],
)
def test_a_document_that_is_no_flow_is_refused(text: str, problem: str) -> None:
    with pytest.raises(WrongUse, match=problem.replace("(", "\\(")):
        load(text)
