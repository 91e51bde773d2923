"""A tool's arguments against its schema."""

import pytest

from mergewright.agent.arguments import complaints, parse, tidy
from mergewright.domain.session import JSON

SCHEMA: dict[str, JSON] = {
    "type": "object",
    "properties": {
        "outcome": {"type": "string", "enum": ["plan", "questions"]},
        "tasks": {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 2},
        "count": {"type": "integer", "minimum": 1},
        "note": {"type": ["string", "null"]},
    },
    "required": ["outcome"],
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"outcome": "plan", "tasks": ["a"], "count": 2, "note": None}, []),
        ({"outcome": "plan", "count": 2.0}, []),
        ({}, ["`outcome` is missing"]),
        ({"outcome": "maybe"}, ['`outcome` must be one of "plan", "questions"']),
        ({"outcome": "plan", "tasks": ["a", "", "c"]},
         ["`tasks` must be at most 2 items", "`tasks[1]` must be at least 1 characters"]),
        ({"outcome": "plan", "count": True}, ["`count` must be of type integer"]),
        ({"outcome": "plan", "count": 0}, ["`count` must be at least 1"]),
        ({"outcome": "plan", "note": 1}, ["`note` must be of type string or null"]),
        ([], ["the object must be of type object"]),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_with_its_place(value: JSON, expected: list[str]) -> None:
    assert complaints(value, SCHEMA) == expected


def test_a_field_that_a_closed_schema_does_not_name_is_a_fault() -> None:
    value = {"outcome": "plan", "extra": 1}
    assert complaints(value, SCHEMA) == []
    (complaint,) = complaints(value, SCHEMA, closed=True)
    assert complaint.startswith("`extra` is not known here: there is `outcome`")
    assert complaints(value, {**SCHEMA, "additionalProperties": False}) == [complaint]


def test_a_schema_that_says_more_is_checked_in_full() -> None:
    schema = {"type": "object", "properties": {"x": {"oneOf": [{"type": "string"}, {"type": "integer"}]}}}
    assert complaints({"x": 1}, schema) == []
    (complaint,) = complaints({"x": 1.5}, schema)
    assert complaint.startswith("`$.x`: 1.5 is not valid")


def test_a_schema_is_not_taken_for_simple_because_of_its_first_level() -> None:
    schema = {"type": "object", "properties": {"x": {"type": "array", "items": {"pattern": "^a"}}}}
    assert complaints({"x": ["a"]}, schema) == []
    assert complaints({"x": ["b"]}, schema) != []


def test_null_is_left_out_only_where_it_is_optional_and_means_nothing() -> None:
    assert tidy({"outcome": None, "count": None, "note": None}, SCHEMA) == {"outcome": None, "note": None}
    inner = {"type": "object", "properties": {"edits": {"type": "array", "items": SCHEMA}}}
    assert tidy({"edits": [{"outcome": "plan", "count": None}]}, inner) == {"edits": [{"outcome": "plan"}]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("3", "not a JSON object"),
        ('{"a": NaN}', "not JSON"),
        ('{"a": 1e999}', "not JSON"),
        ("1" * 5000, "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":"\\udc80"}', "surrogate"),
    ],
)
def test_arguments_that_cannot_be_read_are_explained(text: str, words: str) -> None:
    said = parse(text)
    assert isinstance(said, str)
    assert words in said


def test_no_arguments_at_all_are_an_empty_object() -> None:
    assert parse("  ") == {}
