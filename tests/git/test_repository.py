"""Git on the host, against real bare repositories over file and HTTP."""

import asyncio
import base64
import os
import re
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mergewright.domain.errors import Conflict, Forbidden, NotFound, Unauthorized, Unreachable, WrongUse
from mergewright.domain.forge import Remote
from mergewright.git import Repository, clone, remote_head

ANN = ("Ann", "ann@example.com")


def git(*arguments: str, cwd: Path) -> str:
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_AUTHOR_NAME": "Sam",
        "GIT_AUTHOR_EMAIL": "sam@example.com",
        "GIT_COMMITTER_NAME": "Sam",
        "GIT_COMMITTER_EMAIL": "sam@example.com",
    }
    done = subprocess.run(["git", *arguments], cwd=cwd, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A forge's repository with one commit on `main` and another branch."""
    bare, seed = tmp_path / "forge" / "shop.git", tmp_path / "seed"
    bare.mkdir(parents=True)
    seed.mkdir()
    git("init", "-q", "--bare", "-b", "main", cwd=bare)
    git("config", "http.receivepack", "true", cwd=bare)
    git("init", "-q", "-b", "main", cwd=seed)
    (seed / "readme.md").write_text("one\ntwo\nthree\n")
    (seed / "src").mkdir()
    (seed / "src" / "app.py").write_text("print('hello')\n")
    (seed / ".gitignore").write_text("*.log\nbuild/\n")
    (seed / "run.sh").write_text("#!/bin/sh\n")
    (seed / "run.sh").chmod(0o755)
    (seed / "link").symlink_to("readme.md")
    git("add", "-A", cwd=seed)
    git("commit", "-q", "-m", "Begin", cwd=seed)
    git("push", "-q", str(bare), "main", "main:other", cwd=seed)
    return bare


@pytest.fixture
def remote(bare: Path) -> Remote:
    return Remote(f"file://{bare}", "bot", "")


async def cloned(remote: Remote, tmp_path: Path, *, name: str = "one", branch: str | None = None) -> Repository:
    return await clone(remote, tmp_path / name / "git", tmp_path / name / "tree", branch=branch)


async def test_a_clone_has_the_files_of_the_default_branch_and_its_git_directory_elsewhere(
    remote: Remote, tmp_path: Path
) -> None:
    repository = await cloned(remote, tmp_path)
    names = sorted(path.name for path in repository.work_tree.iterdir())
    assert names == [".gitignore", "link", "readme.md", "run.sh", "src"]
    assert (repository.work_tree / "link").is_symlink()
    assert os.access(repository.work_tree / "run.sh", os.X_OK)
    assert await repository.branch() == "main"
    assert await repository.head() == await remote_head(remote, "main")
    assert await repository.changed_files("HEAD") == []


async def test_a_clone_that_was_interrupted_is_begun_again(remote: Remote, tmp_path: Path) -> None:
    repository = await cloned(remote, tmp_path)
    (repository.git_dir / "index.lock").touch()
    (repository.work_tree / "readme.md").write_text("half")
    again = await cloned(remote, tmp_path)
    assert (again.work_tree / "readme.md").read_text() == "one\ntwo\nthree\n"


async def test_only_the_branch_asked_for_is_fetched_and_a_missing_one_is_not_found(
    remote: Remote, tmp_path: Path
) -> None:
    repository = await cloned(remote, tmp_path, branch="other")
    refs = git("for-each-ref", "--format=%(refname)", cwd=repository.git_dir).split()
    assert refs == ["refs/heads/other", "refs/remotes/origin/other"]
    with pytest.raises(NotFound, match="no branch `gone`"):
        await cloned(remote, tmp_path, name="two", branch="gone")
    with pytest.raises(NotFound, match="no repository"):
        await cloned(Remote(f"{remote.url}x", "bot", ""), tmp_path, name="three")


async def test_an_empty_repository_takes_its_first_commit(tmp_path: Path) -> None:
    bare = tmp_path / "empty.git"
    bare.mkdir()
    git("init", "-q", "--bare", "-b", "trunk", cwd=bare)
    remote = Remote(f"file://{bare}", "bot", "")
    repository = await cloned(remote, tmp_path, branch="trunk")
    assert await repository.head() is None
    assert await repository.commit_all("Nothing", author=ANN) is None
    (repository.work_tree / "a.txt").write_text("a\n")
    assert await repository.changed_files(None) == [("A", "a.txt")]
    commit = await repository.commit_all("Begin", author=ANN)
    assert commit is not None
    await repository.push(remote, source="HEAD", branch="trunk", expect=None)
    assert await remote_head(remote, "trunk") == commit


async def test_changes_are_listed_and_shown_with_new_files_and_without_ignored_ones(
    remote: Remote, tmp_path: Path
) -> None:
    repository = await cloned(remote, tmp_path)
    tree = repository.work_tree
    (tree / "readme.md").write_text("one\nTWO\nthree\n")
    (tree / "src" / "app.py").unlink()
    (tree / "src" / "über uns.py").write_text("x = 1\n")
    (tree / "noise.log").write_text("noise")
    (tree / "link").unlink()
    (tree / "link").write_text("now a file\n")
    assert await repository.changed_files("HEAD") == [
        ("T", "link"),
        ("M", "readme.md"),
        ("D", "src/app.py"),
        ("A", "src/über uns.py"),
    ]
    assert "-two\n+TWO\n" in await repository.diff("HEAD")
    only = await repository.diff("HEAD", paths=["src/über uns.py"], context=0)
    assert "+x = 1" in only
    assert "readme.md" not in only


async def test_looking_leaves_the_index_as_it_is(remote: Remote, tmp_path: Path) -> None:
    repository = await cloned(remote, tmp_path)
    before = (repository.git_dir / "index").read_bytes()
    (repository.work_tree / "new.txt").write_text("new")
    tree = await repository.snapshot()
    assert await repository.show_file(tree, "new.txt") == b"new"
    assert await repository.show_file("HEAD", "new.txt") is None
    assert await repository.show_file("HEAD", "src") is None
    assert (repository.git_dir / "index").read_bytes() == before
    assert sorted(path.name for path in repository.git_dir.iterdir() if "stage" in path.name) == []


async def test_the_same_work_gives_the_same_commit(remote: Remote, tmp_path: Path) -> None:
    commits = []
    for name in ("one", "two"):
        repository = await cloned(remote, tmp_path, name=name)
        (repository.work_tree / "tool").write_text("#!/bin/sh\n")
        (repository.work_tree / "tool").chmod(0o755)
        (repository.work_tree / "noise.log").write_text("noise")
        (repository.work_tree / "far").symlink_to("/etc/hostname")
        commits.append(await repository.commit_all("Add a tool\n\nCloses #7", author=ANN, when=1_700_000_000))
        assert await repository.commit_all("Again", author=ANN) is None
    assert commits[0] == commits[1]
    shown = git("show", "--format=%an %ae %at %B", "--raw", "--no-abbrev", str(commits[0]), cwd=repository.git_dir)
    assert "Ann ann@example.com 1700000000 Add a tool" in shown
    assert ":000000 100755" in shown
    assert ":000000 120000" in shown
    assert "noise.log" not in shown


async def test_a_folder_may_become_a_file_and_a_link_may_hide_a_tracked_file(remote: Remote, tmp_path: Path) -> None:
    repository = await cloned(remote, tmp_path)
    tree = repository.work_tree
    (tree / "src" / "app.py").unlink()
    (tree / "src").rmdir()
    (tree / "src").symlink_to("/etc")
    assert await repository.changed_files("HEAD") == [("A", "src"), ("D", "src/app.py")]
    assert await repository.commit_all("Link", author=ANN)
    assert await repository.show_file("HEAD", "src") == b"/etc"


async def test_a_push_needs_the_branch_where_it_was_last_seen(remote: Remote, tmp_path: Path) -> None:
    ours, theirs = await cloned(remote, tmp_path), await cloned(remote, tmp_path, name="two")
    base = await ours.head()
    for repository, text in ((ours, "ours"), (theirs, "theirs")):
        await repository.switch("feature")
        (repository.work_tree / "readme.md").write_text(text)
        await repository.commit_all(text, author=ANN)
    first = await theirs.push(remote, source="HEAD", branch="feature", expect=None)
    assert await theirs.push(remote, source="HEAD", branch="feature", expect=None) == first, "a second push is no push"
    with pytest.raises(Conflict, match="has moved"):
        await ours.push(remote, source="HEAD", branch="feature", expect=None)
    with pytest.raises(Conflict, match="has moved"):
        await ours.push(remote, source="HEAD", branch="feature", expect=base)
    with pytest.raises(Conflict, match="would drop commits"):
        await ours.push(remote, source="HEAD", branch="feature", expect=first)
    assert await remote_head(remote, "feature") == first


async def test_a_hook_of_the_forge_that_refuses_is_quoted(bare: Path, remote: Remote, tmp_path: Path) -> None:
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'GitLab: You are not allowed to push code to protected branches.' >&2\nexit 1\n")
    hook.chmod(0o755)
    repository = await cloned(remote, tmp_path)
    (repository.work_tree / "readme.md").write_text("x")
    await repository.commit_all("x", author=ANN)
    with pytest.raises(Forbidden, match="not allowed to push code to protected branches"):
        await repository.push(remote, source="HEAD", branch="main", expect=await remote_head(remote, "main"))


@pytest.mark.parametrize("branch", ["", "-x", "a..b", "a b", "x.lock", "/a", "a/", "a~1", "a\nb", "@{u}"])
async def test_a_name_that_git_would_take_for_something_else_is_refused(remote: Remote, branch: str) -> None:
    with pytest.raises(WrongUse):
        await remote_head(remote, branch)


@pytest.mark.parametrize("url", ["ext::sh -c x", "ssh://a/b", "--upload-pack=x", "https://u:p@host/x.git", "/etc"])
async def test_an_address_that_is_no_forge_is_refused(url: str) -> None:
    with pytest.raises(WrongUse):
        await remote_head(Remote(url, "bot", "secret"), "main")


async def test_a_change_of_the_same_size_in_the_same_second_is_seen_a_second_later(bare: Path, tmp_path: Path) -> None:
    """Git believes a file's size and second, unless its index is as young: a copy of the index must not look older."""
    repository = await cloned(Remote(f"file://{bare}", "bot", ""), tmp_path)
    await asyncio.sleep(1 - time.time() % 1)
    (repository.work_tree / "note").write_text("x = 1\n")
    assert await repository.commit_all("One", author=ANN)
    (repository.work_tree / "note").write_text("x = 2\n")
    await asyncio.sleep(1.1)
    assert await repository.changed_files("HEAD") == [("M", "note")]
    assert await repository.commit_all("Two", author=ANN)
    assert await repository.show_file("HEAD", "note") == b"x = 2\n"


class _Forge(BaseHTTPRequestHandler):
    """Git's own HTTP server behind a password, as a forge has it."""

    root: Path
    right = "Basic " + base64.b64encode(b"bot:glpat-right").decode()

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def _serve(self, body: bytes) -> None:
        path, _, query = re.sub("^http://[^/]+", "", self.path).partition("?")
        if "readonly" in path:
            return self._answer(
                403, {"Content-Type": "text/plain"}, b"You are not allowed to push code to this project."
            )
        if "broken" in path:
            return self._answer(503, {}, b"")
        if self.headers.get("Authorization") != self.right:
            return self._answer(401, {"WWW-Authenticate": 'Basic realm="GitLab"'}, b"HTTP Basic: Access denied")
        environment = {
            "PATH": "/usr/bin:/bin",
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": "bot",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=True)
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        return self._answer(int(headers.pop("Status", "200").split()[0]), headers, rest)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def serving(root: Path, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve the repositories in a folder over HTTP, or over TLS; gives the port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Serving", (_Forge,), {"root": root}))
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def forge(bare: Path) -> Iterator[str]:
    with serving(bare.parent) as port:
        yield f"http://127.0.0.1:{port}"


async def test_a_password_opens_the_forge_and_stays_nowhere(forge: str, tmp_path: Path) -> None:
    remote = Remote(f"{forge}/shop.git", "bot", "glpat-right")
    repository = await cloned(remote, tmp_path)
    (repository.work_tree / "readme.md").write_text("x")
    commit = await repository.commit_all("x", author=ANN)
    await repository.push(remote, source="HEAD", branch="feature", expect=None)
    assert await remote_head(remote, "feature") == commit
    for path in repository.git_dir.rglob("*"):
        assert path.is_dir() or b"glpat" not in path.read_bytes(), path


def own_certificate() -> bytes:
    """A certificate of this machine that signs itself, with its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "own")]), datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1))
    signed = made.add_extension(names, critical=False).sign(key, hashes.SHA256())
    plain = serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return signed.public_bytes(serialization.Encoding.PEM) + secret


@pytest.fixture
def own_authority(bare: Path, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The same forge behind TLS, and the file with the certificate that nobody else knows."""
    certificate = tmp_path / "own-authority.pem"
    certificate.write_bytes(own_certificate())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(bare.parent, context) as port:
        yield f"https://127.0.0.1:{port}", certificate


async def test_a_certificate_of_an_own_authority_is_believed_where_it_is_named(
    own_authority: tuple[str, Path], tmp_path: Path
) -> None:
    url, certificate = own_authority
    address = f"{url}/shop.git"
    with pytest.raises(Unreachable) as caught:
        await remote_head(Remote(address, "bot", "glpat-right"), "main")
    assert "certificate" in caught.value.message
    assert "REQUESTS_CA_BUNDLE" in caught.value.hint
    assert await remote_head(Remote(address, "bot", "glpat-right", str(certificate)), "main")


async def test_git_goes_by_the_proxy_that_is_named(forge: str) -> None:
    """A proxy of HTTP is asked for the whole address: here the forge itself is one, and its name leads nowhere."""
    remote = Remote("http://forge.invalid/shop.git", "bot", "glpat-right", proxy=forge)
    with pytest.raises(Unreachable):
        await remote_head(Remote(remote.url, "bot", "glpat-right"), "main")
    assert await remote_head(remote, "main")


async def test_a_wrong_password_is_unauthorized_and_is_not_repeated(forge: str, tmp_path: Path) -> None:
    with pytest.raises(Unauthorized) as caught:
        await cloned(Remote(f"{forge}/shop.git", "bot", "glpat-wrong"), tmp_path)
    assert "glpat" not in caught.value.message
    with pytest.raises(Unauthorized):
        await cloned(Remote(f"{forge}/shop.git", "bot", ""), tmp_path)


async def test_what_the_forge_refuses_or_cannot_do_is_told_apart(forge: str, bare: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        await remote_head(Remote(f"{forge}/gone.git", "bot", "glpat-right"), "main")
    with pytest.raises(Forbidden):
        await remote_head(Remote(f"{forge}/readonly.git", "bot", "glpat-right"), "main")
    with pytest.raises(Unreachable):
        await remote_head(Remote(f"{forge}/broken.git", "bot", "glpat-right"), "main")
    with pytest.raises(Unreachable):
        await remote_head(Remote("http://127.0.0.1:9/shop.git", "bot", "x"), "main")
