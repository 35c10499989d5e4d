"""The rows that are tried: the same everywhere, and of every kind."""

import numpy as np
import pytest

from batchproof_server.base.signature import Signature
from batchproof_server.proof.probing.rows import (
    ANY_SIZE,
    MAX_SAMPLES,
    PROBE_ROWS,
    count_kinds,
    poison_rows,
    probe_rows,
    rows_digest,
)
from support.fakes import spec

FLOATS = Signature((spec("x", 4, 4, dtype="float32"),), (spec("y", 1),))


@pytest.mark.parametrize(
    "dtype",
    [
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64"),
    ],
)
def test_every_row_fits_the_signature_and_is_finite(dtype: str) -> None:
    signature = Signature((spec("x", 4, 4, dtype=dtype),), ())
    for row in probe_rows(signature):
        assert signature.inputs[0].admits(row.tensors["x"][np.newaxis])
        assert np.isfinite(row.tensors["x"]).all()


def test_the_rows_are_the_same_on_every_machine() -> None:
    rows = probe_rows(FLOATS)
    assert rows_digest(rows) == rows_digest(probe_rows(FLOATS))
    # Logarithms and powers may differ in the last bit between processors; these rows use none.
    uniform = rows[:3]
    assert rows_digest(uniform) == (
        "8e780a731c9de3908700c124ea8a08d382cfc60d2251aacd6cb9a40bfd78894a"
    )


def test_rows_are_different_and_of_every_kind() -> None:
    rows = probe_rows(FLOATS)
    assert len({row.tensors["x"].tobytes() for row in rows}) == PROBE_ROWS
    assert len({row.name for row in rows}) == PROBE_ROWS
    assert count_kinds(rows) == {"noise": 10, "constant": 3, "extreme": 3, "sample": 0}


def test_noise_has_several_ranges_and_extremes_are_extreme() -> None:
    rows = {row.name: row.tensors["x"] for row in probe_rows(FLOATS)}
    assert (rows["noise in [0, 1]"].min() >= 0) & (rows["noise in [0, 1]"].max() <= 1)
    assert rows["noise in [-1, 1]"].min() < 0
    assert rows["noise in [0, 255]"].max() > 100
    assert np.abs(rows["largest"]).min() == np.finfo(np.float32).max
    tiny = np.abs(rows["subnormal"])
    assert (tiny[tiny > 0] < np.finfo(np.float32).smallest_normal).all()
    magnitudes = np.log10(np.abs(rows["wide magnitudes"]))
    assert magnitudes.max() - magnitudes.min() > 5


def test_samples_take_the_place_of_noise_and_decide_a_size_that_is_free() -> None:
    signature = Signature((spec("x", None, 3, dtype="float32"),), ())
    samples = [(f"{n}.png", np.full((5, 3), n, np.float32)) for n in range(20)]
    rows = probe_rows(signature, samples)
    assert count_kinds(rows) == {"noise": 4, "constant": 3, "extreme": 3, "sample": MAX_SAMPLES}
    assert {row.tensors["x"].shape for row in rows} == {(5, 3)}
    assert {row.tensors["x"].shape for row in probe_rows(signature)} == {(ANY_SIZE, 3)}


def test_a_sample_of_another_size_than_the_first_is_left_out() -> None:
    signature = Signature((spec("x", None, 3, dtype="float32"),), ())
    samples = [("a", np.ones((5, 3), np.float32)), ("b", np.ones((6, 3), np.float32))]
    rows = probe_rows(signature, samples)
    assert [row.name for row in rows if row.kind == "sample"] == ["sample a"]
    assert len(rows) == PROBE_ROWS


def test_several_inputs_are_filled_each_with_its_own_noise() -> None:
    signature = Signature((spec("a", 3, dtype="float32"), spec("b", 3, dtype="float32")), ())
    row = probe_rows(signature, [("no.png", np.ones(3, np.float32))])[0]
    assert set(row.tensors) == {"a", "b"}
    assert row.tensors["a"].tobytes() != row.tensors["b"].tobytes()


def test_poison_is_nan_and_both_infinities_and_whole_numbers_have_none() -> None:
    names = [row.name for row in poison_rows(probe_rows(FLOATS)[0])]
    assert names == ["nan", "inf", "-inf"]
    whole = Signature((spec("x", 3, dtype="uint8"),), ())
    assert poison_rows(probe_rows(whole)[0]) == ()
