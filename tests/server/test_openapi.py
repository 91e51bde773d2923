"""Both APIs keep to what their OpenAPI description says, whatever is sent to them."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok

from tests.server.test_serving import Place

EXAMPLES = 8
"""Requests to each route."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    opened = Place(tmp_path_factory.mktemp("api"), rate=100_000)
    yield opened
    opened.close()


def test_every_route_answers_as_it_is_described(place: Place) -> None:
    described = schemathesis.openapi.from_url(f"{place.server.url}/api/v1/openapi.json")
    headers = {"Authorization": f"Bearer {place.stage.tokens['ann']}"}
    asked, faults = 0, []
    for found in described.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()

        @given(case=operation.as_strategy())
        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        def ask(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(headers=headers)

        try:
            ask()
        except (AssertionError, FailureGroup) as error:
            faults.append(f"{operation.label}: {error}")
        asked += 1
    assert not faults, "\n\n".join(faults)
    assert asked > 25
