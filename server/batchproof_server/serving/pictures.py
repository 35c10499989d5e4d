"""What comes and goes with one request, in the thread where it holds nobody up."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

import numpy as np

from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import DeadlineExceeded, InvalidInput, QueueFull
from batchproof_server.base.events import Observer, ShedRecord
from batchproof_server.base.signature import Array
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.models.served import ServedModel
from batchproof_server.serving.decode_pool import Decoding, Work
from batchproof_server.serving.kept_pictures import KeptPictures
from batchproof_server.tta.expansion import Expansion

Result = TypeVar("Result")

# What is no more than this is done within the loop's turn, in well under a millisecond; handing it
# to a thread would take as long.
_QUICK_BYTES: Final = 1 << 18
_QUICK_ROWS: Final = 8
_QUICK_VALUES: Final = 4_096


# Contract: of the pixels, rows and scores of a request only so few are touched on the loop thread
# that it is never held up for a millisecond.
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
        result = await self._decoding.see(work)
        self._check_deadline(model, deadline_s)
        return result

    async def stacked(self, parts: list[Array]) -> Array:
        """The rows of all parts in one array; empties the list, so that nothing is held twice.

        Raises:
            InvalidInput: the rows differ in shape.
        """
        if len(parts) == 1:
            return parts.pop()
        try:
            size_bytes = sum(part.nbytes for part in parts)
            return await self._off_loop(size_bytes > _QUICK_BYTES, partial(stacked_rows, parts))
        finally:
            parts.clear()

    async def off_loop(self, work: Callable[[], Result]) -> Result:
        """Runs work that is no decoding off the loop thread."""
        return await self._decoding.finish(work)

    async def finished(self, rows: int, values: int, work: Callable[[], Result]) -> Result:
        """What ``work`` makes of answers; not on the loop thread if they are many.

        Args:
            rows: of the request.
            values: of all rows.
            work: takes time for each row and each value.
        """
        return await self._off_loop(rows > _QUICK_ROWS or values > _QUICK_VALUES, work)

    async def _off_loop(self, is_much: bool, work: Callable[[], Result]) -> Result:  # noqa: FBT001 - it is computed
        return await self._decoding.finish(work) if is_much else work()

    def _check_deadline(self, model: ServedModel, deadline_s: float) -> None:
        if self._clock.now_s() >= deadline_s:
            self._shed(model, "deadline")
            raise DeadlineExceeded("the deadline passed while the picture was decoded")

    def _shed(self, model: ServedModel, reason: str) -> None:
        self._observer.notify(ShedRecord(model.name, model.version, reason))


def recipe_of(model: ServedModel) -> Recipe:
    """The model's recipe.

    Raises:
        InvalidInput: it has none.
    """
    return expansion_of(model).recipe


def expansion_of(model: ServedModel) -> Expansion:
    """What makes views of the model's pictures.

    Raises:
        InvalidInput: it has no recipe.
    """
    expansion = model.loaded.expansion
    if expansion is None:
        raise InvalidInput(f'model "{model.name}" has no recipe for images, expected input tensors')
    return expansion


def stacked_rows(parts: Sequence[Array]) -> Array:
    """The rows of all parts, one after the other.

    Raises:
        InvalidInput: they differ in shape.
    """
    shapes = sorted({array.shape[1:] for array in parts})
    if len(shapes) > 1:
        came = " and ".join(str(list(shape)) for shape in shapes[:2])
        raise InvalidInput(
            f"the pictures make rows of {came}; the model takes any size, and the pictures of a "
            "request must have one"
        )
    return np.concatenate(parts)
