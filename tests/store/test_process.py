import os
import subprocess
import sys
import time

from mergewright.store.process import is_gone, this_process


def test_this_process_is_not_gone() -> None:
    assert not is_gone(this_process())


def test_a_process_that_ended_is_gone_even_before_its_parent_looked() -> None:
    command = [sys.executable, "-c", "from mergewright.store.process import this_process; print(this_process())"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        name = child.stdout.readline().strip()
        until = time.monotonic() + 60
        while not is_gone(name) and time.monotonic() < until:
            time.sleep(0.01)
        assert child.returncode is None
        assert is_gone(name)
    assert is_gone(name)


def test_a_process_id_that_was_given_out_again_is_another_process() -> None:
    host, pid, born = this_process().split("|")
    assert pid == str(os.getpid())
    assert is_gone(f"{host}|{pid}|{int(born) - 1}")


def test_of_another_machine_nothing_is_certain() -> None:
    assert not is_gone("elsewhere|999999|1")
