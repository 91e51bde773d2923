"""`mergewright demo`: the main job from beginning to end, on this machine alone."""

import sys
from pathlib import Path

import click

from mergewright.cli import options


@click.command(short_help="From an issue to a draft merge request, on this machine alone.")
@click.option("--keep", is_flag=True, help="Leave the forge and the pages running until Ctrl-C.")
@options.model
@options.record
@options.as_json
def demo(*, keep: bool, model: str, record: Path | None, as_json: bool) -> None:
    """Start a local forge with a small project, open an issue, and turn it into a draft merge request.

    Without a model in the environment it replays a recorded model session; everything else is real: the forge, git,
    the sandbox, the tests that run in it.
    """
    from mergewright.cli.demonstrate import demonstrate
    from mergewright.cli.output import exit_code

    sys.exit(exit_code(demonstrate(model, record=record, keep=keep, as_json=as_json)))
