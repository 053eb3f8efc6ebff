"""The description of the service is true: random requests made from it get the answers that it names, and no 500."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="pip install 'sparring[serve]'")
schemathesis = pytest.importorskip("schemathesis", reason="pip install 'sparring[dev]'")

from schemathesis import checks

from sparring.serve.model import Limits
from sparring.serve.run import opened
from tests.test_export import BY_RECIPE, run_of

CHECKS = [
    checks.not_a_server_error,
    *(
        check
        for check in checks.CHECKS.get_all()
        if check.__name__
        in (
            "status_code_conformance", "content_type_conformance", "response_schema_conformance",
            "response_headers_conformance", "negative_data_rejection", "unsupported_method",
        )
    ),
]  # fmt: skip


@pytest.fixture
def service(pictures: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    run = run_of(request.param, *BY_RECIPE[request.param], pictures, tmp_path / "run")
    made = opened(run, Limits(), threads=1)
    yield made
    made.desk.close()
