"""What an idle server takes: memory with and without the local forge, and after its numbers were asked for."""

import json
import os
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.process import COMMAND
from bench.row import Row

BAR = 150.0
QUIET = 5.0
"""Seconds after it is ready in which nobody asks anything of it."""
ASKED = ("/-/metrics", "/-/liveness", "/api/v1/openapi.json")


@contextmanager
def served(env: Mapping[str, str], *arguments: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Start `mergewright serve`; gives its process id and what it said when it was ready."""
    process = subprocess.Popen(
        [COMMAND, "serve", *arguments, "--api-port", "0", "--json"],
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the server did not start")
        yield process.pid, json.loads(line)
    finally:
        process.terminate()
        process.wait(timeout=30)


def resident(pid: int) -> float:
    """Give the memory that a process holds, in MB."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1024**2


def server_rows(_: int = 1) -> list[Row]:
    """A server beside a local forge of its own, and one for a GitLab, which that forge plays."""
    with tempfile.TemporaryDirectory(prefix="mergewright-bench-") as name:
        folder = Path(name)
        source = folder / "bench"
        source.mkdir()
        (source / "a.py").write_text("A = 1\n")
        git = ["git", "-C", str(source), "-c", "user.name=Bench", "-c", "user.email=bench@example.com"]
        for arguments in (["init", "-q", "--initial-branch=main"], ["add", "-A"], ["commit", "-q", "-m", "Begin"]):
            subprocess.run([*git, *arguments], check=True)
        home = folder / "home"
        with served({"MERGEWRIGHT_HOME": str(home)}, "--local", str(source), "--port", "0") as (pid, told):
            time.sleep(QUIET)
            rows = [Row("serve --local, idle", resident(pid), BAR, "MB", "with the forge in the same process")]
            tokens = json.loads((home / "forge" / "connection.json").read_text())
            env = {
                "MERGEWRIGHT_HOME": str(folder / "other"),
                "GITLAB_URL": told["forge_url"],
                "GITLAB_TOKEN": tokens["bot_token"],
                "MERGEWRIGHT_REVIEWER_TOKEN": tokens["reviewer_token"],
            }
            for more, name in (((), "serve"), (("--no-worker",), "serve --no-worker")):
                began = time.perf_counter()
                with served(env, *more) as (pid, told):
                    ready = time.perf_counter() - began
                    time.sleep(QUIET)
                    rows.append(Row(f"{name}, idle", resident(pid), BAR, "MB", f"ready after {ready:.1f} s"))
                    for path in ASKED:
                        urllib.request.urlopen(f"{told['url']}{path}").read()
                    rows.append(Row(f"{name}, after {len(ASKED)} questions", resident(pid), BAR, "MB"))
        return rows
