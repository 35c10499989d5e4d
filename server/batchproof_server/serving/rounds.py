"""One round of a request: pictures become rows, and rows become outputs.

A request with early exit has two rounds, every other one.
"""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import DeadlineExceeded, InvalidInput
from batchproof_server.base.events import Observer, ShedRecord
from batchproof_server.base.input_statistics import InputStatistics
from batchproof_server.base.signature import Array, Tensors, check_finite, tensor_means
from batchproof_server.base.spans import DecodedPictures
from batchproof_server.base.unguarded import unguarded
from batchproof_server.batching.replies import BatchedRows
from batchproof_server.imaging.decoded import PictureRows, RowsOfPictures, input_statistics
from batchproof_server.models.served import ServedModel
from batchproof_server.serving.in_device import InDevice, RowsWanted
from batchproof_server.serving.kept_pictures import KeptPictures
from batchproof_server.serving.off_loop import OffLoop, all_or_none, decode_each
from batchproof_server.serving.request import PredictRequest
from batchproof_server.tta.plan import Plan, pack_views


@unguarded(eq=False)
class ModelOutputs:
    """Rows that came back from the model.

    Attributes:
        outputs: every output of the signature, rows on axis 0, in the order of the input.
        executions: the slices, in that order.
    """

    outputs: Tensors
    executions: tuple[BatchedRows, ...]


# Contract: the answer to a row does not depend on how its request was cut, nor on which pictures
# were decoded beside it. What is refused here never reached a queue. Lives on the loop thread.
class Rounds:
    """Decodes, slices and submits for requests.

    Args:
        off_loop: decodes, and does what is large.
        clock: for deadlines.
        observer: told of requests that are shed while their pictures are decoded.
    """

    def __init__(self, off_loop: OffLoop, clock: Clock, observer: Observer) -> None:
        self.off_loop = off_loop
        self._clock = clock
        self._observer = observer

    async def decode(
        self,
        request: PredictRequest,
        plan: Plan,
        kept: KeptPictures | None = None,
        again: int | None = None,
    ) -> list[PictureRows]:
        """The rows of some views of each picture, in their order.

        Args:
            request: of pictures.
            plan: the views of this round.
            kept: keeps the pictures for another round, as far as there is room; a device keeps
                none.
            again: the number of the only picture that is decoded, once more.

        Raises:
            InvalidInput: a picture or a view of it is refused.
            DeadlineExceeded: it passed meanwhile.
            ModelNotReady, BackendFailed: as ``InDevice.decode`` says.
        """
        model, expansion = request.model, request.model.expansion
        recipe, views = expansion.recipe, 0 if plan.is_plain else len(plan.views)
        images = request.images if again is None else (request.images[again],)
        is_watched = model.is_watched and again is None
        started_s = 0.0 if request.trace.spans is None else self._clock.now_s()
        decode: Callable[[bytes], Coroutine[Any, Any, PictureRows]]
        if model.decoding is None:
            expand = None if plan.is_plain else partial(expansion.rows, plan=plan)
            keep = None if kept is None else kept.keep
            rows = RowsOfPictures(recipe, expand, plan.plain, is_watched, keep)
            decode = partial(self.off_loop.decode, recipe, rows.make, views)
        else:
            wanted = RowsWanted(pack_views(plan), views, is_watched)
            device = InDevice(model.decoding, recipe, self.off_loop, self._observer)
            decode = partial(device.decode, wanted)
        results = await decode_each(decode, images)
        self._end_decoding(request, started_s, len(images))
        return results

    async def use_kept(
        self, request: PredictRequest, plan: Plan, kept: KeptPictures, place: int
    ) -> PictureRows:
        """The rows of some views of a kept picture, which is dropped.

        Raises:
            InvalidInput: a view cannot be made.
            DeadlineExceeded: it passed meanwhile.
        """
        expansion, picture = request.model.expansion, kept.picture(place)
        wanted_bytes = expansion.recipe.rows_bytes(picture, len(plan.views))
        work = partial(expansion.rows, picture, plan)
        started_s = 0.0 if request.trace.spans is None else self._clock.now_s()
        rows = await self.off_loop.use_kept(work, wanted_bytes)
        kept.drop(place)
        self._end_decoding(request, started_s)
        return PictureRows(rows, None)

    async def stack(self, request: PredictRequest, pictures: list[PictureRows]) -> Tensors:
        """The rows of all pictures as the model takes them; empties the list.

        So nothing waits in memory twice.

        Raises:
            InvalidInput: the rows differ in shape.
        """
        name = request.model.loaded.backend.signature.inputs[0].name
        if len(pictures) == 1:
            return {name: pictures.pop().rows}
        parts = [picture.rows for picture in pictures]
        pictures.clear()
        try:
            size_bytes = sum(part.nbytes for part in parts)
            rows = await self.off_loop.run(partial(stack_rows, parts), copied_bytes=size_bytes)
        finally:
            parts.clear()
        return {name: rows}

    async def execute(self, request: PredictRequest, tensors: Tensors, rows: int) -> ModelOutputs:
        """Executes rows that were checked, in slices where they are too many for one micro-batch.

        Args:
            request: whose deadline counts.
            tensors: by the names of the signature, rows on axis 0.
            rows: how many.

        Raises:
            QueueFull, Draining, DeadlineExceeded, BackendFailed: as the batcher says.
        """
        batcher, deadline_s = request.model.batcher, request.deadline_s
        request_id, caller, spans = request.request_id, request.caller.peer, request.trace.spans
        largest = batcher.max_batch_rows
        if rows <= largest:
            only = await batcher.submit(tensors, rows, deadline_s, request_id, caller, spans)
            request.trace.queued_s = max(request.trace.queued_s, only.queue_delay_s)
            return ModelOutputs(only.outputs, (only,))
        batcher.check_room(rows, deadline_s, caller)
        executions = await all_or_none(
            batcher.submit(part, count, deadline_s, request_id, caller, spans)
            for part, count in _slices(tensors, rows, largest)
        )
        waited_s = max(execution.queue_delay_s for execution in executions)
        request.trace.queued_s = max(request.trace.queued_s, waited_s)
        return _joined(request.model, executions)

    def _end_decoding(self, request: PredictRequest, started_s: float, pictures: int = 1) -> None:
        """Notes a decoding that began at ``started_s`` and has ended; raises where it is late."""
        if (spans := request.trace.spans) is not None:
            spans.decoded.append(DecodedPictures(started_s, self._clock.now_s(), pictures))
        if self._clock.now_s() >= request.deadline_s:
            model = request.model
            self._observer.notify(ShedRecord(model.name, model.version, "deadline"))
            raise DeadlineExceeded("the deadline passed while the picture was decoded")


