"""Ties together what a review runs with."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mergewright.app.adapters import Models, Sandboxes, sandbox_settings
from mergewright.app.settings import Settings
from mergewright.domain.sandbox import Sandbox
from mergewright.domain.session import Session

if TYPE_CHECKING:
    from mergewright.gitlab.reviewing import GitLabReviewForge
    from mergewright.review.world import ReviewWorld
    from mergewright.store.reviews import SqlReviewStore
    from mergewright.store.sql import SqlStore

NO_MODEL = "none"
"""The name under which a review runs by analyzers alone."""


def open_reviews(settings: Settings, store: "SqlStore") -> "SqlReviewStore":
    """Give the store of reviews, findings, policies and the audit, beside the sessions."""
    from mergewright.store.reviews import SqlReviewStore

    return SqlReviewStore(store, settings.home / "audit.key")


@asynccontextmanager
async def opened_reviews(settings: Settings) -> "AsyncIterator[SqlReviewStore]":
    """Open the database for what reviews keep, and close it again."""
    from mergewright.store.sql import open_store

    settings.make_home()
    store = open_store(settings.database)
    try:
        yield open_reviews(settings, store)
    finally:
        await store.close()


def review_worlds(
    settings: Settings, store: "SqlStore", forge: "GitLabReviewForge", sandboxes: Sandboxes, *, record: Path | None
) -> "Callable[[Session], ReviewWorld]":
    """Give what makes the world of a session's review."""
    from mergewright.analyzers.select import analyzers_for
    from mergewright.review.world import ReviewSettings, ReviewWorld

    models = Models(settings, store, record=record)
    reviews = open_reviews(settings, store)

    def world(session: Session) -> ReviewWorld:
        alone = (settings.other_model or session.model) == NO_MODEL
        return ReviewWorld(
            forge=forge,
            store=store,
            reviews=reviews,
            open_model=None if alone else lambda: models.open(session),
            open_sandbox=partial(_sandbox, settings, sandboxes, own=False),
            open_analysis=partial(_sandbox, settings, sandboxes, own=True),
            analyzers=analyzers_for,
            settings=ReviewSettings(
                mirrors=settings.home / "mirrors",
                mirror_of=forge.url,
                window=settings.review_window,
                limits=settings.limits,
            ),
            developer=str(session.inputs.get("developer", "")),
        )

    return world


def _sandbox(settings: Settings, sandboxes: Sandboxes, tree: Path, *, own: bool) -> Sandbox:
    """Open a sandbox on a tree; `own` shows it the programs that mergewright is installed with."""
    from dataclasses import replace

    scratch, outputs = tree.parent / "scratch", tree.parent / "outputs"
    for folder in (scratch, outputs):
        folder.mkdir(parents=True, exist_ok=True)
    given = sandbox_settings(settings, scratch=scratch)
    prefix = Path(sys.prefix)
    if own and prefix not in given.toolchains and not prefix.is_relative_to("/usr"):
        given = replace(given, toolchains=(prefix, *given.toolchains))
    return sandboxes.open_tree(tree, outputs=outputs, settings=given)
