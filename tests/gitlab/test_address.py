import pytest

from mergewright.domain.errors import WrongUse
from mergewright.domain.forge import Project
from mergewright.gitlab.address import forge_address, remote_address


def project(http_url_to_repo: str) -> Project:
    return Project(1, "group/sub/x", "main", "", http_url_to_repo)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://gitlab.com/", "https://gitlab.com"),
        (" https://example.com/gitlab/ ", "https://example.com/gitlab"),
        ("http://127.0.0.1:8929", "http://127.0.0.1:8929"),
        ("http://localhost:80/", "http://localhost:80"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_an_address_is_kept_without_its_last_slash(given: str, kept: str) -> None:
    assert forge_address(given, allow_http=False) == kept


@pytest.mark.parametrize(
    "url",
    [
        "http://gitlab.example.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "https://user:secret@gitlab.com",
        "ftp://gitlab.com",
        "gitlab.com",
        "https://",
        "https://gitlab.com:99999",
        "https://gitlab.com?private_token=x",
        "https://git lab.com",
        "",
    ],
)
def test_an_address_that_would_betray_the_token_is_refused(url: str) -> None:
    with pytest.raises(WrongUse) as refusal:
        forge_address(url, allow_http=False)
    assert "secret" not in str(refusal.value)


def test_plain_http_is_possible_where_it_is_allowed() -> None:
    assert forge_address("http://gitlab.example.com", allow_http=True) == "http://gitlab.example.com"


@pytest.mark.parametrize(
    ("url", "told", "remote"),
    [
        ("https://gitlab.com", "https://gitlab.com/group/sub/x.git", "https://gitlab.com/group/sub/x.git"),
        ("https://gitlab.com", "https://GITLAB.com:443/group/sub/x.git", "https://GITLAB.com:443/group/sub/x.git"),
        ("http://127.0.0.1:1234", "http://gitlab.internal/group/sub/x.git", "http://127.0.0.1:1234/group/sub/x.git"),
        (
            "https://proxy.example/git",
            "https://other/gitlab/group/sub/x.git",
            "https://proxy.example/git/group/sub/x.git",
        ),
        ("https://gitlab.com", "http://gitlab.com/group/sub/x.git", "https://gitlab.com/group/sub/x.git"),
        ("https://gitlab.com", "https://evil@gitlab.com/group/sub/x.git", "https://gitlab.com/group/sub/x.git"),
        ("https://gitlab.com", "", "https://gitlab.com/group/sub/x.git"),
        ("https://gitlab.com", "ext::sh -c evil", "https://gitlab.com/group/sub/x.git"),
    ],
)
def test_git_gets_the_token_only_for_the_host_it_was_given_for(url: str, told: str, remote: str) -> None:
    assert remote_address(url, project(told)) == remote
