"""A project whose merge requests are reviewed: who wrote them, who reviews them, and what stands in them."""

import os
import uuid
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mergewright.domain.approval import Position
from mergewright.domain.forge import DiffRefs
from mergewright.domain.session import Subject

if TYPE_CHECKING:
    from tests.contract.conftest import Site

DEVELOPER = 30
REAL = ["gitlab"] if all(f"GITLAB_CONTRACT_{name}" in os.environ for name in ("URL", "TOKEN", "GROUP")) else []
"""A real GitLab, where the environment names one."""
APP = "".join(f"line {number}\n" for number in range(1, 31))
CHANGED = APP.replace("line 15\n", "changed\nadded\n").replace("line 20\n", "")
DOS = b"".join(b"d\xe9j\xe0 %d\r\n" % number for number in range(1, 9))


def _action(kind: str, path: str, content: bytes | str, **more: str) -> dict[str, Any]:
    raw = content if isinstance(content, bytes) else content.encode()
    return {"action": kind, "file_path": path, "content": b64encode(raw).decode(), "encoding": "base64", **more}


@dataclass
class Place:
    """A project with code, its author and its reviewer."""

    site: "Site"
    project: str
    reviewer_id: int
    reviewer_token: str
    reviewer: str = ""

    @classmethod
    def made_in(cls, site: "Site") -> "Place":
        project = site.new_project()
        base = [_action("create", "src/app.py", APP), _action("create", "old name.py", APP)]
        base.append(_action("create", "dos.txt", DOS))
        body: dict[str, Any] = {"branch": "main", "commit_message": "Base", "actions": base}
        site.api("POST", f"/projects/{quote(project, safe='')}/repository/commits", **body)
        number, token = site.member(project, DEVELOPER)
        return cls(site, project, number, token, site.api("GET", "/user", token)["username"])

    def api(self, verb: str, path: str, token: str = "", **body: Any) -> Any:
        return self.site.api(verb, f"/projects/{quote(self.project, safe='')}{path}", token, **body)

    def propose(self) -> "Change":
        """Open a merge request with a replaced, an added and a removed line, a renamed, a new and a DOS file."""
        branch = f"change-{uuid.uuid4().hex[:8]}"
        actions = [
            _action("update", "src/app.py", CHANGED),
            _action("move", "new name.py", APP.replace("line 3\n", "third\n"), previous_path="old name.py"),
            _action("create", "fresh.py", "one\ntwo\nthree\n"),
            _action("update", "dos.txt", DOS.replace(b"\xe0 4", b"\xe0 four")),
        ]
        self.api(
            "POST", "/repository/commits", branch=branch, start_branch="main", commit_message=branch, actions=actions
        )
        made = self.api("POST", "/merge_requests", source_branch=branch, target_branch="main", title="Change")
        return Change(self, made["iid"], branch)


@dataclass
class Change:
    """A merge request."""

    place: Place
    iid: int
    branch: str

    @property
    def subject(self) -> Subject:
        return Subject(self.place.project, "!", self.iid)

    @property
    def where(self) -> tuple[str, int]:
        return self.place.project, self.iid

    def api(self, verb: str, path: str = "", token: str = "", **body: Any) -> Any:
        """Ask as the author, or with somebody else's token."""
        return self.place.api(verb, f"/merge_requests/{self.iid}{path}", token, **body)

    def refs(self) -> DiffRefs:
        return DiffRefs(**self.api("GET")["diff_refs"])

    def at(self, path: str, old: int | None, new: int | None, **more: Any) -> Position:
        return Position(self.refs(), more.pop("old_path", path), path, old, new, **more)

    def push(self, path: str = "more.txt") -> str:
        action = [_action("create", path, "More\n")]
        return str(
            self.place.api("POST", "/repository/commits", branch=self.branch, commit_message="M", actions=action)["id"]
        )

    def add_reviewer(self) -> None:
        self.api("PUT", reviewer_ids=[self.place.reviewer_id])

    def notes(self) -> list[Any]:
        """What people read, oldest first."""
        found = self.api("GET", "/notes?sort=asc&order_by=created_at&per_page=100")
        return [note for note in found if not note["system"]]

    def threads(self) -> list[Any]:
        return list(self.api("GET", "/discussions?per_page=100"))

    def reviewer_state(self) -> str:
        found = self.api("GET", "/reviewers")
        return next((str(one["state"]) for one in found if one["user"]["id"] == self.place.reviewer_id), "")

    def merge_status(self) -> str:
        return str(self.api("GET")["detailed_merge_status"])
