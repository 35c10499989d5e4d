"""A predictor over a backend of the test's choice, with the real micro-batcher between them."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from batchproof_server.backends.affine import kind as affine
from batchproof_server.base.backend import Backend
from batchproof_server.base.clock import Clock, MonotonicClock
from batchproof_server.base.output import RAW_OUTPUT, OutputSettings
from batchproof_server.base.signature import Tensors, TensorSpec
from batchproof_server.batching.batcher import Batcher
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.devices.thread import ThreadDevice
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.recipe import Recipe, RecipeSettings, compile_recipe, pillow_plugs
from batchproof_server.models.bundle import Bundle
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.manifest import NO_MANIFEST
from batchproof_server.models.served import ServedModel
from batchproof_server.serving.off_loop import DecodingSettings, OffLoop
from batchproof_server.serving.predictor import Predictor
from batchproof_server.serving.request import Prediction, PredictRequest, RequestLimits
from batchproof_server.tta.choice import TtaRequest
from batchproof_server.tta.expansion import Expansion
from support.fakes import Recorder

NO_HURRY_S = 1e9
SMALL = BatchingSettings(buckets_rows=(2, 4), max_queued_rows=16)


def recipe_for(*row_shape: int | None, dtype: str = "float32") -> Recipe:
    """The recipe that takes pictures of this size, or of any where it is None, as they are."""
    image = TensorSpec("x", np.dtype(dtype), row_shape)
    return compile_recipe(RecipeSettings(), image, pillow_plugs(), ImageLimits())


class Asking(Predictor):
    """A predictor that is asked without a service."""

    async def predict_images(
        self,
        model: ServedModel,
        images: Sequence[bytes],
        deadline_s: float,
        request_id: str = "",
        *,
        tta: TtaRequest | None = None,
    ) -> Prediction:
        """Answers encoded pictures."""
        plan = model.plan(tta)
        names_views = tta is not None or not plan.is_plain
        return await self.predict(
            PredictRequest(
                model,
                deadline_s,
                images=images,
                plan=plan,
                names_views=names_views,
                request_id=request_id,
            )
        )

    async def predict_tensors(
        self, model: ServedModel, tensors: Tensors, deadline_s: float, request_id: str = ""
    ) -> Prediction:
        """Answers input tensors."""
        return await self.predict(
            PredictRequest(model, deadline_s, tensors=tensors, request_id=request_id)
        )


@dataclass
class EngineBench:
    """A predictor, one model, and what they tell."""

    model: ServedModel
    engine: Asking
    decoding: OffLoop
    recorder: Recorder = field(default_factory=Recorder)

    @property
    def waiting_rows(self) -> int:
        """Rows in the queue."""
        return self.model.batcher._queue.waiting_rows


@contextmanager
def engine_bench(  # noqa: PLR0913 - each may be replaced
    backend: Backend,
    *,
    batching: BatchingSettings = SMALL,
    output: OutputSettings = RAW_OUTPUT,
    recipe: Any = None,
    clock: Clock | None = None,
    device: Executor | None = None,
    decoding: DecodingSettings | None = None,
) -> Iterator[EngineBench]:
    """Everything between a request and the backend; closed at the end."""
    clock, recorder = clock or MonotonicClock(), Recorder()
    thread = device or ThreadPoolExecutor(1)
    made = ThreadDevice(backend, lambda: thread, clock)
    expansion = None if recipe is None else Expansion.of(recipe)
    bundle = Bundle("model", 1, affine.KIND, Path(), NO_MANIFEST, (), "digest")
    loaded = LoadedModel(bundle, backend, batching, output, expansion)
    batcher = Batcher(
        "model", 1, backend.signature, batching, device=made, clock=clock, observer=recorder
    )
    model = ServedModel(loaded, batcher, made, batching.max_queued_rows, batching.max_queued_rows)
    decodes = OffLoop(decoding or DecodingSettings(), clock, recorder)
    engine = Asking(RequestLimits(), decodes, clock, recorder)
    try:
        yield EngineBench(model, engine, decodes, recorder)
    finally:
        decodes.close()
        model.close()
