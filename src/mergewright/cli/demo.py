"""`mergewright demo`: the main job from beginning to end, on this machine alone."""

from typing import Annotated

import typer

from mergewright.cli.options import AsJson, ModelName, Record


def demo(
    model: ModelName = "",
    record: Record = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the forge running until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start a local forge with a small project, open an issue, and turn it into a draft merge request.

    Without a model in the environment it replays a recorded model session; everything else is real: the forge, git,
    the sandbox, the tests that run in it.
    """
    from mergewright.cli.demonstrate import demonstrate
    from mergewright.cli.output import exit_code

    raise typer.Exit(exit_code(demonstrate(model, record=record, keep=keep, as_json=as_json)))
