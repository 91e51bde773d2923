"""Logins in every database: found by their cookie, until they end."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest

from mergewright.store.logins import IDLE, LASTS, LOGINS, RENEWING_LASTS, SIGN_IN_LASTS, SIGN_INS, SqlLogins, hashed
from mergewright.store.sql import SqlStore, open_store
from tests.support.databases import KINDS, new_database, postgresql


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgresql() as url:
        yield url


@pytest.fixture(params=KINDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqlStore]:
    sqlite = request.param == "sqlite"
    made = open_store(tmp_path / "db.sqlite3" if sqlite else new_database(request.getfixturevalue("server")))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(made.close)
        yield made


@pytest.fixture
def logins(store: SqlStore, tmp_path: Path) -> SqlLogins:
    return SqlLogins(store, tmp_path / "logins.key")


async def change(store: SqlStore, **values: float) -> None:
    await store.run(lambda connection: connection.execute(LOGINS.update().values(**values)))


async def ann(logins: SqlLogins, *, old: str = "", expires_at: float = 0.0) -> str:
    return await logins.add(user_id=1, username="ann", token="t0ken", refresh="r3fresh", expires_at=expires_at, old=old)


async def test_a_login_is_found_by_its_cookie_and_by_nothing_else(store: SqlStore, logins: SqlLogins) -> None:
    cookie = await ann(logins)
    found = await logins.find(cookie)
    assert found is not None
    assert (found.username, found.token, found.refresh) == ("ann", "t0ken", "r3fresh")
    assert "t0ken" not in repr(found)
    for other in ("", hashed(cookie), cookie[:-1], f"{cookie}x", "%"):
        assert await logins.find(other) is None
    (row,) = await store.run(lambda connection: connection.execute(LOGINS.select()).all())
    assert not {"t0ken", "r3fresh", cookie} & {str(value) for value in row}
    assert "t0ken" not in row.tokens


@pytest.mark.parametrize(("what", "seconds"), [("created_at", LASTS), ("seen_at", IDLE)])
async def test_a_login_ends_when_it_is_old_or_was_left_alone(
    store: SqlStore, logins: SqlLogins, what: str, seconds: float
) -> None:
    import time

    cookie = await ann(logins)
    await change(store, **{what: time.time() - seconds + 30})
    assert await logins.find(cookie) is not None
    await change(store, **{what: time.time() - seconds - 1})
    assert await logins.find(cookie) is None
    assert await store.run(lambda connection: connection.execute(LOGINS.select()).all()) == []


async def test_a_new_login_replaces_the_one_before(logins: SqlLogins) -> None:
    first = await ann(logins)
    second = await ann(logins, old=first)
    assert first != second
    assert await logins.find(first) is None
    assert await logins.find(second) is not None


async def test_a_token_is_renewed_by_one_of_many(store: SqlStore, logins: SqlLogins) -> None:
    cookie = await ann(logins, expires_at=5.0)
    login = await logins.find(cookie)
    assert login is not None
    assert sorted(await asyncio.gather(*(logins.renew(login) for _ in range(5)))) == [False] * 4 + [True]
    await logins.renewed(login, token="n3w", refresh="r2", expires_at=9.0)
    found = await logins.find(cookie)
    assert found is not None
    assert (found.token, found.refresh, found.expires_at) == ("n3w", "r2", 9.0)
    assert not await logins.renew(login), "it was renewed already"
    assert await logins.renew(found)
    import time

    await change(store, renewing_at=time.time() - RENEWING_LASTS - 1)
    assert await logins.renew(found), "who began has died"


async def test_another_key_opens_nothing(store: SqlStore, logins: SqlLogins, tmp_path: Path) -> None:
    cookie = await ann(logins)
    assert await SqlLogins(store, tmp_path / "other.key").find(cookie) is None
    assert await logins.find(cookie) is not None


async def test_a_sign_in_is_finished_once_and_by_its_own_browser(store: SqlStore, logins: SqlLogins) -> None:
    await logins.begin("s1", browser="b1", verifier="v", back="/x")
    assert await logins.finish("s2", browser="b1") is None
    found = await logins.finish("s1", browser="b1")
    assert found is not None
    assert (found.verifier, found.back) == ("v", "/x")
    assert await logins.finish("s1", browser="b1") is None
    await logins.begin("s3", browser="b1", verifier="v", back="/x")
    assert await logins.finish("s3", browser="b2") is None
    await logins.begin("s4", browser="b1", verifier="v", back="/x")
    old = SIGN_INS.update().values(at=SIGN_INS.c.at - SIGN_IN_LASTS - 1)
    await store.run(lambda connection: connection.execute(old))
    assert await logins.finish("s4", browser="b1") is None


async def test_a_key_that_others_can_read_is_refused(store: SqlStore, tmp_path: Path) -> None:
    from mergewright.domain.errors import WrongUse

    file = tmp_path / "open.key"
    with closing(file.open("wb")) as made:
        made.write(b"k" * 32)
    file.chmod(0o644)
    with pytest.raises(WrongUse):
        await ann(SqlLogins(store, file))
