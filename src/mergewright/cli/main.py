"""The `mergewright` command: one file per verb, nothing heavy imported before a verb runs."""

import sys
from typing import Annotated

import typer

from mergewright import __version__
from mergewright.cli import demo, develop, doctor, issue, serve, sessions
from mergewright.cli.output import fail
from mergewright.domain.errors import MergewrightError

app = typer.Typer(
    name="mergewright",
    help="The open, self-hosted, model-agnostic agent platform for GitLab.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("develop")(develop.develop)
app.command("serve")(serve.serve)
app.command("issue")(issue.issue)
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)
app.add_typer(sessions.app, name="sessions")


def show_version(value: bool) -> None:
    if value:
        print(f"mergewright {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """The open, self-hosted, model-agnostic agent platform for GitLab."""


def main() -> None:
    """Run the command; exit 0 when it finished, 1 when it failed, 2 on wrong use, 3 when it waits for a person."""
    try:
        app()
    except MergewrightError as error:
        fail(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
