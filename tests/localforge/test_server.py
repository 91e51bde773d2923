"""Starting, stopping, going on where one stopped, and many at once."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from mergewright.localforge.errors import LocalForgeError
from mergewright.localforge.server import ForgeSettings, JobOrder, JobOutcome, LocalForge
from tests.localforge.conftest import World, build_world, commit


async def never_ends(job: JobOrder, trace: Callable[[bytes], None]) -> JobOutcome:
    trace(b"begun\n")
    await asyncio.sleep(3600)
    return JobOutcome(0)


def test_everything_is_there_after_a_restart_and_a_job_that_ran_has_failed(tmp_path: Path) -> None:
    world = build_world(tmp_path, run_job=never_ends)
    world.forge.start()
    with world.client("dev") as dev:
        dev.post(f"{world.path}/issues", json={"title": "Kept"})
        commit(dev, world.path, "ci", {".gitlab-ci.yml": "job: {script: x}\n"})
        deadline = time.monotonic() + 20
        while (job := dev.get(f"{world.path}/jobs").json()[0])["status"] != "running":
            assert time.monotonic() < deadline
            time.sleep(0.02)
    world.forge.stop()
    again = LocalForge(ForgeSettings(home=tmp_path / "forge"), run_job=never_ends)
    again.start()
    try:
        with World(again, world.tokens, world.id).client("dev") as dev:
            (issue,) = dev.get(f"{world.path}/issues").json()
            assert issue["title"] == "Kept"
            assert issue["web_url"].startswith(again.url)
            after = dev.get(f"{world.path}/jobs/{job['id']}").json()
            assert (after["status"], after["failure_reason"]) == ("failed", "runner_system_failure")
            assert dev.post(f"{world.path}/jobs/{job['id']}/retry").status_code == 201
    finally:
        again.stop()


def test_requests_at_the_same_time_get_numbers_of_their_own(world: World) -> None:
    def create(number: int) -> int:
        with world.client("dev") as dev:
            return int(dev.post(f"{world.path}/issues", json={"title": f"Issue {number}"}).json()["iid"])

    with ThreadPoolExecutor(8) as pool:
        iids = list(pool.map(create, range(24)))
    assert sorted(iids) == list(range(min(iids), min(iids) + 24))


async def test_the_application_can_be_used_without_a_socket(world: World) -> None:
    transport = httpx2.ASGITransport(app=world.forge.app)
    headers = {"PRIVATE-TOKEN": world.tokens["dev"]}
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
        answer = await client.get("/api/v4/projects/acme%2Fshop")
    assert answer.json()["id"] == world.id


def test_a_port_in_use_is_said_with_a_way_out(world: World, tmp_path: Path) -> None:
    port = int(world.forge.url.rpartition(":")[2])
    second = LocalForge(ForgeSettings(home=tmp_path, port=port))
    with pytest.raises(LocalForgeError) as caught:
        second.start()
    assert "choose another port" in caught.value.hint
    second.stop()


def test_seeding_says_what_is_wrong(world: World, tmp_path: Path) -> None:
    for attempt in (
        lambda: world.forge.seed_token("nobody"),
        lambda: world.forge.seed_token("dev", scopes=["everything"]),
        lambda: world.forge.seed_user("a b"),
        lambda: world.forge.seed_project("no-namespace"),
        lambda: world.forge.seed_project("a/../b"),
        lambda: world.forge.seed_project("acme/new", source=tmp_path),
        lambda: world.forge.seed_member("acme/none", "dev", 30),
    ):
        with pytest.raises(LocalForgeError):
            attempt()


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = "import sys, mergewright.localforge; print([m for m in sys.modules if m in {'sqlalchemy', 'starlette'}])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
