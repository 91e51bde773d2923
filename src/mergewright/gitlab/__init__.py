"""The one door to a forge: gitlab.com, a self-managed GitLab or the local forge."""
