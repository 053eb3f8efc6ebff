"""The description of the service is true: random requests made from it get the answers that it names, and no 500."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="pip install 'sparring[serve]'")
pytest.importorskip("schemathesis", reason="pip install 'sparring[dev]'")

import hypothesis
import schemathesis
from schemathesis.checks import CHECKS, not_a_server_error

from sparring.serve.model import Limits
from sparring.serve.run import opened
from sparring.serve.web import Service, application
from tests.test_export import BY_RECIPE, run_of

TRUE = [
    "content_type_conformance", "missing_required_header", "negative_data_rejection", "positive_data_acceptance",
    "response_headers_conformance", "response_schema_conformance", "status_code_conformance", "unsupported_method",
]  # fmt: skip
"""What the description promises, each checked of every answer."""
MODELS = [("cdcgan", 30), ("cut", 20), ("classifier", 10)]


@pytest.fixture
def service(request: pytest.FixtureRequest, pictures: Path, tmp_path: Path) -> Iterator[Service]:
    run = run_of(request.param, *BY_RECIPE[request.param], pictures, tmp_path / "run")
    made = opened(run, Limits(upload=100_000), threads=1)
    yield made
    made.desk.close()


def asked(service: Service, examples: int) -> Counter[int]:
    """Random requests of every endpoint and kind, all answers checked: how many there were of each status."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", application(service, "0.0.0.0"))
    found: Counter[int] = Counter()
    for each in schema.get_all_operations():
        for mode in schemathesis.GenerationMode:
            found += answers(each.ok(), mode, examples)
    return found


def answers(operation: Any, mode: Any, examples: int) -> Counter[int]:
    """Of one endpoint."""
    names, found = set(TRUE), Counter[int]()
    if operation.body or "caption" in {parameter.name for parameter in operation.query}:
        names.discard("positive_data_acceptance")  # random bytes are no picture, and random words unknown
    checks = [not_a_server_error, *CHECKS.get_by_names(sorted(names))]
    quiet = list(hypothesis.HealthCheck)

    @hypothesis.settings(max_examples=examples, deadline=None, database=None, suppress_health_check=quiet)
    @hypothesis.seed(1)
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def one(case: Any) -> None:
        response = case.call()
        found[response.status_code] += 1
        case.validate_response(response, checks=checks)

    try:
        one()
    except hypothesis.errors.Unsatisfiable:
        assert not operation.query, "there is something that could be wrong"
        assert not operation.body, "there is something that could be wrong"
    return found


@pytest.mark.parametrize(("service", "examples"), MODELS, indirect=["service"], ids=[name for name, _ in MODELS])
def test_random_requests_get_what_the_description_says(service: Service, examples: int) -> None:
    found = asked(service, examples)
    assert found[200], dict(found)


@pytest.mark.long
@pytest.mark.parametrize("service", ["cdcgan"], indirect=True)
def test_a_thousand_random_requests_get_what_the_description_says(service: Service) -> None:
    found = asked(service, 260)
    print(dict(found))
    assert found.total() >= 1000
