"""Fills templates with values, which are data: no template in a value is ever evaluated."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING

from mergewright.domain.errors import MergewrightError, WrongUse
from mergewright.domain.session import JSON

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

LARGEST = 400_000
"""Characters that a filled template may have."""


@cache
def _environment(fence: Callable[[str, str], str]) -> "SandboxedEnvironment":
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=False
    )
    environment.filters["fence"] = lambda text, label: fence(label, str(text))
    # A template that counts far would hold the process: nothing here needs numbers to loop over.
    environment.globals.clear()
    return environment


def render(template: str, values: Mapping[str, JSON], *, fence: Callable[[str, str], str]) -> str:
    """Fill a template; `{{ text | fence("issue") }}` marks a value as data for the model."""
    from jinja2 import TemplateError

    try:
        text = _environment(fence).from_string(template).render(values)
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        raise MergewrightError(f"a prompt of the flow cannot be filled: {error}") from error
    if len(text) > LARGEST:
        raise MergewrightError(f"a prompt of the flow is longer than {LARGEST} characters")
    return text.strip()


def check_template(template: str, names: set[str], where: str) -> None:
    """Raise WrongUse when a template is malformed or uses a value that it is not given."""
    from jinja2 import TemplateSyntaxError, meta

    environment = _environment(_no_fence)
    try:
        used = meta.find_undeclared_variables(environment.parse(template))
        environment.compile(template)
    except TemplateSyntaxError as error:
        raise WrongUse(f"{where}: line {error.lineno}: {error.message}") from error
    for name in sorted(used - names):
        raise WrongUse(f"{where}: `{name}` is not among the component's inputs", hint="add it to `inputs`")


def _no_fence(label: str, text: str) -> str:
    return f"{label}: {text}"