def statistics_of(pictures: Sequence[PictureRows]) -> InputStatistics | None:
    """What was seen of the pictures, where somebody wants to know it."""
    seen = [picture.seen for picture in pictures if picture.seen is not None]
    return input_statistics(seen) if seen else None


def tensor_statistics(model: ServedModel, tensors: Tensors) -> InputStatistics | None:
    """What is seen of the rows, of which only the mean is known; None where nobody wants it."""
    if not model.is_watched:
        return None
    array = tensors[model.loaded.backend.signature.inputs[0].name]  # a profile is of the one input
    return InputStatistics(
        pixels=(None,) * len(array),
        aspect_ratios=np.full(len(array), np.nan),
        tensor_means=tensor_means(array),
    )


def check_numbers(model: ServedModel, tensors: Tensors) -> None:
    """Returns when every number is one that the version answers.

    Raises:
        InvalidInput: see ``check_finite``.
    """
    if not model.answers_non_finite:
        check_finite(tensors)


def check_and_measure(model: ServedModel, tensors: Tensors) -> InputStatistics | None:
    """``tensor_statistics`` of tensors that may be executed.

    Raises:
        InvalidInput: see ``check_finite``.
    """
    check_numbers(model, tensors)
    return tensor_statistics(model, tensors)


def stack_rows(parts: Sequence[Array]) -> Array:
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


def _slices(tensors: Tensors, rows: int, largest: int) -> Iterator[tuple[Tensors, int]]:
    for start in range(0, rows, largest):
        stop = min(start + largest, rows)
        yield {name: array[start:stop] for name, array in tensors.items()}, stop - start


def _joined(model: ServedModel, executions: tuple[BatchedRows, ...]) -> ModelOutputs:
    outputs = {
        spec.name: np.concatenate([execution.outputs[spec.name] for execution in executions])
        for spec in model.loaded.backend.signature.outputs
    }
    return ModelOutputs(outputs, executions)
