"""What answers cost: every test and every laptop pays for each statement."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from tests.localforge.conftest import People, World, open_merge_request


@contextmanager
def counted(world: World) -> Iterator[list[str]]:
    """The statements that the forge gives its database meanwhile."""
    statements: list[str] = []

    def keep(connection: object, cursor: object, statement: str, *more: object) -> None:
        statements.append(statement)

    engine = world.forge.instance.engine
    event.listen(engine, "before_cursor_execute", keep)
    yield statements
    event.remove(engine, "before_cursor_execute", keep)


def cost(world: World, people: People, path: str, **params: Any) -> int:
    """How many statements an answer takes; the least of some, as the courier looks for work beside them."""
    counts = []
    for _ in range(5):
        with counted(world) as statements:
            assert people.dev.get(path, params=params).status_code == 200
        counts.append(len(statements))
    return min(counts)


def test_a_merge_request_costs_few_statements_however_many_are_asked_to_review(world: World, people: People) -> None:
    users = {row["username"]: row["id"] for row in people.root.get("/users").json()}
    alone = open_merge_request(people.dev, world.path, "alone")
    asked = open_merge_request(people.dev, world.path, "asked", reviewer_ids=[users["mia"], users["rita"]])
    assert cost(world, people, f"{world.path}/merge_requests/{alone['iid']}") <= 15
    assert cost(world, people, f"{world.path}/merge_requests/{asked['iid']}") <= 15


def test_a_discussion_costs_the_same_however_many_take_part(world: World, people: People) -> None:
    row = open_merge_request(people.dev, world.path, "talked-about")
    path = f"{world.path}/merge_requests/{row['iid']}"
    people.dev.post(f"{path}/notes", json={"body": "What about this?"})
    before = cost(world, people, f"{path}/discussions")
    for client in (people.mia, people.owen, people.rita):
        assert client.post(f"{path}/notes", json={"body": "I have seen it"}).status_code == 201
    assert cost(world, people, f"{path}/discussions") == before <= 6


def test_who_asks_is_found_out_with_one_statement(world: World, people: People) -> None:
    assert cost(world, people, "/user") == 2
