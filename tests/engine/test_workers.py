import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from mergewright.engine import workers


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/m.db")
    workers.prepare(engine)
    workers.prepare(engine)
    yield engine
    engine.dispose()


def test_a_worker_is_dead_when_it_left_is_gone_or_is_silent(
    database: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for executor in ("living", "killed", "left", "silent"):
        workers.sign(database, executor)
    workers.sign_off(database, ["left"])

    def dead() -> list[str]:
        return workers.dead(database, ["living", "killed", "left", "silent", "unknown"], lambda name: name == "killed")

    assert dead() == ["killed", "left", "unknown"]
    now = time.time() + workers.STALE + 1
    monkeypatch.setattr(time, "time", lambda: now)
    workers.sign(database, "living")
    assert dead() == ["killed", "left", "silent", "unknown"]
    workers.sign(database, "silent")
    assert dead() == ["killed", "left", "unknown"]
