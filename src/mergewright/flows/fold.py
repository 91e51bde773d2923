"""Where a session stands in its flow: always worked out from its events, never kept beside them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mergewright.domain.session import JSON, Event, EventKind
from mergewright.flows.world import Ending


@dataclass(frozen=True, slots=True)
class Standing:
    """What the components have put out so far, and which one is next."""

    next: str
    outputs: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict)
    runs: Mapping[str, int] = field(default_factory=dict)
    """How often each component has ended."""
    ending: Ending | None = None

    def after(self, name: str, ended: Mapping[str, JSON]) -> "Standing":
        """Give the standing behind a component that ended with `{outputs, next, ending?}`."""
        return Standing(
            ended["next"],
            {**self.outputs, name: ended["outputs"]},
            {**self.runs, name: self.runs.get(name, 0) + 1},
            Ending.decode(ended["ending"]) if ended.get("ending") else self.ending,
        )

    @property
    def total(self) -> int:
        """How many components have ended, over all rounds."""
        return sum(self.runs.values())


def fold(events: Iterable[Event], *, entry_point: str, before_turn: int) -> Standing:
    """Work out the standing at the beginning of a turn from the components that ended in earlier ones.

    A turn's own events are left out: the engine hands a recovered turn what its steps gave, in the same order.
    """
    standing = Standing(entry_point)
    for event in events:
        if event.kind is EventKind.COMPONENT and event.data["phase"] == "end" and event.turn < before_turn:
            standing = standing.after(event.component.partition(":")[0], event.data)
    return standing
