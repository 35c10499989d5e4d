"""Observers pass everything on, and one that fails changes nothing for the others."""

from collections.abc import Iterable
from typing import Any

import pytest

from batchproof_server.base import events
from batchproof_server.base.events import DecodeRecord, Event, ShedRecord, Subscription
from batchproof_server.observing.fan_out import Observers
from support.fakes import Recorder, every_event

EVENTS = {kind.__name__: kind for kind in every_event()}


class Failing:
    """A subscriber that raises whatever it is told."""

    def subscriptions(self) -> Iterable[Subscription[Any]]:
        """All events."""
        return [Subscription(kind, self.fail) for kind in EVENTS.values()]

    def fail(self, event: Event) -> None:
        """Raises."""
        raise RuntimeError(type(event).__name__)


def test_every_event_of_the_protocol_is_covered_here() -> None:
    defined = {
        name: each
        for name, each in vars(events).items()
        if isinstance(each, type) and issubclass(each, Event) and each is not Event
    }
    assert defined.items() <= EVENTS.items()


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_reaches_every_observer_although_one_fails(event: str) -> None:
    before, after = Recorder(), Recorder()
    failures: list[Exception] = []
    observers = Observers((before, Failing(), after), failures.append)
    happened = EVENTS[event].__new__(EVENTS[event])  # nobody on the way looks into it
    observers.notify(happened)
    assert after.events == [happened]
    assert before == after
    assert [str(failure) for failure in failures] == [event]


def test_nobody_hears_of_what_they_did_not_subscribe_to() -> None:
    class Choosy(Recorder):
        def subscriptions(self) -> Iterable[Subscription[Any]]:
            return [Subscription(DecodeRecord, self.notify)]

    choosy = Choosy()
    observers = Observers((choosy,), lambda failure: pytest.fail(str(failure)))
    observers.notify(ShedRecord("m", 1, "draining"))
    observers.notify(DecodeRecord("png", 0.1))
    assert choosy.events == [DecodeRecord("png", 0.1)]
