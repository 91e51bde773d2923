"""No sandbox means no run, and a sentence that says how to get one."""

from pathlib import Path

import pytest

from mergewright.domain.errors import NoSandbox, WrongUse
from mergewright.sandbox.availability import _way_out, bubblewrap_version, find_bubblewrap
from mergewright.sandbox.settings import SandboxSettings


def bwrap(folder: Path, script: str) -> str:
    program = folder / "bwrap"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(folder)


def test_the_bubblewrap_of_this_machine_is_found_and_named() -> None:
    assert bubblewrap_version(find_bubblewrap()) >= (0, 8, 0)


def test_a_machine_without_bubblewrap_is_told_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(NoSandbox) as caught:
        find_bubblewrap(places=str(tmp_path))
    assert "bubblewrap" in caught.value.hint
    assert caught.value.exit_code == 2


def test_a_bubblewrap_that_is_too_old_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoSandbox, match=r"0\.6\.1 is too old"):
        find_bubblewrap(places=bwrap(tmp_path, "echo bubblewrap 0.6.1"))


def test_a_bubblewrap_that_cannot_start_anything_is_refused_with_what_it_said(tmp_path: Path) -> None:
    script = 'test "$1" = --version && echo bubblewrap 0.9.0 && exit\necho "bwrap: setting up uid map: no" >&2; exit 1'
    with pytest.raises(NoSandbox, match="setting up uid map: no") as caught:
        find_bubblewrap(places=bwrap(tmp_path, script))
    assert caught.value.hint


def test_the_switch_that_forbids_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel" / "apparmor_restrict_unprivileged_userns").write_text("1\n")
    assert "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0" in _way_out(proc=tmp_path)
    (tmp_path / "kernel" / "apparmor_restrict_unprivileged_userns").write_text("0\n")
    hint = _way_out(proc=tmp_path)
    assert all(f"{option}=unconfined" in hint for option in ("seccomp", "apparmor", "systempaths"))


@pytest.mark.parametrize("path", ["/", "/root", "/home", "/etc", "/var", "relative", "/usr/../etc", "/nowhere/at/all"])
def test_a_toolchain_that_would_show_too_much_is_refused(path: str) -> None:
    with pytest.raises(WrongUse):
        SandboxSettings(toolchains=(Path(path),))


def test_a_toolchain_that_leads_to_or_holds_our_own_data_is_refused(tmp_path: Path) -> None:
    ours = tmp_path / "data" / "mergewright"
    ours.mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "etc").symlink_to("/etc")
    for path in (ours, tmp_path / "data", tmp_path / "link", tmp_path / "etc"):
        with pytest.raises(WrongUse):
            SandboxSettings(toolchains=(path,), private=(ours,))
    SandboxSettings(toolchains=(tmp_path / "data",))


def test_a_variable_needs_a_name() -> None:
    with pytest.raises(WrongUse):
        SandboxSettings(environment={"A B": "c"})
