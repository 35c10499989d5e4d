"""Decoded pictures of one request that wait for their next views, within a budget of bytes."""

import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from batchproof_server.imaging.geometry import Picture, picture_bytes
from batchproof_server.serving.off_loop import ByteBudget


# Contract: safe in any thread. What is kept is counted in the budget until it is dropped, or until
# the request is over; what a decode thread finishes after that is not kept. So nothing outlives its
# request, however that ends.
class KeptPictures:
    """Keeps pictures as long as there is room for them; a context manager.

    Args:
        budget: for the kept pictures of all requests.
    """

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._lock = threading.Lock()
        self._pictures: dict[int, Picture] = {}
        self._next_place = 0
        self._is_over = False

    def keep(self, picture: Picture) -> int | None:
        """Where the picture is kept; None when there is no room, or the request is over."""
        with self._lock:
            if self._is_over or not self._budget.take(picture_bytes(picture)):
                return None
            place = self._next_place
            self._next_place += 1
            self._pictures[place] = picture
            return place

    def picture(self, place: int) -> Picture:
        """What is kept there."""
        return self._pictures[place]

    def drop(self, place: int) -> None:
        """Gives the room back; of no effect the second time."""
        with self._lock:
            picture = self._pictures.pop(place, None)
            if picture is not None:
                self._budget.give_back(picture_bytes(picture))

    def drop_all_but(self, places: Iterable[int | None]) -> None:
        """Gives the room of all others back."""
        for place in set(self._pictures) - set(places):
            self.drop(place)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Drops what is left, and keeps nothing any more."""
        with self._lock:
            self._is_over = True
            self._budget.give_back(sum(map(picture_bytes, self._pictures.values())))
            self._pictures.clear()
