"""Addresses of a forge: which ones a token may be sent to."""

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from mergewright.domain.errors import WrongUse
from mergewright.domain.forge import Project


def forge_address(url: str, *, allow_http: bool) -> str:
    """The forge's address without a slash at its end; raises WrongUse where a token could be read on its way."""
    parts = _split(url)
    if parts.username is not None or parts.password is not None:
        raise WrongUse("The forge's address holds a name or a password", hint="give the token on its own")
    if parts.query or parts.fragment:
        raise WrongUse(f"`{url}` is no address of a forge", hint="leave out what follows `?` or `#`")
    if parts.scheme == "http" and not allow_http and not is_loopback(url):
        raise WrongUse(
            f"`{url}` would send the token in the clear", hint="use `https://`, or set MERGEWRIGHT_ALLOW_HTTP=1"
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def is_loopback(url: str) -> bool:
    """Whether the address leads to this machine and nowhere else."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port."""
    parts = _split(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


def remote_address(url: str, project: Project) -> str:
    """Where git reaches the project: never another host than the one the token was given for."""
    told = project.http_url_to_repo
    if told.startswith(("http://", "https://")) and origin(told) == origin(url) and "@" not in urlsplit(told).netloc:
        return told
    return f"{url}/{project.path_with_namespace}.git"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise WrongUse(f"`{url}` is no address: {error}") from error
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or port == 0
        or any(c.isspace() for c in url.strip())
    ):
        raise WrongUse(f"`{url}` is no address of a forge", hint="it looks like `https://gitlab.example.com`")
    return parts
