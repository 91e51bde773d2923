"""Attacks on the forge's pages: words that would act, forms that others send, pages that others read."""

import base64
import html
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest
from sqlalchemy import select

from mergewright.localforge.pages import highlight
from mergewright.localforge.pages.highlight import highlighted
from mergewright.localforge.tables import Job, Project, User
from tests.browser.window import Window, chromium
from tests.localforge.agents_stub import agents_stub
from tests.localforge.conftest import PROJECT, World, build_world
from tests.localforge.test_pages import BASE, browser_of, sent

HARM = "\"'><script>alert(1)</script><img src=x onerror=alert(1)></table></textarea></title>"
OWN = re.compile(r'<(?:script|img|link)[^>]*(?:src|href)="/-/assets/[^>]*>(?:</script>)?')


@dataclass(frozen=True)
class Poisoned:
    """A forge on which every text that somebody can choose holds a script, and the pages that show them."""

    world: World
    pages: list[str]


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Poisoned]:
    world = build_world(tmp_path_factory.mktemp("poisoned"), reviewer="rita")
    world.forge.start()
    with world.client("dev") as dev, world.client("owen") as owen, agents_stub() as agents:
        pages = poison(world, dev, owen)
        agents.answer("/api/v1/sessions", [session_of(HARM), session_of("javascript:alert(1)"), {"id": {}}, {}])
        world.forge.use_agents(agents.url)
        yield Poisoned(world, [*pages, f"{BASE}automate/sessions?started={HARM}"])
    world.forge.stop()


def session_of(text: str) -> dict[str, str]:
    names = ("id", "flow", "status", "goal", "actor", "created_at")
    return dict.fromkeys(names, text) | {"subject": f"{text}#1"}


def poison(world: World, dev: httpx2.Client, owen: httpx2.Client) -> list[str]:
    """Put the words wherever words can be put; gives the pages that show them."""
    owen.put(world.path, json={"description": HARM, "name": HARM})
    branch, folder = "x-<b>y</b>".replace("/", ""), "<i>&amp;"
    files = {f"{folder}/{HARM.replace('/', '')}.py": f"{HARM}\n", "README.md": HARM, "notes.md": f"# {HARM}\n\n{HARM}"}
    actions = [
        {"action": "update" if name == "README.md" else "create", "file_path": name, "encoding": "base64"}
        | {"content": base64.b64encode(text.encode()).decode()}
        for name, text in files.items()
    ]
    body = {"branch": branch, "start_branch": "main", "commit_message": f"{HARM}\n\n{HARM}", "actions": actions}
    made = dev.post(f"{world.path}/repository/commits", json=body)
    assert made.status_code == 201, made.text
    sha = made.json()["id"]
    texts = {"title": HARM, "description": f"{HARM}\n\n[a](javascript:alert(1)) ![b](http://127.0.0.1:9/x)"}
    issue = dev.post(f"{world.path}/issues", json=texts | {"labels": [HARM.replace(",", "")]}).json()["iid"]
    dev.post(f"{world.path}/issues/{issue}/notes", json={"body": HARM})
    row = dev.post(f"{world.path}/merge_requests", json=texts | {"source_branch": branch, "target_branch": "main"})
    iid = row.json()["iid"]
    path = f"{folder}/{HARM.replace('/', '')}.py"
    at = row.json()["diff_refs"] | {"position_type": "text", "old_path": path, "new_path": path, "new_line": 1}
    note = f"{HARM}\n\n```suggestion\n{HARM}\n```"
    assert dev.post(f"{world.path}/merge_requests/{iid}/discussions", json={"body": note, "position": at}).is_success
    status = {"state": "failed", "name": HARM, "ref": branch, "description": HARM, "target_url": "http://127.0.0.1:9/"}
    assert dev.post(f"{world.path}/statuses/{sha}", json=status).is_success
    pipeline = dev.get(f"{world.path}/pipelines", params={"sha": sha}).json()[0]["id"]
    with world.forge.instance.write() as session:
        session.scalars(select(User).where(User.username == "dev")).one().name = HARM
        session.scalars(select(Project)).one().name = HARM
        job = session.scalars(select(Job).where(Job.pipeline_id == pipeline)).one()
        job.failure_reason, job.stage, number = HARM, HARM, job.id
        traces = world.forge.instance.settings.home / "traces"
        traces.mkdir(exist_ok=True)
        (traces / f"{number}.log").write_text(f"{HARM}\n\x1b[31m{HARM}\n")
    below = [
        f"tree/{sha}",
        f"tree/{sha}/%3Ci%3E%26amp%3B",
        f"blob/{sha}/notes.md",
        f"blob/{sha}/notes.md?plain=1",
        f"commits/{sha}",
        f"commit/{sha}",
        "branches",
        "issues?state=all",
        f"issues?search={HARM}",
        f"issues/{issue}",
        f"issues/{issue}?edit=1",
        f"issues/new?title={HARM}&description={HARM}",
        "merge_requests?state=all",
        f"merge_requests/{iid}",
        f"merge_requests/{iid}?edit=1",
        *(f"merge_requests/{iid}/{tab}" for tab in ("diffs", "commits", "pipelines")),
        f"merge_requests/new?title={HARM}&description={HARM}",
        "pipelines",
        f"pipelines/{pipeline}",
        "jobs",
        f"jobs/{number}",
    ]
    return ["/", f"/{PROJECT}", f"/{HARM}", *(f"{BASE}{one}" for one in below)]


