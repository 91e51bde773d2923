"""Putting one's own repository on the local forge."""

from tests.journeys.conftest import Serve


def test_a_repository_is_served_as_a_project_with_an_issue(serve: Serve) -> None:
    place = serve("text-stats")
    assert place.open_issue("Count sentences", "Please.\n") == "local/text-stats#1"
    assert place.branches() == ["main"]
