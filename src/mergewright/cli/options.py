"""Options that several verbs share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mergewright.domain.errors import WrongUse

if TYPE_CHECKING:
    from mergewright.app.settings import Settings

GitlabUrl = Annotated[
    str, typer.Option("--gitlab-url", help="The forge's address; its token comes from GITLAB_TOKEN. [env: GITLAB_URL]")
]
ModelName = Annotated[
    str,
    typer.Option("--model", help="openai:NAME, local:NAME, anthropic:NAME, recorded:FILE, … [env: MERGEWRIGHT_MODEL]"),
]
Record = Annotated[
    Path | None, typer.Option("--record", help="Keep the model's answers in this file, for `--model recorded:FILE`.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of standard output.")]
SessionId = Annotated[str, typer.Argument(help="A session's id, or a unique beginning of it.")]


def settings_with(*, model: str = "", gitlab_url: str = "") -> "Settings":
    """Read the settings, with what the command line says instead of them."""
    from dataclasses import replace

    from mergewright.app.settings import read_settings

    settings = read_settings()
    if gitlab_url:
        if not settings.gitlab_token:
            raise WrongUse("no token for the forge is set", hint="put it in GITLAB_TOKEN; it needs the scope `api`")
        settings = replace(settings, gitlab_url=gitlab_url.rstrip("/"))
    return replace(settings, model=model) if model else settings
