"""One file per GitLab resource; each lists its routes."""
