"""What every forge must do: the local one always, a real GitLab where the environment names one.

For a real one set GITLAB_CONTRACT_URL, GITLAB_CONTRACT_TOKEN (scope `api`) and GITLAB_CONTRACT_GROUP, a group that
the token's owner may make projects in.
"""

import asyncio
import base64
import os
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest

from mergewright.domain.errors import Conflict, Forbidden, ForgeError, NotFound, Unauthorized, Unreachable
from mergewright.domain.forge import AccessLevel, Forge, MergeRequest
from mergewright.domain.session import Subject
from mergewright.gitlab.forge import GitLabForge
from mergewright.gitlab.markers import DESCRIPTION_LIMIT, mark_of

if TYPE_CHECKING:
    from tests.contract.conftest import Site, Way

Connect = Callable[..., GitLabForge]
REPORTER = 20


def in_project(project: str) -> str:
    return f"/projects/{quote(project, safe='')}"


async def new_issue(forge: Forge, project: str, title: str = "An issue") -> Subject:
    return Subject(project, "#", (await forge.open_issue(project, title=title, description="")).iid)


async def open_from(forge: Forge, site: "Site", project: str, branch: str, title: str = "Draft: T") -> MergeRequest:
    site.commit(project, branch, {f"{branch.replace('/', '-')}.txt": branch}, start="main")
    return await forge.open_merge_request(
        project, source_branch=branch, target_branch="main", title=title, description="D"
    )


# --- who we are --------------------------------------------------------------------------------


async def test_a_forge_tells_who_we_are(forge: Forge, site: "Site") -> None:
    status = await forge.status()
    assert status.url == site.url
    assert int(status.version.partition(".")[0]) >= 17
    assert status.user.id == site.api("GET", "/user")["id"]
    assert "api" in status.scopes


async def test_an_unknown_token_is_unauthorized(connect: Connect, project: str) -> None:
    forge = connect(token="glpat-nobody-ever-made-this")
    with pytest.raises(Unauthorized) as refusal:
        await forge.status()
    assert refusal.value.exit_code == 2
    assert "nobody-ever" not in str(refusal.value) + refusal.value.hint
    with pytest.raises(Unauthorized):
        await forge.project(project)


# --- projects ----------------------------------------------------------------------------------


async def test_a_project_is_told_with_its_default_branch(forge: Forge, project: str) -> None:
    found = await forge.project(project)
    assert found.path_with_namespace == project
    assert found.default_branch == "main"
    assert not found.empty_repo
    assert found.web_url.endswith(project)


async def test_an_empty_project_says_so(forge: Forge, site: "Site") -> None:
    empty = site.new_project()
    assert (await forge.project(empty)).empty_repo
    assert await forge.branch(empty, "main") is None
    assert await forge.file(empty, "README.md", ref="main") is None
    assert await forge.find_merge_request(empty, source_branch="main") is None


async def test_a_project_that_we_may_not_see_is_not_found(connect: Connect, site: "Site", project: str) -> None:
    stranger = connect(token=site.stranger()[1])
    for path in (project, f"{project}-that-is-not-there", "nobody/nothing"):
        with pytest.raises(NotFound, match=path):
            await stranger.project(path)
    with pytest.raises(NotFound):
        await stranger.branch(project, "main")
    with pytest.raises(NotFound):
        await stranger.file(project, "README.md", ref="main")
    with pytest.raises(NotFound):
        await stranger.issue(project, 1)
    with pytest.raises(NotFound):
        await stranger.open_issue(project, title="Let me in", description="")
    with pytest.raises(NotFound):
        await stranger.pipelines(project, sha="0" * 40)


async def test_what_we_see_but_may_not_do_is_forbidden(connect: Connect, site: "Site", project: str) -> None:
    forge, branch = connect(), "seen-by-a-reporter"
    opened = await open_from(forge, site, project, branch)
    reporter = connect(token=site.member(project, REPORTER)[1])
    assert (await reporter.merge_request(project, opened.iid)).iid == opened.iid
    with pytest.raises(Forbidden) as refusal:
        await reporter.update_merge_request(project, opened.iid, title="Mine now")
    assert "Developer" in refusal.value.hint
    site.commit(project, "not-by-a-reporter", {"x.txt": "x"}, start="main")
    with pytest.raises(Forbidden):
        await reporter.open_merge_request(
            project, source_branch="not-by-a-reporter", target_branch="main", title="T", description=""
        )


