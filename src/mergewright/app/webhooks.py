"""What GitLab's webhooks tell us of, and what they prove themselves with."""

import os
import secrets
from contextlib import suppress

from mergewright.app.settings import Settings

WEBHOOK = "/webhooks/gitlab"
"""Where the server takes deliveries."""
HOOK_EVENTS = (
    "merge_requests_events",
    "note_events",
    "issues_events",
    "confidential_issues_events",
    "confidential_note_events",
    "pipeline_events",
    "push_events",
)


def webhook_token(settings: Settings) -> str:
    """Give what webhooks prove themselves with: what is set, or what was made for this installation."""
    if settings.webhook_token:
        return settings.webhook_token
    file = settings.make_home() / "webhook.token"
    with suppress(FileExistsError), open(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as made:
        made.write(secrets.token_urlsafe(32))
    return file.read_text().strip()
