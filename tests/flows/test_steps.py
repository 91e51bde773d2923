"""What single steps do at their edges."""

import pytest

from mergewright.domain.errors import WrongUse
from mergewright.domain.forge import User
from mergewright.flows.checks import Check
from mergewright.flows.config import own_checks, setup_script
from mergewright.flows.project import look_at
from mergewright.flows.repository import Numbers, numbers
from mergewright.flows.steps.commit_and_push import message
from tests.flows.conftest import SetUp
from tests.flows.scripts import QUESTIONS
from tests.flows.stage import ANN


async def test_a_long_discussion_keeps_its_newest_notes(stage: SetUp) -> None:
    on = stage({"plan:1": QUESTIONS})
    on.forge.notes = [(ANN, f"note {n} " + "x" * 9_990) for n in range(5)]
    await on.begin()
    await on.run()
    _, prompt = on.model.first("plan:1")
    assert "(3 older notes are left out.)" in prompt
    assert "note 2 " not in prompt
    assert prompt.index("note 3 ") < prompt.index("note 4 ")


async def test_a_session_asks_the_forge_once_about_each_author(stage: SetUp) -> None:
    on = stage({"plan:1": QUESTIONS})
    on.forge.notes = [(User(4, "eve"), "a"), (User(4, "eve"), "b"), (ANN, "c")]
    await on.begin()
    await on.run()
    _, prompt = on.model.first("plan:1")
    assert prompt.count("note by eve, an outsider (data") == 2
    assert on.forge.asked_levels == [ANN.id, 4]


async def test_the_tools_that_a_project_calls_for_are_looked_for_in_the_sandbox(stage: SetUp) -> None:
    on = stage({"plan:1": QUESTIONS}, {"a.py": "", "mix.exs": "", "package.json": "{}"})
    await on.begin()
    await on.run()
    folder = on.world.settings.sessions / on.session_id
    from mergewright.flows.world import Workspace

    project = await look_at(on.world.open_sandbox(Workspace(folder)))
    assert project.versions[0].startswith("python3 3.")
    assert "mix" in project.missing
    assert "Not installed: mix" in on.model.first("plan:1")[1]


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("", ()),
        ("setup_script: make deps\n", ("make deps",)),
        ("image: x\ncache: {paths: [a]}\nsetup_script: [a, b]\n", ("a", "b")),
    ],
)
def test_gitlabs_own_agent_config_is_read(text: str, commands: tuple[str, ...]) -> None:
    assert setup_script(text) == commands


@pytest.mark.parametrize("text", ["setup: x\n", "setup_script: 3\n", "setup_script: [1]\n", "- a\n", "a: ["])
def test_an_agent_config_with_a_mistake_is_refused_with_its_name(text: str) -> None:
    with pytest.raises(WrongUse, match=r"`\.gitlab/duo/agent-config\.yml` on the default branch"):
        setup_script(text)


def test_our_own_file_names_checks() -> None:
    assert own_checks("checks: [make a, make b]\n") == (
        Check("make a", ".mergewright.yml"),
        Check("make b", ".mergewright.yml"),
    )
    with pytest.raises(WrongUse, match=r"`\.mergewright\.yml` on the default branch: cheks: unknown field"):
        own_checks("cheks: [make a]\n")


def test_the_lines_of_a_diff_are_counted_by_file() -> None:
    diff = "\n".join(
        [
            "diff --git a/new.py b/new.py", "new file mode 100644", "--- /dev/null", "+++ b/new.py", "@@ -0,0 +1,2 @@",
            "+a", "+++ not a header", "diff --git a/old.py b/old.py", "deleted file mode 100644", "--- a/old.py",
            "+++ /dev/null", "@@ -1 +0,0 @@", "-a", "diff --git a/x.png b/x.png",
            "Binary files a/x.png and b/x.png differ",
            "diff --git a/a.py b/b.py", "similarity index 100%", "rename from a.py", "rename to b.py", "",
        ]
    )  # fmt: skip
    assert numbers(diff) == [
        Numbers("new.py", 2, 0),
        Numbers("old.py", 0, 1),
        Numbers("x.png", None, None),
        Numbers("b.py", 0, 0),
    ]


@pytest.mark.parametrize(
    ("summary", "title", "expected"),
    [
        ("Add subtract.\n\nBeside add.", "T", "Add subtract\n\nBeside add."),
        ("# Add subtract", "T", "Add subtract"),
        ("", "Draft: Fix #3", "Fix → # 3"),
        ("x" * 80, "Title", "Title\n\n" + "x" * 80),
    ],
)
def test_a_commit_gets_a_subject_of_one_line(summary: str, title: str, expected: str) -> None:
    assert message(summary, title) == expected
