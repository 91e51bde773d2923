"""Keys of this installation, made once and readable by their owner alone, and how far the audit had come."""

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
        raise WrongUse(f"`{path}` is no key", hint="put back the one that lay there")
    return key


def write_end(path: Path, seq: int, digest: str) -> None:
    """Note beside the key how far the audit has come, so that an older copy of the database is known as one."""
    part = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    part.write_text(f"{seq} {digest}\n")
    part.rename(path)


def read_end(path: Path) -> tuple[int, str]:
    """Give the number and the hash of a line that was there once; 0 where nothing was noted."""
    try:
        seq, digest = path.read_text().split()
        return int(seq), digest
    except FileNotFoundError:
        return 0, ""
    except ValueError as error:
        raise WrongUse(f"`{path}` cannot be read", hint="put back the one that lay there") from error
