"""A merge request with faults in it, as the demo has one, and what a reviewer left on it."""

import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from tests.journeys.conftest import Serve
from tests.journeys.place import JSON, Place, git

DEMO = Path(__file__).parents[2] / "src/mergewright/cli/demo_data"
REVIEWED, WORKED_IN, APPROVED = (DEMO / f"{name}.jsonl" for name in ("review-1", "feedback-1", "review-2"))
SUBJECT = "local/users-api!1"
TITLE = "Search for users by a part of their name"
DESCRIPTION = "Adds `GET /api/users/search?name=…&limit=…`, which finds users by a part of their name."
PATH = "merge_requests/1"


def propose(serve: Serve, files: Path | Mapping[str, str] = DEMO / "users-search", *, whole: bool = False) -> Place:
    """Serve the demo's project and open the merge request with the faults, or with other files."""
    place = serve(DEMO / "users-api", start=False, whole=whole)
    # A server only serves: whoever reviews or works is the test.
    place.serve_with = ("--no-worker",)
    place.start()
    place.cli("policy", "set", "local/users-api", "approval=counts", "--reason", "so that one approval is enough")
    push(place, files, "main")
    place.api(
        "POST",
        f"{place.base}/merge_requests",
        source_branch="search-users",
        target_branch="main",
        title=TITLE,
        description=DESCRIPTION,
    )
    return place


def push(place: Place, files: Path | Mapping[str, str], branch: str = "search-users") -> str:
    """Push files to the merge request's branch as the person does, from a branch; gives the new head."""
    clone = place.clone(branch)
    if isinstance(files, Path):
        shutil.copytree(files, clone, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        for name, text in files.items():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).write_text(text)
    git(clone, "add", "--all")
    git(clone, "commit", "-q", "-m", TITLE)
    git(clone, "push", "-q", "origin", "HEAD:search-users")
    return git(clone, "rev-parse", "HEAD").strip()


def merge_request(place: Place) -> dict[str, JSON]:
    value: dict[str, JSON] = place.get(f"{place.base}/{PATH}")
    return value


def threads(place: Place) -> list[dict[str, JSON]]:
    """Give the reviewer's threads on the diff, without what the forge itself says in them."""
    found = place.get(f"{place.base}/{PATH}/discussions?per_page=100")
    said = [{**one, "notes": [note for note in one["notes"] if not note["system"]]} for one in found]
    return [one for one in said if one["notes"] and "mergewright:finding." in one["notes"][0]["body"]]


def bodies(place: Place, word: str = "") -> list[str]:
    """Give the notes that are no system's, the oldest first."""
    notes = place.get(f"{place.base}/{PATH}/notes?sort=asc&per_page=100")
    return [note["body"] for note in notes if not note["system"] and word in note["body"]]


def summaries(place: Place) -> list[str]:
    return bodies(place, "<!-- mergewright:review.")


def drafts(place: Place) -> list[dict[str, JSON]]:
    """Give what the reviewer has written and not published."""
    token = place.connection["reviewer_token"]
    found: list[dict[str, JSON]] = place.api("GET", f"{place.base}/{PATH}/draft_notes", token=token)
    return found


def newest_session(place: Place) -> str:
    """Give the session that was begun last."""
    with closing(sqlite3.connect(place.home / "mergewright.sqlite3")) as database:
        ((session,),) = database.execute("SELECT id FROM sessions ORDER BY created_at DESC LIMIT 1").fetchall()
    return str(session)
