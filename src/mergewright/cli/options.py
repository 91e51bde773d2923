"""Options that several verbs share."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mergewright.domain.errors import WrongUse

if TYPE_CHECKING:
    from mergewright.app.settings import Settings

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

gitlab_url: Decorator = click.option(
    "--gitlab-url",
    metavar="URL",
    default="",
    help="The forge's address; its token comes from GITLAB_TOKEN. [env: GITLAB_URL]",
)
model: Decorator = click.option(
    "--model",
    metavar="NAME",
    default="",
    help="openai:NAME, local:NAME, anthropic:NAME, recorded:FILE, … [env: MERGEWRIGHT_MODEL]",
)
record: Decorator = click.option(
    "--record",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep the model's answers in this file, for `--model recorded:FILE`.",
)
as_json: Decorator = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object as the last line of standard output."
)
session_id: Decorator = click.argument("session_id", metavar="SESSION")


def read_text(file: Path) -> str:
    """Read a text file, or standard input for `-`; raises WrongUse where there is none."""
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else "") or "it is no text"
        raise WrongUse(f"`{file}` cannot be read: {why}", hint="name a text file, or - for standard input") from error


def settings_with(*, model: str = "", gitlab_url: str = "") -> "Settings":
    """Read the settings, with what the command line says instead of them."""
    from dataclasses import replace

    from mergewright.app.settings import read_settings

    settings = read_settings()
    if gitlab_url:
        if not settings.gitlab_token:
            raise WrongUse("no token for the forge is set", hint="put it in GITLAB_TOKEN; it needs the scope `api`")
        settings = replace(settings, gitlab_url=gitlab_url.rstrip("/"))
    return replace(settings, model=model, other_model=model) if model else settings
