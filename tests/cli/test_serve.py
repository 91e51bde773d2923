"""What `mergewright serve` does until it is ended."""

import signal
import subprocess
import sys

import pytest

SCRIPT = """
import signal, sys, threading, time
from mergewright.cli.serve import until_the_end

def end() -> None:
    time.sleep(0.1)
    signal.pthread_kill(threading.get_ident(), signal.{name})

with until_the_end():
    threading.Thread(target=end).start()
"""
READY = """
import signal, sys
from mergewright.cli.serve import until_the_end

with until_the_end():
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_it_ends_whichever_of_its_threads_is_given_the_signal(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(name=name)], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stderr == "ended\n"


def test_it_ends_when_told_so_as_soon_as_it_is_ready_even_if_begun_in_the_background() -> None:
    """A shell without job control starts what it puts into the background with SIGINT ignored."""
    begun = [sys.executable, "-c", READY]
    with subprocess.Popen(
        ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *begun],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate("", timeout=20)[1] == "ended\n"
    assert process.returncode == 0
