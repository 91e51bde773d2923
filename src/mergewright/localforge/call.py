"""One API request as its endpoint sees it, and the answer it gives."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import urlencode

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from mergewright.localforge import access
from mergewright.localforge.errors import Refused, forbidden, not_found, unauthorized
from mergewright.localforge.instance import Instance
from mergewright.localforge.params import Params
from mergewright.localforge.repository import Repository
from mergewright.localforge.tables import Issue, Job, MergeRequest, Pipeline, Project, Token, User

Wire = dict[str, Any]
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is not simply 200 (or 201) with JSON."""

    body: object = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = "application/json"


Reply = Wire | list[Wire] | Answer
Endpoint = Callable[["Call"], Reply]


@dataclass(frozen=True)
class Call:
    """A request: who asks, with which parameters, in which transaction."""

    instance: Instance
    session: Session
    user: User | None
    token: Token | None
    method: str
    path: str
    names: dict[str, str]
    """The path's own parameters, decoded."""
    params: Params

    @property
    def me(self) -> User:
        """The signed-in user; nobody is a 401."""
        if self.user is None:
            raise unauthorized()
        return self.user

    def number(self, name: str, noun: str) -> int:
        """A path parameter that must be a number."""
        if not self.names[name].isdecimal() or len(self.names[name]) > 18:
            raise Refused(404, {"error": "404 Not Found"}) if not noun else not_found(noun)
        return int(self.names[name])

    # --- the project and what one may do in it -------------------------------------------------

    @property
    def project(self) -> Project:
        """The project of the path; one that the user cannot see does not exist."""
        return self._place[0]

    @property
    def level(self) -> int:
        return self._place[1]

    @cached_property
    def _place(self) -> tuple[Project, int]:
        name = self.names["id"]
        rows = select(Project)
        if name.isdecimal():
            found = self.session.scalar(rows.where(Project.id == int(name))) if len(name) < 19 else None
        else:
            found = self.session.scalar(rows.where(func.lower(Project.path_with_namespace) == name.lower()))
        level = access.access_level(self.session, found, self.user) if found else 0
        if found is None or not access.can_see(found, self.user, level):
            raise not_found("Project")
        return found, level

    @cached_property
    def repository(self) -> Repository:
        return self.instance.repository(self.project)

    def need(self, level: int) -> None:
        """Refuse users below an access level, as GitLab does for a project they can see."""
        if self.project and self.user is None:
            raise unauthorized()
        if self.level < level:
            raise forbidden()

    def need_code(self) -> None:
        if not access.can_read_code(self.project, self.user, self.level):
            raise forbidden()

    def commit(self, ref: str, noun: str = "Commit") -> str:
        """The commit behind a branch, tag or id."""
        self.need_code()
        sha = self.repository.resolve(ref)
        if sha is None:
            raise not_found(noun)
        return sha

    # --- rows ---------------------------------------------------------------------------------

    def issue(self) -> Issue:
        iid = self.number("iid", "Issue")
        row = self.session.scalar(select(Issue).where(Issue.project_id == self.project.id, Issue.iid == iid))
        hidden = row is not None and row.confidential and self.level < access.REPORTER
        if row is None or (hidden and row.author_id != (self.user.id if self.user else 0)):
            raise not_found("Issue")
        return row

    def merge_request(self) -> MergeRequest:
        self.need_code()
        iid = self.number("iid", "Merge Request")
        row = self.session.scalar(
            select(MergeRequest).where(MergeRequest.project_id == self.project.id, MergeRequest.iid == iid)
        )
        if row is None:
            raise not_found("Merge Request")
        return row

    def pipeline(self) -> Pipeline:
        self.need_code()
        row = self.session.get(Pipeline, self.number("pipeline_id", "Pipeline"))
        if row is None or row.project_id != self.project.id:
            raise not_found("Pipeline")
        return row

    def job(self) -> Job:
        self.need_code()
        row = self.session.get(Job, self.number("job_id", "Job"))
        if row is None or row.project_id != self.project.id:
            raise not_found("Job")
        return row

    # --- lists --------------------------------------------------------------------------------

    @property
    def page(self) -> int:
        return max(1, self.params.integer("page") or 1)

    @property
    def per_page(self) -> int:
        return min(100, max(1, self.params.integer("per_page") or 20))

    def rows(self, query: Select[Row], entity: Callable[[Row], Wire]) -> Answer:
        """One page of a query's rows, with GitLab's paging headers."""
        before = (self.page - 1) * self.per_page
        found = self.session.scalars(query.offset(before).limit(self.per_page)).all()
        total = before + len(found)
        # Only a page with room left is the last one.
        if len(found) == self.per_page or (before and not found):
            total = self.session.scalar(select(func.count()).select_from(query.order_by(None).subquery())) or 0
        return Answer([entity(row) for row in found], headers=self.paging(total))

    def items(self, everything: Sequence[Row], entity: Callable[[Row], Wire]) -> Answer:
        """One page of a list that is there already."""
        start = (self.page - 1) * self.per_page
        shown = everything[start : start + self.per_page]
        return Answer([entity(item) for item in shown], headers=self.paging(len(everything)))

    def paging(self, total: int) -> dict[str, str]:
        last = max(1, math.ceil(total / self.per_page))
        following = self.page + 1 if self.page < last else None
        previous = self.page - 1 if self.page > 1 else None
        links = {"prev": previous, "next": following, "first": 1, "last": last}
        headers = {
            "X-Page": str(self.page),
            "X-Per-Page": str(self.per_page),
            "X-Next-Page": str(following or ""),
            "X-Prev-Page": str(previous or ""),
        }
        if total <= 10_000:
            headers |= {"X-Total": str(total), "X-Total-Pages": str(last)}
        else:
            del links["last"]
        headers["Link"] = ", ".join(f'<{self._page_url(n)}>; rel="{rel}"' for rel, n in links.items() if n)
        return headers

    def _page_url(self, page: int) -> str:
        shown = {k: v for k, v in self.params.values.items() if k not in {"private_token", "access_token", "page"}}
        pairs = [(f"{k}[]", item) for k, v in shown.items() if isinstance(v, list) for item in v]
        pairs += [(k, v) for k, v in shown.items() if not isinstance(v, (list, dict))]
        pairs = [p for p in pairs if p[0] != "per_page"] + [("page", page), ("per_page", self.per_page)]
        return f"{self.instance.url}/api/v4{self.path}?{urlencode(pairs)}"
