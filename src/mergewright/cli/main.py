"""The `mergewright` command: one file per verb, nothing heavy imported before a verb runs."""

import os
import sys

import click

from mergewright import __version__
from mergewright.cli.demo import demo
from mergewright.cli.develop import develop
from mergewright.cli.doctor import doctor
from mergewright.cli.issue import issue
from mergewright.cli.output import fail
from mergewright.cli.records import audit, metrics, policy
from mergewright.cli.review import review
from mergewright.cli.run import run
from mergewright.cli.serve import serve
from mergewright.cli.sessions import sessions
from mergewright.cli.webhook import webhook
from mergewright.cli.worker import worker
from mergewright.domain.errors import MergewrightError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="mergewright", message="%(prog)s %(version)s")
def app() -> None:
    """The open, self-hosted, model-agnostic agent platform for GitLab."""


for verb in (develop, run, review, serve, worker, webhook, issue, sessions, policy, audit, metrics, doctor, demo):
    app.add_command(verb)


def main() -> None:
    """Run the command; exit 0 when it finished, 1 when it failed, 2 on wrong use, 3 when it waits for a person."""
    try:
        app(prog_name="mergewright", standalone_mode=False)
    except SystemExit as ended:
        _leave(ended.code)
        raise
    except MergewrightError as error:
        fail(error)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def _leave(code: object) -> None:
    """End the process at once with a verb's exit code."""
    # The verb has closed all that it opened. What the interpreter would do now, taking hundreds of modules apart one
    # by one, costs up to half a second and changes nothing.
    if isinstance(code, int):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
