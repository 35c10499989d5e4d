"""The road of one request is short: the budget of docs/architecture.md."""

import pytest

from road import Call, files_of, roads


@pytest.fixture(scope="module")
def traced() -> dict[str, list[Call]]:
    return roads()


@pytest.mark.parametrize(
    ("request_kind", "most_files", "most_calls"), [("picture", 49, 378), ("tensor row", 43, 304)]
)
def test_a_request_goes_through_few_files_and_calls(
    traced: dict[str, list[Call]], request_kind: str, most_files: int, most_calls: int
) -> None:
    calls = traced[request_kind]

    assert 10 < len(files_of(calls)) <= most_files, files_of(calls)
    assert 100 < len(calls) <= most_calls
