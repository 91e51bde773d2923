"""A recording: one line of JSON for each exchange with a model, for people to read and for replays.

It holds what the model said and what its tools answered, not the prompts. The first line names the format.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mergewright.domain.agent import Message, Model, Reply, Role, ToolCall, ToolSpec
from mergewright.domain.errors import WrongUse
from mergewright.domain.session import JSON, Usage
from mergewright.models.normalise import find_work_tree, hide_work_tree, normalise
from mergewright.models.redact import redact

FORMAT = "mergewright-recording"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Result:
    """A tool's result, normalised."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was new in a conversation, and what the model said to it."""

    conversation: str
    number: int
    """0 for the first exchange of a conversation: the number of the model's messages before it."""
    results: tuple[Result, ...]
    reply: Reply

    def encode(self) -> dict[str, JSON]:
        message, usage = self.reply.message, self.reply.usage
        value: dict[str, JSON] = {"conversation": self.conversation, "exchange": self.number}
        if self.results:
            value["results"] = [{"id": result.id, "text": result.text} for result in self.results]
        if message.text:
            value["text"] = message.text
        if message.tool_calls:
            value["tool_calls"] = [
                {"id": call.id, "name": call.name, "arguments": _read(call.arguments)} for call in message.tool_calls
            ]
        if self.reply.cut:
            value["cut"] = True
        counts = {"input": usage.input_tokens, "output": usage.output_tokens, "cached": usage.cached_tokens}
        return {**value, "tokens": counts}

    @classmethod
    def decode(cls, value: JSON) -> "Exchange":
        calls = tuple(ToolCall(c["id"], c["name"], _write(c["arguments"])) for c in value.get("tool_calls", ()))
        tokens = value["tokens"]
        return cls(
            value["conversation"],
            value["exchange"],
            tuple(Result(result["id"], result["text"]) for result in value.get("results", ())),
            Reply(
                Message(Role.ASSISTANT, value.get("text", ""), calls),
                Usage(1, tokens["input"], tokens["output"], tokens["cached"]),
                value.get("cut", False),
            ),
        )


class Recording:
    """Asks another model and writes each exchange down before anybody sees the reply."""

    def __init__(self, model: Model, path: Path, *, secrets: Sequence[str] = ()) -> None:
        self.name = model.name
        self._model = model
        self._path = path
        self._secrets = tuple(secrets)
        begin(path, model=redact(model.name, *self._secrets))

    async def reply(self, conversation: str, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Reply:
        reply = await self._model.reply(conversation, messages, tools)
        exchange = describe(conversation, messages, reply)
        append(self._path, redact(json.dumps(exchange.encode(), ensure_ascii=False), *self._secrets))
        return reply

    async def close(self) -> None:
        await self._model.close()


def describe(conversation: str, messages: Sequence[Message], reply: Reply) -> Exchange:
    """Give an exchange as it is recorded, with the work tree's path taken out."""
    work_tree = find_work_tree(messages)
    calls = tuple(
        ToolCall(call.id, call.name, hide_work_tree(call.arguments, work_tree)) for call in reply.message.tool_calls
    )
    message = Message(Role.ASSISTANT, hide_work_tree(reply.message.text, work_tree), calls)
    number = sum(message.role is Role.ASSISTANT for message in messages)
    results = tuple(Result(m.call_id, normalise(m.text, work_tree=work_tree)) for m in new_results(messages))
    return Exchange(conversation, number, results, Reply(message, reply.usage, reply.cut))


def new_results(messages: Sequence[Message]) -> list[Message]:
    """The tools' messages that the model has not yet seen."""
    results: list[Message] = []
    for message in reversed(messages):
        if message.role is Role.ASSISTANT:
            break
        if message.role is Role.TOOL:
            results.append(message)
    return results[::-1]


def begin(path: Path, *, model: str) -> None:
    """Make a recording ready to be gone on with; a line that a killed process left half written is dropped."""
    try:
        if path.exists() and path.stat().st_size:
            data = path.read_bytes()
            if not data.endswith(b"\n"):
                os.truncate(path, data.rfind(b"\n") + 1)
            if data.rfind(b"\n") >= 0:
                load(path)
                return
        append(path, json.dumps({"format": FORMAT, "version": VERSION, "model": model}))
    except OSError as error:
        raise WrongUse(
            f"Cannot record to `{path}`: {error.strerror}", hint="name a file in a folder that exists"
        ) from error


def append(path: Path, line: str) -> None:
    # It quotes private code: nobody else on this machine may read it.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with open(descriptor, "a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def load(path: Path) -> dict[str, list[Exchange]]:
    """Read a recording: each conversation's exchanges in order.

    An exchange that was recorded twice, because its session was killed and resumed, counts as it stood last.
    """
    try:
        # Not `splitlines`, which would also split at separators inside a line's text.
        lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUse(f"Cannot read the recording `{path}`", hint="record one with `--record FILE`") from error
    conversations: dict[str, list[Exchange]] = {}
    for number, line in enumerate(lines, start=1):
        try:
            value = json.loads(line)
            if number == 1:
                _check_header(value, path)
                continue
            exchange = Exchange.decode(value)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise WrongUse(f"Line {number} of `{path}` is not part of a recording") from error
        known = conversations.setdefault(exchange.conversation, [])
        del known[exchange.number :]
        if exchange.number != len(known):
            raise WrongUse(f"Line {number} of `{path}` leaves out an exchange of `{exchange.conversation}`")
        known.append(exchange)
    return conversations


def _check_header(value: JSON, path: Path) -> None:
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise WrongUse(f"`{path}` is not a recording", hint="record one with `--record FILE`")
    if value.get("version") != VERSION:
        raise WrongUse(
            f"`{path}` is a recording of version {value.get('version')}; this program reads version {VERSION}",
            hint="record it again with `--record FILE`",
        )


def _read(arguments: str) -> JSON:
    """Arguments as an object where they are one: a recording is for reading."""
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    return value if isinstance(value, dict) else arguments


def _write(arguments: JSON) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