async def test_a_level_counts_and_a_stranger_has_none(connect: Connect, site: "Site", project: str) -> None:
    forge = connect()
    me = (await forge.status()).user.id
    member, token = site.member(project, REPORTER)
    assert await forge.access_level(project, me) >= AccessLevel.MAINTAINER
    assert await forge.access_level(project, member) is AccessLevel.REPORTER
    stranger, strange_token = site.stranger()
    assert await forge.access_level(project, stranger) is AccessLevel.NONE
    assert await forge.access_level(project, 2_000_000_000) is AccessLevel.NONE
    assert await connect(token=token).access_level(project, member) is AccessLevel.REPORTER
    with pytest.raises(NotFound):
        await connect(token=strange_token).access_level(project, stranger)


# --- the repository ----------------------------------------------------------------------------


async def test_git_reaches_the_remote_with_its_password(forge: Forge, project: str) -> None:
    remote = await forge.remote(project)
    assert remote.password not in remote.url
    assert remote.password not in repr(remote)
    login = base64.b64encode(f"{remote.username}:{remote.password}".encode()).decode()
    header = {"GIT_CONFIG_KEY_0": "http.extraHeader", "GIT_CONFIG_VALUE_0": f"Authorization: Basic {login}"}
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_COUNT": "1", **header}
    listed = await asyncio.to_thread(
        subprocess.run, ["git", "ls-remote", remote.url, "main"], env=environment, capture_output=True, check=True
    )
    assert listed.stdout.decode().split()[0] == await forge.branch(project, "main")


async def test_a_branch_says_whether_we_may_push_to_it(connect: Connect, site: "Site", project: str) -> None:
    site.commit(project, "pushed-to", {"pushed-to.txt": "x"}, start="main")
    assert await connect().may_push(project, "pushed-to")
    assert not await connect().may_push(project, "not-there")
    reporter = connect(token=site.member(project, REPORTER)[1])
    assert not await reporter.may_push(project, "pushed-to")


async def test_git_and_api_go_the_same_way(connect: Connect, way: "Way", project: str) -> None:
    remote = await connect(way.url).remote(project)
    assert urlsplit(remote.url).netloc == urlsplit(way.url).netloc
    assert remote.url.endswith(f"{project}.git")


@pytest.mark.parametrize("name", ["feature/a.b-c_d", "fix/issue#7", "v1.0+x", "größe/日本", "a%2Fb"])
async def test_a_branch_of_any_name_is_found(forge: Forge, site: "Site", project: str, name: str) -> None:
    sha = site.commit(project, name, {f"of-{name.encode().hex()}.txt": "x"}, start="main")
    assert await forge.branch(project, name) == sha
    assert await forge.branch(project, f"{name}-not") is None


@pytest.mark.parametrize("path", ["a/b c/ü.txt", "a%2Fb.txt", "dots/.hidden", "q?x=1&y#z.txt", "-option", "tail .txt"])
async def test_a_file_of_any_name_is_read(forge: Forge, site: "Site", project: str, path: str) -> None:
    branch = f"file-{path.encode().hex()[:40]}"
    site.commit(project, branch, {path: "é\r\nno end"}, start="main")
    assert await forge.file(project, path, ref=branch) == "é\r\nno end".encode()
    assert await forge.file(project, path, ref="main") is None
    assert await forge.file(project, path, ref="no-such-branch") is None


# --- issues and notes --------------------------------------------------------------------------


async def test_an_issue_comes_back_as_it_was_opened(forge: Forge, project: str) -> None:
    opened = await forge.open_issue(project, title="Größe & <b>日本</b> “x”", description="- [ ] a\n\n/close\n")
    assert opened.state == "opened"
    read = await forge.issue(project, opened.iid)
    assert read == opened
    assert read.title == "Größe & <b>日本</b> “x”"
    assert "close" in read.description
    assert read.author.id == (await forge.status()).user.id
    assert read.web_url.endswith(f"issues/{read.iid}")
    with pytest.raises(NotFound, match="999999"):
        await forge.issue(project, 999_999)


