"""Where an agent's run stands: folded from the events of its log, and from nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mergewright.agent.compact import compact
from mergewright.agent.guard import same_step
from mergewright.agent.tools.finish import NAME as FINISH
from mergewright.domain.agent import Message, Role, ToolCall
from mergewright.domain.session import JSON, Event, EventKind, Usage


@dataclass(slots=True)
class Transcript:
    """The conversation so far and what was counted on the way.

    It changes only in `take`, with what was written to the log, so that a run that goes on after a crash is the
    run that crashed.
    """

    messages: list[Message] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    replies: int = 0
    seconds: float = 0.0
    """Spent on the model and on tools; the time between a crash and its resume does not count."""
    pending: dict[str, ToolCall] = field(default_factory=dict)
    """Calls of the newest reply that have no result yet, in their order, by id."""
    begun: set[str] = field(default_factory=set)
    """Those of them that were begun."""
    batch: list[Mapping[str, JSON]] = field(default_factory=list)
    """The results of the newest reply so far."""
    step: set[str] = field(default_factory=set)
    """Prints of its calls and results; what was asked for twice in one reply counts once."""
    faults: int = 0
    """Replies in a row of which nothing could be used."""
    prints: list[str] = field(default_factory=list)
    """Those of the newest replies, for the guard against going round."""
    warned: bool = False
    refused: bool = False
    compacted: bool = False
    """No reply has come since the conversation was made shorter."""
    untested: bool = False
    """Files were edited after the last test run."""
    cut: bool = False
    """The provider ended the newest reply at its length limit."""
    heard: int = 0
    """The number of the newest event with a person's words that was taken in."""
    answer: dict[str, JSON] | None = None
    """The arguments of the finish that was taken."""

    def take(self, event: Event) -> None:
        """Move on by one event; kinds that do not belong to a conversation change nothing."""
        if event.kind is EventKind.MESSAGE:
            self._message(event.data)
        elif event.kind is EventKind.TOOL_CALL:
            self.begun.add(event.data["id"])
        elif event.kind is EventKind.TOOL_RESULT:
            self._result(event.data)
        elif event.kind is EventKind.USAGE:
            self.usage += decode_usage(event.data)
            self.seconds += event.data.get("seconds", 0.0)
            self.replies += 1

    def _message(self, data: Mapping[str, JSON]) -> None:
        message = Message.decode(data)
        note = data.get("note", "")
        if note == "compact":
            self.messages = compact(self.messages)
            self.compacted = True
        elif note == "again":
            self.faults += 1
        elif note == "wrap_up":
            self.warned = True
        elif note == "heard":
            # What a person says may be the way out of a circle.
            self.heard, self.prints, self.faults = data["of"], [], 0
        self.messages.append(message)
        if message.role is Role.ASSISTANT:
            self.compacted = False
            self.cut = bool(data.get("cut"))
            self.pending = {call.id: call for call in message.tool_calls}
            self.begun, self.batch, self.step = set(), [], set()

    def _result(self, data: Mapping[str, JSON]) -> None:
        call = self.pending.pop(data["id"])
        self.messages.append(Message(Role.TOOL, data["text"], call_id=call.id))
        self.seconds += data.get("seconds", 0.0)
        self.batch.append(data)
        self.step.add(same_step(call, data["text"]))
        if not self.pending:
            self.prints = [*self.prints[-7:], " ".join(sorted(self.step))]
            self.faults = self.faults + 1 if all("fault" in one for one in self.batch) else 0
        if data.get("changed"):
            self.untested = True
        if "tests" in data:
            self.untested = False
        if call.name == FINISH:
            self.refused = self.refused or bool(data.get("refused"))
            self.answer = data.get("answer")


def encode_usage(usage: Usage, seconds: float) -> dict[str, JSON]:
    """What a request cost, as its event holds it, with the seconds that it took."""
    return {
        "requests": usage.requests,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "cost": usage.cost,
        "seconds": round(seconds, 3),
    }


def decode_usage(data: Mapping[str, JSON]) -> Usage:
    """Read what `encode_usage` wrote."""
    return Usage(
        data["requests"], data["input_tokens"], data["output_tokens"], data.get("cached_tokens", 0), data.get("cost")
    )
