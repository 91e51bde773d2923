"""The installation: version, metadata."""

from mergewright.localforge.call import Call, Wire
from mergewright.localforge.errors import unauthorized
from mergewright.localforge.router import Route
from mergewright.localforge.settings import VERSION

REVISION = "localforge"


def metadata(call: Call) -> Wire:
    if call.user is None:
        raise unauthorized()
    kas = {"enabled": False, "externalUrl": None, "externalK8sProxyUrl": None, "version": None}
    return {
        "version": version_of(call),
        "revision": REVISION,
        "kas": kas,
        "enterprise": call.instance.settings.tier != "free",
    }


def version_of(call: Call) -> str:
    return f"{VERSION}-ee" if call.instance.settings.tier != "free" else VERSION


ROUTES = [Route("GET", "/version", metadata), Route("GET", "/metadata", metadata)]
