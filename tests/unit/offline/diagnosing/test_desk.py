"""What a desk remembers of a version and for how long, and whose fault a failure is."""

from unittest.mock import AsyncMock, MagicMock

import pytest

from batchproof_server.base.errors import InvalidInput
from batchproof_server.offline.diagnosing import desk as desk_module
from batchproof_server.offline.diagnosing.desk import (
    REMEMBERED_S,
    DiagnosisDesk,
    PictureQuestion,
)
from batchproof_server.offline.diagnosing.settings import DiagnosisSettings
from support.fakes import FakeClock

QUESTION = PictureQuestion("a", b"", "", None, None, wants_page=False, timeout_s=None)


@pytest.fixture
def measurer(monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    """What every version is opened with; it takes no picture."""
    measurer = MagicMock()
    measurer.measure = AsyncMock(side_effect=InvalidInput("no picture"))
    measurer.opened = AsyncMock(return_value=measurer)
    monkeypatch.setattr(desk_module, "open_measurer", measurer.opened)
    return measurer


def desk_with(clock: FakeClock) -> DiagnosisDesk:
    return DiagnosisDesk(MagicMock(), DiagnosisSettings(), clock, lambda: 0)


async def test_a_version_is_remembered_for_a_while_after_its_last_diagnosis(
    measurer: MagicMock,
) -> None:
    clock, served = FakeClock(), MagicMock()
    desk = desk_with(clock)
    for opened, passed_s in ((1, 0.0), (1, REMEMBERED_S - 1), (1, REMEMBERED_S - 1)):
        clock.advance(passed_s)
        with pytest.raises(InvalidInput):
            await desk.report(served, QUESTION)
        assert measurer.opened.await_count == opened
    clock.advance(2 * REMEMBERED_S)
    assert clock.alarms_s == ()
    with pytest.raises(InvalidInput):
        await desk.report(served, QUESTION)
    assert measurer.opened.await_count == 2
    desk.close()
    assert clock.alarms_s == ()


async def test_a_fault_of_ours_is_no_fault_of_the_caller(measurer: MagicMock) -> None:
    measurer.measure.side_effect = ValueError("operands could not be broadcast")
    desk = desk_with(FakeClock())
    with pytest.raises(ValueError, match="broadcast"):
        await desk.report(MagicMock(), QUESTION)
    desk.close()
