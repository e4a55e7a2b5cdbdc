"""Requests made up from the service's description: none is a fault of the service, and every
answer is as described.
"""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from eacl_jax.model.abstention import COVERAGES
from eacl_jax.serving.http.app import create_app
from eacl_jax.serving.settings import Limits, ServiceSettings
from tests.stubs.featured import FACE
from tests.stubs.service import Gated, listening

OPERATIONS = [
    ("POST", "/v1/predict"),
    ("POST", "/v1/conversations/{id}/utterances"),
    ("GET", "/v1/conversations/{id}"),
    ("DELETE", "/v1/conversations/{id}"),
    ("GET", "/v1/model"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
]
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
]


KINDS: list[dict[str, Any]] = [{}, {"several": True}, {"modalities": {"a": FACE}}]


@pytest.fixture(scope="module", params=KINDS, ids=["one label", "several", "features"])
def schema(request) -> Iterator[Any]:
    recognizer: Any = Gated(**request.param)
    limits = Limits(dialogues=2, utterances=4, characters=20, labels=3, numbers=6)
    with listening(
        create_app(recognizer, ServiceSettings(compile_ahead=False, limits=limits, conversations=5))
    ) as address:
        config = schemathesis.Config()
        # What is wrong may also be too much, which is counted first.
        rejection = config.projects.default.checks.negative_data_rejection
        rejection.expected_statuses = [*rejection.expected_statuses, "413"]
        yield schemathesis.openapi.from_url(f"{address}/openapi.json", config=config)


def examples_in(described: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Each schema that has an example, and that; those of a field named `examples` are none."""
    if isinstance(described, dict):
        for example in described["examples"] if _has_examples(described) else ():
            yield described, example
        for name, each in described.items():
            if name != "examples":
                yield from examples_in(each)
    elif isinstance(described, list):
        for each in described:
            yield from examples_in(each)


def _has_examples(described: dict[str, Any]) -> bool:
    return isinstance(described.get("examples"), list)


def test_all_operations_are_described(schema):
    assert {
        (found.ok().method.upper(), found.ok().path) for found in schema.get_all_operations()
    } == set(OPERATIONS)


def test_every_example_is_as_described(schema):
    found = list(examples_in(schema.raw_schema))
    assert len(found) > 10
    for described, example in found:
        checker = jsonschema_rs.validator_for(
            {**described, "components": schema.raw_schema["components"]}
        )
        assert checker.is_valid(example), (described, example)


def test_every_coverage_is_as_described(schema):
    asked = schema.raw_schema["components"]["schemas"]["PredictRequest"]["properties"]["coverage"]
    # Where doubles are divided, not all of these are multiples of 0.01.
    assert "multipleOf" not in str(asked)
    assert all(jsonschema_rs.is_valid(asked, each / 100) for each in COVERAGES)
    assert not any(jsonschema_rs.is_valid(asked, each) for each in (0.49, 1.0, 90))


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_made_up_requests(schema, method, path, mode):
    operation = schema[path][method]
    if mode is GenerationMode.NEGATIVE and not (operation.body or operation.path_parameters):
        return  # nothing in it could be wrong

    @settings(
        max_examples=30,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case):
        case.call_and_validate(checks=CHECKS)

    ask()
