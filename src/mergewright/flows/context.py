"""What a flow knows while it runs: what it was started with, and what its components put out."""

from collections.abc import Iterable, Mapping

from mergewright.domain.errors import MergewrightError
from mergewright.domain.flow import DEFAULT_ROUTE, Input, Router
from mergewright.domain.session import JSON, Session

_MISSING = object()


def start_values(session: Session, project_id: int) -> dict[str, JSON]:
    """Give what a flow can name before any component has run."""
    return {
        "goal": session.goal,
        "project_id": project_id,
        "inputs": dict(session.inputs),
        "session": {"id": session.id, "actor": session.actor, "subject": str(session.subject)},
    }


def look_up(source: str, context: Mapping[str, JSON]) -> JSON:
    """Follow `context:plan.final_answer.summary`; None where nothing stands there."""
    value = _find(source, context)
    return None if value is _MISSING else value


def resolve(inputs: Iterable[Input], context: Mapping[str, JSON], *, component: str) -> dict[str, JSON]:
    """Give a component's inputs their values; an optional one without a value is None."""
    values: dict[str, JSON] = {}
    for given in inputs:
        value = given.source if given.literal else _find(given.source, context)
        if value is _MISSING and not given.optional:
            raise MergewrightError(
                f"`{component}` needs `{given.source}`, which has no value",
                hint="set `optional: true` on the input, or route by a component that puts it out",
            )
        values[given.name] = None if value is _MISSING else value
    return values


def next_component(router: Router, context: Mapping[str, JSON]) -> str:
    """Decide where the flow goes on: an exact match of the value's text, else the default route."""
    if router.to:
        return router.to
    text = as_text(look_up(router.input, context))
    if text in router.routes:
        return router.routes[text]
    if DEFAULT_ROUTE in router.routes:
        return router.routes[DEFAULT_ROUTE]
    raise MergewrightError(
        f"the router behind `{router.source}` has no route for `{text[:80]}`", hint="add a `default_route`"
    )


def as_text(value: JSON) -> str:
    """Give a value as routes are written: text as it is, `true`, `false`, a number; nothing for the rest."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else ""


def _find(source: str, context: Mapping[str, JSON]) -> JSON:
    value: JSON = context
    for part in source.partition(":")[2].split("."):
        if not isinstance(value, Mapping) or part not in value:
            return _MISSING
        value = value[part]
    return _MISSING if value is None else value