async def test_a_note_is_written_once_for_each_mark(forge: Forge, project: str) -> None:
    subject = await new_issue(forge, project)
    first = await forge.add_note(subject, "Working on it", mark="begin")
    again = await forge.add_note(subject, "Working on it, said again", mark="begin")
    other = await forge.add_note(subject, "Done", mark="end")
    assert again == first
    assert other.id != first.id
    assert mark_of(first.body) == "begin"
    assert first.web_url.endswith(f"#note_{first.id}")
    notes = [note for thread in await forge.discussions(subject) for note in thread.notes if not note.system]
    assert [note.id for note in notes] == [first.id, other.id]


async def test_a_note_gives_no_orders(forge: Forge, project: str) -> None:
    subject = await new_issue(forge, project)
    await forge.add_note(subject, "Fine.\n/close\n/label ~x\n", mark="orders")
    assert (await forge.issue(project, subject.iid)).state == "opened"


async def test_a_mark_of_somebody_else_hides_no_note(connect: Connect, site: "Site", project: str) -> None:
    forge = connect()
    subject = await new_issue(forge, project)
    forged = await connect(token=site.member(project, REPORTER)[1]).add_note(subject, "Nothing to do", mark="done")
    ours = await forge.add_note(subject, "Really done", mark="done")
    assert ours.id != forged.id
    assert await forge.add_note(subject, "Really done", mark="done") == ours


async def test_threads_beyond_a_page_are_all_read_oldest_first(forge: Forge, site: "Site", project: str) -> None:
    subject = await new_issue(forge, project)
    first = await forge.add_note(subject, "first", mark="first")
    path = f"{in_project(project)}/issues/{subject.iid}/notes"
    with ThreadPoolExecutor(8) as people:
        list(people.map(lambda number: site.api("POST", path, body=f"note {number}"), range(104)))
    last = await forge.add_note(subject, "last", mark="last")
    assert await forge.add_note(subject, "first", mark="first") == first
    assert await forge.add_note(subject, "last", mark="last") == last
    notes = [note for thread in await forge.discussions(subject) for note in thread.notes if not note.system]
    assert len(notes) == 106
    assert [note.id for note in notes] == sorted(note.id for note in notes)
    assert (notes[0].id, notes[-1].id) == (first.id, last.id)


async def test_an_answer_stands_in_its_thread(forge: Forge, site: "Site", project: str) -> None:
    subject = await new_issue(forge, project)
    path = f"{in_project(project)}/issues/{subject.iid}/discussions"
    thread = site.api("POST", path, body="Why?")
    site.api("POST", f"{path}/{thread['id']}/notes", body="Because.")
    found = [each for each in await forge.discussions(subject) if each.id == thread["id"]]
    assert [[note.body for note in each.notes] for each in found] == [["Why?", "Because."]]
    assert not found[0].individual_note


async def test_notes_on_what_is_not_there_are_not_found(forge: Forge, project: str) -> None:
    for subject in (Subject(project, "#", 999_999), Subject(project, "!", 999_999)):
        with pytest.raises(NotFound):
            await forge.add_note(subject, "x", mark="x")
        with pytest.raises(NotFound):
            await forge.discussions(subject)


# --- merge requests ----------------------------------------------------------------------------


async def test_a_merge_request_is_opened_once_for_a_branch(forge: Forge, site: "Site", project: str) -> None:
    opened = await open_from(forge, site, project, "mw/issue-7.x", title="Draft: Größe 日本")
    assert opened.draft
    assert opened.title == "Draft: Größe 日本"
    assert (opened.source_branch, opened.target_branch, opened.state) == ("mw/issue-7.x", "main", "opened")
    assert opened.sha == await forge.branch(project, "mw/issue-7.x")
    again = await forge.open_merge_request(
        project, source_branch="mw/issue-7.x", target_branch="main", title="Other", description="Other"
    )
    assert (again.iid, again.title) == (opened.iid, opened.title)
    found = await forge.find_merge_request(project, source_branch="mw/issue-7.x")
    assert found is not None
    assert found.iid == opened.iid
    assert await forge.find_merge_request(project, source_branch="mw/issue-7") is None


async def test_a_closed_merge_request_makes_room_for_another(forge: Forge, site: "Site", project: str) -> None:
    opened = await open_from(forge, site, project, "mw/again")
    site.api("PUT", f"{in_project(project)}/merge_requests/{opened.iid}", state_event="close")
    assert await forge.find_merge_request(project, source_branch="mw/again") is None
    assert (await forge.merge_request(project, opened.iid)).state == "closed"
    assert (await open_again(forge, project, "mw/again")).iid != opened.iid


