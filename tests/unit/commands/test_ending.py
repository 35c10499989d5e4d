"""The process of a command ends although a model hangs, and in order where none does."""

import os
import threading

import pytest

from batchproof_server.commands import ending


@pytest.mark.parametrize("name", ["load", "load_0", "device-digits-1_0"])
def test_nobody_waits_for_a_thread_of_a_model_that_hangs(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    over, codes = threading.Event(), list[int]()
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(ending, "_PATIENCE_S", 0.001)
    thread = threading.Thread(target=over.wait, name=name)
    thread.start()
    try:
        ending.end_if_hanging(3, [thread])
    finally:
        over.set()
        thread.join()
    assert codes == [3]


def test_a_process_without_threads_of_models_ends_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = list[int]()
    monkeypatch.setattr(os, "_exit", codes.append)
    over = threading.Event()
    other = threading.Thread(target=over.wait, name="decode")
    other.start()
    try:
        ending.end_if_hanging(3, [other])
    finally:
        over.set()
        other.join()
    assert codes == []
