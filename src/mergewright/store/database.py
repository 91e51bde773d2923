"""The database: how it is opened and brought up to date. All that is SQLite's own stands here."""

import os
import stat
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mergewright.domain.errors import NoDatabase, WrongUse

Statement = str | tuple[str, str]
"""SQL for every database, or for the one that is named first."""

MIGRATIONS: tuple[tuple[Statement, ...], ...] = (
    (
        """
        CREATE TABLE sessions (
            id TEXT PRIMARY KEY,
            flow TEXT NOT NULL,
            subject TEXT NOT NULL,
            goal TEXT NOT NULL,
            actor TEXT NOT NULL,
            model TEXT NOT NULL,
            status TEXT NOT NULL,
            reason TEXT NOT NULL,
            turn INTEGER NOT NULL,
            inputs TEXT NOT NULL,
            created_at DOUBLE PRECISION NOT NULL,
            updated_at DOUBLE PRECISION NOT NULL,
            last_seq INTEGER NOT NULL
        )
        """,
        """
        CREATE UNIQUE INDEX sessions_one_active ON sessions (flow, subject)
            WHERE status NOT IN ('finished', 'failed', 'stopped')
        """,
        """
        CREATE TABLE events (
            session TEXT NOT NULL REFERENCES sessions (id),
            seq INTEGER NOT NULL,
            at DOUBLE PRECISION NOT NULL,
            turn INTEGER NOT NULL,
            kind TEXT NOT NULL,
            component TEXT NOT NULL,
            data TEXT NOT NULL,
            PRIMARY KEY (session, seq)
        )
        """,
        """
        CREATE TABLE claims (
            session TEXT PRIMARY KEY REFERENCES sessions (id),
            token TEXT NOT NULL,
            process TEXT NOT NULL,
            heartbeat DOUBLE PRECISION NOT NULL
        )
        """,
    ),
    (
        """
        CREATE TABLE reviews (
            id TEXT PRIMARY KEY,
            session TEXT NOT NULL,
            project TEXT NOT NULL,
            iid INTEGER NOT NULL,
            head_sha TEXT NOT NULL,
            created_at DOUBLE PRECISION NOT NULL,
            body TEXT NOT NULL,
            UNIQUE (session, head_sha)
        )
        """,
        "CREATE INDEX reviews_by_merge_request ON reviews (project, iid, created_at)",
        """
        CREATE TABLE findings (
            id TEXT PRIMARY KEY,
            number BIGINT NOT NULL,
            project TEXT NOT NULL,
            iid INTEGER NOT NULL,
            state TEXT NOT NULL,
            category TEXT NOT NULL,
            body TEXT NOT NULL
        )
        """,
        "CREATE INDEX findings_by_merge_request ON findings (project, iid, number)",
        """
        CREATE TABLE review_parts (
            review TEXT NOT NULL,
            name TEXT NOT NULL,
            body TEXT NOT NULL,
            PRIMARY KEY (review, name)
        )
        """,
        "CREATE TABLE policies (scope TEXT PRIMARY KEY, body TEXT NOT NULL)",
        """
        CREATE TABLE audit (
            seq BIGINT PRIMARY KEY,
            at DOUBLE PRECISION NOT NULL,
            project TEXT NOT NULL,
            iid INTEGER NOT NULL,
            body TEXT NOT NULL,
            previous TEXT NOT NULL,
            hash TEXT NOT NULL
        )
        """,
        "CREATE INDEX audit_by_merge_request ON audit (project, iid, seq)",
        """
        CREATE TABLE audit_head (
            id INTEGER PRIMARY KEY,
            seq BIGINT NOT NULL,
            hash TEXT NOT NULL,
            seal TEXT NOT NULL
        )
        """,
        *(
            (
                "sqlite",
                f"CREATE TRIGGER audit_no_{verb} BEFORE {verb} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'the audit is only ever added to'); END",
            )
            for verb in ("update", "delete")
        ),
        (
            "postgresql",
            "CREATE FUNCTION audit_refuses() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the audit is only ever added to'; END $$",
        ),
        (
            "postgresql",
            "CREATE TRIGGER audit_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuses()",
        ),
        "CREATE TABLE deliveries (id TEXT PRIMARY KEY, at DOUBLE PRECISION NOT NULL)",
        """
        CREATE TABLE triggers (
            name TEXT PRIMARY KEY,
            number BIGINT NOT NULL,
            body TEXT NOT NULL
        )
        """,
    ),
    (
        "ALTER TABLE sessions ADD COLUMN project TEXT NOT NULL DEFAULT ''",
        "UPDATE sessions SET project = rtrim(rtrim(subject, '0123456789'), '#!')",
        "CREATE INDEX sessions_by_project ON sessions (project, id)",
        "DROP INDEX sessions_one_active",
        # Goals stand beside one another in a project; an issue or a merge request has one session of a flow.
        """
        CREATE UNIQUE INDEX sessions_one_active ON sessions (flow, subject)
            WHERE status NOT IN ('finished', 'failed', 'stopped') AND subject <> project
        """,
        "ALTER TABLE sessions ADD COLUMN number BIGINT NOT NULL DEFAULT 0",
        """
        UPDATE sessions SET number = (
            SELECT count(*) FROM sessions AS other WHERE other.created_at < sessions.created_at
                OR (other.created_at = sessions.created_at AND other.id <= sessions.id)
        )
        """,
        "CREATE UNIQUE INDEX sessions_by_number ON sessions (number)",
        "CREATE INDEX deliveries_by_age ON deliveries (at)",
        "CREATE INDEX triggers_by_number ON triggers (number)",
        "ALTER TABLE triggers ADD COLUMN tries INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE triggers ADD COLUMN due DOUBLE PRECISION NOT NULL DEFAULT 0",
        """
        CREATE TABLE lanes (
            lane TEXT PRIMARY KEY,
            token TEXT NOT NULL,
            process TEXT NOT NULL,
            heartbeat DOUBLE PRECISION NOT NULL
        )
        """,
        """
        CREATE TABLE logins (
            id TEXT PRIMARY KEY,
            user_id BIGINT NOT NULL,
            username TEXT NOT NULL,
            tokens TEXT NOT NULL,
            expires_at DOUBLE PRECISION NOT NULL,
            created_at DOUBLE PRECISION NOT NULL,
            seen_at DOUBLE PRECISION NOT NULL,
            renewing_at DOUBLE PRECISION NOT NULL
        )
        """,
        """
        CREATE TABLE sign_ins (
            id TEXT PRIMARY KEY,
            browser TEXT NOT NULL,
            body TEXT NOT NULL,
            at DOUBLE PRECISION NOT NULL
        )
        """,
        "CREATE TABLE workers (id TEXT PRIMARY KEY, process TEXT NOT NULL, heartbeat DOUBLE PRECISION NOT NULL)",
    ),
)
"""Each entry brings the schema one version further; an entry that was released is never edited."""


