"""Requests to one forge, off the event loop; python-gitlab is loaded by the first of them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from mergewright.domain.errors import Unreachable
from mergewright.domain.forge import Remote
from mergewright.domain.session import JSON
from mergewright.gitlab.answer import Answer

if TYPE_CHECKING:
    from mergewright.gitlab.client import Client

T = TypeVar("T")

PER_PAGE = 100
PAGES = 1000
THREADS = 8


Watcher = Callable[[str, str, int, float], None]
"""Is told of a request's verb, its path, the answer's status (0 for none) and the seconds it took."""


class Connection:
    """One try per request: a passing fault comes out as PassingFault."""

    def __init__(self, url: str, token: str, *, timeout: float) -> None:
        self._url = url
        self._token = token
        self._timeout = timeout
        self._lock = Lock()
        # Threads of our own, so that a slow forge holds up nobody else's work.
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="gitlab")
        self._opened: Client | None = None
        self.watchers: list[Watcher] = []
        """Told of each answer, in the context of whoever asked; they must neither wait nor fail."""

    async def get(self, path: str, *, what: str, query: dict[str, JSON] | None = None) -> JSON:
        return (await self._ask("get", path, what=what, query=query)).json()

    async def text(self, path: str, *, what: str) -> bytes:
        """The answer as it came; raises Unreachable where it is a page instead, such as one to sign in."""
        answer = await self._ask("get", path, what=what)
        if answer.content_type == "text/html":
            raise Unreachable(f"The forge answered with a page instead of {what}")
        return answer.content

    async def post(self, path: str, *, what: str, body: dict[str, JSON]) -> JSON:
        return (await self._ask("post", path, what=what, body=body)).json()

    async def put(self, path: str, *, what: str, body: dict[str, JSON]) -> JSON:
        return (await self._ask("put", path, what=what, body=body)).json()

    async def tell(self, verb: str, path: str, *, what: str, body: dict[str, JSON] | None = None) -> None:
        """A request whose answer says nothing."""
        await self._ask(verb, path, what=what, body=body)

    async def all(self, path: str, *, what: str, query: dict[str, JSON] | None = None) -> list[JSON]:
        """Every page of a list."""
        items: list[JSON] = []
        for page in range(1, PAGES + 1):
            answer = await self._ask(
                "get", path, what=what, query={**(query or {}), "page": page, "per_page": PER_PAGE}
            )
            found = answer.json()
            if not isinstance(found, list):
                break
            items.extend(found)
            if not (answer.next_page if answer.next_page is not None else len(found) == PER_PAGE):
                return items
        raise Unreachable(f"The forge's list makes no sense: {what}")

    async def remote(self, address: str) -> Remote:
        """Give what git needs to reach a repository as requests reach the forge."""
        authorities, proxy = await self._aside(lambda: self._client().way())
        return Remote(address, "oauth2", self._token, authorities, proxy)

    def close(self) -> None:
        """Give the sockets back; the next request opens new ones."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def _tell(self, verb: str, path: str, status: int, seconds: float) -> None:
        for watcher in self.watchers:
            watcher(verb, path, status, seconds)

    async def _ask(
        self,
        verb: str,
        path: str,
        *,
        what: str,
        query: dict[str, JSON] | None = None,
        body: dict[str, JSON] | None = None,
    ) -> Answer:
        def ask() -> Answer:
            return self._client().ask(verb, path, what=what, query=query or {}, body=body)

        return await self._aside(ask)

    async def _aside(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, copy_context().run, work)

    def _client(self) -> "Client":
        with self._lock:
            if self._opened is None:
                # Half a second of imports, which nobody pays who asks no forge.
                from mergewright.gitlab.client import Client

                self._opened = Client(self._url, self._token, timeout=self._timeout, told=self._tell)
            return self._opened
