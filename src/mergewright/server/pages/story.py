"""A session's events as the story its page tells: steps with lines in them, and how the story goes on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mergewright.domain.session import Event, EventKind, Plan, Usage
from mergewright.server.pages.calls import called
from mergewright.server.pages.told import Mood, Told, words
from mergewright.server.pages.wording import tell

SHORT = 14
"""A step with no more lines than this stands open also once it is over."""
_ENDS: Mapping[str, tuple[Mood, str]] = {
    "finished": ("good", "done"),
    "failed": ("wait", "stopped"),
    "stopped": ("wait", "stopped"),
}
"""What an end of the session makes of a step that has none of its own, such as one agent of a review."""


@dataclass(slots=True)
class Line:
    """A line of the story with its place in the log."""

    seq: int
    at: float
    told: Told


@dataclass(slots=True)
class Step:
    """A component of the flow with what happened in it, from the first event that the page knows of."""

    seq: int
    at: float
    component: str
    turn: int
    lines: list[Line] = field(default_factory=list)
    ended_at: float = 0.0
    mood: Mood = "busy"
    state: str = "running"
    agent: bool = False
    whole: bool = False
    """Whether it is known from its beginning."""

    @property
    def name(self) -> str:
        name, _, run = self.component.partition(":")
        return words(name) + (f" ({run})" if run not in {"", "1"} else "")

    @property
    def seconds(self) -> float:
        return max(0.0, self.ended_at - self.at) if self.ended_at and self.whole else 0.0

    @property
    def open(self) -> bool:
        return self.mood != "good" or len(self.lines) <= SHORT


@dataclass(slots=True)
class News:
    """What some events added: in the order in which a page takes them up."""

    fresh: list[Step | Line] = field(default_factory=list)
    """Steps, and lines outside any step, that are new; a new step holds its lines."""
    added: dict[int, list[Line]] = field(default_factory=dict)
    """New lines of steps that were there, by the step's number."""
    changed: dict[int, Line] = field(default_factory=dict)
    """Lines that were there and read otherwise now."""
    heads: dict[int, Step] = field(default_factory=dict)
    """Steps that were there and whose heading reads otherwise now."""
    plan: Plan | None = None
    usage: bool = False
    status: bool = False

    def __bool__(self) -> bool:
        return bool(self.fresh or self.added or self.changed or self.heads or self.plan or self.usage or self.status)