def test_nothing_that_anybody_wrote_acts_on_any_page(poisoned: Poisoned) -> None:
    """Titles, notes, names, labels, files, branches, logs and what the agents' server answers hold scripts."""
    with browser_of(poisoned.world, "dev") as browser:
        seen = 0
        for address in poisoned.pages:
            page = browser.get(address)
            assert page.status_code in {200, 404}, address
            plain = OWN.sub("", page.text)
            tags = {tag.strip("/").lower() for tag in re.findall(r"<(/?[a-zA-Z][^\s>]*)", plain)}
            assert not tags & {"script", "img", "b", "i", "iframe", "object", "style", "base"}, address
            assert not re.search(r"<[^>]*\s(?:on\w+|style)\s*=\s*[^>]*>", re.sub(r'"[^"]*"', '""', plain)), address
            assert "javascript:" not in "".join(re.findall(r'(?:href|action|src)="([^"]*)"', plain)), address
            seen += "&lt;script&gt;alert(1)" in plain
        assert seen > len(poisoned.pages) * 0.7


def test_no_script_runs_in_a_real_browser(poisoned: Poisoned) -> None:
    """What a search for tags misses, a browser would run."""
    with chromium() as started:
        window = Window(started)
        window.page.on("dialog", lambda dialog: window.faults.append(f"it spoke: {dialog.message}"))
        window.page.goto(poisoned.world.forge.sign_in_link("dev"))
        reached: list[str] = []
        window.page.on("request", lambda request: reached.append(request.url))
        for address in poisoned.pages:
            window.page.goto(f"{poisoned.world.forge.url}{address}")
            assert not window.too_wide(), address
        window.faults = [fault for fault in window.faults if "404" not in fault]
        window.close()
        assert all(url.startswith(poisoned.world.forge.url) for url in reached)


def test_a_raw_file_is_never_a_page(poisoned: Poisoned) -> None:
    """A file of the project is opened raw: as HTML it would run in the forge's name."""
    world = poisoned.world
    action = {"action": "create", "file_path": "evil.html", "content": HARM}
    body = {"branch": "raw", "start_branch": "main", "commit_message": "m", "actions": [action]}
    with world.client("dev") as dev:
        assert dev.post(f"{world.path}/repository/commits", json=body).status_code == 201
    with browser_of(world, "dev") as browser:
        answer = browser.get(f"{BASE}raw/raw/evil.html")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"


# --- forms that others send ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "csrf"),
    [
        ({}, ""),
        ({}, "0" * 64),
        ({"Origin": "http://evil.test"}, "right"),
        ({"Origin": "null"}, "right"),
        ({"Sec-Fetch-Site": "cross-site"}, "right"),
        ({"Sec-Fetch-Site": "same-site"}, "right"),
    ],
)
def test_a_form_that_another_site_sends_changes_nothing(poisoned: Poisoned, headers: dict[str, str], csrf: str) -> None:
    """A page elsewhere submits a form here with the cookie of whoever looks at it."""
    world = poisoned.world
    with browser_of(world, "dev") as browser, world.client("dev") as dev:
        found = re.search(r'name="csrf" value="([0-9a-f]+)"', browser.get(f"{BASE}issues/new").text)
        assert found
        count = len(dev.get(f"{world.path}/issues").json())
        fields = {"title": "forged", "csrf": found[1] if csrf == "right" else csrf}
        assert browser.post(f"{BASE}issues", data=fields, headers=headers).status_code == 403
        for what in ("generate_merge_request", "close", "notes"):
            answer = browser.post(f"{BASE}issues/1/{what}", data=fields | {"body": "x"}, headers=headers)
            assert answer.status_code == 403
        assert len(dev.get(f"{world.path}/issues").json()) == count
        assert browser.post(f"{BASE}issues", data=fields | {"csrf": found[1]}).status_code == 303


