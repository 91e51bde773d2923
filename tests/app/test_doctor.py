"""What the doctor makes of what it finds."""

import pytest

from mergewright.app.doctor import git_found


@pytest.mark.parametrize(
    ("said", "ok", "serve"),
    [
        ("git version 2.39.5\n", True, False),
        ("git version 2.38.0 (Apple Git-1)\n", True, False),
        ("git version 2.37.7\n", True, True),
        ("git version 2.25.1\n", False, False),
        ("who?\n", False, False),
    ],
)
def test_a_git_too_old_for_the_local_forge_is_named(said: str, ok: bool, serve: bool) -> None:
    finding = git_found(said)
    assert finding.ok is ok
    assert ("`mergewright serve` needs 2.38 or newer" in finding.found) is serve
    assert bool(finding.fix) is not ok
