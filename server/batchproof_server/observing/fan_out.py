"""Every event for several observers, none of which may harm another."""

from collections.abc import Callable, Sequence
from typing import Any

from batchproof_server.base.events import (
    BatchRecord,
    DecodeRecord,
    ModelRecord,
    Observer,
    PredictionRecord,
    RequestRecord,
    SelfCheckRecord,
    ShedRecord,
)


class Observers:
    """Passes every event on to each observer; a failing observer changes nothing for the others.

    Args:
        observers: in the order in which they are told.
        on_failure: told of an observer's exception; must not raise.
    """

    def __init__(
        self, observers: Sequence[Observer], on_failure: Callable[[Exception], None]
    ) -> None:
        self._on_failure = on_failure
        # Bound once, and not again for each event.
        self._request_finished = [each.request_finished for each in observers]
        self._predicted = [each.predicted for each in observers]
        self._batch_executed = [each.batch_executed for each in observers]
        self._image_decoded = [each.image_decoded for each in observers]
        self._request_shed = [each.request_shed for each in observers]
        self._queue_changed = [each.queue_changed for each in observers]
        self._model_changed = [each.model_changed for each in observers]
        self._self_checked = [each.self_checked for each in observers]

    def _tell(self, listeners: Sequence[Callable[..., None]], *event: Any) -> None:
        for listener in listeners:
            try:
                listener(*event)
            except Exception as failure:  # noqa: BLE001 - an observer must never fail a request
                self._on_failure(failure)

    def request_finished(self, record: RequestRecord) -> None:
        """Passes it on."""
        self._tell(self._request_finished, record)

    def predicted(self, record: PredictionRecord) -> None:
        """Passes it on."""
        self._tell(self._predicted, record)

    def batch_executed(self, record: BatchRecord) -> None:
        """Passes it on."""
        self._tell(self._batch_executed, record)

    def image_decoded(self, record: DecodeRecord) -> None:
        """Passes it on."""
        self._tell(self._image_decoded, record)

    def request_shed(self, record: ShedRecord) -> None:
        """Passes it on."""
        self._tell(self._request_shed, record)

    def queue_changed(self, model: str, version: int, rows: int) -> None:
        """Passes it on."""
        self._tell(self._queue_changed, model, version, rows)

    def model_changed(self, record: ModelRecord) -> None:
        """Passes it on."""
        self._tell(self._model_changed, record)

    def self_checked(self, record: SelfCheckRecord) -> None:
        """Passes it on."""
        self._tell(self._self_checked, record)
