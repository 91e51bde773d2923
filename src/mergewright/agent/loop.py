"""The turn loop: ask the model, do what it asks, write everything down, until it finishes."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from mergewright.agent import gate, guard
from mergewright.agent.calls import EMPTY, Calls, well_formed
from mergewright.agent.compact import NOTE, compact, size
from mergewright.agent.fence import without_hidden
from mergewright.agent.tools.finish import finish_spec
from mergewright.agent.transcript import Transcript, encode_usage
from mergewright.domain.agent import Limits, Message, Model, Role, Tool
from mergewright.domain.errors import ContextOverflow, LimitReached, MergewrightError
from mergewright.domain.sandbox import Sandbox
from mergewright.domain.session import JSON, Event, EventKind, Session, Store, Usage

_NO_CALL = "Your reply calls no tool. Go on with a tool call; when the work is done, call `finish`."
_EMPTY = "Your reply was empty. Go on with a tool call; when the work is done, call `finish`."
_CUT = "Your reply was cut off at its length limit. Do less in one reply: smaller edits, shorter files."


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one run of an agent component is to do."""

    session: Session
    component: str
    """The component with its run, `implement:1`: the key of its events and of its conversation."""
    system: str
    prompt: str
    answer: Mapping[str, JSON]
    """The JSON Schema of what `finish` takes."""
    limits: Limits = field(default_factory=Limits)
    max_cycles: int = 0
    """After so many replies the model is told to wrap up; 0 for none, only the limits count then."""
    gated: bool = False
    """Whether a finish is refused once when nothing is changed, edits are untested or scratch files are left."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an agent finished with."""

    answer: Mapping[str, JSON]
    usage: Usage
    messages: int


@runtime_checkable
class Recalls(Protocol):
    """A tool that must know what was done before a crash."""

    def recall(self, facts: Mapping[str, JSON]) -> None: ...


