"""From a method and a raw path to an endpoint; `%2F` in a path stays inside its segment."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from mergewright.localforge.call import Endpoint
from mergewright.localforge.errors import Refused


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint and the path it answers, with `:name` for what varies."""

    method: str
    path: str
    endpoint: Endpoint
    status: int | None = None
    """The status of a plain answer; by default 201 for POST, 204 for DELETE, else 200."""
    public: bool = False
    """Whether nobody in particular may ask, whatever the method."""

    @property
    def success(self) -> int:
        return self.status or {"POST": 201, "DELETE": 204}.get(self.method, 200)


class Router:
    """Routes by their number of segments, so that a request is held against few of them."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._by_length: dict[int, list[tuple[list[str], Route]]] = {}
        for route in routes:
            segments = route.path.strip("/").split("/")
            self._by_length.setdefault(len(segments), []).append((segments, route))
        for candidates in self._by_length.values():
            # Fixed words win over names: `/members/all` is not a member called "all".
            candidates.sort(key=lambda pair: [part.startswith(":") for part in pair[0]])

    def find(self, method: str, raw_path: str) -> tuple[Route, dict[str, str]]:
        """The route and its path parameters; 404 or 405 when there is none."""
        segments = [unquote(part) for part in re.sub("/+", "/", raw_path).strip("/").split("/")]
        wanted = "GET" if method == "HEAD" else method
        allowed = set()
        for pattern, route in self._by_length.get(len(segments), []):
            names = _match(pattern, segments)
            if names is not None and route.method == wanted:
                return route, names
            if names is not None:
                allowed.add(route.method)
        if allowed:
            raise Refused(405, {"error": "405 Not Allowed"}, headers={"Allow": ", ".join(sorted(allowed))})
        raise Refused(404, {"error": "404 Not Found"})


def _match(pattern: list[str], segments: list[str]) -> dict[str, str] | None:
    names = {}
    for part, segment in zip(pattern, segments, strict=True):
        if part.startswith(":"):
            if not segment:
                return None
            names[part[1:]] = segment
        elif part != segment:
            return None
    return names
