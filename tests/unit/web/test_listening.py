"""How much of the process a port may take."""

import resource
import sys

import pytest

from batchproof_server.web.listening import half_the_descriptors


@pytest.mark.parametrize(
    ("allowed", "half"),
    [(1024, 512), (1, 1), (resource.RLIM_INFINITY, sys.maxsize)],
)
def test_half_of_what_the_process_may_open(
    monkeypatch: pytest.MonkeyPatch, allowed: int, half: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (allowed, allowed))
    assert half_the_descriptors() == half