async def open_again(forge: Forge, project: str, branch: str) -> MergeRequest:
    return await forge.open_merge_request(
        project, source_branch=branch, target_branch="main", title="Draft: again", description=""
    )


async def test_a_merge_request_gets_a_new_title_and_description(forge: Forge, site: "Site", project: str) -> None:
    opened = await open_from(forge, site, project, "mw/update")
    titled = await forge.update_merge_request(project, opened.iid, title="Ready: é")
    assert (titled.title, titled.description, titled.draft) == ("Ready: é", "D", False)
    described = await forge.update_merge_request(project, opened.iid, description="- [x] plan\n/close\n")
    assert described.title == "Ready: é"
    assert "- [x] plan" in described.description
    assert described.state == "opened"
    assert await forge.update_merge_request(project, opened.iid) == await forge.merge_request(project, opened.iid)
    with pytest.raises(NotFound):
        await forge.update_merge_request(project, 999_999, title="T")
    with pytest.raises(NotFound):
        await forge.merge_request(project, 999_999)


async def test_a_merge_request_has_its_diff_refs_in_a_while(forge: Forge, site: "Site", project: str) -> None:
    opened = await open_from(forge, site, project, "mw/refs")
    for _ in range(100):
        read = await forge.merge_request(project, opened.iid)
        if read.diff_refs is not None:
            break
        await asyncio.sleep(0.1)
    assert read.diff_refs is not None
    assert read.diff_refs.head_sha == read.sha
    assert read.diff_refs.base_sha == await forge.branch(project, "main")
    assert read.detailed_merge_status


async def test_a_merge_request_tells_which_issues_it_closes(forge: Forge, site: "Site", project: str) -> None:
    issue = await new_issue(forge, project)
    opened = await open_from(forge, site, project, "mw/closes")
    assert (await forge.merge_request(project, opened.iid)).closes_issues == ()
    await forge.update_merge_request(project, opened.iid, description=f"Closes #{issue.iid}")
    assert (await forge.merge_request(project, opened.iid)).closes_issues == (issue.iid,)


async def test_a_description_beyond_the_limit_is_cut_and_says_so(forge: Forge, site: "Site", project: str) -> None:
    opened = await open_from(forge, site, project, "mw/long")
    longest = await forge.update_merge_request(project, opened.iid, description="line é\n" * 200_000)
    assert len(longest.description) <= DESCRIPTION_LIMIT
    assert longest.description.startswith("line é\nline é")
    assert "The rest was cut" in longest.description[-200:]


async def test_a_merge_request_from_nowhere_is_refused(forge: Forge, project: str) -> None:
    with pytest.raises(ForgeError) as refusal:
        await open_again(forge, project, "no-such-branch")
    assert not isinstance(refusal.value, Unreachable | Unauthorized)
    with pytest.raises(Conflict):
        await open_again(forge, project, "main")


async def test_notes_stand_on_a_merge_request_as_on_an_issue(forge: Forge, site: "Site", project: str) -> None:
    opened = await open_from(forge, site, project, "mw/notes")
    subject = Subject(project, "!", opened.iid)
    written = await forge.add_note(subject, "Look at this", mark="look")
    assert await forge.add_note(subject, "Look at this", mark="look") == written
    assert written.id in {note.id for thread in await forge.discussions(subject) for note in thread.notes}


# --- pipelines ---------------------------------------------------------------------------------


async def test_a_push_with_ci_has_a_pipeline_with_jobs(forge: Forge, site: "Site", project: str) -> None:
    ci = "stages: [build, test]\nunit:\n  stage: test\n  script: [make test]\n"
    ci += "lib:\n  stage: build\n  script: [make]\n  allow_failure: true\n"
    sha = site.commit(project, "with-ci", {".gitlab-ci.yml": ci}, start="main")
    for _ in range(100):
        pipelines = await forge.pipelines(project, sha=sha)
        if pipelines:
            break
        await asyncio.sleep(0.1)
    assert [(each.sha, each.ref) for each in pipelines] == [(sha, "with-ci")]
    assert not pipelines[0].ended
    listed = await forge.jobs(project, pipelines[0].id)
    jobs = {job.name: (job.stage, job.allow_failure) for job in listed}
    assert jobs == {"unit": ("test", False), "lib": ("build", True)}
    traces = [await forge.job_trace(project, job.id) for job in listed]
    assert all(isinstance(trace, str) for trace in traces)
    with pytest.raises(NotFound):
        await forge.job_trace(project, 2_000_000_000)
    assert await forge.pipelines(project, sha="0" * 40) == []
    with pytest.raises(NotFound):
        await forge.jobs(project, 2_000_000_000)