_WAITS = {"connect_timeout": 10, "tcp_user_timeout": 30_000}
"""Seconds for a connection to PostgreSQL, and milliseconds for what was sent on one to arrive."""
_ASKED_WRONGLY = (sa.exc.IntegrityError, sa.exc.ProgrammingError, sa.exc.DataError, sa.exc.NotSupportedError)
_HINT_SERVER = "see that it runs, and that MERGEWRIGHT_DATABASE_URL names it"
_HINT_FILE = "see that the disk has room and the file is yours; a broken one must be put aside or restored"


def open_database(url: str | Path) -> sa.Engine:
    """Open the database at a path or URL, creating the file and bringing the schema up to date.

    Raises NoDatabase where it gives no answer or is none.
    """
    target = sa.make_url(url) if isinstance(url, str) and "://" in url else sa.URL.create("sqlite", database=str(url))
    if target.get_backend_name() != "sqlite":
        # Asked for a sign of life first: what was open before the database started anew is of no use.
        waits = {name: seconds for name, seconds in _WAITS.items() if name not in target.query}
        engine = sa.create_engine(target, pool_pre_ping=True, connect_args=waits)
    else:
        path = Path(str(target.database))
        try:
            _own_folder(path.absolute().parent)
            # Sessions quote private code: nobody else on this machine may read them.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise NoDatabase(f"the database `{path}` cannot be used: {error.strerror}", hint=_HINT_FILE) from error
        engine = sa.create_engine(target, pool_size=10, max_overflow=20)
        sa.event.listen(engine, "connect", _prepare_sqlite)
    try:
        migrate(engine)
    except sa.exc.DBAPIError as error:
        engine.dispose()
        raise no_database(engine, error) or error from error
    return engine


def no_database(engine: sa.Engine, error: sa.exc.DBAPIError) -> NoDatabase | None:
    """Give what a person is told where it is the database that fails, and not what was asked of it."""
    if isinstance(error, _ASKED_WRONGLY):
        return None
    said, password = str(error.orig).strip().partition("\n")[0], engine.url.password
    said = said.replace(str(password), "…") if password else said
    if engine.dialect.name == "sqlite":
        return NoDatabase(f"the database `{engine.url.database}` cannot be used: {said}", hint=_HINT_FILE)
    return NoDatabase(f"the database gives no answer: {said}", hint=_HINT_SERVER)


def _own_folder(folder: Path) -> None:
    """Make the folder that all data lies in, or refuse one in which somebody else could exchange it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = folder.stat()
    if found.st_uid not in {0, os.geteuid()} or (found.st_mode & 0o002 and not found.st_mode & stat.S_ISVTX):
        raise WrongUse(
            f"others on this machine can change what lies in `{folder}`",
            hint=f"`chmod 700 {folder}`, or set MERGEWRIGHT_HOME to a folder of your own",
        )


def migrate(engine: sa.Engine) -> None:
    """Apply the migrations that the database has not seen, all in one transaction."""
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            # The driver would run DDL outside the transaction, and two processes could both begin at nothing.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(760321)")
        connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY)")
        known = connection.execute(sa.text("SELECT coalesce(max(version), 0) FROM schema_version")).scalar_one()
        if known > len(MIGRATIONS):
            raise WrongUse(
                f"The database is at version {known}, and this mergewright knows only {len(MIGRATIONS)}",
                hint="run the newest mergewright that ever opened it",
            )
        for version, statements in enumerate(MIGRATIONS[known:], start=known + 1):
            for statement in statements:
                dialect, text = ("", statement) if isinstance(statement, str) else statement
                if dialect in {"", engine.dialect.name}:
                    connection.exec_driver_sql(text)
            connection.execute(sa.text("INSERT INTO schema_version (version) VALUES (:version)"), {"version": version})


def alone(connection: sa.Connection, what: int) -> None:
    """Let nobody else do the same between here and the end of the transaction; `what` is any number for it."""
    if connection.dialect.name != "sqlite":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:what)"), {"what": what})
    elif not connection.connection.dbapi_connection.in_transaction:  # type: ignore[union-attr]
        # The driver itself begins at the first change only: what was read before that could be old by then.
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # Taking the write lock at BEGIN lets a second writer wait; upgrading a read lock later would fail at once.
    connection.isolation_level = "IMMEDIATE"
    connection.execute("PRAGMA busy_timeout=30000")
    connection.execute("PRAGMA journal_mode=WAL")
    # Safe against a killed process; only a power cut may lose the last commits, never the file.
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")
