"""The policy in force for a project: organisation, groups, project, then the file of the target branch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import yaml

from mergewright.domain.errors import WrongUse
from mergewright.domain.policy import NAMES, Approval, Policy
from mergewright.domain.session import JSON
from mergewright.domain.yaml_file import read_yaml

FILE = ".mergewright/review.yaml"
LOCKED = "locked"
"""Beside the names of the policy, what an upper level may set: the names that lower levels may only tighten."""
DEFAULT = "default"
LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class Resolved:
    """The policy, where each value comes from, and what was not taken over."""

    policy: Policy
    sources: Mapping[str, str]
    """By name: `default`, `organisation`, a group's or project's path, or the file's."""
    locked: Mapping[str, str]
    """The names that lower levels may only tighten, with the scope that locked them."""
    problems: tuple[str, ...] = ()


def scopes(project: str) -> list[str]:
    """Give where a project's settings may be set, the widest first: `` for the organisation, groups, the project."""
    parts = project.split("/") if project else []
    return ["", *("/".join(parts[:size]) for size in range(1, len(parts) + 1))]


def shown(scope: str) -> str:
    return scope or "organisation"


def resolve(project: str, stored: Mapping[str, Mapping[str, JSON]], file: bytes | None = None) -> Resolved:
    """Give a project's policy from what is stored by scope and from the bytes of the file, None for no file.

    Tighter is: `request_changes`, `auto_review` and `review_on_push` on; a milder `block_on`; an `approval` further
    towards `required` (advisory, counts, not_counted, required); a higher `override_role`; `on_failure: closed`;
    fewer `exclude` globs; a higher `round_limit` and `most_findings`; further `analyzers` and `flows_off`.
    """
    policy, sources = Policy(), dict.fromkeys(sorted(NAMES), DEFAULT)
    locked: dict[str, str] = {}
    problems: list[str] = []
    for scope in scopes(project):
        values = stored.get(scope, {})
        for name, value in values.items():
            if name == LOCKED:
                continue
            new = getattr(Policy.decode({name: value}), name)
            if name in locked and not tighter(name, getattr(policy, name), new):
                problems.append(f"`{name}` of {shown(scope)} is looser than {shown(locked[name])} allows")
                continue
            policy, sources[name] = replace(policy, **{name: new}), shown(scope)
        for name in values.get(LOCKED, ()):
            locked.setdefault(name, scope)
    if file is not None:
        policy, problems = _with_file(policy, sources, problems, file)
    return Resolved(policy, sources, {name: shown(scope) for name, scope in locked.items()}, tuple(problems))


def check(values: Mapping[str, JSON]) -> None:
    """Refuse settings that no level could set; raises WrongUse."""
    Policy.decode({name: value for name, value in values.items() if name != LOCKED})
    wanted = values.get(LOCKED, [])
    if not isinstance(wanted, list) or not all(isinstance(one, str) and one in NAMES for one in wanted):
        raise WrongUse("`locked` is no list of names of the policy", hint=f"one of `{'`, `'.join(sorted(NAMES))}`")


def tighter(name: str, old: JSON, new: JSON) -> bool:
    """Whether a value is as tight as another, or tighter."""
    if name in {"request_changes", "auto_review", "review_on_push"}:
        return bool(new) or not old
    if name == "block_on":
        return bool(new.rank <= old.rank)
    if name == "approval":
        order = list(Approval)
        return order.index(new) >= order.index(old)
    if name == "on_failure":
        return bool(new == "closed" or old == "open")
    if name == "exclude":
        return set(new) <= set(old)
    if name == "flows_off":
        return set(new) >= set(old)
    if name == "analyzers":
        return all(new.get(one) == command for one, command in old.items())
    return bool(new >= old)


def _with_file(policy: Policy, sources: dict[str, str], problems: list[str], data: bytes) -> tuple[Policy, list[str]]:
    """Tighten a policy by the file; one with any mistake is left out as a whole."""
    try:
        values = read_yaml(data.decode())
        if values is None:
            return policy, problems
        if not isinstance(values, dict):
            raise WrongUse("it is no mapping of names to values")
        given = Policy.decode({str(name): value for name, value in values.items()})
    except (ValueError, yaml.YAMLError) as error:
        # A ValueError is text that is no UTF-8, or a number of more digits than Python is willing to print.
        return policy, [*problems, f"`{FILE}` is left out: it cannot be read: {_short(str(error))}"]
    except WrongUse as error:
        hint = f" ({error.hint})" if error.hint else ""
        return policy, [*problems, f"`{FILE}` is left out: {_short(error.message)}{hint}"]
    told = list(problems)
    for name in values:
        old, new = getattr(policy, name), getattr(given, name)
        if name == "analyzers":
            new = {**old, **{one: command for one, command in new.items() if one not in old}}
        if not tighter(name, old, new):
            told.append(f"`{FILE}`: `{name}` is looser than {sources[name]} sets it, so it is left as it was")
        elif new != old:
            policy, sources[name] = replace(policy, **{name: new}), FILE
    return policy, told


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}…"
