"""mergewright: an open agent platform for GitLab."""

__version__ = "0.1.0"
