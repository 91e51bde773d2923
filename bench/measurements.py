"""The measurements, each with its bar."""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.diffs import SIZES, Size
from bench.process import COMMAND, PYTHON, in_turn, measure, median
from bench.reviews import FINDINGS, WINDOW, Counter, InstantReviewer, Reviewed, reviewed, shown_lines
from bench.row import Row, table
from bench.server import server_rows
from bench.webhooks import webhook_rows
from bench.world import InstantModel, bench

HEAVY = ("dbos", "sqlalchemy", "openai", "pydantic_ai", "pydantic", "httpx2", "gitlab", "starlette", "rich", "asyncio")
CHARACTERS_PER_TOKEN = 4


def help_rows(runs: int) -> list[Row]:
    """`mergewright --help` beside an interpreter that does nothing, and what it loads."""
    ours, bare = in_turn(runs, lambda _: measure([COMMAND, "--help"]), lambda _: measure([PYTHON, "-c", "pass"]))
    code = (
        "import sys\nsys.argv = ['mergewright', '--help']\nfrom mergewright.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nprint(' '.join(sys.modules))"
    )
    import subprocess

    loaded = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = [name for name in HEAVY if name in loaded]
    wall, floor = median(ours, lambda run: run.wall), median(bare, lambda run: run.wall)
    return [
        Row("--help, wall", wall, 0.2, "s", f"{wall / floor:.1f} times a bare interpreter"),
        Row("--help, peak memory", median(ours, lambda run: run.memory), None, "MB"),
        Row("--help, heavy modules loaded", len(heavy), 0, "", ", ".join(heavy)),
    ]


def session_rows(runs: int) -> list[Row]:
    """`mergewright develop` as a whole process with an instant model, beside an import of the OpenAI SDK alone."""
    rows = []
    walls: dict[int, float] = {}
    yardstick = 0.0
    with bench() as forge:
        for steps, bar in ((10, 2.0), (50, 5.0), (200, None)):
            model = InstantModel(steps, keep=steps == 50)
            count = runs if steps < 200 else 1
            ours, sdk = in_turn(
                count,
                lambda _, model=model: forge.develop(model),  # type: ignore[misc]
                lambda _: measure([PYTHON, "-c", "import openai"]),
            )
            walls[steps] = median(ours, lambda run: run.wall)
            yardstick = median(sdk, lambda run: run.wall)
            note = (
                f"{walls[steps] / yardstick:.2f} times `import openai`; cpu {median(ours, lambda run: run.cpu):.2f} s"
            )
            rows.append(Row(f"session of {steps} steps, wall", walls[steps], bar, "s", note))
            rows.append(Row(f"session of {steps} steps, peak memory", max(run.memory for run in ours), 120, "MB"))
            if steps == 50:
                rows += request_rows(model)
            model.close()
    early = (walls[50] - walls[10]) / 40
    late = (walls[200] - walls[50]) / 150
    rows.append(Row("a step between 10 and 50", early * 1000, None, "ms"))
    rows.append(Row("a step between 50 and 200", late * 1000, None, "ms", f"{late / early:.2f} times the earlier ones"))
    return rows


def request_rows(model: InstantModel) -> list[Row]:
    """What the requests of the last session held: the first one's size, and whether the prefix ever changed."""
    talks: list[list[str]] = []
    breaks = 0
    for request in model.requests:
        messages = [json.dumps(message, sort_keys=True) for message in request["messages"]]
        same = json.dumps(request["tools"], sort_keys=True)
        if talks and talks[-1][0] == same and len(messages) > len(talks[-1]) - 1 > 0:
            breaks += talks[-1][1:] != messages[: len(talks[-1]) - 1]
        talks.append([same, *messages])
    first = max(
        size for request, size in zip(model.requests, model.sizes, strict=True) if len(request["messages"]) == 2
    )
    tokens = first / CHARACTERS_PER_TOKEN
    return [
        Row("first request, largest of plan and implement", tokens, 3000, "tokens", "characters divided by 4"),
        Row("prefix breaks in sessions of 50 steps", breaks, 0, ""),
    ]


def sandbox_rows(runs: int) -> list[Row]:
    """A command in the sandbox beside the same command without one."""
    from mergewright.sandbox.bubblewrap import Bubblewrap

    async def timed(folder: Path) -> tuple[float, float]:
        (folder / "work").mkdir()
        (folder / "out").mkdir()
        sandbox = Bubblewrap(folder / "work", outputs=folder / "out")
        inside, outside = [], []
        for number in range(runs * 4 + 1):
            began = time.perf_counter()
            await sandbox.run("true")
            middle = time.perf_counter()
            process = await asyncio.create_subprocess_exec("/bin/bash", "-c", "true")
            await process.wait()
            if number:
                inside.append(middle - began)
                outside.append(time.perf_counter() - middle)
        return statistics.median(inside), statistics.median(outside)

    with tempfile.TemporaryDirectory() as name:
        inside, outside = asyncio.run(timed(Path(name)))
    note = f"{inside * 1000:.1f} ms inside, {outside * 1000:.1f} ms outside"
    return [Row("sandbox, added to a command", (inside - outside) * 1000, 40, "ms", note)]


