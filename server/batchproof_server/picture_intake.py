"""The pictures of one request on their way to rows, unless late or too many at a time."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from batchproof_server.clock import Clock
from batchproof_server.decoding import Decoding, Work
from batchproof_server.errors import DeadlineExceeded, InvalidInput, QueueFull
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.kept_pictures import KeptPictures
from batchproof_server.models.served import ServedModel
from batchproof_server.telemetry import Observer, ShedRecord

Result = TypeVar("Result")


class PictureIntake:
    """Decodes for requests and counts what is shed.

    Args:
        decoding: the decode threads.
        clock: for deadlines.
        observer: told of requests that are shed.
    """

    def __init__(self, decoding: Decoding, clock: Clock, observer: Observer) -> None:
        self._decoding = decoding
        self._clock = clock
        self._observer = observer

    async def decoded(
        self, model: ServedModel, images: Sequence[bytes], deadline_s: float, work: Work[Result]
    ) -> list[Result]:
        """What ``work`` makes of each picture on a decode thread, in their order.

        Raises:
            InvalidInput: a picture is refused.
            QueueFull: the budget of decoded bytes is used up.
            DeadlineExceeded: it passed meanwhile.
        """
        try:
            results = await self._decoding.decode(recipe_of(model), images, work)
        except QueueFull:
            self._shed(model, "decode_budget")
            raise
        self._check_deadline(model, deadline_s)
        return results

    def keeping(self) -> KeptPictures:
        """Keeps pictures of one request until it is over."""
        return KeptPictures(self._decoding.kept_budget)

    async def seen_again(
        self, model: ServedModel, deadline_s: float, work: Callable[[], Result]
    ) -> Result:
        """What ``work`` makes of a kept picture on a decode thread.

        Raises:
            InvalidInput: as ``work`` does.
            DeadlineExceeded: it passed meanwhile.
        """
        result = await self._decoding.off_loop(work)
        self._check_deadline(model, deadline_s)
        return result

    async def off_loop(self, work: Callable[[], Result]) -> Result:
        """Runs work that is no decoding on a decode thread."""
        return await self._decoding.off_loop(work)

    def _check_deadline(self, model: ServedModel, deadline_s: float) -> None:
        if self._clock.now_s() >= deadline_s:
            self._shed(model, "deadline")
            raise DeadlineExceeded("the deadline passed while the picture was decoded")

    def _shed(self, model: ServedModel, reason: str) -> None:
        self._observer.request_shed(ShedRecord(model.name, model.version, reason))


def recipe_of(model: ServedModel) -> Recipe:
    """The model's recipe.

    Raises:
        InvalidInput: it has none.
    """
    recipe = model.loaded.recipe
    if recipe is None:
        raise InvalidInput(f'model "{model.name}" has no recipe for images, expected input tensors')
    return recipe
