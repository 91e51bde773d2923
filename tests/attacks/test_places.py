"""Others with an account on this machine look for what lies about."""

import stat
from pathlib import Path

import pytest

from mergewright.domain.errors import WrongUse
from mergewright.localforge.server import ForgeSettings, LocalForge
from mergewright.models.recording import begin
from mergewright.store.sql import open_store
from tests.flows.conftest import SetUp, make_repository, stage
from tests.flows.scripts import QUESTIONS

__all__ = ["make_repository", "stage"]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_sessions_files_are_their_owners_alone(stage: SetUp) -> None:
    """The folder of the sessions was open to all: a neighbour read the code, or ran what a command had left there
    with the right to run as its owner."""
    on = stage({"plan:1": QUESTIONS})
    on.world.settings.sessions.mkdir(mode=0o755, exist_ok=True)
    await on.begin()
    await on.run()
    folders = list(on.world.settings.sessions.iterdir())
    assert [mode(folder) for folder in folders] == [0o700]


async def test_the_data_folder_is_its_owners_alone(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home" / "mergewright.sqlite3")
    await store.close()
    assert mode(tmp_path / "home") == 0o700
    assert mode(tmp_path / "home" / "mergewright.sqlite3") == 0o600


def test_a_data_folder_that_all_may_write_is_refused(tmp_path: Path) -> None:
    """A neighbour exchanges the database, and with it what a session goes on with."""
    tmp_path.chmod(0o777)
    with pytest.raises(WrongUse, match="others on this machine"):
        open_store(tmp_path / "mergewright.sqlite3")


def test_a_recording_is_its_owners_alone(tmp_path: Path) -> None:
    begin(tmp_path / "session.jsonl", model="scripted")
    assert mode(tmp_path / "session.jsonl") == 0o600


def test_a_forges_folder_that_was_open_is_shut(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    forge = LocalForge(ForgeSettings(tmp_path))
    forge.stop()
    assert mode(tmp_path) == 0o700
