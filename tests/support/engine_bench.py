"""An engine over a backend of the test's choice, with the real micro-batcher between them."""

from collections.abc import Iterator
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
from batchproof_server.base.signature import TensorSpec
from batchproof_server.batching.batcher import Batcher
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.recipe import Recipe, RecipeSettings, compile_recipe, pillow_plugs
from batchproof_server.models.bundle import Bundle
from batchproof_server.models.loading import LoadedModel
from batchproof_server.models.manifest import NO_MANIFEST
from batchproof_server.models.served import ServedModel
from batchproof_server.serving.decode_pool import Decoding, DecodingSettings
from batchproof_server.serving.predictor import Engine, RequestLimits
from batchproof_server.tta.expansion import Expansion
from support.fakes import Recorder

NO_HURRY_S = 1e9
SMALL = BatchingSettings(buckets_rows=(2, 4), max_queued_rows=16)


def recipe_for(*row_shape: int | None, dtype: str = "float32") -> Recipe:
    """The recipe that takes pictures of this size, or of any where it is None, as they are."""
    image = TensorSpec("x", np.dtype(dtype), row_shape)
    return compile_recipe(RecipeSettings(), image, pillow_plugs(), ImageLimits())


@dataclass
class EngineBench:
    """An engine, one model, and what they tell."""

    model: ServedModel
    engine: Engine
    decoding: Decoding
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
    device = device or ThreadPoolExecutor(1)
    expansion = None if recipe is None else Expansion.of(recipe)
    bundle = Bundle("model", 1, affine.KIND, Path(), NO_MANIFEST, (), "digest")
    loaded = LoadedModel(bundle, backend, batching, output, expansion)
    batcher = Batcher("model", 1, backend, batching, clock=clock, device=device, observer=recorder)
    model = ServedModel(loaded, batcher, device, batching.max_queued_rows, batching.max_queued_rows)
    decodes = Decoding(decoding or DecodingSettings(), clock, recorder)
    engine = Engine(RequestLimits(), decodes, clock, recorder)
    try:
        yield EngineBench(model, engine, decodes, recorder)
    finally:
        decodes.close()
        model.close()
