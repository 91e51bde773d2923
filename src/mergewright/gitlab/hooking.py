"""A project's webhooks, members and labels, for those who may change them."""

from collections.abc import Sequence
from dataclasses import dataclass

from mergewright.domain.errors import Conflict
from mergewright.domain.forge import AccessLevel
from mergewright.domain.session import JSON
from mergewright.gitlab import wire
from mergewright.gitlab.forge import GitLabForge, project_path
from mergewright.gitlab.patience import patiently


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook of a project; what it proves itself with is never told."""

    id: int
    url: str
    events: frozenset[str]
    """The names of the switches that are on, such as `note_events`."""
    checks_certificates: bool
    disabled: bool
    """Whether GitLab has switched it off because deliveries failed."""


class Maintenance(GitLabForge):
    """A GitLab with the token of somebody who maintains projects."""

    @patiently
    async def hooks(self, project: str) -> Sequence[Hook]:
        found = await self._connection.all(f"{project_path(project)}/hooks", what=f"the webhooks of `{project}`")
        return [_hook(one) for one in found]

    async def add_hook(self, project: str, url: str, *, token: str, events: Sequence[str]) -> None:
        """Make a webhook, unless one with this address is there by now."""
        path, what = f"{project_path(project)}/hooks", f"a webhook of `{project}`"

        async def once() -> None:
            if not any(one.url == url for one in await self.hooks(project)):
                await self._connection.post(path, what=what, body=_body(url, token, events))

        await self.patience.run(once)

    @patiently
    async def change_hook(self, project: str, hook: Hook, *, token: str, events: Sequence[str]) -> None:
        path, body = f"{project_path(project)}/hooks/{hook.id}", _body(hook.url, token, events)
        await self._connection.put(path, what=f"webhook {hook.id} of `{project}`", body=body)

    @patiently
    async def remove_hook(self, project: str, hook: Hook) -> None:
        path = f"{project_path(project)}/hooks/{hook.id}"
        await self._connection.tell("delete", path, what=f"webhook {hook.id} of `{project}`")

    @patiently
    async def add_member(self, project: str, user_id: int, level: AccessLevel) -> None:
        """Give somebody a role in a project, or a higher one than theirs."""
        path, what = f"{project_path(project)}/members", f"the members of `{project}`"
        try:
            await self._connection.post(path, what=what, body={"user_id": user_id, "access_level": int(level)})
        except Conflict:
            await self._connection.put(f"{path}/{user_id}", what=what, body={"access_level": int(level)})

    @patiently
    async def has_label(self, project: str, name: str) -> bool:
        return await self._part(project, "labels", name) is not None

    @patiently
    async def add_label(self, project: str, name: str, *, description: str) -> None:
        body = {"name": name, "color": "#6699cc", "description": description}
        try:
            await self._connection.post(f"{project_path(project)}/labels", what=f"a label of `{project}`", body=body)
        except Conflict:
            # Somebody was faster.
            return


def _body(url: str, token: str, events: Sequence[str]) -> dict[str, JSON]:
    # GitLab switches pushes on where nothing is said of them.
    switches = {"push_events": False} | dict.fromkeys(events, True)
    return {"url": url, "token": token, "name": "mergewright", "enable_ssl_verification": True, **switches}


def _hook(data: JSON) -> Hook:
    events = frozenset(name for name, value in data.items() if name.endswith("_events") and value is True)
    checks = wire.flag(data, "enable_ssl_verification")
    disabled = wire.text(data, "alert_status", "executable") != "executable"
    return Hook(wire.number(data, "id"), wire.text(data, "url"), events, checks, disabled)