async def test_a_pipeline_without_a_valid_configuration_says_what_is_wrong(
    forge: Forge, site: "Site", project: str
) -> None:
    sha = site.commit(
        project, "broken-ci", {".gitlab-ci.yml": "unit:\n  stage: nowhere\n  script: [x]\n"}, start="main"
    )
    for _ in range(100):
        if pipelines := await forge.pipelines(project, sha=sha):
            break
        await asyncio.sleep(0.1)
    (listed,) = pipelines
    assert listed.status == "failed"
    assert list(await forge.jobs(project, listed.id)) == []
    assert "nowhere" in (await forge.pipeline(project, listed.id)).yaml_errors
    with pytest.raises(NotFound):
        await forge.pipeline(project, 2_000_000_000)


# --- when the way to the forge fails -----------------------------------------------------------


async def test_a_read_outlasts_two_faults(connect: Connect, way: "Way", waits: list[float], project: str) -> None:
    way.status("GET", 502, times=2)
    assert (await connect(way.url).project(project)).path_with_namespace == project
    assert waits == [0.5, 1.0]


async def test_the_forge_is_given_the_time_it_asks_for(
    connect: Connect, way: "Way", waits: list[float], project: str
) -> None:
    way.status("GET", 429, headers={"Retry-After": "11"})
    assert (await connect(way.url).project(project)).path_with_namespace == project
    assert waits == [11.0]


async def test_a_forge_that_is_down_is_unreachable_after_bounded_tries(
    connect: Connect, waits: list[float], project: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(Unreachable, match="after 4 tries") as refusal:
        await connect(url, retries=3).project(project)
    assert waits == [0.5, 1.0, 2.0]
    assert url in refusal.value.message


async def test_a_page_instead_of_an_answer_is_unreachable(connect: Connect, way: "Way", project: str) -> None:
    way.status("GET", 200)
    with pytest.raises(Unreachable, match="JSON"):
        await connect(way.url).project(project)


async def test_a_note_whose_answer_is_lost_is_there_once(
    forge: Forge, connect: Connect, way: "Way", project: str
) -> None:
    subject = await new_issue(forge, project)
    way.loses_answer("POST")
    written = await connect(way.url).add_note(subject, "Once", mark="once")
    notes = [note.id for thread in await forge.discussions(subject) for note in thread.notes if not note.system]
    assert notes == [written.id]


async def test_an_issue_whose_answer_is_lost_is_there_once(
    forge: Forge, connect: Connect, way: "Way", site: "Site", project: str
) -> None:
    before = await new_issue(forge, project, "Once")
    way.loses_answer("POST")
    opened = await connect(way.url).open_issue(project, title="Once", description="")
    assert opened.iid == before.iid + 1
    with pytest.raises(NotFound):
        await forge.issue(project, opened.iid + 1)


async def test_a_merge_request_whose_answer_is_lost_is_there_once(
    forge: Forge, connect: Connect, way: "Way", site: "Site", project: str
) -> None:
    site.commit(project, "mw/lost", {"lost.txt": "x"}, start="main")
    way.loses_answer("POST")
    opened = await open_again(connect(way.url), project, "mw/lost")
    found = await forge.find_merge_request(project, source_branch="mw/lost")
    assert found is not None
    assert found.iid == opened.iid


async def test_an_update_whose_answer_is_lost_is_simply_said_again(
    forge: Forge, connect: Connect, way: "Way", site: "Site", project: str
) -> None:
    opened = await open_from(forge, site, project, "mw/lost-update")
    way.loses_answer("PUT")
    updated = await connect(way.url).update_merge_request(project, opened.iid, title="Draft: said twice")
    assert updated.title == "Draft: said twice"
    assert len([line for line in way.heard if line.startswith("PUT")]) == 2
