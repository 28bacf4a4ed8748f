"""The server against its OpenAPI description, by Schemathesis; the examples are the same in each run."""

import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.openapi.checks import RejectedPositiveData

from serving import openapi
from tests.helpers.served import NAME

BOUNDED = hypothesis.settings(
    max_examples=15,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)
PATHS = openapi.description(NAME)["paths"]
OPERATIONS = [(method, path) for path, each in PATHS.items() for method in each if method != "parameters"]
CASES = [(GenerationMode.POSITIVE, *each) for each in OPERATIONS]
CASES += [(GenerationMode.NEGATIVE, *each) for each in OPERATIONS if each[0] == "post" or "{version}" in each[1]]


@pytest.mark.parametrize(("mode", "method", "path"), CASES)
def test_the_answers_are_those_of_the_description(client, mode, method, path):
    """The requests follow the description, or differ from it in one place."""
    described = schemathesis.openapi.from_url(f"{client.url}/openapi.json")[path][method]

    @BOUNDED
    @hypothesis.given(case=described.as_strategy(generation_mode=mode))
    def check(case):
        try:
            case.call_and_validate()
        except FailureGroup as group:  # the names of signatures and inputs depend on the model
            others = [each for each in group.exceptions if not isinstance(each, RejectedPositiveData)]
            assert method == "post" and not others, group

    check()
