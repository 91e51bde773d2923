"""Server and worker as a team runs them: two processes, PostgreSQL, and every secret in a file."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mergewright.app.local import tell_of_events
from mergewright.app.logs import trace_id
from mergewright.app.settings import read_settings
from mergewright.domain.errors import NoSandbox
from mergewright.server.serving import Server
from tests.review.stage import PROJECT, open_stage, propose
from tests.server.test_serving import FAULT, Place
from tests.support.databases import new_database, postgresql_server

COMMAND = Path(sys.executable).with_name("mergewright")
METRICS = "metrics-token-of-this-test"


@contextmanager
def running(log: Path, env: dict[str, str], *arguments: str) -> Iterator[dict[str, Any]]:
    """Run a verb of ours beside the test; gives what it said when it was ready."""
    with log.open("w") as stderr:
        process = subprocess.Popen([COMMAND, *arguments, "--json"], env=env, stdout=subprocess.PIPE, stderr=stderr)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, log.read_text()
        yield json.loads(line)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def until(true: Callable[[], Any]) -> None:
    ends = time.monotonic() + 60
    while not true():
        assert time.monotonic() < ends, "it never came to be"
        time.sleep(0.2)


def test_a_server_without_hands_and_a_worker_apart_review_on_one_database_that_restarts(tmp_path: Path) -> None:
    stage = open_stage(tmp_path / "stage")
    with postgresql_server() as server, ExitStack() as ends:
        ends.callback(lambda: asyncio.run(stage.close()))
        secrets = {
            "GITLAB_TOKEN": stage.tokens["developer-bot"],
            "MERGEWRIGHT_REVIEWER_TOKEN": stage.tokens["reviewer"],
            "MERGEWRIGHT_WEBHOOK_TOKEN": "webhook-token-of-this-test",
            "MERGEWRIGHT_METRICS_TOKEN": METRICS,
            "MERGEWRIGHT_DATABASE_URL": new_database(server.url),
        }
        env = {
            "PATH": os.environ["PATH"],
            "MERGEWRIGHT_HOME": str(tmp_path / "home"),
            "GITLAB_URL": stage.served.url,
            "MERGEWRIGHT_LOG": "json",
        }
        for name, value in secrets.items():
            (tmp_path / name).write_text(f"{value}\n")
            env[f"{name}_FILE"] = str(tmp_path / name)
        log = tmp_path / "server.log"
        with running(log, env, "serve", "--no-worker", "--api-port", "0") as told:

            def ask(path: str) -> httpx2.Response:
                return httpx2.get(
                    f"{told['url']}{path}",
                    headers={"Authorization": f"Bearer {METRICS}"},
                    trust_env=False,
                    timeout=30,
                    verify=False,
                )

            unready = ask("/-/readiness")
            assert unready.status_code == 503
            assert unready.json()["checks"]["workers"]["message"] == "no process takes up work"
            with running(tmp_path / "worker.log", env, "worker"):
                until(lambda: ask("/-/readiness").status_code == 200)
                tell_of_events(stage.served, read_settings(env), PROJECT, told["url"])
                propose(stage, FAULT)
                server.stop()
                time.sleep(1)
                server.start()
                until(stage.summaries)
                line = 'mergewright_session_turns_total{flow="code_review",reason="finished",status="finished"} 1.0'
                until(lambda: line in ask("/-/metrics").text)
                assert "mergewright_workers 1.0" in ask("/-/metrics").text
        assert not (tmp_path / "home" / "mergewright.sqlite3").exists()
        lines = [json.loads(line) for line in (tmp_path / "worker.log").read_text().splitlines() if line[0] == "{"]
        (begins,) = [line for line in lines if line["message"] == "the turn begins"]
        assert (begins["flow"], begins["subject"]) == ("code_review", f"{PROJECT}!1")
        assert begins["trace_id"] == trace_id(begins["session"])
        assert any(line["message"] == "the turn is over" and line["status"] == "finished" for line in lines)
        logs = log.read_text() + (tmp_path / "worker.log").read_text()
        assert any(json.loads(line)["logger"] == "mergewright.access" for line in log.read_text().splitlines()[:-1])
        assert [name for name, value in secrets.items() if value in logs] == []


def no_sandbox() -> Path:
    raise NoSandbox("bubblewrap cannot start a sandbox here: no namespaces", hint="let the host allow them")


@pytest.mark.parametrize("worker", [False, True])
def test_a_server_without_hands_takes_sessions_where_no_sandbox_can_start_and_one_with_hands_refuses_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, worker: bool
) -> None:
    monkeypatch.setattr("mergewright.sandbox.availability.find_bubblewrap", no_sandbox)
    place = Place(tmp_path)
    place.server.stop()
    place.server = Server(place.settings, port=0, worker=worker)
    place.server.start()
    place.server.wait()
    try:
        propose(place.stage, FAULT, title="Draft: x")
        asked = {"flow": "code_review", "subject": f"{PROJECT}!1", "start": False}
        answer = place.ask("POST", "/api/v1/sessions", json=asked)
        ready = place.ask("GET", "/-/readiness", by="").json()["checks"]
        if worker:
            assert answer.status_code >= 400
            assert "no namespaces" in answer.text
            assert "no namespaces" in ready["sandbox"]["message"], "nothing runs outside a sandbox instead"
        else:
            assert answer.status_code == 201, answer.text
            assert "sandbox" not in ready
    finally:
        place.close()
