"""`mergewright doctor`: is everything there that a session needs?"""

import sys

import click

from mergewright.cli import options
from mergewright.cli.output import print_json


@click.command(short_help="Is everything there that a session needs?")
@click.option("--project", metavar="PROJECT", default="", help="Also look whether the bot may create branches here.")
@options.gitlab_url
@options.model
@options.as_json
def doctor(*, project: str, gitlab_url: str, model: str, as_json: bool) -> None:
    """Look at Python, git, the sandbox, the model, the forge and the token; each line comes with its fix.

    Exit code 0 when all is well, 1 otherwise. The model is asked for one word, which costs a few tokens.
    """
    import asyncio
    from dataclasses import asdict

    from mergewright.app.doctor import examine

    findings = asyncio.run(examine(options.settings_with(model=model, gitlab_url=gitlab_url), project=project))
    ok = all(finding.ok for finding in findings)
    if as_json:
        print_json({"ok": ok, "checks": [asdict(finding) for finding in findings]})
    for finding in findings if not as_json else []:
        print(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.check:<9} {finding.found}")
        if finding.fix:
            print(f"      {'':<9} hint: {finding.fix}")
    sys.exit(0 if ok else 1)
