"""One measured run of a command: wall time, processor time and the peak memory of its largest process."""

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHON = sys.executable
COMMAND = str(Path(sys.executable).with_name("mergewright"))


@dataclass(frozen=True)
class Run:
    """What one run of a process used."""

    wall: float
    cpu: float
    """Seconds of processor time, of the process and of what it waited for."""
    memory: float
    """MB at the peak, of the process itself."""
    exit_code: int


def measure(arguments: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Run:
    """Run a command to its end, its output thrown away."""
    began = time.perf_counter()
    process = subprocess.Popen(
        arguments, env={**os.environ, **(env or {})}, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    return Run(wall, usage.ru_utime + usage.ru_stime, _megabytes(usage), process.returncode)


def median(runs: Sequence[Run], value: Callable[[Run], float]) -> float:
    return statistics.median(value(run) for run in runs)


def in_turn(count: int, *sides: Callable[[int], Run]) -> list[list[Run]]:
    """Run each side in turn, so that a machine that slows down slows all of them; one warm-up each is not counted."""
    results: list[list[Run]] = [[] for _ in sides]
    for number in range(count + 1):
        for side, result in zip(sides, results, strict=True):
            run = side(number)
            if number:
                result.append(run)
    return results


def _megabytes(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
