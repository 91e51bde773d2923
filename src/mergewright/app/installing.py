"""Sets a project up for the server, and takes that back: looks first, and says what it does before it does it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from mergewright.app.connect import connect, forge_url, local_connection
from mergewright.app.settings import Settings
from mergewright.app.webhooks import HOOK_EVENTS, WEBHOOK, webhook_token
from mergewright.domain.errors import Forbidden, ForgeError, Unauthorized, Unreachable, WrongUse
from mergewright.domain.forge import AccessLevel, User

if TYPE_CHECKING:
    from mergewright.gitlab.hooking import Hook, Maintenance

Action = Literal["keep", "make", "change", "remove", "cannot"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is as it should be, is to be done, or cannot be done with this token."""

    action: Action
    what: str
    hint: str = ""
    do: Callable[[], Awaitable[None]] | None = field(default=None, repr=False, compare=False)


def open_maintenance(settings: Settings) -> "Maintenance":
    """Open the forge as somebody who maintains projects; raises WrongUse without a token."""
    from mergewright.gitlab.hooking import Maintenance

    local, url = local_connection(settings), forge_url(settings)
    token = local.person_token if local else settings.maintainer_token or settings.gitlab_token
    if not url or not token:
        raise WrongUse("no forge is set", hint="set GITLAB_URL, and MERGEWRIGHT_MAINTAINER_TOKEN or GITLAB_TOKEN")
    return Maintenance(url, token, allow_http=settings.allow_http, retries=1, patience=settings.forge_patience)


def address(settings: Settings, url: str) -> str:
    """Give where the webhook goes; raises WrongUse for no address, or one with a password in it."""
    base = (url or settings.url).rstrip("/")
    parts = urlsplit(base)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise WrongUse(
            f"`{base}` is no address of a server" if base else "the server's public address is not known",
            hint="pass `--url https://agents.example.com`, or set MERGEWRIGHT_URL",
        )
    return base if base.endswith(WEBHOOK) else base + WEBHOOK


async def plan(settings: Settings, forge: "Maintenance", project: str, url: str) -> Sequence[Step]:
    """Look at a project and give what is to be done, in order; nothing is written."""
    named = (await forge.project(project)).path_with_namespace
    return [
        *await _plan_hook(settings, forge, named, url),
        *[await _plan_member(forge, named, role, user) for role, user in await _bots(settings)],
        await _plan_label(settings, forge, named),
    ]


async def plan_removal(forge: "Maintenance", project: str, url: str) -> Sequence[Step]:
    """Look which webhooks lead to the server; members and labels stay."""
    named = (await forge.project(project)).path_with_namespace
    found = [one for one in await _hooks(forge, named) if one.url == url]
    return [_removal(forge, named, one) for one in found] or [Step("keep", f"no webhook of `{named}` leads to {url}")]


async def carry(steps: Sequence[Step]) -> list[Step]:
    """Do what is to be done; gives the steps, with those that were refused as what cannot be done."""
    done = []
    for step in steps:
        try:
            if step.do is not None:
                await step.do()
        except (Unreachable, Unauthorized):
            raise
        except ForgeError as error:
            done.append(Step("cannot", f"{step.what}: {error.message}", error.hint))
        else:
            done.append(step)
    return done


async def _hooks(forge: "Maintenance", project: str) -> "Sequence[Hook]":
    try:
        return await forge.hooks(project)
    except (Forbidden, Unauthorized) as error:
        raise Forbidden(
            f"this token may not see or change the webhooks of `{project}`",
            hint="set MERGEWRIGHT_MAINTAINER_TOKEN to a token of a Maintainer with the scope `api`",
        ) from error


async def _plan_hook(settings: Settings, forge: "Maintenance", project: str, url: str) -> Sequence[Step]:
    ours = [one for one in await _hooks(forge, project) if one.url == url]
    token, events = webhook_token(settings), HOOK_EVENTS
    if not ours:
        return [
            Step(
                "make",
                f"a webhook to {url} for {', '.join(events)}",
                do=lambda: forge.add_hook(project, url, token=token, events=events),
            )
        ]
    first, *others = ours
    missing = [name for name in events if name not in first.events]
    changes = ["its token, of which GitLab never tells what it was"]
    changes += [f"adds {', '.join(missing)}"] if missing else []
    changes += ["checks certificates again"] if not first.checks_certificates else []
    changes += ["GitLab had switched it off: look at its recent events"] if first.disabled else []
    kept = sorted({*first.events, *events})
    steps = [
        Step(
            "change",
            f"webhook {first.id} to {url}: sets {'; '.join(changes)}",
            do=lambda: forge.change_hook(project, first, token=token, events=kept),
        )
    ]
    # With two of them every event would come twice.
    return [*steps, *(_removal(forge, project, one) for one in others)]


def _removal(forge: "Maintenance", project: str, hook: "Hook") -> Step:
    return Step("remove", f"webhook {hook.id} to {hook.url}", do=lambda: forge.remove_hook(project, hook))


async def _bots(settings: Settings) -> Sequence[tuple[str, User]]:
    found: dict[int, tuple[str, User]] = {}
    for role in ("developer", "reviewer"):
        forge = connect(settings, role="reviewer" if role == "reviewer" else "developer")
        try:
            user = (await forge.status()).user
        finally:
            forge.close()
        found.setdefault(user.id, (role, user))
    return list(found.values())


async def _plan_member(forge: "Maintenance", project: str, role: str, user: User) -> Step:
    level = await forge.access_level(project, user.id)
    if level >= AccessLevel.DEVELOPER:
        return Step("keep", f"{user.username}, the {role}, has the role {level.name.title()}")
    return Step(
        "make",
        f"{user.username}, the {role}, a Developer of `{project}`",
        do=lambda: forge.add_member(project, user.id, AccessLevel.DEVELOPER),
    )


async def _plan_label(settings: Settings, forge: "Maintenance", project: str) -> Step:
    label = settings.label
    if await forge.has_label(project, label):
        return Step("keep", f"the label `{label}`")
    about = "The developer bot makes this issue into a merge request"
    return Step("make", f"the label `{label}`", do=lambda: forge.add_label(project, label, description=about))
