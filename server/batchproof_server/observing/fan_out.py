"""Every event for those who subscribed to it, none of whom may harm another."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from batchproof_server.base.events import Event, Subscriber


# Contract: a request causes four to eight events, so whoever is told is looked up once, when this
# is made, and an event that nobody wants costs one look-up.
class Observers:
    """Tells each event to its subscribers; one that fails changes nothing for the others.

    Args:
        subscribers: in the order in which they are told.
        on_failure: told of a subscriber's exception; must not raise.
    """

    def __init__(
        self, subscribers: Iterable[Subscriber], on_failure: Callable[[Exception], None]
    ) -> None:
        self._on_failure = on_failure
        handlers: defaultdict[type[Event], list[Callable[[Any], None]]] = defaultdict(list)
        for subscriber in subscribers:
            for subscription in subscriber.subscriptions():
                handlers[subscription.event].append(subscription.handler)
        self._handlers = {event: tuple(told) for event, told in handlers.items()}

    def notify(self, event: Event) -> None:
        """Passes it on."""
        for handler in self._handlers.get(type(event), ()):
            try:
                handler(event)
            except Exception as failure:  # noqa: BLE001 - an observer must never fail a request
                self._on_failure(failure)