@dataclass(slots=True)
class Story:
    """Takes up events in order; told from the same event on, it gives the same steps with the same numbers."""

    full: bool = False
    """Also shows what was said to the model and what each request cost."""
    usage: Usage = field(default_factory=Usage)
    plan: Plan = field(default_factory=Plan)
    last: int = 0
    turn: int = 0
    _steps: dict[tuple[int, str], Step] = field(default_factory=dict)
    _listed: set[int] = field(default_factory=set)
    """Numbers of the steps that a page has."""
    _calls: dict[tuple[str, str], tuple[Event, Line]] = field(default_factory=dict)

    def advance(self, events: Iterable[Event]) -> News:
        """Go on by some events and give what they add."""
        news = News()
        for event in events:
            self.last = event.seq
            self._take(event, news)
        return news

    def leave_off(self) -> None:
        """Say of what has no end here that it goes on where the page goes on."""
        for step in self._steps.values():
            if step.mood == "busy":
                step.mood, step.state = "good", "goes on below"

    def _take(self, event: Event, news: News) -> None:
        if event.turn > self.turn:
            # What an earlier turn left without an end, this one begins anew.
            self._end_steps(event, news, "wait", "left off")
            self.turn = event.turn
        if event.kind is EventKind.STATUS:
            news.status = True
            if (status := str(event.data["status"])) in _ENDS:
                self._end_steps(event, news, *_ENDS[status])
        elif event.kind is EventKind.PLAN:
            self.plan = news.plan = Plan.decode(event.data["tasks"])
        elif event.kind is EventKind.USAGE:
            self.usage += usage_of(event)
            news.usage = True
        elif event.kind is EventKind.COMPONENT:
            return self._component(event, news)
        elif event.kind is EventKind.TOOL_RESULT and self._result(event, news):
            return None
        told = tell(event)
        if told is None or (told.fine and not self.full):
            return self._remember(event, None)
        line = Line(event.seq, event.at, told)
        self._remember(event, line)
        self._put(event, line, news)
        return None

    def _remember(self, event: Event, line: Line | None) -> None:
        if event.kind is EventKind.TOOL_CALL:
            self._calls[event.component, str(event.data["id"])] = (event, line or Line(0, event.at, Told("", "")))

    def _result(self, event: Event, news: News) -> bool:
        """Whether the result could be written into the line of its call."""
        begun, line = self._calls.pop((event.component, str(event.data["id"])), (None, None))
        if begun is None or line is None:
            return False
        told = called(begun.data, event.data)
        step = self._step(event)
        if event.data.get("name") == "finish" and "answer" in event.data and not step.whole:
            # An agent that is no component of its own ends with its answer.
            step.ended_at, step.mood, step.state = event.at, "good", "done"
            self._head(step, news)
        if told is None:
            return True
        line.told = replace(told, open=False)
        if not line.seq:
            line.seq = event.seq
            self._put(event, line, news)
        elif not any(line is one for lines in news.added.values() for one in lines) and not self._is_fresh(line, news):
            news.changed[line.seq] = line
        return True

    @staticmethod
    def _is_fresh(line: Line, news: News) -> bool:
        return any(line is one or (isinstance(one, Step) and line in one.lines) for one in news.fresh)

    def _step(self, event: Event) -> Step:
        key = (event.turn, event.component)
        if key not in self._steps:
            self._steps[key] = Step(event.seq, event.at, event.component, event.turn)
        return self._steps[key]

    def _put(self, event: Event, line: Line, news: News) -> None:
        if not event.component:
            news.fresh.append(line)
            return
        step = self._step(event)
        if line.told.mood == "bad" and line.told.tag == "error":
            step.mood, step.state = "bad", "failed"
            self._head(step, news)
        step.lines.append(line)
        if step.seq not in self._listed:
            self._list(step, news)
        elif not any(step is one for one in news.fresh):
            news.added.setdefault(step.seq, []).append(line)

    def _list(self, step: Step, news: News) -> None:
        self._listed.add(step.seq)
        news.fresh.append(step)

    def _head(self, step: Step, news: News) -> None:
        if step.seq in self._listed and not any(step is one for one in news.fresh):
            news.heads[step.seq] = step

    def _component(self, event: Event, news: News) -> None:
        step = self._step(event)
        step.agent = event.data.get("type") == "AgentComponent"
        step.whole = step.whole or event.data.get("phase") == "begin"
        if event.data.get("phase") == "end":
            step.ended_at, step.mood, step.state = event.at, "good", "done"
            self._head(step, news)
        # A step that only decides has no line and is not worth one; an agent's shows at once, for it takes its time.
        if (step.agent or self.full) and step.seq not in self._listed:
            self._list(step, news)

    def _end_steps(self, event: Event, news: News, mood: Mood, state: str) -> None:
        for step in self._steps.values():
            if step.mood == "busy" and step.turn <= self.turn:
                step.ended_at, step.mood, step.state = event.at, mood, state
                self._head(step, news)


def usage_of(event: Event) -> Usage:
    """Read what one model request cost."""
    data = event.data
    requests, given, written, cached = (
        int(data.get(name) or 0) for name in ("requests", "input_tokens", "output_tokens", "cached_tokens")
    )
    return Usage(requests, given, written, cached, data.get("cost"))


SUMMED = (EventKind.PLAN, EventKind.USAGE)
"""The events that `summed` looks at; it takes others too, and passes over them."""


def summed(events: Sequence[Event]) -> tuple[Plan, Usage]:
    """Give the plan as it stands last, and what all model requests cost."""
    plans = [event for event in events if event.kind is EventKind.PLAN]
    usage = sum((usage_of(event) for event in events if event.kind is EventKind.USAGE), Usage())
    return (Plan.decode(plans[-1].data["tasks"]) if plans else Plan()), usage
