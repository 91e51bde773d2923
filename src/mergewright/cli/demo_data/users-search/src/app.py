"""The WSGI application: finds the handler for a path and writes its answer as JSON."""

import json
import re
from collections.abc import Callable, Iterable
from urllib.parse import parse_qs
from wsgiref.simple_server import make_server

from src.api import users
from src.api.errors import ApiError
from src.models.user import UserTable

ROUTES = [
    (re.compile(r"/api/users"), users.list_users),
    (re.compile(r"/api/users/search"), users.search_users),
    (re.compile(r"/api/users/(\d+)"), users.show_user),
]


class App:
    def __init__(self, table: UserTable) -> None:
        self.table = table

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        try:
            status, body = 200, self.answer(environ)
        except ApiError as error:
            status, body = error.status, {"error": str(error)}
        reason = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}[status]
        start_response(f"{status} {reason}", [("Content-Type", "application/json")])
        return [json.dumps(body).encode()]

    def answer(self, environ: dict) -> dict:
        if environ["REQUEST_METHOD"] != "GET":
            raise ApiError(405, "only GET is served")
        query = {name: values[-1] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        for pattern, handler in ROUTES:
            match = pattern.fullmatch(environ.get("PATH_INFO", ""))
            if match:
                return handler(self.table, query, *match.groups())
        raise ApiError(404, "no such path")


if __name__ == "__main__":
    table = UserTable("users.sqlite3")
    with make_server("127.0.0.1", 8080, App(table)) as server:
        server.serve_forever()
