"""What is said between us and a model, in the same words for every provider."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from mergewright.domain.session import JSON, Usage


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool the model wants run, with its arguments as the JSON text that the model wrote."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: Role
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    """What an assistant's message asks for."""
    call_id: str = ""
    """Which call a tool's message answers."""
    provider: str = ""
    """What a provider wants back word for word, such as signed thoughts, as JSON; empty for most."""

    def encode(self) -> dict[str, JSON]:
        """Give the message as it stands in the event log: no key for what is empty."""
        value: dict[str, JSON] = {"role": self.role.value, "text": self.text}
        if self.tool_calls:
            value["tool_calls"] = [{"id": c.id, "name": c.name, "arguments": c.arguments} for c in self.tool_calls]
        if self.call_id:
            value["call_id"] = self.call_id
        if self.provider:
            value["provider"] = self.provider
        return value

    @classmethod
    def decode(cls, value: Mapping[str, JSON]) -> "Message":
        """Read what `encode` wrote."""
        return cls(
            Role(value["role"]),
            value["text"],
            tuple(ToolCall(c["id"], c["name"], c["arguments"]) for c in value.get("tool_calls", ())),
            value.get("call_id", ""),
            value.get("provider", ""),
        )


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What a model is told of a tool: a name, a sentence, and its arguments as JSON Schema."""

    name: str
    description: str
    parameters: Mapping[str, JSON]

    def size(self) -> int:
        """Characters that this costs in every request."""
        return len(json.dumps({"name": self.name, "description": self.description, "parameters": self.parameters}))


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's answer and what it cost."""

    message: Message
    usage: Usage
    cut: bool = False
    """The provider ended it at its length limit."""


class Model(Protocol):
    """A chat model that can call tools."""

    name: str

    async def reply(self, conversation: str, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Reply:
        """Ask for the next message.

        `conversation` names the dialogue: a session's component with its run, `implement:1`. It is the key of the
        provider's cache and of a recording. Passing faults have been tried again before ModelUnavailable is raised;
        ModelRefused, ContextOverflow and ReplayDiverged come at once.
        """
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What an agent may use before it is told to wrap up, and then ended."""

    turns: int = 100
    tokens: int = 4_000_000
    """Input and output together, over all requests."""
    seconds: float = 3600.0
    cost: float | None = None
    """US dollars; None for no limit. A model without a known price counts as costing nothing."""


class Access(StrEnum):
    """Whether a tool only looks or also changes something."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool did: the text that the model reads, and facts for the log."""

    text: str
    ok: bool = True
    facts: Mapping[str, JSON] = field(default_factory=dict)


class Tool(Protocol):
    """A typed function that a model may call."""

    spec: ToolSpec
    access: Access

    async def call(self, arguments: Mapping[str, JSON]) -> ToolResult:
        """Do it; raises ToolError for an expected failure, which the model reads."""
        ...
