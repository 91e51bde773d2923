"""What `mergewright serve` does until it is ended."""

import subprocess
import sys

import pytest

SCRIPT = """
import signal, sys, threading, time
from mergewright.cli.serve import wait_for_the_end

def end() -> None:
    time.sleep(0.8)
    signal.pthread_kill(threading.get_ident(), signal.{name})

threading.Thread(target=end).start()
wait_for_the_end()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_it_ends_whichever_of_its_threads_is_given_the_signal(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(name=name)], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stderr == "ended\n"
