"""What the owner of a local forge decides."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Tier = Literal["free", "premium", "ultimate"]
VERSION = "19.5.0"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class ForgeSettings:
    """Where a local forge keeps its state and what it allows."""

    home: Path
    host: str = "127.0.0.1"
    """Only a loopback address: tokens and pages go over plain HTTP."""
    port: int = 0
    """0 takes a free port."""
    tier: Tier = "ultimate"
    body_limit: int = 50 * 1024**2
    """Bytes of one API request; more is answered with 413."""
    push_limit: int = 1024**3
    """Bytes of one git push or fetch request."""
    hook_waits: tuple[float, ...] = (1.0, 2.0, 4.0)
    """Seconds before each further try of a webhook delivery that failed."""
    hook_timeout: float = 10.0
    job_timeout: float = 3600.0
    jobs_at_once: int = 1
    developers_can_push_first: bool = False
    """Whether a Developer may push the default branch of an empty project."""
    agents_url: str = ""
    """Where the agents' server is; empty where there is none, or where it is known only later."""
    reviewer: str = ""
    """The bot that merge requests' pages offer as reviewer."""
