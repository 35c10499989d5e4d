"""What the gate asks of several versions before it reads a message."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from batchproof_server.base.errors import Draining, QueueFull, ServingError
from batchproof_server.batching.connections import Ahead
from batchproof_server.rpc.gate import LoadShedder
from batchproof_server.rpc.pressure import Pressure
from support.fakes import FakeClock

FULL = QueueFull("full", 0.5)
SOONER = QueueFull("full", 0.2)
DRAINING = Draining("going away")


def admission(*refusals: ServingError | None) -> LoadShedder:
    """Versions whose batchers refuse like this."""
    models = [
        SimpleNamespace(name=str(n), batcher=SimpleNamespace(refusal=lambda *_, r=refusal: r))
        for n, refusal in enumerate(refusals)
    ]
    parts: Any = SimpleNamespace(
        ready=lambda: models,
        deadline_s=lambda _: 1.0,
        check_room=lambda *_: None,
        executed_by_s=lambda _model, deadline_s, _ahead: deadline_s,
        learn_refusal=lambda: None,
    )
    return LoadShedder(cast("Any", parts), cast("Any", parts), cast("Any", parts))


def test_when_all_queues_are_full_the_soonest_says_when_to_try_again() -> None:
    with pytest.raises(QueueFull) as refused:
        admission(FULL, SOONER).check(None, "", Ahead())
    assert refused.value.retry_after_s == 0.2


def test_while_calls_are_refused_unread_every_call_is_looked_at() -> None:
    clock = FakeClock()
    pressure = Pressure(99, clock)
    model = SimpleNamespace(
        name="m", batcher=SimpleNamespace(is_pressed=False, refusal=lambda *_: FULL)
    )
    parts: Any = SimpleNamespace(ready=lambda: [model], deadline_s=lambda _: 1.0)
    shedder = LoadShedder(cast("Any", parts), cast("Any", parts), pressure)
    assert not shedder.is_pressed()
    with pytest.raises(QueueFull):
        shedder.check(None, "", Ahead())
    assert shedder.is_pressed()
    clock.advance(1.1)
    assert not shedder.is_pressed()


@pytest.mark.parametrize("refusals", [(FULL, None), (FULL, DRAINING), (DRAINING, DRAINING), ()])
def test_where_some_version_may_answer_or_say_more_the_call_goes_on(
    refusals: tuple[ServingError | None, ...],
) -> None:
    admission(*refusals).check(None, "", Ahead())


def test_what_an_answer_takes_beside_the_queue_is_not_the_queues_to_spend() -> None:
    asked: list[float] = []
    model = SimpleNamespace(
        name="m", batcher=SimpleNamespace(refusal=lambda by, *_: asked.append(by))
    )
    parts: Any = SimpleNamespace(
        ready=lambda: [model],
        deadline_s=lambda _: 1.0,
        check_room=lambda *_: None,
        executed_by_s=lambda _model, deadline_s, _ahead: deadline_s - 0.25,
    )
    LoadShedder(cast("Any", parts), cast("Any", parts), cast("Any", parts)).check(0.9, "", Ahead())
    assert asked == [0.75]


def test_a_version_whose_answer_would_be_late_without_any_wait_is_a_full_one() -> None:
    def late(*_: object) -> float:
        raise SOONER

    parts: Any = SimpleNamespace(
        ready=lambda: [SimpleNamespace(name="m")],
        deadline_s=lambda _: 1.0,
        check_room=lambda *_: None,
        executed_by_s=late,
        learn_refusal=lambda: None,
    )
    with pytest.raises(QueueFull) as refused:
        LoadShedder(cast("Any", parts), cast("Any", parts), cast("Any", parts)).check(
            0.9, "", Ahead()
        )
    assert refused.value is SOONER


@pytest.mark.parametrize(
    ("occupied", "all_would_wait"),
    [((True, True), True), ((True, False), False), ((), False)],
)
def test_who_comes_waits_where_every_version_has_others_to_answer_before(
    occupied: tuple[bool, ...], *, all_would_wait: bool
) -> None:
    batchers = [SimpleNamespace(is_occupied=each) for each in occupied]
    versions: Any = SimpleNamespace(ready=lambda: [SimpleNamespace(batcher=b) for b in batchers])
    shedder = LoadShedder(cast("Any", None), versions, cast("Any", None))
    assert shedder.is_occupied() is all_would_wait
