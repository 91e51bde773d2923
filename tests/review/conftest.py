"""A merge request under review on each tier that a test asks for."""

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.review.stage import BASE, Minds, Stage, open_stage, propose

Open = Callable[..., Stage]


@pytest.fixture
async def open_review(tmp_path: Path) -> AsyncIterator[Open]:
    """Open a stage with a merge request; it is closed at the end."""
    opened: list[Stage] = []

    def made(
        *found: Mapping[str, Any],
        tier: Any = "premium",
        model: bool = True,
        base: Mapping[str, str | bytes] = BASE,
        files: Mapping[str, str | bytes | None] | None = None,
        by: str = "ann",
        **more: Any,
    ) -> Stage:
        stage = open_stage(
            tmp_path / f"stage{len(opened)}", tier=tier, mind=Minds(*found) if model else None, base=base
        )
        opened.append(stage)
        return propose(stage, files, by=by, **more)

    yield made
    for stage in opened:
        await stage.close()