def test_one_persons_form_does_not_count_for_another(poisoned: Poisoned) -> None:
    with browser_of(poisoned.world, "dev") as dev, browser_of(poisoned.world, "mia") as mia:
        found = re.search(r'name="csrf" value="([0-9a-f]+)"', dev.get(f"{BASE}issues/new").text)
        assert found
        assert mia.post(f"{BASE}issues", data={"title": "x", "csrf": found[1]}).status_code == 403


def test_a_token_that_may_only_read_writes_nothing_through_a_page(poisoned: Poisoned) -> None:
    """A token in a header needs no CSRF: then its scopes must count here too."""
    world = poisoned.world
    token = world.forge.seed_token("dev", scopes=("read_api",))
    with browser_of(world) as browser:
        headers = {"PRIVATE-TOKEN": token}
        assert browser.get(f"{BASE}issues/1", headers=headers).status_code == 200
        for below in ("issues/1/notes", "issues", "issues/1/generate_merge_request"):
            fields = {"title": "x", "body": "x"}
            assert browser.post(f"{BASE}{below}", data=fields, headers=headers).status_code == 403
        # In an address it would be kept in histories and logs, and counts for nothing.
        assert browser.get(f"{BASE}issues/1?private_token={token}").status_code == 404


def test_a_form_reaches_only_the_project_that_its_address_names(poisoned: Poisoned) -> None:
    """Fields of the form name another project, another user or another method."""
    world = poisoned.world
    with world.client("root") as root, browser_of(world, "dev") as dev:
        other = root.post("/projects", json={"name": "Secret", "path": "secret", "visibility": "private"}).json()
        root.post(f"/projects/{other['id']}/issues", json={"title": "Secret"})
        fields = {"title": "x", "id": str(other["id"]), "sudo": "root", "iid": "1", "_method": "delete", "body": "x"}
        assert sent(dev, f"{BASE}issues/new", f"{BASE}issues", **fields).status_code == 303
        assert sent(dev, f"{BASE}issues/new", f"/{other['path_with_namespace']}/-/issues", **fields).status_code == 404
        address = f"/{other['path_with_namespace']}/-/issues/1"
        for end in ("notes", "close", "generate_merge_request"):
            assert sent(dev, f"{BASE}issues/new", f"{address}/{end}", **fields).status_code == 404
        (row,) = root.get(f"/projects/{other['id']}/issues").json()
        assert (row["state"], row["user_notes_count"]) == ("opened", 0)


@pytest.mark.parametrize("below", ["issues", "issues/1/notes", "merge_requests/1/merge", "issues/1/edit"])
def test_an_oversized_or_malformed_form_is_refused(poisoned: Poisoned, below: str) -> None:
    with browser_of(poisoned.world, "dev") as browser:
        assert browser.post(f"{BASE}{below}", content=b"a=" + b"x" * (3 * 1024 * 1024)).status_code == 413
        for kind, content in (
            ("application/json", b"[" * 100_000),
            ("application/x-www-form-urlencoded", b"csrf[]=1&csrf[a]=%00"),
            ("text/html", b"x"),
            ("application/x-www-form-urlencoded", b"a" + b"[b]" * 5_000 + b"=1"),
        ):
            answer = browser.post(f"{BASE}{below}", content=content, headers={"Content-Type": kind})
            assert answer.status_code in {400, 403, 415}, (kind, answer.status_code)


def test_a_file_made_to_keep_the_colouring_busy_is_shown_plain(
    poisoned: Poisoned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who may push a branch hangs the forge with a file on which a lexer's patterns backtrack for hours."""
    monkeypatch.setattr(highlight, "SECONDS", 0.7)
    hostile = [
        ("Makefile", "\t" * 190_000),
        ("a.ini", "=" * 190_000),
        ("a.diff", "a" * 190_000),
        ("a.c", "\n" * 190_000),
    ]
    for name, text in hostile:
        start = time.process_time()
        assert "\n".join(highlighted(name, text)) == text.removesuffix("\n")
        assert time.process_time() - start < 5, name


def test_a_files_colours_hold_nothing_of_it_but_its_text() -> None:
    """A file under review speaks HTML, or another number of lines than it has."""
    for name in ("a.py", "a.html", "a.diff", "a.php"):
        for text in (HARM, f"# {HARM}\n\x0c\u2028{HARM}\x85\r\n<b>\n\n", "\ufeff<b>\r\r\n"):
            lines = highlighted(name, text)
            whole = "".join(lines)
            assert set(re.findall(r"<(/?\w+)", whole)) <= {"span", "/span"}
            assert all(line.count("<span") == line.count("</span") for line in lines)
            said = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")
            assert html.unescape(re.sub(r"</?span[^>]*>", "", "\n".join(lines))) == said
