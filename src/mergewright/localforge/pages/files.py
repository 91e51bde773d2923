"""Pages of the repository: folders, files, commits and branches."""

from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote

from sqlalchemy import select
from starlette.responses import Response

from mergewright.localforge.errors import not_found
from mergewright.localforge.markdown import markdown
from mergewright.localforge.pages.highlight import highlighted
from mergewright.localforge.pages.review import shown_files
from mergewright.localforge.pages.visit import Shown, Visit
from mergewright.localforge.repository import EMPTY_TREE, Blob, Commit, TreeEntry
from mergewright.localforge.tables import Pipeline
from mergewright.localforge.wire.projects import git_url

SHOWN_LINES = 10_000
SHOWN_BYTES = 2 * 1024**2
COMMITS = 40
README = ("readme.md", "readme.markdown", "readme", "readme.txt", "readme.rst")
RAW_POLICY = "default-src 'none'; sandbox"


@dataclass(frozen=True)
class Place:
    """Where in the repository one is: a branch, tag or commit, and a path below it."""

    seen: Visit
    ref: str
    sha: str
    path: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def short(self) -> str:
        """The ref as one says it: a commit's whole id is too long."""
        return self.ref[:12] if self.ref == self.sha else self.ref

    def at(self, kind: str, path: str | None = None) -> str:
        """The address of a page of this kind, here or at another path."""
        whole = "/".join(part for part in (self.ref, self.path if path is None else path) if part)
        return quote(f"{self.seen.home}/-/{kind}/{whole}")

    @property
    def trail(self) -> list[tuple[str, str]]:
        """The folders above and the place itself, each with its address."""
        parts = self.path.split("/") if self.path else []
        return [(part, self.at("tree", "/".join(parts[: number + 1]))) for number, part in enumerate(parts)]

    @cached_property
    def last(self) -> Commit | None:
        """The last commit that changed it."""
        return next(iter(self.seen.call.repository.log(self.sha, path=self.path, limit=1)), None)

    @cached_property
    def entries(self) -> list[TreeEntry] | None:
        found = self.seen.call.repository.tree(self.sha, self.path)
        return None if found is None else sorted(found, key=lambda one: (one.type != "tree", one.path.lower()))

    def address(self, entry: TreeEntry) -> str:
        return self.at("tree" if entry.type == "tree" else "blob", entry.path)

    @cached_property
    def readme(self) -> str:
        """The folder's README as HTML; empty where there is none."""
        by_name = {entry.path.rpartition("/")[2].lower(): entry for entry in self.entries or [] if entry.type == "blob"}
        entry = next((by_name[name] for name in README if name in by_name), None)
        blob = self.seen.call.repository.blob(self.sha, entry.path) if entry else None
        text = readable(blob) if blob else None
        return markdown(text) if text else ""


def place(seen: Visit, at: str) -> Place:
    """Find where an address leads: of the refs that it begins with, the longest."""
    seen.call.need_code()
    repository = seen.call.repository
    at = at.strip("/")
    names = [*repository.refs(), *repository.refs("refs/tags/")]
    fitting = [name for name in names if at == name or at.startswith(f"{name}/")]
    ref = max(fitting, key=len) if fitting else at.partition("/")[0]
    sha = repository.resolve(ref)
    if sha is None:
        raise not_found("Ref")
    return Place(seen, ref, sha, at[len(ref) :].strip("/"))


def front(seen: Visit) -> Place | None:
    """The top of the default branch; None for an empty repository."""
    sha = seen.call.repository.branch(seen.project.default_branch) if seen.reads_code else None
    return Place(seen, seen.project.default_branch, sha, "") if sha else None


def readable(blob: Blob) -> str | None:
    """A file's text; None for one that is none, or too large to be shown."""
    if len(blob.data) > SHOWN_BYTES or b"\0" in blob.data[:8000]:
        return None
    return blob.data.decode("utf-8", "replace")


def tree(seen: Visit) -> Shown:
    found = place(seen, seen.call.names["at"])
    if found.entries is None:
        raise not_found("Tree")
    values = {"title": f"{found.path or seen.project.name} at {found.short}", "section": "files", "place": found}
    return "tree.html", values


def _blob(seen: Visit, at: str) -> tuple[Place, Blob]:
    found = place(seen, at)
    blob = seen.call.repository.blob(found.sha, found.path)
    if blob is None:
        raise not_found("File")
    return found, blob


def blob(seen: Visit) -> Shown:
    found, content = _blob(seen, seen.call.names["at"])
    text = readable(content)
    lines = highlighted(found.name, text) if text is not None else []
    rendered = markdown(text) if text and found.name.lower().endswith((".md", ".markdown")) else ""
    plain = seen.text("plain") == "1"
    values = {"place": found, "size": len(content.data), "text": text, "lines": lines[:SHOWN_LINES]}
    more = {"left_out": max(len(lines) - SHOWN_LINES, 0), "rendered": rendered if not plain else "", "plain": plain}
    return "blob.html", {"title": f"{found.path} at {found.short}", "section": "files"} | values | more


def raw(seen: Visit, at: str) -> Response:
    """A file's bytes: text as text, everything else only to be saved, and nothing of it ever run."""
    found, content = _blob(seen, at)
    text = b"\0" not in content.data[:8000]
    shown = "inline" if text else "attachment"
    headers = {
        "Content-Disposition": f"{shown}; filename*=UTF-8''{quote(found.name, safe='')}",
        "Content-Security-Policy": RAW_POLICY,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return Response(content.data, media_type="text/plain" if text else "application/octet-stream", headers=headers)


def commits(seen: Visit) -> Shown:
    at = seen.call.names.get("at") or seen.project.default_branch
    if seen.reads_code and seen.call.repository.empty():
        return "commits.html", {"title": "Commits", "section": "commits", "place": None, "commits": [], "more": False}
    found = place(seen, at)
    start = (seen.page - 1) * COMMITS
    rows = seen.call.repository.log(found.sha, path=found.path, limit=COMMITS + 1, skip=start)
    values = {"place": found, "commits": rows[:COMMITS], "more": len(rows) > COMMITS}
    return "commits.html", {"title": f"Commits of {found.path or found.short}", "section": "commits"} | values


def commit(seen: Visit) -> Shown:
    sha = seen.call.commit(seen.call.names["sha"])
    repository = seen.call.repository
    row = repository.commit(sha)
    diffs = repository.diff(row.parents[0] if row.parents else EMPTY_TREE, sha)
    pipeline = newest_pipeline(seen, sha)
    values = {"commit": row, "files": shown_files(diffs), "pipeline": pipeline}
    return "commit.html", {"title": row.title, "section": "commits"} | values


def newest_pipeline(seen: Visit, sha: str) -> Pipeline | None:
    """The newest pipeline of a commit."""
    rows = select(Pipeline).where(Pipeline.project_id == seen.project.id, Pipeline.sha == sha)
    return seen.session.scalar(rows.order_by(Pipeline.id.desc()).limit(1))


def branches(seen: Visit) -> Shown:
    seen.call.need_code()
    repository = seen.call.repository
    default = seen.project.default_branch
    rows = [(name, repository.commit(sha)) for name, sha in repository.refs().items()]
    rows.sort(key=lambda row: (row[0] != default, [-ord(c) for c in row[1].committed_date]))
    values = {"branches": rows, "clone": git_url(seen.instance, seen.project)}
    return "branches.html", {"title": "Branches", "section": "branches"} | values
