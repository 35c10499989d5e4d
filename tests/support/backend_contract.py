"""The contract of ``backends.protocol.Backend``, as tests that every backend runs.

A backend's test module derives from :class:`BackendContract` and gives a fixture ``backend`` that
was loaded for ``BUCKETS_ROWS``, and a fixture ``fresh`` that loads another one.
"""

# ruff: noqa: D102 - a test's name is its sentence

import gc
import weakref
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchproof_server.base.backend import Backend
from batchproof_server.base.signature import Array, Tensors, TensorSpec
from support.even_kernels import skip_where_kernels_are_uneven

BUCKETS_ROWS = (2, 4, 8)
ANY_SIZE = 6  # what a dimension of any size is in these tests

_FIXED_BACKEND = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.differing_executors,
        HealthCheck.too_slow,
    ],
)
_buckets = st.sampled_from(BUCKETS_ROWS)
_seeds = st.integers(0, 2**32 - 1)


def random_rows(backend: Backend, rows: int, seed: int) -> dict[str, Array]:
    """Inputs that fit the signature, the same for the same seed."""
    numbers = np.random.default_rng(seed)
    return {spec.name: _random(spec, rows, numbers) for spec in backend.signature.inputs}


def _random(spec: TensorSpec, rows: int, numbers: np.random.Generator) -> Array:
    shape = (rows, *(size or ANY_SIZE for size in spec.row_shape))
    if spec.dtype.kind == "f":
        return numbers.normal(0, 3, shape).astype(spec.dtype)
    return numbers.integers(0, 100, shape).astype(spec.dtype)


def same_bits(left: Tensors, right: Tensors) -> bool:
    """Whether all outputs agree bit for bit, NaN included."""
    return left.keys() == right.keys() and all(
        left[name].tobytes() == right[name].tobytes() for name in left
    )


def _skip_where_places_round(backend: Backend) -> None:
    if backend.engine.startswith("tensorflow"):
        skip_where_kernels_are_uneven()


def pick(tensors: Tensors, index: list[int]) -> dict[str, Array]:
    """The rows of ``index`` of every tensor."""
    return {name: array[index] for name, array in tensors.items()}


