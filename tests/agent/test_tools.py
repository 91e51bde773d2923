"""What a model reads from the other tools."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from mergewright.agent.tools.finish import finish_spec
from mergewright.agent.tools.toolbox import READ_ONLY, open_tools
from mergewright.domain.agent import Access, Tool
from mergewright.domain.errors import ToolError, WrongUse
from mergewright.domain.sandbox import Sandbox
from tests.support.agents import ANSWER, answer
from tests.support.plain_sandbox import PlainSandbox


async def test_a_file_is_shown_as_it_is_below_one_line(tools: Mapping[str, Tool]) -> None:
    assert await answer(tools["read"], path="src/text.txt") == "src/text.txt · lines 1-3 of 3\none\ntwo\nthree"


async def test_a_range_of_lines_is_shown(tools: Mapping[str, Tool]) -> None:
    assert await answer(tools["read"], path="src/text.txt", start=2, lines=1) == "src/text.txt · lines 2-2 of 3\ntwo"
    with pytest.raises(ToolError, match="only 3 lines"):
        await tools["read"].call({"path": "src/text.txt", "start": 4})


async def test_what_an_edit_must_know_of_a_file_is_in_its_first_line(tree: Path, tools: Mapping[str, Tool]) -> None:
    (tree / "file").write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    text = await answer(tools["read"], path="file")
    assert text.startswith("file · lines 1-2 of 2 · BOM · CRLF · no newline at the end\n")
    (tree / "file").write_bytes(b"caf\xe9\n")
    assert await answer(tools["read"], path="file") == "file · lines 1-1 of 1 · latin-1\ncaf\u00e9"


async def test_a_long_file_is_cut_at_a_line_end_and_read_on(tree: Path, tools: Mapping[str, Tool]) -> None:
    (tree / "long").write_text("".join(f"this is line number {n}\n" for n in range(1, 5001)))
    text = await answer(tools["read"], path="long")
    shown = re.match(r"long · lines 1-(\d+) of 5000\n", text)
    assert shown
    assert len(text) < 25_100
    assert text.endswith(f"this is line number {shown[1]}")
    assert (await answer(tools["read"], path="long", start=4999)).endswith("number 4999\nthis is line number 5000")


async def test_a_very_long_line_is_clipped_and_said(tree: Path, tools: Mapping[str, Tool]) -> None:
    (tree / "wide").write_text("x" * 100_000 + "\nend\n")
    text = await answer(tools["read"], path="wide")
    assert text.endswith("x… [98000 more characters in this line]\nend")


async def test_a_definition_is_found_by_its_name(tree: Path, tools: Mapping[str, Tool]) -> None:
    (tree / "m.py").write_text(
        "import x\n\n\n@dec\nclass A:\n    @property\n    def f(self) -> int:\n        return 1\n\n"
        "    def g(self): ...\n\n\ny = 2\n"
    )
    text = await answer(tools["read"], path="m.py", symbol="A.f")
    assert text == "m.py · lines 6-8 of 13\n    @property\n    def f(self) -> int:\n        return 1"
    with pytest.raises(ToolError, match="no definition of `h`"):
        await tools["read"].call({"path": "m.py", "symbol": "h"})


async def test_a_folder_is_listed(tools: Mapping[str, Tool]) -> None:
    assert await answer(tools["read"], path=".") == "./ · 2 entries\napp.py\nsrc/"
    assert await answer(tools["read"], path="src") == "src/ · 1 entries\ntext.txt"


async def test_a_missing_file_is_answered_with_one_of_that_name(tools: Mapping[str, Tool]) -> None:
    with pytest.raises(ToolError) as missing:
        await tools["read"].call({"path": "lib/text.txt"})
    assert missing.value.hint == "there is src/text.txt"


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "src/../../outside"])
async def test_no_tool_leaves_the_work_tree(path: str, tmp_path: Path, tools: Mapping[str, Tool]) -> None:
    (tmp_path / "outside").write_text("secret")
    for name, more in (("read", {}), ("edit", {"edits": [{"old": "secret", "new": ""}]}), ("write", {"content": ""})):
        with pytest.raises(ToolError):
            await tools[name].call({"path": path, **more})
    assert (tmp_path / "outside").read_text() == "secret"


async def test_lines_are_found_by_expression_path_and_glob(tree: Path, tools: Mapping[str, Tool]) -> None:
    (tree / ".gitlab-ci.yml").write_text("script: two\n")
    (tree / ".gitignore").write_text("ignored/\n")
    (tree / "ignored").mkdir()
    (tree / "ignored" / "x").write_text("two\n")
    search = tools["search"]
    assert await answer(search, pattern="tw.$") == "2 lines match\n.gitlab-ci.yml:1:script: two\nsrc/text.txt:2:two"
    assert await answer(search, pattern="tw.$", path="src") == "1 lines match\nsrc/text.txt:2:two"
    assert await answer(search, pattern="tw.$", glob="*.yml") == "1 lines match\n.gitlab-ci.yml:1:script: two"
    assert await answer(search, pattern="add(a", literal=True) == "1 lines match\napp.py:1:def add(a, b):"
    assert await answer(search, pattern="nowhere") == "no match"
    with pytest.raises(ToolError, match="the search failed"):
        await search.call({"pattern": "(unclosed"})


async def test_git_searches_where_there_is_no_ripgrep(tree: Path, tmp_path: Path) -> None:
    class WithoutRipgrep(PlainSandbox):
        path = str(tmp_path / "bin")

    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to("/usr/bin/git")
    (search,) = open_tools(WithoutRipgrep(tree), ["search"])
    (tree / "new.py").write_text("two = 2\n")
    assert await answer(search, pattern="tw.") == "2 lines match\nnew.py:1:two = 2\nsrc/text.txt:2:two"
    assert await answer(search, pattern="tw.", glob="*.txt") == "1 lines match\nsrc/text.txt:2:two"
    assert await answer(search, pattern="tw.", path="src", glob="*.txt") == "1 lines match\nsrc/text.txt:2:two"
    assert await answer(search, pattern="nowhere") == "no match"


async def test_many_matches_are_bounded(tree: Path, tools: Mapping[str, Tool]) -> None:
    for n in range(20):
        (tree / f"f{n:02}.txt").write_text("needle in the hay\n" * 30)
    text = await answer(tools["search"], pattern="needle")
    assert text.startswith("the first 100 lines that match; narrow it down\nf00.txt:1:needle")
    assert text.count("\n") == 100


async def test_matches_in_long_lines_are_bounded_without_a_hole(tree: Path, tools: Mapping[str, Tool]) -> None:
    (tree / "wide.txt").write_text(("needle " + "x" * 1000 + "\n") * 50 + "\n")
    (tree / "more.txt").write_text(("needle " + "y" * 1000 + "\n") * 50)
    text = await answer(tools["search"], pattern="needle")
    header, *lines = text.split("\n")
    assert header == f"the first {len(lines)} lines that match; narrow it down"
    assert [line[: line.index(":needle")] for line in lines] == [f"more.txt:{n}" for n in range(1, len(lines) + 1)]
    assert len(text) < 15_000


async def test_a_new_file_is_written_with_its_folders(tree: Path, tools: Mapping[str, Tool]) -> None:
    assert await answer(tools["write"], path="a/b/c.txt", content="x\ny\n") == "a/b/c.txt created, 2 lines"
    assert (tree / "a" / "b" / "c.txt").read_bytes() == b"x\ny\n"


async def test_a_file_that_was_not_read_is_not_overwritten(tree: Path, tools: Mapping[str, Tool]) -> None:
    with pytest.raises(ToolError, match="you have not read it"):
        await tools["write"].call({"path": "src/text.txt", "content": "gone\n"})
    assert (tree / "src" / "text.txt").read_text() == "one\ntwo\nthree\n"
    await tools["read"].call({"path": "./src/text.txt"})
    text = await answer(tools["write"], path="src/text.txt", content="one\nzwei\nthree\n")
    assert "-two\n+zwei" in text
    assert (tree / "src" / "text.txt").read_text() == "one\nzwei\nthree\n"


async def test_a_file_that_was_edited_may_be_overwritten(tree: Path, tools: Mapping[str, Tool]) -> None:
    await tools["edit"].call({"path": "src/text.txt", "edits": [{"old": "two", "new": "2"}]})
    await tools["write"].call({"path": "src/text.txt", "content": "new\n"})
    await tools["write"].call({"path": "src/text.txt", "content": "newer\n"})
    assert (tree / "src" / "text.txt").read_text() == "newer\n"


async def test_a_file_that_is_too_large_to_read_is_not_overwritten(tree: Path, tools: Mapping[str, Tool]) -> None:
    (tree / "huge").write_bytes(b"x" * (21 * 1024**2))
    with pytest.raises(ToolError, match="too large"):
        await tools["write"].call({"path": "huge", "content": "small"})
    assert (tree / "huge").stat().st_size == 21 * 1024**2


async def test_a_file_written_whole_keeps_its_line_ends_and_mark(tree: Path, tools: Mapping[str, Tool]) -> None:
    (tree / "win.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
    await tools["read"].call({"path": "win.txt"})
    assert "kept: BOM, CRLF" in await answer(tools["write"], path="win.txt", content="1\n2\n")
    assert (tree / "win.txt").read_bytes() == b"\xef\xbb\xbf1\r\n2\r\n"


async def test_a_commands_exit_code_comes_first_then_its_tests(tree: Path, tools: Mapping[str, Tool]) -> None:
    (tree / "test_app.py").write_text(
        "import unittest\nimport app\n\nclass T(unittest.TestCase):\n"
        "    def test_add(self):\n        self.assertEqual(app.add(1, 1), 2)\n    def test_ok(self): pass\n"
    )
    result = await tools["run"].call({"command": "python3 -B -m unittest"})
    assert re.match(r"exit 1 · \d+\.\d s · 1 passed, 1 failed\n", result.text)
    assert not result.ok
    assert result.facts["tests"]["failures"] == ["test_add (test_app.T.test_add)"]
    assert (await answer(tools["run"], command="echo $((6*7))")).split("\n")[1] == "42"


async def test_a_command_that_hangs_ends_at_its_limit(tools: Mapping[str, Tool]) -> None:
    result = await tools["run"].call({"command": "echo begun; sleep 60", "seconds": 1})
    assert result.text.startswith("ended by its time limit · 1.")
    assert result.text.endswith("begun")
    assert not result.ok


async def test_no_command_gets_more_time_than_its_flow_allows(sandbox: Sandbox) -> None:
    (run,) = open_tools(sandbox, ["run"], seconds=1)
    assert (await answer(run, command="sleep 60", seconds=500)).startswith("ended by its time limit · 1.")


async def test_long_output_is_kept_whole_and_can_be_read(tools: Mapping[str, Tool]) -> None:
    text = await answer(tools["run"], command="seq 1 200000")
    assert len(text) < 25_000
    assert text.endswith("199999\n200000")
    path = re.search(r"whole in (\S+)", text.split("\n", 1)[0])
    assert path
    assert await answer(tools["run"], command=f"sed -n 100000p {path[1]}") != ""
    assert (await answer(tools["read"], path=path[1], start=100_000, lines=1)).endswith("\n100000")


async def test_a_run_without_failures_that_exits_with_one_is_no_success(tree: Path, tools: Mapping[str, Tool]) -> None:
    result = await tools["run"].call({"command": "echo '3 passed in 0.01s'; exit 3"})
    assert result.text.startswith("exit 3 · ")
    assert "the exit code says that it failed all the same" in result.text
    assert not result.ok


async def test_the_plan_is_a_fact(tools: Mapping[str, Tool]) -> None:
    result = await tools["plan"].call({"tasks": [{"text": "read", "done": True}, {"text": "write"}]})
    assert result.text == "noted: 1 of 2 tasks done"
    assert result.facts["tasks"] == [{"text": "read", "done": True}, {"text": "write", "done": False}]


def test_all_tools_together_cost_at_most_900_tokens(sandbox: Sandbox) -> None:
    specs = [*(tool.spec for tool in open_tools(sandbox)), finish_spec(ANSWER)]
    assert [spec.name for spec in specs] == ["read", "search", "edit", "write", "run", "plan", "finish"]
    assert sum(spec.size() for spec in specs) <= 900 * 4


def test_an_agent_that_only_reads_gets_no_tool_that_writes(sandbox: Sandbox) -> None:
    assert {tool.access for tool in open_tools(sandbox, READ_ONLY)} == {Access.READ}
    with pytest.raises(WrongUse, match="there is no tool `delete`"):
        open_tools(sandbox, ["read", "delete"])
