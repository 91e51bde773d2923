"""Commits, branches, trees and diffs on the wire."""

import base64
import hashlib

from mergewright.localforge.call import Wire
from mergewright.localforge.diffs import FileDiff
from mergewright.localforge.instance import Instance
from mergewright.localforge.repository import Blob, Commit, TreeEntry
from mergewright.localforge.tables import Project, ProtectedBranch
from mergewright.localforge.wire.projects import web_url

LEVEL_NAMES = {0: "No one", 30: "Developers + Maintainers", 40: "Maintainers", 60: "Instance admins"}


def moment(iso: str) -> str:
    """Git's time with GitLab's milliseconds."""
    return f"{iso[:19]}.000{iso[19:]}"


def commit_wire(instance: Instance, project: Project, commit: Commit) -> Wire:
    return {
        "id": commit.sha,
        "short_id": commit.sha[:8],
        "created_at": moment(commit.committed_date),
        "parent_ids": list(commit.parents),
        "title": commit.title,
        "message": commit.message,
        "author_name": commit.author_name,
        "author_email": commit.author_email,
        "authored_date": moment(commit.authored_date),
        "committer_name": commit.committer_name,
        "committer_email": commit.committer_email,
        "committed_date": moment(commit.committed_date),
        "trailers": {},
        "extended_trailers": {},
        "web_url": f"{web_url(instance, project)}/-/commit/{commit.sha}",
    }


def hook_commit(instance: Instance, project: Project, commit: Commit) -> Wire:
    return {
        "id": commit.sha,
        "message": commit.message,
        "title": commit.title,
        "timestamp": commit.committed_date,
        "url": f"{web_url(instance, project)}/-/commit/{commit.sha}",
        "author": {"name": commit.author_name, "email": "[REDACTED]"},
    }


def branch_wire(
    instance: Instance,
    project: Project,
    name: str,
    commit: Commit,
    *,
    rule: ProtectedBranch | None,
    merged: bool,
    can_push: bool,
) -> Wire:
    return {
        "name": name,
        "commit": commit_wire(instance, project, commit),
        "merged": merged,
        "protected": rule is not None,
        "developers_can_push": rule is not None and rule.push_access_level == 30,
        "developers_can_merge": rule is not None and rule.merge_access_level == 30,
        "can_push": can_push,
        "default": name == project.default_branch,
        "web_url": f"{web_url(instance, project)}/-/tree/{name}",
    }


def protected_branch_wire(rule: ProtectedBranch) -> Wire:
    def levels(level: int) -> list[Wire]:
        return [
            {
                "id": rule.id,
                "access_level": level,
                "access_level_description": LEVEL_NAMES.get(level, str(level)),
                "deploy_key_id": None,
                "user_id": None,
                "group_id": None,
            }
        ]

    return {
        "id": rule.id,
        "name": rule.name,
        "push_access_levels": levels(rule.push_access_level),
        "merge_access_levels": levels(rule.merge_access_level),
        "allow_force_push": rule.allow_force_push,
        "unprotect_access_levels": [],
        "code_owner_approval_required": False,
        "inherited": False,
    }


def tree_wire(entry: TreeEntry) -> Wire:
    return {
        "id": entry.id,
        "name": entry.path.rpartition("/")[2],
        "type": entry.type,
        "path": entry.path,
        "mode": entry.mode,
    }


def diff_wire(file: FileDiff, *, unidiff: bool = False) -> Wire:
    diff = file.diff
    if unidiff and diff.startswith("@@"):
        old = "/dev/null" if file.new_file else f"a/{file.old_path}"
        new = "/dev/null" if file.deleted_file else f"b/{file.new_path}"
        diff = f"--- {old}\n+++ {new}\n{diff}"
    return {
        "diff": diff,
        "collapsed": False,
        "too_large": False,
        "new_path": file.new_path,
        "old_path": file.old_path,
        "a_mode": file.a_mode,
        "b_mode": file.b_mode,
        "new_file": file.new_file,
        "renamed_file": file.renamed_file,
        "deleted_file": file.deleted_file,
        "generated_file": False,
    }


def file_wire(path: str, ref: str, blob: Blob, *, sha: str, last_commit: str, mode: str) -> Wire:
    return {
        "file_name": path.rpartition("/")[2],
        "file_path": path,
        "size": len(blob.data),
        "encoding": "base64",
        "content_sha256": hashlib.sha256(blob.data).hexdigest(),
        "ref": ref,
        "blob_id": blob.id,
        "commit_id": sha,
        "last_commit_id": last_commit,
        "execute_filemode": mode == "100755",
        "content": base64.b64encode(blob.data).decode(),
    }
