"""One installation of the forge: its database, its repositories, its address."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateIndex, CreateTable

from mergewright.localforge.repository import Repository
from mergewright.localforge.settings import ForgeSettings
from mergewright.localforge.tables import Project, Table


def open_database(settings: ForgeSettings) -> Engine:
    """Open or create the SQLite database under the forge's home."""
    engine = create_engine(f"sqlite:///{settings.home / 'forge.sqlite3'}")

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: object) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A writer takes its lock at once: SQLite cannot turn a stale reader into a writer.
        write = connection.get_execution_options().get("write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    with engine.execution_options(write=True).begin() as connection:
        for statement in schema():
            connection.exec_driver_sql(statement)
    return engine


@cache
def schema() -> tuple[str, ...]:
    """What makes the tables that a database does not have yet."""
    tables = Table.metadata.sorted_tables
    made: list[CreateTable | CreateIndex] = [CreateTable(table, if_not_exists=True) for table in tables]
    made += [CreateIndex(index, if_not_exists=True) for table in tables for index in table.indexes]
    return tuple(str(one.compile(dialect=sqlite.dialect())) for one in made)


class Instance:
    """What every request needs: settings, the database, the repositories and the public address."""

    def __init__(self, settings: ForgeSettings) -> None:
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A folder that was there may be open to all, and builds may hold programs that run as us.
        settings.home.chmod(0o700)
        self.settings = settings
        self.url = f"http://{settings.host}:{settings.port}" if settings.port else f"http://{settings.host}"
        self.engine = open_database(settings)
        self.agents_url = settings.agents_url
        """Where the agents' server is; may be set while the forge runs."""
        self.runs_jobs = False
        self.wakers: list[Callable[[], None]] = []
        """Called after each write: the runner and the webhook courier look for work then."""
        self.writing = threading.RLock()
        """Held by whoever changes the database or a branch: changes happen one after the other."""

    @contextmanager
    def read(self) -> Iterator[Session]:
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that is kept when the block ends well."""
        with self.writing, Session(self.engine.execution_options(write=True), expire_on_commit=False) as session:
            yield session
            session.commit()
        for wake in self.wakers:
            wake()

    def repository(self, project: Project) -> Repository:
        # By number: a path chosen by a user never becomes a folder's name.
        return Repository(self.settings.home / "repositories" / f"{project.id}.git", home=self.settings.home)

    def close(self) -> None:
        self.engine.dispose()
