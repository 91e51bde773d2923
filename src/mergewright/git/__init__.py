"""Git on the host for work trees that belong to somebody else.

Whatever lies in a work tree, its `.git`, attributes and nested repositories included, was perhaps written by an
attacker. So the git directory lies elsewhere, no configuration but ours is read, only plumbing that starts no other
program touches the tree, and credentials pass through the environment of one process alone.
"""

from mergewright.git.repository import EMPTY_TREE, Identity, Repository, clone, remote_head

__all__ = ["EMPTY_TREE", "Identity", "Repository", "clone", "remote_head"]
