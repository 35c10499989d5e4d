"""The loop that suits a front."""

import os
import select
import sys

import pytest

from batchproof_server.rpc.fronts.choosing import loop_of
from batchproof_server.rpc.fronts.completion_queue import private_api
from batchproof_server.rpc.fronts.completion_queue.queue_loop import QueueLoop
from batchproof_server.rpc.settings import FrontName


@pytest.mark.parametrize("front", ["auto", "completion_queue"])
def test_the_loop_of_the_queue_waits_for_it(front: FrontName) -> None:
    assert loop_of(front) is QueueLoop


def test_grpc_aio_has_asyncios_own() -> None:
    assert loop_of("grpc_aio") is None


def test_without_the_private_names_it_is_asyncios_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_api, "_NAMES", {"Nothing": ()})
    assert loop_of("auto") is None


def test_where_the_private_module_is_gone_it_is_asyncios_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, private_api.__name__, None)
    assert loop_of("auto") is None


@pytest.mark.parametrize(("module", "name"), [(select, "epoll"), (os, "eventfd")])
def test_on_another_platform_it_is_asyncios_own(
    monkeypatch: pytest.MonkeyPatch, module: object, name: str
) -> None:
    monkeypatch.delattr(module, name)
    assert loop_of("auto") is None
