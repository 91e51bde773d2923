"""`mergewright worker`: a process that does the work and takes no requests."""

import click

from mergewright.cli import options
from mergewright.cli.output import print_json


@click.command(short_help="Do the work that a server takes, in a process of its own.")
@options.model
@options.as_json
def worker(*, model: str, as_json: bool) -> None:
    """Work on sessions, reviews and answers that were asked for, until interrupted.

    As many as are wanted may run beside `mergewright serve --no-worker`, on one database: each piece of work is done
    once, and what a killed worker leaves behind the others take up. With --json a line says when it is ready.
    """
    import asyncio
    import os
    import signal

    from mergewright.app.adapters import Sandboxes
    from mergewright.app.logs import begin_logs
    from mergewright.app.working import open_workshop, working

    settings = options.settings_with(model=model)
    begin_logs(settings)

    async def work() -> None:
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ended.set)
        async with open_workshop(settings) as shop:
            # Asked now, so that a wrong token is said at once and not with the first piece of work.
            name = (await shop.bot.status()).user.username
            # One that can start no sandbox would take work from the others, only to fail it.
            await asyncio.to_thread(Sandboxes(settings).check)
            async with working(shop):
                if as_json:
                    print_json({"pid": os.getpid(), "forge_url": shop.bot.url, "developer": name})
                else:
                    print(
                        f"Works for {name} at {shop.bot.url}. Ctrl-C ends it; others take up what it leaves.",
                        flush=True,
                    )
                await ended.wait()

    asyncio.run(work())
