"""What a session may not do, its model never hears of, and a flow that cannot do without it does not begin."""

import pytest

from mergewright.domain.errors import Forbidden, WrongUse
from mergewright.domain.session import EventKind, Session, Status, Subject
from mergewright.flows.privileges import ALL, check_names, check_privileges, missing, privileges_of
from mergewright.flows.registry import built_in
from tests.flows.conftest import CALC, SetUp
from tests.flows.scripts import IMPLEMENT, PLAN
from tests.flows.stage import PROJECT, SUBJECT, Stage, says

WITHOUT_COMMANDS = [name for name in ALL if name != "run_commands"]
WITHOUT_FILES = [name for name in ALL if name != "read_write_files"]
QUIET = [one for one in IMPLEMENT if one.message.tool_calls[0].name != "run"]


def tools_of(on: Stage, conversation: str) -> set[str]:
    return {tool.name for name, _, tools in on.model.requests if name == conversation for tool in tools}


async def test_without_any_word_a_session_has_all_privileges(stage: SetUp) -> None:
    on = stage({"plan:1": PLAN, "implement:1": IMPLEMENT})
    await on.begin()
    assert (await on.run()).status is Status.FINISHED
    assert tools_of(on, "implement:1") == {"read", "search", "edit", "write", "run", "plan", "finish"}
    assert privileges_of({}) == set(ALL)
    assert privileges_of({"agent_privileges": []}) == set()


async def test_without_commands_none_is_run_and_the_merge_request_says_so(stage: SetUp) -> None:
    marker = "touch ran-here && python3 -m unittest discover -s tests -t ."
    files = {**CALC, ".mergewright.yml": f"checks: ['{marker}']\n"}
    files[".gitlab/duo/agent-config.yml"] = "setup_script: touch was-set-up\n"
    on = stage({"plan:1": PLAN, "implement:1": QUIET}, files)
    await on.begin(agent_privileges=WITHOUT_COMMANDS)
    session = await on.run()
    assert session.status is Status.FINISHED, session.reason
    assert tools_of(on, "implement:1") == {"read", "search", "edit", "write", "plan", "finish"}
    assert await on.events(EventKind.CHECK) == []
    assert "**Unverified:** the session had no right to run commands, so no check was run." in (
        on.merge_request.description
    )
    [(_, note)] = on.forge.written
    assert "no check was run, because the session had no right to run commands" in note
    work = on.world.settings.sessions / on.session_id / "work"
    assert not (work / "was-set-up").exists()
    assert not (work / "ran-here").exists()
    assert "This session may run no commands" in on.model.first("implement:1")[1]


async def test_a_tool_that_a_session_may_not_use_is_unknown_and_not_refused(stage: SetUp) -> None:
    tried = [says("run", command="touch ran-here"), *QUIET]
    on = stage({"plan:1": PLAN, "implement:1": tried})
    await on.begin(agent_privileges=WITHOUT_COMMANDS)
    assert (await on.run()).status is Status.FINISHED
    results = [e.data["text"] for e in await on.events(EventKind.TOOL_RESULT) if e.data["name"] == "run"]
    assert [text.partition(":")[2] for text in results] == [
        " there is no tool `run`: read, search, edit, write, plan, finish"
    ]
    assert not (on.world.settings.sessions / on.session_id / "work" / "ran-here").exists()


@pytest.mark.parametrize("lacking", ["read_write_files", "read_write_gitlab", "use_git"])
async def test_a_flow_that_needs_what_it_may_not_do_ends_at_its_start(stage: SetUp, lacking: str) -> None:
    on = stage({})
    await on.begin(agent_privileges=[name for name in ALL if name != lacking])
    session = await on.run()
    assert (session.status, session.reason) == (
        Status.FAILED,
        f"the flow `developer` needs the agent privilege `{lacking}`",
    )
    assert await on.events(EventKind.COMPONENT) == []
    assert on.model.requests == []


async def test_a_goal_without_the_right_to_change_files_is_answered_only(stage: SetUp) -> None:
    plan = [says("finish", outcome="plan", title="t", summary="Add it.", tasks=["Write subtract"])]
    on = stage({"plan:1": plan})
    await on.begin(
        "software_development", subject=Subject(PROJECT, "", 0), goal="Add it", agent_privileges=WITHOUT_FILES
    )
    session = await on.run()
    assert (session.status, session.reason) == (
        Status.FINISHED,
        "planned it and changed nothing: this session may not change files",
    )
    assert on.branches() == ["main"]
    assert "Nothing can be changed (this session may not change files): answer" in on.model.first("plan:1")[1]


async def test_a_goal_on_a_project_without_any_gitlab_right_reads_no_issue(stage: SetUp) -> None:
    on = stage({"plan:1": [says("finish", outcome="answer", summary="s", answer="It adds.")]})
    on.forge.description = "words of the issue"
    await on.begin(
        "software_development", subject=Subject(PROJECT, "", 0), goal="See #7", agent_privileges=["run_commands"]
    )
    assert (await on.run()).status is Status.FINISHED
    assert "words of the issue" not in on.model.first("plan:1")[1]


def test_what_is_missing_is_named_in_one_sentence() -> None:
    with pytest.raises(Forbidden) as refusal:
        check_privileges(built_in("feedback"), SUBJECT, {"agent_privileges": ["run_commands"]})
    assert refusal.value.message == (
        "the flow `feedback` needs the agent privileges `read_write_files`, `read_write_gitlab`, `use_git`"
    )
    assert missing(built_in("code_review"), SUBJECT, {"agent_privileges": ["read_only_gitlab"]}) == (
        "read_write_gitlab",
        "run_commands",
    )
    goal = built_in("software_development")
    assert missing(goal, Subject(PROJECT, "!", 1), {"agent_privileges": []}) == ("read_write_gitlab",)
    assert missing(goal, Subject(PROJECT, "", 0), {"agent_privileges": []}) == ()
    assert missing(goal, Subject(PROJECT, "", 0), {"agent_privileges": ["read_write_files"]}) == (
        "read_write_gitlab",
        "use_git",
    )


def test_unknown_privileges_are_refused_and_known_ones_put_in_order() -> None:
    assert check_names(["use_git", "read_write_files", "use_git"]) == ("read_write_files", "use_git")
    with pytest.raises(WrongUse, match="no agent privilege `run_command`"):
        check_names(["run_command"])


async def test_a_session_that_may_not_go_on_ends_with_the_reason_at_its_next_turn(stage: SetUp) -> None:
    on = stage({"plan:1": PLAN})
    asked: list[str] = []

    async def may_go_on(session: Session) -> str:
        asked.append(session.id)
        return "" if len(asked) == 1 else "`ann` is no developer of the project any more"

    object.__setattr__(on.world, "may_go_on", may_go_on)
    await on.begin(approve_plan=True)
    assert (await on.run()).status is Status.PLAN_APPROVAL_REQUIRED
    await on.answer("approve")
    session = await on.run(turn=2)
    assert (session.status, session.reason) == (Status.FAILED, "`ann` is no developer of the project any more")
    assert on.branches() == ["main"]
    assert len(asked) == 2
