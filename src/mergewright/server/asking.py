"""Who asks, as every route of the API and every page finds it out."""

from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Header, Request

from mergewright.app.people import Person

if TYPE_CHECKING:
    from mergewright.server.app import Services


def services_of(request: Request) -> "Services":
    """Give what this server's routes work with."""
    services: Services = request.app.state.services
    return services


async def _asking(
    request: Request,
    token: Annotated[str, Header(alias="Authorization")] = "",
    private: Annotated[str, Header(alias="PRIVATE-TOKEN")] = "",
) -> Person:
    person = await services_of(request).people.who(token, private)
    # For the access log.
    request.state.person_name = person.user.username
    return person


Asking = Annotated[Person, Depends(_asking)]
"""The person who asks; without one the route answers 401."""
