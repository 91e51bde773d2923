"""A person's place: a home folder, a repository, the local forge, and the command line."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx2

from mergewright.app.local import add_repository, introduce, open_local_forge
from mergewright.app.settings import read_settings
from mergewright.localforge.server import LocalForge

COMMAND = Path(sys.executable).parent / "mergewright"
RECORDINGS = Path(__file__).parent / "recordings"
PROJECTS = Path(__file__).parent.parent / "projects"
BOT = "mergewright-developer"
START_SECONDS = 60.0

JSON = Any


class Developed(NamedTuple):
    """What `mergewright develop --json`, or another verb that works on a session, came to."""

    exit_code: int
    told: dict[str, JSON]
    stderr: str


class Running:
    """A command that runs beside the test; what it tells is collected line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.told: list[str] = []
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._more:
                self.told.append(line.rstrip("\n"))
                self._more.notify_all()

    def wait_for(self, start: str, *, seconds: float = 60.0) -> None:
        """Come back once it has told a line that starts so."""
        with self._more:
            there = self._more.wait_for(lambda: any(line.startswith(start) for line in self.told), seconds)
        assert there, f"`{start}` was never told:\n" + "\n".join(self.told)

    def end(self, *, seconds: float = 120.0) -> tuple[int, dict[str, JSON]]:
        """Wait for its end; gives its exit code and the object on its last line."""
        try:
            code = self.process.wait(seconds)
        finally:
            self.process.kill()
            self._reader.join(10)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        out = self.process.stdout.read().strip()
        self.process.stdout.close()
        self.process.stderr.close()
        assert not any("Traceback" in line for line in self.told), self.told
        return code, json.loads(out.rpartition("\n")[2]) if out else {}


