from collections.abc import Mapping

from mergewright.domain.agent import Message, Role, ToolCall
from mergewright.models.wire import Answer, decode_message, encode_message


def calls(*deltas: Mapping[str, object]) -> list[tuple[str, str, str]]:
    answer = Answer()
    for delta in deltas:
        answer.add({"choices": [{"delta": {"tool_calls": [delta]}}]})
    return [(c.id, c.name, c.arguments) for c in answer.reply(0, 0).message.tool_calls]


def test_a_message_survives_the_wire() -> None:
    for message in [
        Message(Role.USER, "hello"),
        Message(Role.ASSISTANT, "", (ToolCall("c", "read", "not json"),)),
        Message(Role.TOOL, "result", call_id="c"),
    ]:
        assert decode_message(encode_message(message)) == message


def test_calls_without_an_index_are_told_apart() -> None:
    first = {"id": "a", "function": {"name": "read", "arguments": "{"}}
    more = {"function": {"arguments": "}"}}
    second = {"id": "b", "function": {"name": "run", "arguments": "{}"}}
    assert calls(first, more, second) == [("a", "read", "{}"), ("b", "run", "{}")]


def test_calls_that_are_all_numbered_0_are_told_apart() -> None:
    first = {"index": 0, "id": "a", "function": {"name": "read", "arguments": "{}"}}
    second = {"index": 0, "id": "b", "function": {"name": "run", "arguments": "{}"}}
    assert calls(first, second) == [("a", "read", "{}"), ("b", "run", "{}")]


def test_a_name_that_comes_with_every_piece_is_taken_once() -> None:
    head = {"index": 0, "id": "a", "function": {"name": "read", "arguments": "{"}}
    tail = {"index": 0, "id": "a", "function": {"name": "read", "arguments": "}"}}
    assert calls(head, tail) == [("a", "read", "{}")]


def test_arguments_that_come_as_an_object_become_text() -> None:
    assert calls({"id": "a", "function": {"name": "read", "arguments": {"path": "x"}}}) == [
        ("a", "read", '{"path": "x"}')
    ]


def test_a_refusal_and_text_in_parts_become_text() -> None:
    answer = Answer()
    answer.add({"choices": [{"message": {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}}]})
    assert answer.reply(0, 0).message.text == "ab"
    refusal = Answer()
    refusal.add({"choices": [{"message": {"content": None, "refusal": "I will not"}}]})
    assert refusal.reply(0, 0).message.text == "I will not"
