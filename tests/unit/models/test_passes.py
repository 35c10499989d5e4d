"""A bucket is executed in passes of a smaller one where that is quicker, and nobody sees it."""

from collections.abc import Collection
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from batchproof_server.base.backend import Backend, EngineSettings, Looping, Shrinking
from batchproof_server.base.signature import Array, Tensors
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.recipe import pillow_plugs
from batchproof_server.models.discovery import Place
from batchproof_server.models.loading import LoadingPlugs, load_version
from batchproof_server.models.passes import (
    BackendInPasses,
    in_passes,
    passes_rows,
)
from batchproof_server.proof.settings import Consistency, ProofSettings
from support.bundles_on_disk import write_bundle
from support.fakes import ElementwiseBackend, FakeClock
from support.plugs import scripted
from support.proof_backends import Bench, Good

BUCKETS_ROWS = (1, 2, 4, 8)


class ShrinkingBackend(ElementwiseBackend):
    """Knows what it was asked to keep, and has loops."""

    has_loops = True
    kept: tuple[int, ...] = ()

    def keep_buckets(self, buckets_rows: Collection[int]) -> None:
        """Remembers it."""
        self.kept = tuple(buckets_rows)


def rows(count: int) -> Array:
    return np.arange(count * 3, dtype=np.float64).reshape(count, 3)


@pytest.mark.parametrize(
    ("took_s", "passes"),
    [
        ((7.0, 13.6, 28.7, 65.0), {1: 1, 2: 2, 4: 2, 8: 2}),  # two fit the caches, four do not
        ((5.4, 6.0, 9.0, 16.0), {1: 1, 2: 2, 4: 4, 8: 8}),  # more are always cheaper
        ((7.0, 14.1, 28.4, 56.7), {1: 1, 2: 2, 4: 4, 8: 8}),  # level, but for noise
        ((7.0, 14.0, 20.0, 80.0), {1: 1, 2: 2, 4: 4, 8: 4}),
    ],
)
def test_passes_have_the_rows_that_are_the_cheapest_when_they_are_clearly_cheaper(
    took_s: tuple[float, ...], passes: dict[int, int]
) -> None:
    assert passes_rows(BUCKETS_ROWS, took_s) == passes


def test_only_buckets_that_divide_a_bucket_are_its_passes() -> None:
    assert passes_rows((3, 8, 12), (3.0, 100.0, 100.0)) == {3: 3, 8: 8, 12: 3}


def test_a_backend_whose_buckets_are_the_quickest_whole_stays_as_it_is() -> None:
    inner = ShrinkingBackend(3)
    backend, _ = in_passes(inner, (2, 8), FakeClock(), gives_one_answer=True)
    assert backend is inner
    assert inner.kept == (2, 8)


def test_all_rows_are_answered_in_their_order() -> None:
    inner = ElementwiseBackend(3)
    outputs = BackendInPasses(inner, {2: 2, 8: 2}).execute({"x": rows(8)})
    np.testing.assert_array_equal(outputs["y"], 2 * rows(8) + 1)
    assert inner.shapes == [(2, 3)] * 4


def test_a_bucket_that_is_the_quickest_whole_is_executed_whole() -> None:
    inner = ElementwiseBackend(3)
    BackendInPasses(inner, {2: 2, 8: 2}).execute({"x": rows(2)})
    assert inner.shapes == [(2, 3)]


@pytest.mark.parametrize("count", [1, 4, 16])
def test_other_rows_than_those_of_a_bucket_are_refused(count: int) -> None:
    backend = BackendInPasses(ElementwiseBackend(3), {2: 2, 8: 2})
    with pytest.raises(ValueError, match=f"has {count} rows, expected one of the buckets 2, 8"):
        backend.execute({"x": rows(count)})


def test_buckets_that_are_executed_in_passes_are_released() -> None:
    inner = ShrinkingBackend(3)
    backend = BackendInPasses(inner, {1: 1, 2: 2, 8: 2, 16: 16})
    backend.keep_buckets((2, 8))
    assert inner.kept == (2,)
    with pytest.raises(ValueError, match="expected one of the buckets 2, 8"):
        backend.execute({"x": rows(16)})


@pytest.mark.parametrize("inner", [ElementwiseBackend(3), ShrinkingBackend(3)])
def test_it_is_what_it_executes(inner: ElementwiseBackend) -> None:
    backend: Backend = BackendInPasses(inner, {2: 2})
    assert (backend.signature, backend.engine) == (inner.signature, inner.engine)
    assert isinstance(backend, Shrinking)
    assert isinstance(backend, Looping)
    assert backend.has_loops is isinstance(inner, ShrinkingBackend)
    backend.keep_buckets((2,))
    backend.close()
    assert inner.is_closed


class SlowAmongMany(Good):
    """Takes the least for a row among two, and four times that among eight."""

    TOOK_S: ClassVar = {1: 0.03, 2: 0.02, 8: 0.32}

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def execute(self, inputs: Tensors) -> Tensors:
        """Computes while the clock goes on."""
        self._clock.advance(self.TOOK_S[len(inputs["x"])])
        return super().execute(inputs)


class OtherAmongMany(SlowAmongMany):
    """The same, with other last bits among eight."""

    def spoilt(self, answers: Array, inputs: Array) -> Array:
        """Changes them."""
        return np.nextafter(answers, np.float32(0)) if len(inputs) == 8 else answers


@pytest.mark.parametrize(
    ("kind", "consistency", "size"),
    [
        (SlowAmongMany, "strict", 2),
        (SlowAmongMany, "tolerant", 2),
        (OtherAmongMany, "tolerant", 8),
    ],
)
def test_a_version_is_executed_in_passes_only_where_every_bucket_gives_one_answer(
    kind: type[SlowAmongMany],
    consistency: Consistency,
    size: int,
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    inner = kind(clock)
    kinds, engines = scripted(lambda _artefact, _rows, _settings: inner)
    plugs = LoadingPlugs(
        clock=clock,
        kinds=kinds,
        engines=engines,
        imaging=lambda _kind: pillow_plugs(),
        batching=BatchingSettings((2, 8), max_queued_rows=8),
        engine=EngineSettings(),
        image_limits=ImageLimits(),
        prove=Bench(ProofSettings(consistency=consistency)).prover(),
    )
    write_bundle(tmp_path / "b", 'format = 1\n[output]\nkind = "logits"\n')
    loaded = load_version(Place("m", 1, tmp_path / "b"), plugs)
    assert loaded.batching.buckets_rows == (1, 2, 8)
    assert loaded.execution_s == pytest.approx((0.03, 0.02, 0.08 if size == 2 else 0.32))
    del inner.shapes[:]
    loaded.backend.execute({"x": np.zeros((8, 3), np.float32)})
    assert inner.shapes == [(size, 3)] * (8 // size)