class Agent:
    """Runs one component's conversation to its finish, going on where the log of the session ends."""

    def __init__(
        self,
        model: Model,
        store: Store,
        tools: Sequence[Tool],
        *,
        sandbox: Sandbox | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.model = model
        self.store = store
        self.tools = {tool.spec.name: tool for tool in tools}
        self.sandbox = sandbox
        """Where a gated finish looks for changes."""
        self.clock = clock

    async def run(self, assignment: Assignment) -> Outcome:
        """Return what the model finished with.

        Raises LimitReached, ModelError, or MergewrightError when the model goes round or cannot be understood; the
        same run asked for again goes on from its log, and one that has finished gives its outcome again.
        """
        talk = await self._resume(assignment)
        transcript = talk.transcript
        while transcript.answer is None:
            if transcript.pending:
                # One reply may ask for a day's work.
                seconds = assignment.limits.seconds
                if transcript.seconds >= seconds:
                    raise LimitReached(
                        f"The agent used up its limit: {transcript.seconds:.0f} of {seconds:.0f} seconds",
                        hint="raise the limit, or split the task",
                    )
                await talk.calls.answer_next()
            elif len(transcript.messages) < 2:
                opening = (Message(Role.SYSTEM, assignment.system), Message(Role.USER, assignment.prompt))
                await talk.say(opening[len(transcript.messages)])
            elif transcript.messages[-1].role is Role.ASSISTANT:
                await talk.say(Message(Role.USER, _what_was_wrong(transcript)), note="again")
            else:
                await self._next_reply(talk)
        return Outcome(transcript.answer, transcript.usage, len(transcript.messages))

    async def _resume(self, assignment: Assignment) -> "_Talk":
        talk = _Talk(assignment, self.store, self.tools, self.sandbox, self.clock)
        for event in await self.store.events(assignment.session.id, component=assignment.component):
            talk.transcript.take(event)
            if event.kind is EventKind.TOOL_RESULT and event.data["ok"]:
                tool = self.tools.get(event.data["name"])
                if isinstance(tool, Recalls):
                    tool.recall(event.data)
        return talk

    async def _next_reply(self, talk: "_Talk") -> None:
        transcript, limits = talk.transcript, talk.assignment.limits
        if await talk.hear():
            return
        _end_a_run_that_leads_nowhere(transcript)
        counted = (limits, transcript.replies, transcript.seconds, transcript.usage)
        if reached := guard.used_up(*counted):
            raise LimitReached(f"The agent used up its limit: {reached}", hint="raise the limit, or split the task")
        near = guard.nearly_used_up(*counted)
        if not near and 0 < talk.assignment.max_cycles <= transcript.replies:
            near = f"{transcript.replies} turns, as many as this work was thought to take"
        if near and not transcript.warned:
            text = f"You have used {near}. Bring the work to a state that holds, then call finish and say what is open."
            return await talk.say(Message(Role.USER, text), note="wrap_up")
        await self._ask(talk)

    async def _ask(self, talk: "_Talk") -> None:
        transcript, limits = talk.transcript, talk.assignment.limits
        started = self.clock()
        try:
            async with asyncio.timeout(limits.seconds - transcript.seconds) as deadline:
                specs = [*(tool.spec for tool in self.tools.values()), talk.calls.finish]
                reply = await self.model.reply(talk.assignment.component, tuple(transcript.messages), specs)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise LimitReached(f"The agent used up its {limits.seconds:.0f} seconds in a request") from error
        except ContextOverflow as error:
            await _make_shorter(talk, error)
            return
        # The usage comes first: a reply that a crash swallows was paid for all the same.
        await talk.log(EventKind.USAGE, encode_usage(reply.usage, self.clock() - started))
        message = well_formed(reply.message)
        await talk.say(message, **({"cut": True} if reply.cut else {}))


class _Talk:
    """One run in this process: the assignment, its transcript, and the way into the log."""

    def __init__(
        self,
        assignment: Assignment,
        store: Store,
        tools: Mapping[str, Tool],
        sandbox: Sandbox | None,
        clock: Callable[[], float],
    ) -> None:
        self.assignment = assignment
        self.store = store
        self.sandbox = sandbox
        self.transcript = Transcript()
        finish = finish_spec(assignment.answer)
        self.calls = Calls(self.transcript, tools, finish, self.objections, self.unheard, self.log, clock)

    async def log(self, kind: EventKind, data: Mapping[str, JSON]) -> None:
        session = self.assignment.session
        event = await self.store.append(session.id, kind, data, turn=session.turn, component=self.assignment.component)
        self.transcript.take(event)

    async def say(self, message: Message, **extra: JSON) -> None:
        await self.log(EventKind.MESSAGE, {**message.encode(), **extra})

    async def hear(self) -> bool:
        """Take in what people have written to the session since the last look; False when nobody has."""
        written = await self._written()
        for event in written:
            by, said = str(event.data["by"]), without_hidden(str(event.data["text"]))[0]
            text = f"{by}, a person you work for, says to you:\n\n{said}"
            await self.say(Message(Role.USER, text), note="heard", of=event.seq)
        return bool(written)

    async def unheard(self) -> bool:
        return bool(await self._written())

    async def _written(self) -> list[Event]:
        # A conversation takes in the words of the whole session, also those that an earlier one has heard: they hold
        # to the session's end.
        kinds = (EventKind.MESSAGE,)
        session = self.assignment.session.id
        events = await self.store.events(session, after=self.transcript.heard, kinds=kinds, component="")
        return [event for event in events if event.data.get("note") == "person"]

    async def objections(self) -> list[str]:
        if not self.assignment.gated or self.sandbox is None:
            return []
        return await gate.objections(self.sandbox, untested=self.transcript.untested and "run" in self.calls.tools)


def _what_was_wrong(transcript: Transcript) -> str:
    if transcript.cut:
        return _CUT
    return _EMPTY if transcript.messages[-1].text == EMPTY else _NO_CALL


def _end_a_run_that_leads_nowhere(transcript: Transcript) -> None:
    last = transcript.messages[-1].text.split("\n", 1)[0][:200]
    if transcript.faults > guard.ASKS:
        raise MergewrightError(
            f"The model gave no reply that could be used {transcript.faults} times in a row; it was last told: {last}",
            hint="try a model that can call tools",
        )
    if guard.going_round(transcript.prints):
        raise MergewrightError(
            f"The agent did the same {guard.SAME} times in a row, with the same result: {last}",
            hint="say in the issue what it should do instead, or try another model",
        )


async def _make_shorter(talk: _Talk, error: ContextOverflow) -> None:
    """Cut old results once; a conversation that is still too long, or has nothing to cut, ends the run."""
    messages = talk.transcript.messages
    if talk.transcript.compacted or size(compact(messages)) > 0.9 * size(messages):
        raise ContextOverflow(
            "The conversation is longer than the model takes, even after older results were cut",
            hint="use a model with a larger context, or split the task",
        ) from error
    await talk.say(Message(Role.USER, NOTE), note="compact")
