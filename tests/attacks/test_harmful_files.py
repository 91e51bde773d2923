"""Files of the branch under work that are written to stop, fill or mislead whoever reads them outside the sandbox."""

import time
from pathlib import Path

import pytest

from mergewright.domain.errors import WrongUse
from mergewright.flows.checks import find_checks
from mergewright.flows.ci_file import ci_commands
from mergewright.flows.config import own_checks, setup_script
from mergewright.localforge.ci.config import InvalidConfig, read_config
from mergewright.localforge.ci.runner import expand
from tests.localforge.conftest import build_world, commit

UNFOLDING = ".x:\n  a0: &a0 [ha, ha]\n" + "".join(f"  a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
EXTENDING = "".join(f".a{n}:\n  extends: [{', '.join([f'.a{n + 1}'] * 10)}]\n" for n in range(10))
HARMFUL = {
    "a date in the thirteenth month": "t:\n  script: [x]\n  when: 2024-13-45\n",
    "a number without end": f"t:\n  script: [x]\n  stage: {'1' * 5_000}\n",
    "a list in itself": "t:\n  script: &a [*a]\n",
    "lists in lists in lists": f"t:\n  script: {'[' * 2_000}{']' * 2_000}\n",
    "a script of aliases": f"{UNFOLDING}t:\n  script: *a39\n",
    "a stage of aliases": f"{UNFOLDING}t:\n  script: [pytest]\n  stage: *a39\n",
    "a long file": f"t:\n  script: ['{'x' * 300_000}']\n",
}


@pytest.mark.parametrize("text", HARMFUL.values(), ids=HARMFUL)
def test_a_configuration_cannot_stop_or_fill_who_reads_it(text: str) -> None:
    """Forty lines of YAML unfolded to more than any memory holds, and an odd date ended the process."""
    started = time.process_time()
    assert ci_commands(text) == ()
    for read in (setup_script, own_checks):
        with pytest.raises(WrongUse):
            read(text)
    with pytest.raises(InvalidConfig):
        read_config(text)
    assert time.process_time() - started < 20


def test_jobs_that_extend_each_other_without_end_are_refused() -> None:
    with pytest.raises(InvalidConfig, match="extends"):
        read_config(f"{EXTENDING}.a10:\n  script: [x]\nt:\n  extends: .a0\n")


@pytest.mark.parametrize("times", [1, 2])
def test_variables_that_double_each_other_do_not_grow_without_end(times: int) -> None:
    """Sixty lines doubled a text sixty times while the forge's only writer waited for it."""
    variables = {f"V{n}": f"$V{n + 1}" * times for n in range(2_000)} | {"V2000": "ha"}
    assert sum(map(len, expand({name: variables[name] for name in list(variables)[:60]}).values())) < 5_000_000
    assert set(expand(variables)) == set(variables)


def test_a_package_file_nested_without_end_is_passed_over() -> None:
    assert find_checks(["package.json"], {"package.json": '{"scripts":' + "[" * 150_000}) == ()


def test_a_pushed_configuration_that_cannot_be_read_is_a_failed_pipeline(tmp_path: Path) -> None:
    """The branch was there after the push, but its push had failed, and nobody was told of it."""
    world = build_world(tmp_path)
    world.forge.start()
    try:
        with world.client("dev") as client:
            for number, text in enumerate(HARMFUL.values()):
                commit(client, world.path, f"harmful-{number}", {".gitlab-ci.yml": text})
                pipelines = client.get(f"{world.path}/pipelines", params={"ref": f"harmful-{number}"}).json()
                assert [pipeline["status"] for pipeline in pipelines] == ["failed"]
    finally:
        world.forge.stop()