class BackendContract:
    """What holds for every backend."""

    def test_signature_names_every_input_and_output_once(self, backend: Backend) -> None:
        for specs in (backend.signature.inputs, backend.signature.outputs):
            names = [spec.name for spec in specs]
            assert names
            assert all(names)
            assert len(set(names)) == len(names)

    def test_engine_is_a_name_and_a_version(self, backend: Backend) -> None:
        name, version = backend.engine.split(",")[0].split(" ")
        assert name.isalpha()
        assert version[0].isdigit()

    @pytest.mark.parametrize("rows", BUCKETS_ROWS)
    def test_every_bucket_answers_with_every_output_of_the_signature(
        self, backend: Backend, rows: int
    ) -> None:
        outputs = backend.execute(random_rows(backend, rows, 0))
        assert list(outputs) == [spec.name for spec in backend.signature.outputs]
        for spec in backend.signature.outputs:
            assert spec.admits(outputs[spec.name])
            assert outputs[spec.name].shape[0] == rows

    @given(rows=_buckets, seed=_seeds, data=st.data())
    @_FIXED_BACKEND
    def test_a_row_depends_on_itself_whatever_its_neighbours_and_its_position(
        self, backend: Backend, rows: int, seed: int, data: st.DataObject
    ) -> None:
        _skip_where_places_round(backend)
        row = data.draw(st.integers(0, rows - 1))
        position = data.draw(st.integers(0, rows - 1))
        one, other = random_rows(backend, rows, seed), random_rows(backend, rows, seed + 1)
        for name, array in other.items():
            array[position] = one[name][row]
        alone = pick(backend.execute(one), [row])
        assert same_bits(alone, pick(backend.execute(other), [position]))

    @given(rows=_buckets, seed=_seeds)
    @_FIXED_BACKEND
    def test_a_row_padded_with_itself_or_with_zeros_answers_the_same(
        self, backend: Backend, rows: int, seed: int
    ) -> None:
        _skip_where_places_round(backend)
        inputs = random_rows(backend, rows, seed)
        zeros = {name: array.copy() for name, array in inputs.items()}
        for array in zeros.values():
            array[1:] = 0
        repeated = backend.execute(pick(inputs, [0] * rows))
        padded = backend.execute(zeros)
        for row in range(rows):
            assert same_bits(pick(repeated, [row]), pick(padded, [0]))

    @given(rows=_buckets, seed=_seeds, data=st.data())
    @_FIXED_BACKEND
    def test_permuted_rows_give_permuted_answers(
        self, backend: Backend, rows: int, seed: int, data: st.DataObject
    ) -> None:
        _skip_where_places_round(backend)
        order = data.draw(st.permutations(range(rows)))
        inputs = random_rows(backend, rows, seed)
        straight = backend.execute(inputs)
        assert same_bits(pick(straight, order), backend.execute(pick(inputs, order)))

    @pytest.mark.parametrize("rows", BUCKETS_ROWS)
    def test_a_neighbour_of_nan_and_infinity_changes_nothing(
        self, backend: Backend, rows: int
    ) -> None:
        clean = random_rows(backend, rows, 0)
        poisoned = {name: array.copy() for name, array in clean.items()}
        for array in poisoned.values():
            if array.dtype.kind == "f":
                array[1:] = np.nan
                array[-1] = np.inf
        first = pick(backend.execute(clean), [0])
        assert same_bits(first, pick(backend.execute(poisoned), [0]))

    def test_the_same_inputs_give_the_same_answer_whatever_ran_between(
        self, backend: Backend
    ) -> None:
        inputs = random_rows(backend, 4, 0)
        first = backend.execute(inputs)
        for seed, rows in enumerate(BUCKETS_ROWS):
            backend.execute(random_rows(backend, rows, seed))
        assert same_bits(first, backend.execute(inputs))

    def test_the_caller_owns_the_outputs(self, backend: Backend) -> None:
        outputs = backend.execute(random_rows(backend, 2, 0))
        kept = {name: array.copy() for name, array in outputs.items()}
        backend.execute(random_rows(backend, 2, 1))
        assert same_bits(outputs, kept)
        for array in outputs.values():
            array[:] = 0  # a read-only view would raise
        assert same_bits(backend.execute(random_rows(backend, 2, 0)), kept)

    def test_inputs_stay_as_they_were(self, backend: Backend) -> None:
        inputs = random_rows(backend, 2, 0)
        backend.execute(inputs)
        assert same_bits(inputs, random_rows(backend, 2, 0))

    def test_read_only_and_strided_inputs_answer_as_plain_ones(self, backend: Backend) -> None:
        plain = random_rows(backend, 4, 0)
        strided = {name: np.repeat(array, 2, axis=0)[::2] for name, array in plain.items()}
        for array in strided.values():
            array.flags.writeable = False
        assert same_bits(backend.execute(plain), backend.execute(strided))

    @pytest.mark.parametrize("rows", [0, 1, 3, 9])
    def test_a_row_count_that_is_no_bucket_raises(self, backend: Backend, rows: int) -> None:
        with pytest.raises(ValueError, match="rows"):
            backend.execute(random_rows(backend, rows, 0))

    def test_a_missing_an_unknown_and_an_unfit_input_raise(self, backend: Backend) -> None:
        inputs = random_rows(backend, 2, 0)
        name = next(iter(inputs))
        others = {key: array for key, array in inputs.items() if key != name}
        unfit = (
            others,
            {**inputs, "stranger": inputs[name]},
            {**inputs, name: inputs[name].astype(np.float16)},
            {**inputs, name: inputs[name][..., np.newaxis]},
        )
        for tensors in unfit:
            with pytest.raises(ValueError, match="expected"):
                backend.execute(tensors)

    def test_a_closed_backend_is_garbage(self, fresh: Callable[[], Backend]) -> None:
        backend = fresh()
        backend.execute(random_rows(backend, 2, 0))
        backend.close()
        backend.close()  # harmless
        gone = weakref.ref(backend)
        del backend
        gc.collect()
        assert gone() is None
