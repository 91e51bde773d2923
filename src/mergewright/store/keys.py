"""The key that seals the audit's end: made once, readable by its owner alone."""

import os
import secrets
import stat
from pathlib import Path

from mergewright.domain.errors import WrongUse

SIZE = 32


def read_key(path: Path) -> bytes:
    """Read the key, making it where there is none; raises WrongUse for one that others may read."""
    if not path.exists():
        # Written whole before it has its name: another process never reads half of it.
        part = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        with open(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as made:
            made.write(secrets.token_bytes(SIZE))
        try:
            os.link(part, path)
        except FileExistsError:
            pass
        finally:
            part.unlink()
    found = path.stat()
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise WrongUse(f"others on this machine may read `{path}`", hint=f"`chmod 600 {path}`")
    key = path.read_bytes()
    if len(key) != SIZE:
        raise WrongUse(f"`{path}` is no key", hint="put back the one that the audit was sealed with")
    return key
