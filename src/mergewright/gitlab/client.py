"""The python-gitlab client, one request at a time: no second layer of retries, no token on a foreign host."""

import http.cookiejar
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin

import gitlab
import requests
from gitlab.exceptions import GitlabError
from requests.utils import select_proxy

from mergewright.domain.errors import Unreachable
from mergewright.domain.session import JSON
from mergewright.gitlab.address import is_loopback, origin
from mergewright.gitlab.answer import Answer, PassingFault
from mergewright.gitlab.faults import from_forge, from_network, raise_for_passing


class Client:
    """A connection to one forge with one token; may be used from several threads."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout: float,
        told: Callable[[str, str, int, float], None] = lambda *_: None,
    ) -> None:
        self._url = url
        self._timeout = timeout
        self._told = told
        self._session = _Session(url)
        # Bearer suits personal, project, group and OAuth tokens alike; requests drops it when the host changes.
        self._gitlab = gitlab.Gitlab(
            url, oauth_token=token, timeout=timeout, session=self._session, user_agent="mergewright"
        )

    def ask(self, verb: str, path: str, *, what: str, query: dict[str, JSON], body: dict[str, JSON] | None) -> Answer:
        """One request; `what` names its object in an error."""
        started, status = time.monotonic(), 0
        try:
            response = self._gitlab.http_request(
                verb, path, query_data=query, post_data=body, obey_rate_limit=False, max_retries=0
            )
            status = response.status_code
        except GitlabError as error:
            status = error.response_code or 0
            raise from_forge(error, what=what) from error
        except requests.RequestException as error:
            raise from_network(error, url=self._url, timeout=self._timeout) from error
        except PassingFault as fault:
            status = fault.status
            raise
        finally:
            self._told(verb, path, status, time.monotonic() - started)
        content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return Answer(response.status_code, response.content, content_type, response.headers.get("X-Next-Page"))

    def way(self) -> tuple[str, str]:
        """Give whose certificates are believed, empty for the machine's, and the proxy: git goes the same way."""
        found = self._session.merge_environment_settings(self._url, {}, None, None, None)
        authorities = found["verify"]
        return authorities if isinstance(authorities, str) else "", select_proxy(self._url, found["proxies"]) or ""

    def close(self) -> None:
        self._session.close()


class _Session(requests.Session):
    def __init__(self, url: str) -> None:
        super().__init__()
        self._origin = origin(url)
        # A proxy of this machine's user has no business between us and our own machine.
        self.trust_env = not is_loopback(url)
        self.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        self.hooks["response"].append(_raise_for_passing)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        # A moved project answers a read with its new address; a write must not turn into a read on the way.
        target = super().get_redirect_target(resp)
        if target is None:
            return None
        if resp.request.method == "GET" and origin(urljoin(str(resp.url), target)) == self._origin:
            return target
        raise Unreachable(
            "The forge sends this request elsewhere, and the token does not follow",
            hint=f"give the forge's own address; it may be where this leads: {target.partition('?')[0][:200]}",
        )


def _raise_for_passing(response: requests.Response, *_: Any, **__: Any) -> None:
    raise_for_passing(response.status_code, response.headers, response.content)
