"""A token that may not do the work is refused before anything is written, with the way out."""

from collections.abc import Iterator

import pytest

from tests.journeys.conftest import Serve
from tests.journeys.place import BOT, Developed, Place

GUEST, REPORTER, DEVELOPER, MAINTAINER = 10, 20, 30, 40


@pytest.fixture(scope="module")
def place(serve_shared: Serve) -> Place:
    place = serve_shared("greet")
    place.open_issue("Add an option `--shout`", "In capitals.\n")
    return place


@pytest.fixture(autouse=True)
def untouched(place: Place) -> Iterator[None]:
    """Whatever is refused here leaves nothing behind on the forge."""
    yield
    assert place.branches() == ["main"]
    assert place.merge_requests() == []
    assert place.notes("local/greet#1") == []


def develop(place: Place, token: str, issue: str = "local/greet#1") -> Developed:
    """Develop as on any GitLab: by its address and a token."""
    return place.develop(issue, recording="greet-shout", env={"GITLAB_URL": place.url, "GITLAB_TOKEN": token})


def token_for(place: Place, username: str, *scopes: str) -> str:
    """Make a person and a token for them."""
    known = place.get(f"users?username={username}")
    user = known[0] if known else place.api("POST", "users", username=username, email=f"{username}@example.com")
    made = place.api("POST", f"users/{user['id']}/impersonation_tokens", name="journey", scopes=list(scopes))
    return str(made["token"])


def join(place: Place, username: str, level: int) -> None:
    user = place.get(f"users?username={username}")[0]
    place.api("POST", f"{place.base}/members", user_id=user["id"], access_level=level)


@pytest.mark.parametrize(("username", "level"), [("gustav", GUEST), ("rita", REPORTER)])
def test_a_member_who_may_not_push_is_named_with_the_role_that_is_missing(
    place: Place, username: str, level: int
) -> None:
    token = token_for(place, username, "api")
    join(place, username, level)
    refused = develop(place, token)
    assert refused.exit_code == 1
    role = {GUEST: "Guest", REPORTER: "Reporter"}[level]
    assert refused.stderr == (
        f"error: `{username}` may not push to `local/greet`: its role is {role}\n"
        "hint: give it the role Developer or more in the project's members\n"
    )
    assert refused.told == {}


def test_a_token_that_may_only_read_is_refused_with_the_scope_it_needs(place: Place) -> None:
    token = token_for(place, "dora", "read_api")
    join(place, "dora", DEVELOPER)
    refused = develop(place, token)
    assert refused.exit_code == 1
    assert refused.stderr == (
        "error: the token of `dora` has no scope `api`, only `read_api`\nhint: make a token with the scope `api`\n"
    )


def test_an_unknown_token_is_wrong_use(place: Place) -> None:
    refused = develop(place, "glpat-unknown-unknown-unk")
    assert refused.exit_code == 2
    error, hint = refused.stderr.splitlines()
    assert error.startswith("error: ")
    assert "token" in error
    assert hint.startswith("hint: ")
    assert "glpat-unknown" not in refused.stderr


def test_a_project_that_cannot_be_seen_is_said_not_to_be_there(place: Place) -> None:
    refused = develop(place, token_for(place, "outside-of-it-all", "api"))
    assert refused.exit_code == 1
    error, hint = refused.stderr.splitlines()
    assert error.startswith("error: ")
    assert "`local/greet`" in error
    assert "member of the project" in hint


def test_an_issue_that_is_not_there_is_named(place: Place) -> None:
    refused = place.develop("local/greet#99", recording="greet-shout")
    assert refused.exit_code == 1
    assert "local/greet#99" in refused.stderr


def test_no_session_is_left_of_all_that(place: Place) -> None:
    assert place.cli("sessions", "list", check=True).stdout == ""


def test_the_bot_of_the_local_forge_is_a_developer_and_no_more(place: Place) -> None:
    members = place.get(f"{place.base}/members")
    levels = {member["username"]: member["access_level"] for member in members}
    assert levels[BOT] == DEVELOPER
