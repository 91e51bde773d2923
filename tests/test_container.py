"""The image and the composition, as far as they can be held to the settings without building them."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from mergewright.app.settings import SECRETS, VARIABLES
from mergewright.cli.main import app

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = (ROOT / "compose.yaml").read_text()


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    value: dict[str, Any] = yaml.safe_load(COMPOSE)
    return value


def ours(composed: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in composed["services"].items() if one["image"].startswith("mergewright")}


def test_every_variable_that_is_handed_in_exists_and_every_secret_comes_as_a_file(composed: dict[str, Any]) -> None:
    for name, service in ours(composed).items():
        for variable, value in service["environment"].items():
            if variable.endswith("_FILE"):
                assert variable.removesuffix("_FILE") in SECRETS, f"{name}: {variable}"
                assert value.removeprefix("/run/secrets/") in service["secrets"], f"{name}: {variable}"
            else:
                assert variable in VARIABLES, f"{name}: {variable}"
                assert variable not in SECRETS, f"{name}: {variable} would stand in `docker inspect`"
    handed = set(re.findall(r"^ {4}(MERGEWRIGHT_\w+)=", DOCKERFILE, re.MULTILINE))
    assert handed
    assert handed <= set(VARIABLES)


def test_every_secret_is_a_file_of_the_operator_and_none_has_a_default(composed: dict[str, Any]) -> None:
    used = {secret for service in composed["services"].values() for secret in service["secrets"]}
    assert used == set(composed["secrets"])
    for name, secret in composed["secrets"].items():
        assert secret == {"file": f"./secrets/{name}"}
    assert "secrets/" in (ROOT / ".gitignore").read_text()
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"
    given = [variable for service in composed["services"].values() for variable in service["environment"]]
    assert [one for one in given if "PASSWORD" in one] == ["POSTGRES_PASSWORD_FILE"]


def test_only_the_worker_has_loosened_confinement_and_nobody_has_privileges(composed: dict[str, Any]) -> None:
    services = ours(composed)
    assert set(services) == {"server", "worker"}
    for service in services.values():
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True
        assert "cap_add" not in service
        assert "privileged" not in service
    assert services["server"]["security_opt"] == ["no-new-privileges:true"]
    loose = {"seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined"}
    assert set(services["worker"]["security_opt"]) == {"no-new-privileges:true", *loose}
    assert all(f"--security-opt {one}" in DOCKERFILE for one in loose)
    assert "ports" not in services["worker"]
    for service in composed["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_what_the_containers_run_are_verbs_and_options_that_exist(composed: dict[str, Any]) -> None:
    for service in ours(composed).values():
        verb, *options = service["command"]
        known = {name for parameter in app.commands[verb].params for name in parameter.opts}
        assert set(options) <= known
    assert 'ENTRYPOINT ["mergewright"]' in DOCKERFILE
    assert 'CMD ["serve"]' in DOCKERFILE


def test_the_check_of_the_image_runs_it_as_the_worker_runs(composed: dict[str, Any]) -> None:
    script, worker = (ROOT / "scripts" / "image").read_text(), ours(composed)["worker"]
    assert set(re.findall(r"--security-opt ([\w:=-]+)", script)) == set(worker["security_opt"])
    for option in ("--init", "--read-only", "--cap-drop ALL", "--tmpfs /tmp"):
        assert option in script


def test_the_database_counts_as_there_once_it_answers_over_tcp(composed: dict[str, Any]) -> None:
    """While it makes its database it answers on its socket alone, and ends once more before it is there for good."""
    asked = composed["services"]["database"]["healthcheck"]["test"]
    assert asked[:4] == ["CMD", "pg_isready", "--host", "127.0.0.1"]


def test_the_guide_names_every_secret_and_nothing_is_fetched_to_read_the_dockerfile(composed: dict[str, Any]) -> None:
    guide = (ROOT / "docs" / "guides" / "run-for-a-team.md").read_text()
    assert all(f"secrets/{name}" in guide for name in composed["secrets"])
    assert len(composed["secrets"]) == 8  # as the guide counts them
    # A frontend of its own would come from a registry, unpinned, at each build.
    assert not re.search(r"^#\s*syntax\s*=", DOCKERFILE, re.MULTILINE)


def test_the_image_holds_what_the_program_needs_and_does_not_run_as_root() -> None:
    (installed,) = re.findall(r"--no-install-recommends (.+?) \\\n", DOCKERFILE)
    assert {"bubblewrap", "git", "ripgrep", "ca-certificates"} <= set(shlex.split(installed))
    assert "--require-hashes" in DOCKERFILE
    last = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    assert "USER 10001:10001" in last
    assert "ENV PATH=/opt/mergewright/bin:$PATH" in last, "an image on top needs what is in /usr/sbin"
    assert "HEALTHCHECK" in last
    for copied in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for name in copied.split():
            assert (ROOT / name).exists()
            assert f"!{name}\n" in (ROOT / ".dockerignore").read_text()
