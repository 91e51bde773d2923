"""What git is told of the way to a forge, so that it goes as requests go."""

import pytest

from mergewright.gitlab.client import Client


def test_git_believes_the_authorities_and_takes_the_proxy_that_requests_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/own.pem")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
    monkeypatch.setenv("NO_PROXY", "inside.example.com")
    for url, way in {
        "https://gitlab.example.com": ("/etc/own.pem", "http://proxy.example.com:3128"),
        "https://inside.example.com": ("/etc/own.pem", ""),
        "http://127.0.0.1:8929": ("", ""),
    }.items():
        assert Client(url, "glpat-x", timeout=1).way() == way


def test_without_either_git_takes_what_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert Client("https://gitlab.example.com", "glpat-x", timeout=1).way() == ("", "")
