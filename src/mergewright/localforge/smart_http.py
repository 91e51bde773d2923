"""Git over HTTP: clone, fetch and push, with a token as the password."""

import os
import re
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO

from anyio import to_thread
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from mergewright.localforge import access
from mergewright.localforge.errors import Refused
from mergewright.localforge.gitcmd import git_environment, git_executable
from mergewright.localforge.instance import Instance
from mergewright.localforge.pushes import NO_SHA, RefUpdate, after_push, keeps_history, refusal
from mergewright.localforge.repository import Repository
from mergewright.localforge.tables import Project, User

PATH = re.compile(r"/(?P<project>[^?#]+?)\.git/(?P<service>info/refs|git-upload-pack|git-receive-pack)")
CHALLENGE = {"WWW-Authenticate": 'Basic realm="GitLab"'}
NEVER_KEPT = {
    "Expires": "Fri, 01 Jan 1980 00:00:00 GMT",
    "Pragma": "no-cache",
    "Cache-Control": "no-cache, max-age=0, must-revalidate",
}
DENIED = "HTTP Basic: Access denied. Use a personal access token as the password.\n"
COMMANDS_LIMIT = 10_000


class TooLarge(Exception):
    """A body passed its limit."""


class NoAccess(Exception):
    """A git request is refused before git sees it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class GitRequest:
    """One request of git's own protocol."""

    project: str
    service: str
    writes: bool
    method: str
    query: str
    password: str | None
    protocol: str
    content_type: str


async def serve_git(instance: Instance, request: Request, project: str, service: str) -> Response:
    """Answer one request of a git client."""
    wanted = request.query_params.get("service", "") if service == "info/refs" else service
    if wanted not in {"git-upload-pack", "git-receive-pack"}:
        return PlainTextResponse("Only the smart protocol is served\n", status_code=403)
    try:
        order = GitRequest(
            project,
            service,
            wanted == "git-receive-pack",
            request.method,
            request.url.query,
            access.basic_password(request.headers),
            request.headers.get("git-protocol", ""),
            request.headers.get("content-type", ""),
        )
        # Who may not come in does not get to fill the disk.
        await to_thread.run_sync(authorize, instance, order)
        # A client may go away at any moment: whatever was opened for it is closed all the same.
        with await _spool(instance, request) as body, ExitStack() as kept:
            out = kept.enter_context(tempfile.TemporaryFile(dir=instance.settings.home))
            answer = await to_thread.run_sync(_answer, instance, order, body, out)
            if isinstance(answer, _Sent):
                kept.pop_all()
            return answer
    except TooLarge:
        return PlainTextResponse("The request is too large\n", status_code=413)
    except NoAccess as refused:
        headers = CHALLENGE if refused.status == 401 else {}
        return PlainTextResponse(f"{refused}\n", status_code=refused.status, headers=headers)
    except Refused:
        return PlainTextResponse(DENIED, status_code=401, headers=CHALLENGE)
    except ClientDisconnect:
        return Response(status_code=400)


async def _spool(instance: Instance, request: Request) -> IO[bytes]:
    """Take the whole body to disk: git wants its length, and the client may have sent none."""
    unzip = zlib.decompressobj(16 + zlib.MAX_WBITS) if "gzip" in request.headers.get("content-encoding", "") else None
    limit = instance.settings.push_limit
    size = 0
    with ExitStack() as kept:
        body = kept.enter_context(tempfile.TemporaryFile(dir=instance.settings.home))
        async for chunk in request.stream():
            data = unzip.decompress(chunk, limit) if unzip else chunk
            size += len(data)
            if size > limit or (unzip and unzip.unconsumed_tail):
                raise TooLarge
            body.write(data)
        body.seek(0)
        kept.pop_all()
    return body


def authorize(instance: Instance, order: GitRequest) -> None:
    with instance.read() as session:
        _allowed(session, order)


def _allowed(session: Session, order: GitRequest) -> tuple[Project, User | None]:
    """The project and the user, if this user may do this."""
    token = access.find_token(session, order.password) if order.password is not None else None
    user = token.user if token else None
    scopes = {"api", "write_repository"} | (set() if order.writes else {"read_repository"})
    if token and not scopes & set(token.scopes):
        raise NoAccess(403, "insufficient_scope: the token may not be used for this")
    path = func.lower(Project.path_with_namespace) == order.project.lower()
    project = session.scalar(select(Project).where(path))
    level = access.access_level(session, project, user) if project else 0
    if project is None or not access.can_see(project, user, level):
        if user is None:
            raise NoAccess(401, DENIED.strip())
        raise NoAccess(
            404, "The project you were looking for could not be found or you don't have permission to view it."
        )
    if order.writes and user is None:
        raise NoAccess(401, DENIED.strip())
    if order.writes and level < access.DEVELOPER:
        raise NoAccess(403, "You are not allowed to push code to this project.")
    if not access.can_read_code(project, user, level):
        raise NoAccess(403, "You are not allowed to download code from this project.")
    return project, user


def _answer(instance: Instance, order: GitRequest, body: IO[bytes], out: IO[bytes]) -> Response:
    if order.service != "git-receive-pack":
        with instance.read() as session:
            project, _ = _allowed(session, order)
        return _backend(instance, order, project, body, out)
    with instance.writing:
        return _receive(instance, order, body, out)


