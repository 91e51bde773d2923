"""500 webhooks in a burst, the server killed in the middle: none lost, none handled twice, and how long each waited."""

import json
import os
import signal
import sqlite3
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from bench.process import COMMAND, PYTHON
from bench.row import Row
from bench.world import PROJECT, Bench, bench

COUNT = 500
TOKEN = "bench-webhook-token"
NOBODY = "nobody"


@dataclass
class Burst:
    """What a burst of deliveries came to."""

    seconds: list[float] = field(default_factory=list)
    """Of each delivery that was answered, in the sender's eyes."""
    answered: set[int] = field(default_factory=set)
    known: set[int] = field(default_factory=set)
    """Those that the server had kept before."""
    wall: float = 0.0


def payload(number: int) -> bytes:
    """A push to a merge request of its own; no session begins, as the project has none of them."""
    return json.dumps(
        {
            "object_kind": "merge_request",
            "user": {"username": NOBODY, "id": 9},
            "project": {"path_with_namespace": PROJECT},
            "object_attributes": {"iid": number, "action": "update", "oldrev": "a" * 40, "state": "opened"},
            "changes": {},
            "padding": "x" * 6_000,
        }
    ).encode()


def send(port: int, numbers: Sequence[int], *, side_by_side: int, stop: threading.Event | None = None) -> Burst:
    """Send deliveries as GitLab's workers do: each of `side_by_side` senders one after another."""
    burst, lock = Burst(), threading.Lock()
    waiting = list(reversed(numbers))

    def sender() -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        while True:
            with lock:
                if not waiting or (stop is not None and stop.is_set()):
                    break
                number = waiting.pop()
            headers = {
                "X-Gitlab-Token": TOKEN,
                "Idempotency-Key": f"bench-{number}",
                "Content-Type": "application/json",
            }
            body = payload(number)
            began = time.perf_counter()
            try:
                connection.request("POST", "/webhooks/gitlab", body, headers)
                answer = connection.getresponse()
                told = json.loads(answer.read())
            except (OSError, HTTPException, ValueError):
                connection.close()
                continue
            took = time.perf_counter() - began
            with lock:
                if answer.status in {200, 202}:
                    burst.seconds.append(took)
                    burst.answered.add(number)
                    if told["known"]:
                        burst.known.add(number)
        connection.close()

    began = time.perf_counter()
    with ThreadPoolExecutor(side_by_side) as pool:
        for _ in range(side_by_side):
            pool.submit(sender)
    burst.wall = time.perf_counter() - began
    return burst


class Served:
    """The real server on the bench's forge, without a worker."""

    def __init__(self, place: Bench) -> None:
        connection = json.loads((Path(place.env["MERGEWRIGHT_HOME"]) / "forge" / "connection.json").read_text())
        self.env = {
            **os.environ,
            **place.env,
            "GITLAB_URL": connection["url"],
            "GITLAB_TOKEN": connection["bot_token"],
            "MERGEWRIGHT_REVIEWER_TOKEN": connection["reviewer_token"],
            "MERGEWRIGHT_WEBHOOK_TOKEN": TOKEN,
            "MERGEWRIGHT_DATABASE_URL": f"sqlite:///{place.folder}/server.sqlite3",
        }
        self.database = place.folder / "server.sqlite3"
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [COMMAND, "serve", "--api-port", "0", "--no-worker", "--json", "--model", "none"],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdout is not None
        self.port = int(json.loads(self.process.stdout.readline())["url"].rpartition(":")[2])

    def end(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.wait(20)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def kept(self) -> tuple[int, int]:
        """How many deliveries and how many triggers are kept."""
        with closing(sqlite3.connect(self.database)) as database:
            return tuple(
                database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("deliveries", "triggers")
            )


SIDE_BY_SIDE = 16
BAR = 20.0
"""Milliseconds, the median of a burst."""


def burst_row(name: str, burst: Burst, floor: Burst, bar: float | None) -> Row:
    milliseconds = sorted(one * 1000 for one in burst.seconds)
    median, last = statistics.median(milliseconds), milliseconds[int(len(milliseconds) * 0.99) - 1]
    times = median / (statistics.median(floor.seconds) * 1000)
    note = f"p99 {last:.0f} ms, {len(milliseconds) / burst.wall:.0f}/s; {times:.2f} times a server that only answers"
    return Row(name, median, bar, "ms", note)


@contextmanager
def answers() -> Iterator[int]:
    """A bare server on the same stack that reads a request and answers it: the yardstick; gives its port."""
    process = subprocess.Popen([PYTHON, "-m", "bench.answers"], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()


def bursts(served: Served, runs: int) -> list[Row]:
    """Bursts of one sender and of many, each in turn with the yardstick."""
    rows, number = [], 0
    with answers() as port:
        for side_by_side in (1, SIDE_BY_SIDE):
            ours, floor = [], []
            for _ in range(runs):
                numbers = range(number + 1, number + COUNT + 1)
                number += COUNT
                floor.append(send(port, numbers, side_by_side=side_by_side))
                ours.append(send(served.port, numbers, side_by_side=side_by_side))
            middle = sorted(zip(ours, floor, strict=True), key=lambda pair: statistics.median(pair[0].seconds))
            name = f"{COUNT} webhooks, {side_by_side} at a time, median answer"
            rows.append(burst_row(name, *middle[len(middle) // 2], BAR))
    return rows


def killed(served: Served) -> list[Row]:
    """Kill the server in the middle of a burst, send what was not answered again, and once more what was."""
    before = served.kept()
    numbers, stop = range(2_000_001, 2_000_001 + COUNT), threading.Event()

    def kill() -> None:
        while served.kept()[0] < before[0] + COUNT // 2:
            time.sleep(0.005)
        served.process.send_signal(signal.SIGKILL)
        stop.set()

    killer = threading.Thread(target=kill)
    killer.start()
    first = send(served.port, numbers, side_by_side=SIDE_BY_SIDE, stop=stop)
    killer.join()
    served.end(signal.SIGKILL)
    served.start()
    rest = [one for one in numbers if one not in first.answered]
    second = send(served.port, rest, side_by_side=SIDE_BY_SIDE)
    again = send(served.port, sorted(first.answered), side_by_side=SIDE_BY_SIDE)
    deliveries, triggers = (now - then for now, then in zip(served.kept(), before, strict=True))
    lost = COUNT - len(first.answered | second.answered)
    note = f"{len(first.answered)} answered before, {len(rest)} sent again, of which {len(second.known)} had been kept"
    twice = len(again.answered - again.known) + max(triggers - COUNT, 0)
    return [
        Row(f"{COUNT} webhooks across kill -9, lost", lost + max(COUNT - deliveries, 0), 0, "", note),
        Row(f"{COUNT} webhooks across kill -9, taken twice", twice, 0, ""),
    ]


def webhook_rows(runs: int) -> list[Row]:
    """The real server without a worker, on the bench's forge."""
    with bench() as place:
        served = Served(place)
        try:
            send(served.port, range(1_000_001, 1_000_051), side_by_side=4)  # a warm-up
            return bursts(served, runs) + killed(served)
        finally:
            served.end(signal.SIGTERM)
