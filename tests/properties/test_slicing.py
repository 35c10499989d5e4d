"""Law P10: the answer to a row does not depend on how its request was cut."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.backends.affine.source import AffineSettings
from batchproof_server.backends.numpy.engine import AffineBackend
from batchproof_server.base.output import OutputSettings
from batchproof_server.base.signature import Array
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.serving.request import Prediction
from support.engine_bench import NO_HURRY_S, EngineBench, engine_bench

AFFINE = AffineSettings((2, 2), "float32", 3, 1.7, -0.3)
LARGEST = 24


@st.composite
def cut_rows(draw: st.DrawFn) -> tuple[Array, list[Array]]:
    """Rows, and the same rows in parts."""
    count = draw(st.integers(1, LARGEST))
    seed = draw(st.integers(0, 2**32 - 1))
    rows = np.random.default_rng(seed).normal(size=(count, 2, 2)).astype(np.float32)
    cuts = sorted(draw(st.sets(st.integers(1, count - 1))) if count > 1 else [])
    return rows, np.split(rows, cuts)


buckets = st.sets(st.integers(1, 8), min_size=1).map(lambda sizes: tuple(sorted(sizes)))


async def predict(bench: EngineBench, rows: Array) -> Prediction:
    return await bench.engine.predict_tensors(bench.model, {"image": rows}, NO_HURRY_S)


@given(cut_rows(), buckets)
async def test_a_request_equals_the_concatenation_of_its_parts_bit_for_bit(
    cut: tuple[Array, list[Array]], buckets_rows: tuple[int, ...]
) -> None:
    whole, parts = cut
    batching = BatchingSettings(buckets_rows, max_queued_rows=LARGEST)
    with engine_bench(AffineBackend(AFFINE, buckets_rows), batching=batching) as bench:
        together = (await predict(bench, whole)).outputs["scores"]
        apart = [(await predict(bench, part)).outputs["scores"] for part in parts]
    assert together.tobytes() == np.concatenate(apart).tobytes()
    assert bench.waiting_rows == 0


@given(cut_rows(), buckets)
async def test_the_scores_of_a_row_do_not_depend_on_how_its_request_was_cut(
    cut: tuple[Array, list[Array]], buckets_rows: tuple[int, ...]
) -> None:
    whole, parts = cut
    batching = BatchingSettings(buckets_rows, max_queued_rows=LARGEST)
    backend, output = AffineBackend(AFFINE, buckets_rows), OutputSettings("logits", "scores")
    with engine_bench(backend, batching=batching, output=output) as bench:
        together = (await predict(bench, whole)).scores
        apart = [(await predict(bench, part)).scores for part in parts]
    assert together is not None
    for name in ("probabilities", "logits", "entropy", "margin"):
        joined = np.concatenate([getattr(scores, name) for scores in apart])
        assert getattr(together, name).tobytes() == joined.tobytes()


@given(cut_rows())
async def test_the_slices_of_a_request_are_full_but_for_the_last(
    cut: tuple[Array, list[Array]],
) -> None:
    whole, _ = cut
    batching = BatchingSettings((5,), max_queued_rows=LARGEST)
    with engine_bench(AffineBackend(AFFINE, (5,)), batching=batching) as bench:
        rows = [execution.rows for execution in (await predict(bench, whole)).executions]
    assert sum(rows) == len(whole)
    assert all(count == 5 for count in rows[:-1])
