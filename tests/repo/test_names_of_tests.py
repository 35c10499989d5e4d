"""The names of the tests are the same in every worker of a run, each of which collects them."""

import re

import pytest

# Addresses of objects, and folders that are made for one run.
_DIFFERS = re.compile(r"0x[0-9a-f]{6,}|/tmp/|pytest-of-")


def test_no_name_of_a_test_holds_what_differs_between_workers(
    request: pytest.FixtureRequest,
) -> None:
    names = [item.nodeid for item in request.session.items]
    assert [name for name in names if _DIFFERS.search(name)] == []


@pytest.mark.parametrize("packed", [b"the time of day", bytearray(b"another time")])
def test_bytes_do_not_stand_in_the_name_of_a_test(
    request: pytest.FixtureRequest, packed: bytes
) -> None:
    assert packed.decode() not in request.node.nodeid
    assert "packed" in request.node.nodeid
