"""Loading for a command that waits: as long as there is progress, and no longer."""

import threading
from typing import cast

import pytest

from batchproof_server.base.errors import ModelRefused
from batchproof_server.models.limited_loading import load_within
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.stall import LoadingHangs
from batchproof_server.proof.settings import Progress, Tell
from support.fakes import PATIENCE_S, FakeClock

LOADED = cast("LoadedModel", object())


def step(name: str, done: int = 0) -> Progress:
    return Progress("m", 1, name, done, 3)


def test_what_loads_in_time_is_loaded_and_its_progress_is_told() -> None:
    told: list[str] = []

    def load(tell: Tell) -> LoadedModel:
        tell(step("probing"))
        return LOADED

    loaded = load_within(load, 5.0, lambda each: told.append(each.step), FakeClock())
    assert loaded is LOADED
    assert told == ["probing"]


@pytest.mark.parametrize("error", [ModelRefused("no"), TimeoutError("its own")])
def test_what_loading_raises_is_raised(error: Exception) -> None:
    def load(_tell: Tell) -> LoadedModel:
        raise error

    with pytest.raises(type(error)) as raised:
        load_within(load, 5.0, lambda _: None, FakeClock())
    assert raised.value is error


def test_what_hangs_is_failed_with_the_step_and_the_way_out() -> None:
    over, clock = threading.Event(), FakeClock()

    def load(tell: Tell) -> LoadedModel:
        tell(step("probing rows"))
        clock.advance(1.0)
        assert over.wait(PATIENCE_S)
        return LOADED

    try:
        with pytest.raises(LoadingHangs, match="loading takes too long") as raised:
            load_within(load, 0.01, lambda _: None, clock)
    finally:
        over.set()
    (finding,) = raised.value.findings
    assert finding.startswith("probing rows: no progress within 0.01 s")
    assert "a higher [execution] max_load_step_s" in finding
