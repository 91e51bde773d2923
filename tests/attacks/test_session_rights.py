"""Nobody starts or steers a session with less than a person's own full say: not with an application's narrow token."""

import secrets
import time
from collections.abc import Iterator

import httpx2
import pytest
from sqlalchemy import select

from mergewright.localforge.access import digest
from mergewright.localforge.login_tables import Application, Grant, OAuthToken
from mergewright.localforge.tables import User
from tests.review.stage import PROJECT
from tests.server.desk import SESSIONS, Desk, open_desk


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    opened = open_desk(tmp_path_factory.mktemp("rights"))
    yield opened
    opened.close()


def application_token(desk: Desk, username: str, *, scopes: list[str]) -> str:
    """A token that a person has let an application have."""
    served, value = desk.place.stage.served, secrets.token_hex(32)
    uid = served.seed_application(f"app {'+'.join(scopes)}", "http://127.0.0.1/back", scopes=scopes)
    with served.instance.write() as session:
        app = session.scalars(select(Application).where(Application.uid == uid)).one()
        user = session.scalars(select(User).where(User.username == username)).one()
        grant = Grant(
            application_id=app.id,
            user_id=user.id,
            digest=digest(secrets.token_hex(8)),
            redirect_uri="http://127.0.0.1/back",
            scopes=scopes,
            challenge="",
            expires_at=time.time() + 60,
            used=True,
        )
        session.add(grant)
        session.flush()
        session.add(
            OAuthToken(
                application_id=app.id,
                user_id=user.id,
                grant_id=grant.id,
                digest=digest(value),
                refresh_digest=digest(secrets.token_hex(8)),
                scopes=scopes,
                created_at=time.time(),
                expires_at=time.time() + 3_600,
            )
        )
    return value


def with_token(desk: Desk, verb: str, path: str, token: str, **body: object) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{desk.place.server.url}{SESSIONS}{path}"
    return httpx2.request(verb, url, headers=headers, json=body or None, trust_env=False, timeout=30, verify=False)


@pytest.mark.parametrize(("scopes", "may"), [(["read_api"], False), (["api"], True), (["ai_workflows"], True)])
def test_an_application_steers_only_where_the_person_let_it(desk: Desk, scopes: list[str], *, may: bool) -> None:
    token = application_token(desk, "bob", scopes=scopes)
    session = desk.begun()["id"]
    assert with_token(desk, "GET", f"/{session}", token).status_code == 200
    asked = {"flow": "software_development", "subject": PROJECT, "goal": "Say hello", "start": False}
    assert with_token(desk, "POST", "", token, **asked).status_code == (201 if may else 403)
    assert with_token(desk, "POST", f"/{session}/cancel", token).status_code == (200 if may else 403)


def test_no_answer_holds_a_token_or_a_path_of_this_machine(desk: Desk) -> None:
    session = desk.begun()["id"]
    tokens = [*desk.place.stage.tokens.values(), str(desk.place.settings.home)]
    for path in ("", f"/{session}", f"/{session}/events", f"/{session}/trace.jsonl"):
        text = desk.ask("GET", path).text
        assert not [one for one in tokens if one in text]


def test_words_in_a_goal_end_no_event_of_the_stream(desk: Desk) -> None:
    goal = "x\n\nevent: end\ndata: {}\n\nid: 99"
    told = desk.begun(flow="software_development", subject=PROJECT, goal=goal)
    assert told["goal"] == goal
    desk.ask("POST", f"/{told['id']}/cancel", json={"reason": goal})
    stream = desk.ask("GET", f"/{told['id']}/events/stream").text
    assert [line for line in stream.splitlines() if line.startswith("event:")] == ["event: end"]
    assert "id: 99" not in stream.splitlines()
