"""The pages behind the addresses that GitLab's answers carry."""

import httpx2
import pytest

from tests.localforge.conftest import PROJECT, People, World, open_merge_request


@pytest.fixture(scope="module")
def browser(world: World) -> httpx2.Client:
    return httpx2.Client(base_url=world.forge.url, trust_env=False, verify=False)


def test_the_addresses_of_issues_and_merge_requests_show_them(
    world: World, people: People, browser: httpx2.Client
) -> None:
    with browser:
        issue = people.dev.post(f"{world.path}/issues", json={"title": "Seen", "description": "In full"}).json()
        people.dev.post(f"{world.path}/issues/{issue['iid']}/notes", json={"body": "A remark"})
        page = browser.get(issue["web_url"])
        assert page.status_code == 200
        assert all(text in page.text for text in ("Seen", "In full", "A remark", "@dev", "opened"))
        row = open_merge_request(people.dev, world.path, "pages/mr")
        page = browser.get(row["web_url"])
        assert all(text in page.text for text in ("pages/mr → main", "mergeable", row["sha"]))
        assert '<td class="src">three</td>' in browser.get(f"{row['web_url']}/diffs").text
        sha = open_merge_request(people.dev, world.path, "pages/ci", description="x")["sha"]
        people.dev.post(f"{world.path}/statuses/{sha}", json={"state": "failed", "name": "outside", "ref": "pages/ci"})
        pipeline = people.dev.get(f"{world.path}/pipelines", params={"sha": sha}).json()[0]
        assert "outside" in browser.get(pipeline["web_url"]).text
        home = browser.get("/")
        assert PROJECT in home.text
        assert "Seen" in browser.get(f"/{PROJECT}").text
        assert browser.get(f"/{PROJECT}/-/issues/999").status_code == 404
        assert browser.get("/none/such").status_code == 404
        assert browser.post("/").status_code == 405
        for page in (home, browser.get("/none")):
            assert "default-src 'none'" in page.headers["content-security-policy"]
            assert page.headers["x-content-type-options"] == "nosniff"
