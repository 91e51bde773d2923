"""The local forge as `mergewright serve` and the demo run it: one's own repositories, a bot, a job runner."""

import fcntl
import getpass
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mergewright.app.adapters import sandbox_settings
from mergewright.app.connect import LocalConnection, connection_file
from mergewright.app.settings import Settings
from mergewright.domain.errors import MergewrightError, WrongUse
from mergewright.domain.forge import AccessLevel

if TYPE_CHECKING:
    from mergewright.localforge.ci.runner import JobOrder, JobOutcome
    from mergewright.localforge.server import LocalForge

BOT = "mergewright-developer"
REVIEWER = "mergewright-reviewer"
DEFAULT_PORT = 8929


def open_local_forge(settings: Settings, *, port: int) -> "LocalForge":
    """Make the local forge of this installation, with its person and its bot; it is not started yet."""
    from mergewright.localforge.server import LocalForge
    from mergewright.localforge.settings import ForgeSettings

    async def run_job(job: "JobOrder", trace: Callable[[bytes], None]) -> "JobOutcome":
        return await run_in_sandbox(settings, job, trace)

    return LocalForge(ForgeSettings(settings.forge_home, port=port, reviewer=REVIEWER), run_job=run_job)


@contextmanager
def said_plainly() -> Iterator[None]:
    """Give what the local forge refuses its owner as an error of ours: it knows nothing of those."""
    from mergewright.localforge.errors import GitFailed, LocalForgeError

    try:
        yield
    except LocalForgeError as error:
        raise WrongUse(str(error), hint=error.hint) from error
    except GitFailed as error:
        raise MergewrightError(str(error), hint="look whether `git fsck` finds a fault in the repository") from error


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Hold this installation's local forge for one process: two would run each job twice. Raises WrongUse."""
    settings.make_home()
    settings.forge_home.mkdir(exist_ok=True, mode=0o700)
    with (settings.forge_home / "serving.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            running = LocalConnection.read(connection_file(settings))
            raise WrongUse(
                f"the local forge runs already{f' at {running.url}' if running else ''}",
                hint="end it and name all repositories at once, each with `--local`; or set another MERGEWRIGHT_HOME",
            ) from error
        yield


def introduce(forge: "LocalForge", settings: Settings) -> LocalConnection:
    """Make the person's and the bot's accounts where they are missing, and keep how to reach the forge."""
    file = connection_file(settings)
    known = LocalConnection.read(file)
    person = known.person if known else person_name()
    forge.seed_user(person, name=person, admin=True)
    forge.seed_user(BOT, name="Developer bot", bot=True)
    forge.seed_user(REVIEWER, name="Reviewer bot", bot=True)
    connection = LocalConnection(
        forge.url,
        person,
        known.person_token if known else forge.seed_token(person, name="mergewright"),
        BOT,
        known.bot_token if known else forge.seed_token(BOT, name="mergewright"),
        REVIEWER,
        (known.reviewer_token if known else "") or forge.seed_token(REVIEWER, name="mergewright"),
        known.oauth_id if known else "",
    )
    connection.write(file)
    return connection


def find_repository(source: Path) -> Path:
    """Give the top of the git repository that a folder lies in; raises WrongUse when there is none."""
    folder = source.expanduser().absolute()
    probe = subprocess.run(  # a repository may lie anywhere above, as git itself looks for it
        ["git", "-C", str(folder), "rev-parse", "--show-toplevel"], capture_output=True, text=True, check=False
    )
    bare = not probe.stdout.strip() and (folder / "HEAD").is_file()
    if probe.returncode and not bare:
        raise WrongUse(f"`{source}` is no git repository", hint="name a folder with a git repository in it")
    return folder if bare else Path(probe.stdout.strip())


def add_repository(forge: "LocalForge", source: Path, *, person: str, project: str = "") -> str:
    """Put an existing git repository on the forge as `local/NAME`; gives the project's path.

    The repository itself is never changed. Raises WrongUse when the folder is no git repository.
    """
    top = find_repository(source)
    path = (
        project or f"local/{re.sub(r'[^A-Za-z0-9_.-]+', '-', top.name.removesuffix('.git')).strip('-.') or 'project'}"
    )
    with said_plainly():
        forge.seed_project(path, source=top)
        forge.seed_member(path, person, AccessLevel.OWNER)
        forge.seed_member(path, BOT, AccessLevel.DEVELOPER)
        forge.seed_member(path, REVIEWER, AccessLevel.DEVELOPER)
    return path


def tell_of_events(forge: "LocalForge", settings: Settings, project: str, server: str) -> None:
    """Let the forge tell our own server what happens in a project."""
    from mergewright.app.webhooks import HOOK_EVENTS, WEBHOOK, webhook_token

    url, token = f"{server}{WEBHOOK}", webhook_token(settings)
    with said_plainly():
        forge.seed_hook(project, name="mergewright", url=url, token=token, events=HOOK_EVENTS)


def let_sign_in(forge: "LocalForge", settings: Settings, server: str) -> None:
    """Let people of the forge sign in to our own server, without being asked for leave: both are their owner's."""
    with said_plainly():
        known = forge.seed_application("mergewright", f"{settings.url or server}/sign-in/callback")
    file = connection_file(settings)
    connection = LocalConnection.read(file)
    if connection is not None and connection.oauth_id != known:
        replace(connection, oauth_id=known).write(file)


def person_name() -> str:
    """The name of this machine's user, as a forge takes it."""
    return re.sub(r"[^a-z0-9_.-]+", "-", getpass.getuser().lower()).strip("-.") or "person"


async def run_in_sandbox(settings: Settings, job: "JobOrder", trace: Callable[[bytes], None]) -> "JobOutcome":
    """Run a pipeline's job in a sandbox of its own; its files and its processes are gone afterwards."""
    import tempfile

    from mergewright.domain.sandbox import Ended
    from mergewright.localforge.ci.runner import JobOutcome
    from mergewright.sandbox.bubblewrap import Bubblewrap

    with tempfile.TemporaryDirectory(prefix="mergewright-job-") as folder:
        scratch = Path(folder)
        outputs = scratch / "outputs"
        outputs.mkdir()
        sandbox = Bubblewrap(job.checkout, outputs=outputs, settings=sandbox_settings(settings, scratch=scratch))
        variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in job.variables.items())
        lines = [f"export {variables}"] if variables else []
        for line in job.script:
            lines += [f"printf '$ %s\\n' {shlex.quote(line)}", line]
        result = await sandbox.run("set -eo pipefail\n" + "\n".join(lines), seconds=job.timeout, on_output=trace)
    if result.ended is Ended.TIMEOUT:
        return JobOutcome(None, "job_execution_timeout")
    return JobOutcome(result.exit_code, "" if result.ended is Ended.EXITED else "script_failure")
