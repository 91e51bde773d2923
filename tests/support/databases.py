"""Databases for tests: an SQLite file, and a real PostgreSQL server of this test run's own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import sqlalchemy as sa

KINDS = ("sqlite", "postgresql")
_number = count(1)


@contextmanager
def postgresql() -> Iterator[str]:
    """Start a PostgreSQL server that only this machine's owner of the files reaches; gives its URL."""
    with postgresql_server() as server:
        yield server.url


@dataclass(frozen=True)
class PostgreSQL:
    """A server of this test run's own."""

    url: str
    start: Callable[[], None]
    stop: Callable[[], None]


@contextmanager
def postgresql_server() -> Iterator[PostgreSQL]:
    """Start a PostgreSQL server that can be stopped and started again."""
    binaries = _binaries()
    # Short, and not below pytest's own folder: a socket's path has 107 letters at most, and `postgres` must get there.
    folder = Path(tempfile.mkdtemp(prefix="mw-pg-"))
    as_owner: tuple[str, ...] = ()
    if os.geteuid() == 0:
        # The server refuses to run as root.
        shutil.chown(folder, "postgres", "postgres")
        as_owner = ("runuser", "-u", "postgres", "--")
    data = folder / "data"

    def run(*arguments: str) -> None:
        done = subprocess.run(
            [*as_owner, *arguments],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{arguments[0]}: {done.stderr}"

    run(str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
    options = f"-k {folder} -c listen_addresses='' -c fsync=off -c max_connections=200"

    def start() -> None:
        run(str(binaries / "pg_ctl"), "-D", str(data), "-l", str(folder / "log"), "-o", options, "-w", "start")

    def stop() -> None:
        run(str(binaries / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop")

    start()
    try:
        yield PostgreSQL(f"postgresql+psycopg://postgres@/postgres?host={folder}", start, stop)
    finally:
        if (data / "postmaster.pid").exists():
            stop()
        shutil.rmtree(folder, ignore_errors=True)


def new_database(server: str) -> str:
    """Make an empty database on the server; gives its URL."""
    name = f"test{next(_number)}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return server.replace("/postgres?", f"/{name}?")


def _binaries() -> Path:
    if found := shutil.which("initdb"):
        return Path(found).parent
    there = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    assert there, "PostgreSQL is not installed; `scripts/test` installs it"
    return there[-1].parent