def review_rows(runs: int) -> list[Row]:
    """`mergewright review` as a whole process on three diffs, beside an import of the OpenAI SDK alone."""
    rows: list[Row] = []
    with reviewed() as forge, tempfile.TemporaryDirectory() as name:
        homes = Path(name)
        for size in SIZES:
            model = InstantReviewer(0)
            count = runs if size.name != "large" else max(runs // 2, 1)
            ours, sdk = in_turn(
                count,
                lambda number, size=size, model=model: forge.review(  # type: ignore[misc]
                    size, model, home=homes / f"{size.name}-{number}"
                ),
                lambda _: measure([PYTHON, "-c", "import openai"]),
            )
            model.close()
            wall, yardstick = median(ours, lambda run: run.wall), median(sdk, lambda run: run.wall)
            note = f"{wall / yardstick:.2f} times `import openai`; cpu {median(ours, lambda run: run.cpu):.2f} s"
            rows.append(Row(f"{size.name} review, wall", wall, 1.5 if size.name == "small" else None, "s", note))
            memory = max(run.memory for run in ours)
            rows.append(Row(f"{size.name} review, peak memory", memory, 120 if size.name == "large" else None, "MB"))
            for findings in (0, FINDINGS):
                model = InstantReviewer(findings, keep=True)
                counter = Counter(forge.url)
                with counter.open() as way:
                    forge.review(size, model, home=homes / f"{size.name}-counted-{findings}", forge=way)
                model.close()
                bar = {"small": 10, "large": 25}.get(size.name)
                threads = sum("draft_notes" in one and one.startswith("POST") for one in counter.calls) - 1
                name_of = f"{size.name} review with {threads} threads, forge calls besides one a thread"
                rows.append(Row(name_of, len(counter.calls) - threads, bar, ""))
                if not findings:
                    rows += _shown_rows(forge, size, model)
    return rows


def peer_rows(runs: int, command: str) -> list[Row]:
    """xai-review on the same three merge requests, model and machine, in turn with ours."""
    rows: list[Row] = []
    with reviewed() as forge, tempfile.TemporaryDirectory() as name:
        homes = Path(name)
        for size in SIZES:
            model = InstantReviewer(0)
            count = runs if size.name != "large" else 1
            ours, theirs = in_turn(
                count,
                lambda number, size=size, model=model: forge.review(  # type: ignore[misc]
                    size, model, home=homes / f"{size.name}-{number}"
                ),
                lambda _, size=size, model=model: forge.peer(size, model, command),  # type: ignore[misc]
            )
            model.close()
            codes = {run.exit_code for run in theirs}
            for what, runs_of in (("ours", ours), ("xai-review", theirs)):
                note = f"exit codes {codes}" if what == "xai-review" else ""
                rows.append(Row(f"{size.name}, {what}, wall", median(runs_of, lambda run: run.wall), None, "s", note))
                rows.append(Row(f"{size.name}, {what}, peak memory", max(run.memory for run in runs_of), None, "MB"))
            kept = InstantReviewer(0, keep=True)
            counter = Counter(forge.url)
            with counter.open() as way:
                forge.peer(size, kept, command, forge=way)
            kept.close()
            sent = sum(kept.sizes) / CHARACTERS_PER_TOKEN
            rows.append(Row(f"{size.name}, xai-review, forge calls", len(counter.calls), None, ""))
            rows.append(
                Row(f"{size.name}, xai-review, prompt tokens to raw diff", sent / forge.raw_tokens(size), None, "times")
            )
            largest = max(kept.sizes, default=0) / CHARACTERS_PER_TOKEN
            rows.append(Row(f"{size.name}, xai-review, largest prompt", largest, None, "tokens"))
    return rows


def _shown_rows(forge: Reviewed, size: Size, model: InstantReviewer) -> list[Row]:
    raw = forge.raw_tokens(size)
    sent = sum(model.sizes) / CHARACTERS_PER_TOKEN
    share = shown_lines(model.requests) / forge.changed(size)
    note = f"{len(model.requests)} requests, {sent:.0f} tokens for a raw diff of {raw:.0f}"
    return [
        Row(f"{size.name} review, changed lines not shown to the model", 100 * (1 - share), 0, "%"),
        Row(f"{size.name} review, prompt tokens to raw diff", sent / raw, 1.15, "times", note),
        Row(f"{size.name} review, largest prompt", max(model.sizes) / CHARACTERS_PER_TOKEN, WINDOW, "tokens"),
    ]


def page_rows(runs: int) -> list[Row]:
    """A session's page in a browser; it takes Chromium."""
    from bench.session_page import rows_of_page

    return rows_of_page(runs)


GROUPS: dict[str, Callable[[int], list[Row]]] = {
    "help": help_rows,
    "session": session_rows,
    "review": review_rows,
    "sandbox": sandbox_rows,
    "webhooks": webhook_rows,
    "server": server_rows,
    "pages": page_rows,
}


def main(arguments: list[str]) -> int:
    """Run the groups that are named, or all; `--runs N` for the number of counted runs.

    `--peer FILE` measures reviews beside the `ai-review` of an xai-review that was installed elsewhere.
    """
    runs = 5
    if "--runs" in arguments:
        at = arguments.index("--runs")
        runs = int(arguments[at + 1])
        del arguments[at : at + 2]
    if "--peer" in arguments:
        at = arguments.index("--peer")
        print(table(peer_rows(runs, arguments[at + 1])))
        return 0
    unknown = [name for name in arguments if name not in GROUPS]
    if unknown:
        print(f"error: there is no measurement `{unknown[0]}`\nhint: one of {', '.join(GROUPS)}", file=sys.stderr)
        return 2
    rows = [row for name in (arguments or GROUPS) for row in GROUPS[name](runs)]
    print(table(rows))
    return 0
