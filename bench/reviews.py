"""`mergewright review` on three diffs, as whole processes against an instant model."""

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.diffs import SIZES, Size, changed_lines, git, make_repository
from bench.process import COMMAND, Run, measure
from bench.world import InstantModel, call

WINDOW = 32_000
FINDINGS = 3


class InstantReviewer(InstantModel):
    """Finds what it is told to find in the first part of a diff, believes all of it, and finishes at once."""

    def __init__(self, findings: int, *, keep: bool = False) -> None:
        super().__init__(0, keep=keep, answer=lambda request: verdict(request, findings))


def verdict(request: dict[str, Any], findings: int) -> dict[str, Any]:
    """Answer a request of a review by what its `finish` takes."""
    prompt = request["messages"][1]["content"]
    finish = next(one for one in request["tools"] if one["function"]["name"] == "finish")
    if "answers" in finish["function"]["parameters"]["properties"]:
        numbers = range(1, 1 + sum(line.startswith("Number ") for line in prompt.split("\n")))
        return call("finish", {"answers": [{"number": n, "outcome": "keep", "reason": "It is so."} for n in numbers]})
    found: list[dict[str, Any]] = []
    path = ""
    for line in prompt.split("\n"):
        path = line[4:].split(" (")[0] if line.startswith("=== ") else path
        if line.startswith("+    found") and len(found) < findings:
            place = {"path": path, "line": 1, "quote": line[1:], "severity": "major", "category": "correctness"}
            found.append({**place, "title": f"Defect {len(found)}", "body": f"About `defect_{len(found)}`."})
    return call("finish", {"findings": found})


@dataclass
class Counter:
    """A way to the forge that counts what is asked of its API."""

    target: str
    paths: list[str] = field(default_factory=list)

    @contextmanager
    def open(self) -> Iterator[str]:
        counter, host = self, urlsplit(self.target)

        class Way(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, format: str, *args: object) -> None:
                pass

            def forward(self) -> None:
                counter.paths.append(f"{self.command} {self.path}")
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                connection = HTTPConnection(host.hostname or "", host.port or 80, timeout=60)
                headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                data = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in {"transfer-encoding", "connection", "content-length"}:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                connection.close()

            do_GET = do_POST = do_PUT = do_DELETE = forward

        server = ThreadingHTTPServer(("127.0.0.1", 0), Way)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()

    @property
    def calls(self) -> list[str]:
        return [path for path in self.paths if "/api/" in path]


@dataclass
class Reviewed:
    """A forge with one merge request of each size."""

    env: dict[str, str]
    url: str
    token: str
    sources: dict[str, Path]

    def review(self, size: Size, model: InstantReviewer, *, home: Path, forge: str = "") -> Run:
        """One whole process of `mergewright review` with nothing kept from another; raises when it fails."""
        env = {
            "MERGEWRIGHT_HOME": str(home),
            "GITLAB_URL": forge or self.url,
            "GITLAB_TOKEN": self.token,
            "OPENAI_BASE_URL": model.base_url,
            "OPENAI_API_KEY": "",
            "MERGEWRIGHT_REVIEW_WINDOW": str(WINDOW),
        }
        run = measure([COMMAND, "review", f"local/{size.name}!1", "--model", "openai:instant", "--json"], env=env)
        if run.exit_code:
            raise RuntimeError(f"the review of the {size.name} diff ended with exit code {run.exit_code}")
        return run

    def peer(self, size: Size, model: InstantReviewer, command: str, *, forge: str = "") -> Run:
        """One whole process of xai-review's `ai-review run-context` on the same merge request and model."""
        env = {
            "LLM__PROVIDER": "OPENAI",
            "LLM__META__MODEL": "instant",
            "LLM__HTTP_CLIENT__API_URL": model.base_url,
            "LLM__HTTP_CLIENT__API_TOKEN": "none",
            "VCS__PROVIDER": "GITLAB",
            "VCS__PIPELINE__PROJECT_ID": f"local%2F{size.name}",
            "VCS__PIPELINE__MERGE_REQUEST_ID": "1",
            "VCS__HTTP_CLIENT__API_URL": forge or self.url,
            "VCS__HTTP_CLIENT__API_TOKEN": self.token,
        }
        return measure([command, "run-context"], env=env, cwd=self.sources[size.name])

    def raw_tokens(self, size: Size) -> float:
        """Give what the raw diff would take, its characters divided by 4."""
        return len(git(self.sources[size.name], "diff", "main", "change")) / 4

    def changed(self, size: Size) -> int:
        return changed_lines(self.sources[size.name])


@contextmanager
def reviewed() -> Iterator[Reviewed]:
    """Start a forge with the three merge requests; everything is gone afterwards."""
    import httpx2

    with tempfile.TemporaryDirectory(prefix="mergewright-bench-") as name:
        folder = Path(name)
        sources = {size.name: make_repository(folder / size.name, size) for size in SIZES}
        env = {"MERGEWRIGHT_HOME": str(folder / "home")}
        named = [part for source in sources.values() for part in ("--local", str(source))]
        serve = subprocess.Popen(
            [COMMAND, "serve", *named, "--port", "0", "--api-port", "0", "--no-worker", "--json"],
            env={**os.environ, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert serve.stdout is not None
            url = json.loads(serve.stdout.readline())["forge_url"]
            known = json.loads((folder / "home" / "forge" / "connection.json").read_text())
            reviewer = httpx2.get(
                f"{url}/api/v4/user", headers={"PRIVATE-TOKEN": known["reviewer_token"]}, trust_env=False, verify=False
            ).json()["id"]
            for size in SIZES:
                httpx2.post(
                    f"{url}/api/v4/projects/local%2F{size.name}/merge_requests",
                    headers={"PRIVATE-TOKEN": known["person_token"]},
                    json={
                        "source_branch": "change",
                        "target_branch": "main",
                        "title": "Change",
                        "description": "A change.",
                        "reviewer_ids": [reviewer],
                    },
                    trust_env=False,
                    verify=False,
                ).raise_for_status()
            yield Reviewed(env, url, known["reviewer_token"], sources)
        finally:
            serve.terminate()
            serve.wait(timeout=20)


def shown_lines(requests: list[dict[str, Any]]) -> int:
    """Count the changed lines in what the model was shown by the pass that looks for defects."""
    number = 0
    for request in requests:
        prompt = request["messages"][1]["content"]
        if "a part of the diff" in prompt.split("\n")[0]:
            number += sum(line.startswith(("+", "-")) for line in prompt.split("\n"))
    return number
