"""A branch that tries to keep the analyzers from seeing what is in it."""

import pytest

from mergewright.analyzers.command import Command
from mergewright.analyzers.python import Bandit, Ruff
from mergewright.domain.errors import MergewrightError
from tests.analyzers.conftest import Make, make

__all__ = ["make"]

HIDING = {
    "pyproject.toml": "[tool.ruff]\nexclude = ['*']\n[tool.bandit]\nexclude_dirs = ['.']\n",
    "ruff.toml": "exclude = ['*']\n",
    ".bandit": "[bandit]\nskips = B307\n",
    "setup.cfg": "[bandit]\nskips = B307\n",
}


async def test_configuration_in_the_branch_switches_no_analyzer_off(make: Make) -> None:
    sandbox = make({**HIDING, "a.py": "eval(y)\n"})
    assert [one.rule for one in await Ruff().run(sandbox, ["a.py"])] == ["F821"]
    assert [one.rule for one in await Bandit().run(sandbox, ["a.py"])] == ["B307"]


async def test_a_whole_file_comment_switches_no_analyzer_off(make: Make) -> None:
    sandbox = make({"a.py": "# ruff: noqa\n# nosec\neval(y)\n"})
    assert [one.rule for one in await Ruff().run(sandbox, ["a.py"])] == ["F821"]
    assert [one.rule for one in await Bandit().run(sandbox, ["a.py"])] == ["B307"]


@pytest.mark.parametrize("name", ["-x.py", "--exit-zero.py", "a b.py", "$(id).py", "a;b.py", "'.py", "é.py"])
async def test_a_file_name_is_never_an_option_or_a_command(make: Make, name: str) -> None:
    sandbox = make({name: "eval(y)\n"})
    assert [one.path for one in await Ruff().run(sandbox, [name])] == [name]
    assert [one.path for one in await Bandit().run(sandbox, [name])] == [name]


async def test_a_module_in_the_branch_does_not_replace_one_of_the_analyzers_own(make: Make) -> None:
    hostile = "import sys\nsys.exit(0)\n"
    names = ("json", "yaml", "bandit", "ast", "logging")
    sandbox = make({"a.py": "eval(y)\n", **{f"{name}.py": hostile for name in names}})
    assert [one.rule for one in await Bandit().run(sandbox, ["a.py"])] == ["B307"]


async def test_a_report_without_end_is_cut_off(make: Make) -> None:
    with pytest.raises(MergewrightError, match="more than 32 MB"):
        await Command("flood", "head -c 40000000 /dev/zero").run(make({"a.py": ""}), ["a.py"])


async def test_a_report_that_nests_without_end_is_refused(make: Make) -> None:
    with pytest.raises(MergewrightError, match="printed no JSON"):
        await Command("deep", "head -c 200000 /dev/zero | tr '\\0' '['").run(make({"a.py": ""}), ["a.py"])