def _receive(instance: Instance, order: GitRequest, body: IO[bytes], out: IO[bytes]) -> Response:
    """A push: every ref is checked before git changes any."""
    updates, capabilities = read_commands(body)
    with instance.read() as session:
        project, user = _allowed(session, order)
        if user is None:
            raise NoAccess(401, DENIED.strip())
        for update in updates:
            if reason := refusal(instance, session, project, user, update):
                return _declined(reason, updates, capabilities)
        settings = {"receive.denyNonFastForwards": "true"} if _keeps(session, project, updates) else {}
    answer = _backend(instance, order, project, body, out, settings=settings)
    repository = instance.repository(project)
    with instance.write() as session:
        project, user = session.merge(project), session.merge(user)
        for update in updates:
            if _stands_at(repository, update.ref) == update.new and update.old != update.new:
                after_push(instance, session, project, user, update)
    return answer


def _stands_at(repository: Repository, ref: str) -> str:
    if ref.startswith("refs/heads/"):
        return repository.branch(ref.removeprefix("refs/heads/")) or NO_SHA
    return repository.refs(ref).get("", NO_SHA)


def _keeps(session: Session, project: Project, updates: list[RefUpdate]) -> bool:
    return any(keeps_history(session, project, update) for update in updates if update.ref.startswith("refs/heads/"))


def read_commands(body: IO[bytes]) -> tuple[list[RefUpdate], set[str]]:
    """The ref changes a push asks for, and what its client understands; the body is rewound."""
    updates: list[RefUpdate] = []
    capabilities: set[str] = set()
    for line in _lines(body):
        command, _, words = line.partition(b"\0")
        capabilities |= set(words.decode("utf-8", "replace").split())
        if command.startswith(b"shallow "):
            continue
        parts = command.decode("utf-8", "surrogateescape").rstrip("\n").split(" ", 2)
        if len(parts) != 3 or not all(re.fullmatch(r"[0-9a-f]{40}", sha) for sha in parts[:2]):
            raise NoAccess(400, "The push cannot be read")
        updates.append(RefUpdate(*parts))
        if len(updates) > COMMANDS_LIMIT:
            raise NoAccess(400, "The push changes too many refs")
    body.seek(0)
    return updates, capabilities


def _lines(body: IO[bytes]) -> Iterator[bytes]:
    while head := body.read(4):
        try:
            length = int(head, 16)
        except ValueError as error:
            raise NoAccess(400, "The push cannot be read") from error
        if length <= 4:
            return
        yield body.read(length - 4)


def _packet(data: bytes) -> bytes:
    return f"{len(data) + 4:04x}".encode() + data


def _declined(reason: str, updates: list[RefUpdate], capabilities: set[str]) -> Response:
    """Git's own way of saying that a hook declined: the client shows the reason and each ref's fate."""
    report = _packet(b"unpack ok\n")
    for update in updates:
        report += _packet(f"ng {update.ref} pre-receive hook declined\n".encode("utf-8", "surrogateescape"))
    report += b"0000"
    if "side-band-64k" in capabilities:
        lines = "".join(f"GitLab: {line}\n" for line in reason.split("\n"))
        packets = [_packet(b"\x01" + report[at : at + 60_000]) for at in range(0, len(report), 60_000)]
        report = _packet(b"\x02" + lines.encode("utf-8", "replace")) + b"".join(packets) + b"0000"
    headers = {"Cache-Control": "no-cache"}
    return Response(report, media_type="application/x-git-receive-pack-result", headers=headers)


def _backend(
    instance: Instance,
    order: GitRequest,
    project: Project,
    body: IO[bytes],
    out: IO[bytes],
    *,
    settings: dict[str, str] | None = None,
) -> Response:
    """Do as `git http-backend` does, without the two more programs that it would start, and pass git's answer on."""
    refs = order.service == "info/refs"
    if order.method not in (("GET", "HEAD") if refs else ("POST",)):
        return PlainTextResponse("Method Not Allowed\n", status_code=405)
    service = "git-receive-pack" if order.writes else "git-upload-pack"
    if not refs and order.content_type != f"application/x-{service}-request":
        return PlainTextResponse(f"Expected application/x-{service}-request\n", status_code=415)
    environment = git_environment(instance.settings.home)
    count = int(environment["GIT_CONFIG_COUNT"])
    for number, (key, value) in enumerate((settings or {}).items(), start=count):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    environment |= {
        "GIT_CONFIG_COUNT": str(count + len(settings or {})),
        "GIT_COMMITTER_NAME": "git",
        "GIT_COMMITTER_EMAIL": "git@http.127.0.0.1",
        "GIT_PROTOCOL": order.protocol,
    }
    # Git reads from the file itself, which Python's buffer may have left at another place.
    os.lseek(body.fileno(), 0, os.SEEK_SET)
    if refs and "version=2" not in order.protocol.split(":"):
        out.write(_packet(f"# service={service}\n".encode()) + b"0000")
        out.flush()
    subprocess.run(
        [
            git_executable(),
            service.removeprefix("git-"),
            "--stateless-rpc",
            *(["--advertise-refs"] if refs else []),
            ".",
        ],
        cwd=instance.repository(project).path,
        stdin=body,
        stdout=out,
        env=environment,
        check=True,
    )
    out.seek(0)
    media_type = f"application/x-{service}-{'advertisement' if refs else 'result'}"
    return _Sent(out, media_type)


class _Sent(StreamingResponse):
    """What git wrote, read while it is sent, and closed whether or not anybody took it."""

    def __init__(self, out: IO[bytes], media_type: str) -> None:
        super().__init__(_chunks(out), media_type=media_type, headers=NEVER_KEPT)
        self._out = out

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._out:
            await super().__call__(scope, receive, send)


def _chunks(out: IO[bytes]) -> Iterator[bytes]:
    while chunk := out.read(256 * 1024):
        yield chunk