class Place:
    """Everything one person has; nothing of it is shared with another test.

    A `whole` one runs `mergewright serve`, with our own server beside the forge. The others have the same forge without
    it, in this process: that takes a tenth of the time.
    """

    def __init__(self, home: Path, repositories: Sequence[Path], *, whole: bool = True) -> None:
        self.home = home
        self.whole = whole
        self.repositories = list(repositories)
        self.project = f"local/{repositories[0].name}" if repositories else ""
        self.env = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(home.parent),
            "MERGEWRIGHT_HOME": str(home),
        }
        self.url = ""
        self.pages = ""
        """Where our own server is, with its pages."""
        self.person = ""
        self.serve_with: tuple[str, ...] = ()
        """What else a whole place is served with."""
        self._port = 0
        self._served: subprocess.Popen[str] | None = None
        self._forge: LocalForge | None = None

    # --- the forge ---------------------------------------------------------------------------

    def start(self) -> None:
        """Serve the repositories; a second start takes the same port again."""
        if self.whole:
            self._serve()
        else:
            self._open()
        self._port = int(self.url.rpartition(":")[2])

    def _open(self) -> None:
        settings = read_settings(self.env)
        self._forge = open_local_forge(settings, port=self._port)
        self._forge.start()
        connection = introduce(self._forge, settings)
        for path in self.repositories:
            add_repository(self._forge, path, person=connection.person)
        self.url, self.person = connection.url, connection.person

    def _serve(self) -> None:
        arguments = [argument for path in self.repositories for argument in ("--local", str(path))]
        arguments += self.serve_with
        log = (self.home.parent / "serve.log").open("a")
        with log:
            self._served = subprocess.Popen(
                [COMMAND, "serve", *arguments, "--port", str(self._port), "--api-port", "0", "--json"],
                env=self.env,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._served.stdout is not None
        line = self._served.stdout.readline()
        assert line, (self.home.parent / "serve.log").read_text()
        told = json.loads(line)
        self.url, self.pages, self.person = told["forge_url"], told["url"], told["person"]

    def stop(self) -> None:
        """End the forge as Ctrl-C does."""
        if self._forge is not None:
            self._forge.stop()
            self._forge = None
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End the forge without a word; only a process can be ended so."""
        assert self.whole
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._served is None:
            return
        self._served.send_signal(number)
        self._served.wait(30)
        assert self._served.stdout is not None
        self._served.stdout.close()
        self._served = None

    # --- the command line --------------------------------------------------------------------

    def cli(
        self,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        timeout: float = 120.0,
        check: bool = False,
        stdin: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run `mergewright` to its end."""
        done = subprocess.run(
            [COMMAND, *arguments],
            env={**self.env, **(env or {})},
            capture_output=True,
            text=True,
            input=stdin,
            timeout=timeout,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert not check or done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def spawn(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Run `mergewright` beside the test; the caller ends it."""
        return subprocess.Popen(
            [COMMAND, *arguments],
            env={**self.env, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def beside(
        self,
        *arguments: str | Path,
        recording: str | Path = "",
        env: Mapping[str, str] | None = None,
        as_json: bool = True,
    ) -> Running:
        """Run a verb beside the test; the caller ends it."""
        model = ("--model", f"recorded:{recorded(recording)}") if recording else ()
        return Running(self.spawn(*arguments, *model, *(("--json",) if as_json else ()), env=env))

    def open_issue(self, title: str, text: str = "", *, project: str = "") -> str:
        """Open an issue as the person does; gives its reference, `local/x#1`."""
        project = project or self.project
        made = self.api("POST", f"projects/{quote(project, safe='')}/issues", title=title, description=text)
        return str(made["references"]["full"])

    def develop(
        self,
        issue: str,
        *arguments: str | Path,
        recording: str | Path = "",
        env: Mapping[str, str] | None = None,
        timeout: float = 120.0,
    ) -> Developed:
        """Run the developer flow on an issue, with a recording by its name or its path as the model."""
        return self.work("develop", issue, *arguments, recording=recording, env=env, timeout=timeout)

    def work(
        self,
        *arguments: str | Path,
        recording: str | Path = "",
        env: Mapping[str, str] | None = None,
        timeout: float = 120.0,
    ) -> Developed:
        """Run a verb that works on a session with `--json`; without an object on its last line, `told` is empty."""
        model = ("--model", f"recorded:{recorded(recording)}") if recording else ()
        done = self.cli(*arguments, *model, "--json", env=env, timeout=timeout)
        last = done.stdout.strip().rpartition("\n")[2]
        return Developed(done.returncode, json.loads(last) if last else {}, done.stderr)

    def events(self, session: str, *kinds: str) -> list[dict[str, JSON]]:
        """Give a session's log, or what it holds of these kinds."""
        lines = self.cli("sessions", "show", session, "--full", check=True).stdout.splitlines()
        events = [json.loads(line) for line in lines]
        return [event for event in events if not kinds or event["kind"] in kinds]

    def session(self, session: str) -> dict[str, JSON]:
        value: dict[str, JSON] = json.loads(self.cli("sessions", "show", session, "--json", check=True).stdout)
        return value

    # --- the forge's API, as the person -------------------------------------------------------

    @property
    def connection(self) -> dict[str, str]:
        value: dict[str, str] = json.loads((self.home / "forge" / "connection.json").read_text())
        return value

    @property
    def token(self) -> str:
        return self.connection["person_token"]

    def api(self, verb: str, path: str, /, *, token: str = "", **body: JSON) -> JSON:
        """Ask the forge's API v4; what it refuses fails the test."""
        headers = {"PRIVATE-TOKEN": token or self.token}
        with httpx2.Client(timeout=30, trust_env=False, verify=False) as client:
            answer = client.request(verb, f"{self.url}/api/v4/{path.lstrip('/')}", headers=headers, json=body or None)
        assert answer.is_success, f"{verb} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def get(self, path: str) -> JSON:
        return self.api("GET", path)

    @property
    def base(self) -> str:
        """The project's path in the API."""
        return f"projects/{quote(self.project, safe='')}"

    def merge_requests(self) -> list[dict[str, JSON]]:
        value: list[dict[str, JSON]] = self.get(f"{self.base}/merge_requests?state=all&per_page=100")
        return value

    def branches(self) -> list[str]:
        return [branch["name"] for branch in self.get(f"{self.base}/repository/branches?per_page=100")]

    def notes(self, issue: str) -> list[dict[str, JSON]]:
        """Give the notes that people and bots wrote on an issue, the oldest first."""
        iid = issue.rpartition("#")[2]
        notes = self.get(f"{self.base}/issues/{iid}/notes?per_page=100&sort=asc")
        return [note for note in notes if not note["system"]]

    def clone(self, branch: str) -> Path:
        """Clone a branch as the person would, over HTTP."""
        target = self.home.parent / f"clone-{branch.replace('/', '-')}-{time.monotonic_ns()}"
        url = f"{self.url.replace('://', f'://person:{self.token}@')}/{self.project}.git"
        git(self.home.parent, "clone", "-q", "--branch", branch, url, str(target))
        return target


def recorded(recording: str | Path) -> Path:
    return recording if isinstance(recording, Path) else RECORDINGS / f"{recording}.jsonl"


def git(folder: Path, *arguments: str) -> str:
    """Run git; gives what it printed."""
    identity = ["-c", "user.name=Person", "-c", "user.email=person@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, f"git {arguments}: {done.stderr}"
    return done.stdout


def make_repository(source: Path | Mapping[str, str], target: Path) -> Path:
    """Make a git repository with one commit, of a folder's files or of texts by their paths."""
    if isinstance(source, Path):
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.mkdir(parents=True)
        for name, text in source.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_text(text)
    git(target, "init", "-q", "--initial-branch=main")
    git(target, "add", "--all")
    git(target, "commit", "-q", "--no-verify", "-m", "Begin")
    return target
