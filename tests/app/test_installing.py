"""A project is set up for the server, mended, and left again: over real HTTP, on a real local forge."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mergewright.app.connect import LocalConnection, connection_file
from mergewright.app.installing import address
from mergewright.app.settings import Settings, read_settings
from mergewright.app.webhooks import HOOK_EVENTS, webhook_token
from mergewright.cli.webhook import webhook
from mergewright.domain.errors import Forbidden, WrongUse
from tests.review.stage import PROJECT, Stage, open_stage

URL = "https://agents.example.com"
HOOK = f"{URL}/webhooks/gitlab"


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    made = open_stage(tmp_path / "stage")
    made.served.seed_user("fresh-bot", bot=True)
    made.tokens["fresh-bot"] = made.served.seed_token("fresh-bot")
    monkeypatch.setenv("MERGEWRIGHT_HOME", str(tmp_path / "home"))
    introduce(made)
    yield made
    asyncio.run(made.close())


def introduce(stage: Stage, person: str = "ann") -> Settings:
    """Say who maintains, and that the developer is an account that the project does not know yet."""
    settings = read_settings()
    settings.make_home()
    tokens = stage.tokens
    names = (person, tokens[person], "fresh-bot", tokens["fresh-bot"], "reviewer", tokens["reviewer"])
    LocalConnection(stage.served.url, *names).write(connection_file(settings))
    return settings


def run(*arguments: str) -> dict[str, str]:
    """Run `mergewright webhook`; gives what was done with what, by the first word of it."""
    done = CliRunner().invoke(webhook, [*arguments, "--url", URL, "--json"], catch_exceptions=False)
    told = json.loads(done.stdout.splitlines()[-1])
    return {one["what"]: one["action"] for one in told["steps"]}


def hooks(stage: Stage) -> list[dict[str, Any]]:
    return [one for one in stage.api("GET", "/hooks") if one["url"] == HOOK]


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(stage: Stage) -> None:
    told = run("install", PROJECT, "--dry-run")
    assert sorted(told.values()) == ["keep", "make", "make", "make"]
    assert hooks(stage) == []
    assert not [one for one in stage.api("GET", "/members/all") if one["username"] == "fresh-bot"]
    assert stage.api("GET", "/labels") == []


def test_a_project_is_set_up_once_and_mended_where_somebody_changed_it(stage: Stage) -> None:
    run("install", PROJECT)
    (hook,) = hooks(stage)
    assert {name for name in hook if name.endswith("_events") and hook[name]} == set(HOOK_EVENTS)
    (member,) = [one for one in stage.api("GET", "/members/all") if one["username"] == "fresh-bot"]
    assert member["access_level"] == 30
    assert [one["name"] for one in stage.api("GET", "/labels")] == ["mergewright"]
    stage.api("PUT", f"/hooks/{hook['id']}", note_events=False, job_events=True)
    stage.api("POST", "/hooks", url=HOOK)
    told = run("install", PROJECT)
    assert sorted(told.values()) == ["change", "keep", "keep", "keep", "remove"]
    assert any("adds note_events" in what for what in told)
    (hook,) = hooks(stage)
    assert hook["note_events"]
    assert hook["job_events"]
    assert set(run("install", PROJECT).values()) == {"change", "keep"}


def test_a_webhook_that_was_made_is_taken_by_the_server(stage: Stage) -> None:
    run("install", PROJECT)
    (row,) = hooks(stage)
    settings = read_settings()
    with stage.served.instance.read() as session:
        from mergewright.localforge.tables import Hook

        assert session.get_one(Hook, row["id"]).token == webhook_token(settings)


def test_a_webhook_is_removed_and_nothing_else(stage: Stage) -> None:
    run("install", PROJECT)
    stage.api("POST", "/hooks", url="https://other.example.com/webhooks/gitlab")
    assert list(run("remove", PROJECT, "--dry-run").values()) == ["remove"]
    assert len(hooks(stage)) == 1
    assert list(run("remove", PROJECT).values()) == ["remove"]
    assert hooks(stage) == []
    assert len(stage.api("GET", "/hooks")) == 1
    assert list(run("remove", PROJECT).values()) == ["keep"]


def test_whoever_is_no_maintainer_is_told_what_it_takes(stage: Stage) -> None:
    introduce(stage, "bob")
    with pytest.raises(Forbidden, match="may not see or change the webhooks") as refused:
        run("install", PROJECT)
    assert "MERGEWRIGHT_MAINTAINER_TOKEN" in refused.value.hint
    assert hooks(stage) == []


@pytest.mark.parametrize("url", ["", "agents.example.com", "ftp://x", "https://u:p@x", "https://x/?a=b", "https://"])
def test_what_is_no_address_of_a_server_is_refused(url: str, tmp_path: Path) -> None:
    settings = read_settings({"MERGEWRIGHT_HOME": str(tmp_path), "PATH": ""})
    with pytest.raises(WrongUse):
        address(settings, url)


def test_the_address_may_be_set_or_given_whole(tmp_path: Path) -> None:
    settings = read_settings({"MERGEWRIGHT_HOME": str(tmp_path), "PATH": ""})
    assert address(settings, f"{URL}/") == address(settings, HOOK) == HOOK
    assert address(replace(settings, url=URL), "") == HOOK
