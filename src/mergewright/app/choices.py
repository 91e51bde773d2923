"""The policy of one scope as a page shows it: what is set there, what is inherited, what a lock still allows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mergewright.domain.errors import WrongUse
from mergewright.domain.policy import NAMES, WHOLE, WORDS, Policy
from mergewright.domain.session import JSON
from mergewright.review.settings import LOCKED, resolve, scopes, tighter

if TYPE_CHECKING:
    from mergewright.store.reviews import SqlReviewStore

FLAGS = ("request_changes", "auto_review", "review_on_push")
ORDER = (
    "request_changes",
    "block_on",
    "approval",
    "override_role",
    "on_failure",
    "auto_review",
    "review_on_push",
    "round_limit",
    "most_findings",
    "exclude",
    "flows_off",
)
"""The names that a page changes; analyzers are commands, and are set with the command line or REST."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One name of the policy at one scope."""

    name: str
    value: JSON
    """What is set here, or else inherited."""
    own: bool
    """Whether it is set here."""
    inherited: JSON
    inherited_from: str
    effective: JSON
    source: str
    locked_by: str
    """The upper scope that lets this one only tighten it; empty for none."""
    locks: bool
    """Whether this scope lets lower ones only tighten it."""
    options: tuple[tuple[str, bool], ...] = ()
    """For a choice among words, each with whether it may be taken here."""
    least: int = 0
    most: int = 0
    """For a number, what may be taken here."""

    @property
    def overruled(self) -> bool:
        """Whether something else is in force than what is set here or inherited."""
        return bool(self.effective != self.value)


@dataclass(frozen=True, slots=True)
class Sheet:
    """All names of the policy at one scope."""

    scope: str
    choices: Sequence[Choice]
    analyzers: Mapping[str, str]
    problems: tuple[str, ...]
    flows: Sequence[str]
    """The flows that there are, and those that are off."""
    saw: str
    """What is shown, for the form to bring back."""

    def choice(self, name: str) -> Choice:
        return next(one for one in self.choices if one.name == name)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person's form asks for, against what they saw."""

    values: Mapping[str, JSON]
    unset: tuple[str, ...]
    locked: tuple[str, ...]
    saw: Mapping[str, JSON]
    """What was set at the scope when the form was shown."""


async def sheet(reviews: "SqlReviewStore", scope: str, flows: Sequence[str], file: bytes | None = None) -> Sheet:
    """Give the policy of a scope; `file` holds the bytes of a project's own file."""
    stored = {one: await reviews.settings(one) for one in scopes(scope)}
    own = stored[scope]
    upper = resolve(scope, {**stored, scope: {}})
    now = resolve(scope, stored, file)
    above, values = upper.policy.encode(), now.policy.encode()
    choices = []
    for name in ORDER:
        lock = upper.locked.get(name, "")
        choices.append(
            Choice(
                name,
                own.get(name, above[name]),
                name in own,
                above[name],
                upper.sources[name],
                values[name],
                now.sources[name],
                lock,
                name in own.get(LOCKED, ()),
                options=tuple((word, not lock or _allowed(name, above[name], word)) for word in _words(name)),
                least=int(above[name]) if name in WHOLE and lock else min(WHOLE.get(name, [0])),
                most=max(WHOLE.get(name, [0])),
            )
        )
    shown = {one.name: one.value for one in choices}
    names = sorted({*flows, *values["flows_off"], *shown["flows_off"]})
    return Sheet(
        scope,
        choices,
        now.policy.analyzers,
        now.problems,
        names,
        json.dumps({"own": own, "shown": shown, "flows": names}, sort_keys=True),
    )


def wanted(form: Mapping[str, str]) -> Wanted:
    """Read a form: only what differs from what it showed is changed. Raises WrongUse for one that no page made."""
    try:
        seen = json.loads(form.get("saw", ""))
        own, shown = dict(seen["own"]), dict(seen["shown"])
        shown["flows_off"] = sorted(shown["flows_off"])
        given = {name: _given(name, form, seen["flows"]) for name in ORDER}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise WrongUse("the form is not one of this page's", hint="load the page again") from error
    changed = {name: value for name, value in given.items() if value != shown[name]}
    unset = tuple(name for name in ORDER if f"inherit.{name}" in form and name in own)
    locked = tuple(name for name in sorted(NAMES) if f"lock.{name}" in form)
    # A lock on what the page does not show stays.
    locked += tuple(name for name in own.get(LOCKED, ()) if name not in ORDER)
    return Wanted({name: value for name, value in changed.items() if name not in unset}, unset, locked, own)


def differences(seen: Mapping[str, JSON], now: Mapping[str, JSON]) -> list[tuple[str, JSON, JSON]]:
    """Give the names that somebody else has changed, with both values; None where it is not set."""
    names = sorted({*seen, *now})
    return [(name, seen.get(name), now.get(name)) for name in names if seen.get(name) != now.get(name)]


def _given(name: str, form: Mapping[str, str], flows: Sequence[str]) -> JSON:
    if name in FLAGS:
        return form.get(f"v.{name}", "") == "on"
    if name == "exclude":
        return [line.strip() for line in form["v.exclude"].splitlines() if line.strip()]
    if name == "flows_off":
        return sorted(flow for flow in flows if f"flow.{flow}" not in form)
    return int(form[f"v.{name}"]) if name in WHOLE else form[f"v.{name}"]


def _words(name: str) -> list[str]:
    return ["true", "false"] if name in FLAGS else list(WORDS.get(name, ()))


def _allowed(name: str, above: JSON, word: str) -> bool:
    value: JSON = word == "true" if name in FLAGS else word
    decoded = Policy.decode({name: above}), Policy.decode({name: value})
    return tighter(name, getattr(decoded[0], name), getattr(decoded[1], name))
