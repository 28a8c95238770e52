"""schemathesis over the API's own description: whatever is sent, no answer is a failure of the server."""

from collections.abc import Iterator

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.schemas import APIOperation, BaseSchema

from console.api_tokens import make_token
from console.app import create_app
from tests.integration.console_client import SETTINGS
from tests.integration.console_mine import MINE, Mine

EXAMPLES = 15


@pytest.fixture(scope="module")
def machine(shared_mine: Mine) -> Iterator[TestClient]:
    mine = shared_mine
    token = make_token(mine.engine, MINE, "schemathesis", "administrator", 1, "administrator")
    app = create_app(mine.engine, MINE, mine.evidence, mine.log, SETTINGS)
    mine.raise_risk("smoke")
    with TestClient(app, headers={"Authorization": f"Bearer {token}"}, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def described(machine: TestClient) -> BaseSchema:
    return schemathesis.openapi.from_dict(machine.get("/api/v1/openapi.json").json(), config=SchemathesisConfig())


def sent(machine: TestClient, operation: APIOperation, mode: schemathesis.GenerationMode) -> list[int]:
    """What the server answers to cases made for the operation."""
    statuses: list[int] = []

    @settings(
        max_examples=EXAMPLES, deadline=None, phases=[Phase.generate], database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: schemathesis.Case) -> None:
        call = case.as_transport_kwargs(base_url="http://testserver")
        call["headers"] = {
            name: value
            for name, value in call["headers"].items()
            if name.lower() not in ("authorization", "user-agent")
        }
        if isinstance(call.get("data"), str | bytes):
            call["content"] = call.pop("data")
        answer = machine.request(**{k: v for k, v in call.items() if k not in ("cookies", "verify", "timeout")})
        assert answer.status_code < 500, (call, answer.text)
        statuses.append(answer.status_code)

    send()
    return statuses


def test_what_fits_the_description_and_what_does_not_brings_no_failure_of_the_server(
    machine: TestClient, described: BaseSchema
) -> None:
    seen: set[int] = set()
    operations = [result.ok() for result in described.get_all_operations()]
    assert len(operations) >= 4
    for operation in operations:
        for mode in schemathesis.GenerationMode:
            statuses = sent(machine, operation, mode)
            assert len(statuses) >= 1, operation.label
            seen.update(statuses)
    assert {200, 422} <= seen
