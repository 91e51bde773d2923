from pathlib import Path

import pytest

from mergewright.app.connect import LocalConnection, connect, connection_file
from mergewright.app.settings import Settings
from mergewright.domain.errors import WrongUse


def test_without_any_forge_both_ways_to_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(WrongUse) as refused:
        connect(Settings(tmp_path))
    assert "mergewright serve" in refused.value.hint
    assert "GITLAB_URL" in refused.value.hint


def test_a_gitlab_without_a_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="no token"):
        connect(Settings(tmp_path, gitlab_url="https://gitlab.example.com"))


def test_a_token_does_not_travel_over_plain_http_to_another_machine(tmp_path: Path) -> None:
    settings = Settings(tmp_path, gitlab_url="http://gitlab.example.com", gitlab_token="glpat-x")
    with pytest.raises(WrongUse):
        connect(settings)


def test_how_to_reach_the_local_forge_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    kept = LocalConnection("http://127.0.0.1:8929", "ada", "glpat-person", "bot", "glpat-bot")
    kept.write(connection_file(settings))
    assert connection_file(settings).stat().st_mode & 0o777 == 0o600
    assert LocalConnection.read(connection_file(settings)) == kept
    assert "glpat" not in repr(kept)
    assert connect(settings).url == "http://127.0.0.1:8929"
