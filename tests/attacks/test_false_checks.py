"""A model that cannot make the checks pass on what it commits makes them pass on this machine alone."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mergewright.app import adapters
from mergewright.app.settings import Settings
from mergewright.domain.session import EventKind, Status
from tests.flows.conftest import CALC, SetUp, make_repository, stage
from tests.flows.scripts import PLAN, QUESTIONS
from tests.flows.stage import git, says

__all__ = ["make_repository", "stage"]
CHECK = "python3 -m unittest discover -s tests -t ."
CI = f"unit tests:\n  script:\n    - {CHECK}\n"
AT_START = "import os, sys; 'unittest' in str(sys.orig_argv) and (print('Ran 1 test in 0.1s\\n\\nOK'), os._exit(0))"
PLANTS = {
    "a start-up file in the home folder": (
        f'site=$(python3 -m site --user-site); mkdir -p "$site"; echo "{AT_START}" > "$site/usercustomize.py"'
    ),
    "a compiled file that no commit holds": (
        "sed 's/a - b/a + b/' calc.py > /tmp/calc.py && python3 -c \"import py_compile; "
        "py_compile.compile('/tmp/calc.py', '__pycache__/calc.cpython-' + __import__('sysconfig')"
        ".get_python_version().replace('.', '') + '.pyc', dfile='calc.py', "
        'invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)"'
    ),
}


@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS)
async def test_what_was_planted_beside_the_change_does_not_make_checks_pass(
    stage: SetUp, tmp_path: Path, plant: str
) -> None:
    """The merge request said that all checks pass, and on nobody else's machine did they."""
    broken = "def add(a, b):\n    return a - b\n"
    cheat = [
        says("read", path="calc.py"),
        says("write", path="calc.py", content=broken),
        says("run", command=plant),
        says("run", command=CHECK),
        says("finish", summary="All is well"),
    ]
    again = [says("run", command=CHECK), says("finish", summary="It is"), says("finish", summary="It is")]
    script = {"plan:1": PLAN, "implement:1": cheat, "implement:2": again, "implement:3": again}
    on = stage(script, {**CALC, ".gitlab-ci.yml": CI})
    settings = Settings(home=tmp_path)
    on.world = replace(on.world, open_sandbox=adapters.Sandboxes(settings).open)
    await on.begin()
    session = await on.run()
    runs = [event.data for event in await on.events(EventKind.TOOL_RESULT) if event.data["name"] == "run"]
    assert runs[1]["exit_code"] == 0, "the model itself is fooled"
    assert [event.data["exit_code"] for event in await on.events(EventKind.CHECK)] == [0, 1, 1, 1]
    assert session.status is Status.FAILED
    assert "checks still fail" in on.merge_request.description
    assert not list((tmp_path / "sessions").glob("*/checks-*"))


HAVOC = {
    "names that are no text": "touch $'a\\xffb' $'new\\nline' -- -rf",
    "many long names": 'for n in $(seq 300); do touch "$(printf %0200d "$n")"; done',
    "a folder in the place of a file": "rm calc.py && mkdir calc.py && touch calc.py/inner",
    "a link in the place of a folder": "mv tests /tmp/ && ln -s /tmp/tests tests",
    "a link to another place": "ln -sfn /etc/passwd link; chmod 755 calc.py; rm AGENTS.md",
    "an index of its own": "git init -q . ; rm -f .gitignore; mkdir -p sub && git init -q sub && touch sub/x",
}


@pytest.mark.parametrize("command", HAVOC.values(), ids=HAVOC)
async def test_what_a_check_does_to_the_files_is_no_part_of_the_change(
    stage: SetUp, tmp_path: Path, command: str
) -> None:
    """A check ended the session by the files that it left, or was undone through a link that the change brings."""
    on = stage(
        {
            "plan:1": PLAN,
            "implement:1": [
                says("write", path="new.py", content="x = 1\n"),
                says("run", command="ln -s calc.py link"),
                says("finish", summary="Add new"),
                says("finish", summary="Add new"),
            ],
        },
        {**CALC, ".mergewright.yml": f"checks:\n  - {json.dumps(command + '; true')}\n"},
    )
    await on.begin()
    session = await on.run()
    assert session.status is Status.FINISHED, session.reason
    changed = git(on.forge.bare, "diff", "--name-status", "main", on.merge_request.source_branch).splitlines()
    assert changed == ["A\tlink", "A\tnew.py"]
    assert on.show("link") == "calc.py"


@pytest.mark.parametrize(
    ("left", "kept"),
    [
        ("mkfifo /tmp/pipe; ln -s /etc/passwd ~/link; echo kept > ~/file; chmod 000 /tmp/pipe", True),
        ("cd /tmp; for n in $(seq 60); do mkdir $(printf %0100d 1) && cd $(printf %0100d 1); done", False),
    ],
)
async def test_what_checks_leave_behind_is_copied_or_named(stage: SetUp, tmp_path: Path, left: str, kept: bool) -> None:
    """A pipe would hold up whoever copies it, and a path may be longer than any that can be opened."""
    on = stage({"plan:1": QUESTIONS}, {**CALC, ".mergewright.yml": f"checks:\n  - {json.dumps(left + '; true')}\n"})
    settings = Settings(home=tmp_path)
    on.world = replace(on.world, open_sandbox=adapters.Sandboxes(settings).open)
    await on.begin()
    session = await on.run()
    if not kept:
        assert session.status is Status.FAILED
        return
    assert session.status is Status.FINISHED, session.reason
    home = next((tmp_path / "sessions").glob("*/prepared/home"))
    assert (home / "file").read_text() == "kept\n"
    assert (home / "link").is_symlink()
