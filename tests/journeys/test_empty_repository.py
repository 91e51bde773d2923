"""A project without a single commit."""

import pytest

from tests.journeys.conftest import Serve
from tests.journeys.place import BOT, Place

DEVELOPER, MAINTAINER = 30, 40


@pytest.fixture
def place(serve: Serve) -> Place:
    place = serve("greet")
    place.project = place.api("POST", "projects", name="hello", path="hello")["path_with_namespace"]
    return place


def test_it_takes_a_maintainer_to_begin_an_empty_repository(place: Place) -> None:
    bot = place.get(f"users?username={BOT}")[0]["id"]
    issue = place.open_issue("Print a greeting", "A script `hello.sh` prints `Hello!`. With a test.\n")

    place.api("POST", f"{place.base}/members", user_id=bot, access_level=DEVELOPER)
    refused = place.develop(issue, recording="empty")
    assert refused.exit_code == 1
    assert "the repository is empty and its first commit on `main` was refused" in refused.told["reason"]
    assert "GitLab:" not in refused.told["reason"]
    assert "  hint: make the first commit yourself, or give the token's owner the Maintainer role" in refused.stderr
    assert place.branches() == []
    assert place.merge_requests() == []
    assert place.notes(issue) == []

    place.api("PUT", f"{place.base}/members/{bot}", access_level=MAINTAINER)
    done = place.work("sessions", "resume", refused.told["session"])
    assert done.exit_code == 0, done.stderr
    assert done.told["merge_request"]["linked"] is True
    assert [(check["when"], check["exit_code"]) for check in done.told["checks"]] == [("after", 0)]
    clone = place.clone(done.told["merge_request"]["source_branch"])
    assert (clone / "hello.sh").read_text() == "#!/bin/sh\necho 'Hello!'\n"
    (merge_request,) = place.merge_requests()
    assert merge_request["target_branch"] == "main"
    assert "The project had no checks before: these come with the change itself." in merge_request["description"]
    assert len(place.notes(issue)) == 1
