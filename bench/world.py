"""What the session benchmarks run against: a local forge and an instant model, each in a process of its own."""

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bench.process import COMMAND, Run, measure

PROJECT = "local/bench"
FILES = {
    "counter.py": "def count(items):\n    return len(list(items))\n",
    "check_counter.py": "from counter import count\n\nassert count('abc') == 3\nprint('1 passed')\n",
    "Makefile": "test:\n\t@python3 check_counter.py\n",
}
"""No pipeline and a check that costs next to nothing: what is left is our own cost."""


class InstantModel:
    """Answers at once: one plan, then as many tool calls as it was told, the last of them `finish`."""

    def __init__(
        self, steps: int, *, keep: bool = False, answer: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    ) -> None:
        self.requests: list[dict[str, Any]] = []
        self.sizes: list[int] = []
        model = self

        class Answers(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Else the body waits 40 ms for the kernel to hear that the head has come.
            disable_nagle_algorithm = True

            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = json.loads(body)
                # What is kept here would count as the measured process's memory, which begins as a copy of ours.
                if keep:
                    model.requests.append(request)
                    model.sizes.append(len(body))
                if request.get("stream"):
                    self.answer(answer(request) if answer else reply(request, steps))
                else:
                    self.plain()

            def plain(self) -> None:
                """Answer who wants it whole: an empty list, which for a reviewer of lines is no finding."""
                message = {"role": "assistant", "content": "[]"}
                usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
                data = json.dumps({"choices": [{"index": 0, "message": message}], "usage": usage}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def answer(self, call: dict[str, Any]) -> None:
                delta = {"role": "assistant", "content": None, "tool_calls": [{"index": 0, **call}]}
                chunks: list[dict[str, Any]] = [
                    {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
                    {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
                    {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}},
                ]
                lines = "".join(f"data: {json.dumps({'id': 'x', **chunk})}\n\n" for chunk in chunks)
                data = (lines + "data: [DONE]\n\n").encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.base_url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def reply(request: dict[str, Any], steps: int) -> dict[str, Any]:
    """The next call of the script: the number of tool results says how far the conversation is."""
    done = sum(message["role"] == "tool" for message in request["messages"])
    names = {tool["function"]["name"] for tool in request["tools"]}
    if "edit" not in names:
        return call("finish", {"outcome": "plan", "summary": "Count less.", "tasks": ["Change count", "Run the tests"]})
    if done >= steps - 1:
        return call(
            "finish", {"summary": "Count without a list.", "tests_run": ["check_counter.py"], "open_points": []}
        )
    if done == steps - 2:
        return call("run", {"command": f"python3 check_counter.py # {done}"})
    if done == 0:
        return call("read", {"path": "counter.py"})
    if done % 3 == 1:
        name = f"step_{done}"
        return call("write", {"path": f"{name}.py", "content": f"VALUE = {done}\n"})
    return (
        call("search", {"pattern": f"VALUE = {done - 1}"})
        if done % 3 == 2
        else call("run", {"command": f"echo {done}"})
    )


def call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": f"call_{name}_{hash(function['arguments']) & 0xFFFFFF}", "type": "function", "function": function}


@dataclass
class Bench:
    """A running forge with one project, and where sessions are kept."""

    env: dict[str, str]
    folder: Path

    def open_issue(self) -> str:
        text = self.folder / "issue.md"
        text.write_text("`count` in counter.py makes a list of everything; count without one.\n")
        told = subprocess.run(
            [COMMAND, "issue", PROJECT, "--title", "Count without a list", "--file", str(text), "--json"],
            env={**os.environ, **self.env},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        return str(json.loads(told)["reference"])

    def develop(self, model: InstantModel) -> Run:
        """One whole process of `mergewright develop`; raises when it does not finish well."""
        issue = self.open_issue()
        env = {**self.env, "OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "", "MERGEWRIGHT_MAX_TURNS": "400"}
        run = measure([COMMAND, "develop", issue, "--model", "openai:instant", "--json"], env=env)
        if run.exit_code:
            raise RuntimeError(f"develop ended with exit code {run.exit_code}")
        return run


@contextmanager
def bench() -> Iterator[Bench]:
    """Start a forge on a fresh project; everything is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mergewright-bench-") as name:
        folder = Path(name)
        source = folder / "bench"
        for path, text in FILES.items():
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            (source / path).write_text(text)
        git = ["git", "-C", str(source), "-c", "user.name=Bench", "-c", "user.email=bench@example.com"]
        for arguments in (["init", "-q", "--initial-branch=main"], ["add", "-A"], ["commit", "-q", "-m", "Begin"]):
            subprocess.run([*git, *arguments], check=True)
        env = {"MERGEWRIGHT_HOME": str(folder / "home")}
        serve = subprocess.Popen(
            [COMMAND, "serve", "--local", str(source), "--port", "0", "--api-port", "0", "--no-worker", "--json"],
            env={**os.environ, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert serve.stdout is not None
            if not serve.stdout.readline():
                raise RuntimeError("the local forge did not start")
            yield Bench(env, folder)
        finally:
            serve.terminate()
            serve.wait(timeout=20)
