"""Putting one's own repositories on the local forge."""

import hashlib
from pathlib import Path

from tests.journeys.conftest import Serve
from tests.journeys.place import PROJECTS, Place, git, make_repository


def prints(folder: Path) -> dict[str, str]:
    """Every file below a folder, with a hash of what it holds."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_repository_is_never_changed_and_the_forge_keeps_everything_over_a_restart(serve: Serve) -> None:
    place = serve("greet", start=False, whole=True)
    before = prints(place.repositories[0])
    place.start()
    issue = place.open_issue("Add an option `--shout`", "In capitals.\n")
    developed = place.develop(issue, recording="greet-shout")
    assert developed.exit_code == 0, developed.stderr
    merge_requests, notes, token = place.merge_requests(), place.notes(issue), place.token
    assert prints(place.repositories[0]) == before

    place.stop()
    place.start()
    assert prints(place.repositories[0]) == before
    assert place.token == token
    assert place.merge_requests() == merge_requests
    assert place.notes(issue) == notes
    assert sorted(place.branches()) == ["main", developed.told["merge_request"]["source_branch"]]
    assert place.open_issue("Another one") == "local/greet#2"


def test_a_commit_made_meanwhile_is_on_the_forge_after_a_restart(serve: Serve) -> None:
    place = serve("greet", whole=True)
    place.stop()
    (place.repositories[0] / "NEWS").write_text("news\n")
    git(place.repositories[0], "add", "NEWS")
    git(place.repositories[0], "commit", "-qm", "Tell the news")
    place.start()
    assert (place.clone("main") / "NEWS").read_text() == "news\n"


def test_several_repositories_are_several_projects(serve: Serve) -> None:
    place = serve("greet", start=False, whole=True)
    place.repositories.append(make_repository(PROJECTS / "text-stats", place.repositories[0].parent / "Text Stats"))
    place.start()
    assert place.open_issue("One", project="local/greet") == "local/greet#1"
    assert place.open_issue("Two", project="local/Text-Stats") == "local/Text-Stats#1"


def assert_refused(place: Place, *arguments: str | Path, error: str, hint: str) -> None:
    refused = place.cli("serve", *arguments, timeout=30)
    assert refused.returncode == 2
    assert refused.stdout == ""
    told = refused.stderr.splitlines()
    assert len(told) == 2
    assert told[0] == f"error: {error}"
    assert hint in told[1]


def test_what_cannot_be_served_is_refused_and_the_running_forge_goes_on(serve: Serve, tmp_path: Path) -> None:
    place = serve("greet", whole=True)
    repository = place.repositories[0]
    connection = place.connection
    (tmp_path / "empty").mkdir()
    assert_refused(
        place,
        *("--local", tmp_path / "empty"),
        error=f"`{tmp_path / 'empty'}` is no git repository",
        hint="name a folder with a git repository in it",
    )
    assert_refused(
        place,
        *("--local", repository, "--port", "0"),
        error=f"the local forge runs already at {place.url}",
        hint="name all repositories at once",
    )
    port = place.url.rpartition(":")[2]
    elsewhere = Place(tmp_path / "elsewhere" / "home", [repository])
    assert_refused(
        elsewhere,
        *("--local", repository, "--port", port),
        error=f"Port {port} on 127.0.0.1 cannot be used: Address already in use",
        hint="choose another port, or 0 for a free one",
    )
    assert place.connection == connection
    assert place.open_issue("Still there") == "local/greet#1"


def test_an_issue_can_be_opened_from_a_file(serve: Serve, tmp_path: Path) -> None:
    place = serve("greet", whole=True)
    file = tmp_path / "issue.md"
    file.write_text("Grüße, bitte.\n")
    opened = place.cli("issue", place.project, "--title", "Grüße", "--file", file, check=True)
    reference, address = opened.stdout.split()
    assert (reference, address) == ("local/greet#1", f"{place.url}/local/greet/-/issues/1")
    issue = place.get(f"{place.base}/issues/1")
    assert (issue["title"], issue["description"]) == ("Grüße", "Grüße, bitte.\n")
    assert issue["author"]["username"] == place.person
    missing = place.cli("issue", place.project, "--title", "x", "--file", tmp_path / "none.md")
    assert missing.returncode == 2
    assert missing.stderr.startswith(f"error: `{tmp_path / 'none.md'}` cannot be read: No such file or directory\n")
    nowhere = place.cli("issue", "local/none", "--title", "x", "--file", "-", "--json")
    assert nowhere.returncode == 1
    assert "`local/none`" in nowhere.stderr
