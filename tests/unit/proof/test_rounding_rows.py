"""Buckets that round few rows otherwise are told apart, and the number of rows is the model's."""

from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchproof_server.base.signature import Array, Signature
from batchproof_server.proof.certificate.certificate import AnswersDigest
from batchproof_server.proof.certificate.document import parse_certificate
from batchproof_server.proof.probing.rounding_rows import (
    INPUT_NUMBERS,
    MAX_ROWS,
    MIN_ROWS,
    rounding_rows,
)
from batchproof_server.proof.probing.rows import (
    PROBE_ROWS,
    ProbeRow,
    count_kinds,
    probe_rows,
    rows_digest,
)
from support.fakes import spec
from support.proof_backends import (
    BUCKETS,
    Bench,
    Good,
    Picky,
    RarelyOtherwise,
    candidate,
    rule_ids,
)

ONE_NUMBER: Final = Signature((spec("x", 4, 4),), (spec("y", 1),))


def rows_of(signature: Signature, *samples: tuple[str, Array]) -> tuple[ProbeRow, ...]:
    return rounding_rows(signature, probe_rows(signature, samples))


@pytest.mark.parametrize(
    ("input_shape", "answer_shape", "rows"),
    [
        ((28, 28, 1), (1,), MAX_ROWS),
        ((32, 32, 3), (10,), 52),
        ((32, 32, 3), (1_000,), MIN_ROWS),
        ((224, 224, 3), (1_000,), MIN_ROWS),
        ((224, 224, 3), (1,), INPUT_NUMBERS // (224 * 224 * 3)),
        ((2_000, 2_000, 3), (1,), MIN_ROWS),
        ((32, 32, 3), (), MAX_ROWS),
        ((32, 32, 3), (None, 4), 128),
    ],
)
def test_the_fewer_numbers_answer_a_row_the_more_rows_there_are(
    input_shape: tuple[int, ...], answer_shape: tuple[int | None, ...], rows: int
) -> None:
    signature = Signature((spec("x", *input_shape, dtype="uint8"),), (spec("y", *answer_shape),))
    assert len(rows_of(signature)) == rows


def test_the_rows_are_the_same_for_the_same_model_and_differ_from_each_other() -> None:
    rows = rows_of(ONE_NUMBER)
    assert rows_digest(rows) == rows_digest(rows_of(ONE_NUMBER))
    assert len({row.tensors["x"].tobytes() for row in rows}) == MAX_ROWS
    assert len({row.name for row in rows}) == MAX_ROWS
    assert count_kinds(rows)["rounding"] == MAX_ROWS


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int32", "float16", "float32"])
def test_samples_are_varied_and_stay_pictures(dtype: str) -> None:
    signature = Signature((spec("x", 6, 6, dtype=dtype),), (spec("y", 1),))
    sample = np.arange(36).reshape(6, 6).astype(dtype)
    rows = [row for row in rows_of(signature, ("a.png", sample)) if "a.png" in row.name]
    assert len(rows) == pytest.approx(MAX_ROWS / 5, abs=5)
    for row in rows:
        varied = row.tensors["x"]
        assert signature.inputs[0].admits(varied[np.newaxis])
        assert np.abs(varied.astype(float) - sample.astype(float)).max() < 5
    if np.dtype(dtype).kind == "f":
        assert len({row.tensors["x"].tobytes() for row in rows}) == len(rows)


@settings(max_examples=30)
@given(odd=st.sets(st.sampled_from(BUCKETS)), share=st.floats(0.03, 0.9))
def test_buckets_are_in_one_class_only_where_they_round_alike(odd: set[int], share: float) -> None:
    certificate = Bench().prove(candidate(RarelyOtherwise(*odd, share=share)))
    even = tuple(bucket for bucket in BUCKETS if bucket not in odd)
    # One row by itself rounds as the even buckets do, and is served with them where they reach
    # further with it than the others.
    reach = max(odd) // min(odd) if odd else 0
    alone = (1, *even) if even and max(even) >= reach else even
    assert set(certificate.measured.classes) == {alone, tuple(sorted(odd))} - {()}
    assert certificate.verdict == "proven"
    assert parse_certificate(certificate.to_json()).certificate == certificate


def test_the_difference_of_a_last_bit_is_said() -> None:
    certificate = Bench().prove(candidate(RarelyOtherwise(4)))
    assert certificate.measured.served_buckets_rows == (1, 2, 8)
    assert certificate.measured.greatest_difference
    (note,) = certificate.findings
    assert note.rule_id == "BP508"
    assert "1, 2, 8 | 4" in note.detail


def test_a_bucket_that_rounds_few_rows_by_their_place_is_left_out() -> None:
    certificate = Bench().prove(candidate(RarelyOtherwise(4, everywhere=False, share=0.2)))
    assert certificate.verdict == "proven"
    assert certificate.measured.served_buckets_rows == (1, 2, 8)
    assert rule_ids(certificate) == {"BP503"}


def test_a_model_whose_every_bucket_rounds_by_place_is_refused() -> None:
    backend = RarelyOtherwise(*BUCKETS, everywhere=False, share=0.2)
    certificate = Bench().prove(candidate(backend))
    assert certificate.verdict == "unproven"
    assert rule_ids(certificate) == {"BP503"}


def test_rows_that_the_model_refuses_are_left_out_and_named() -> None:
    def is_bright(batch: Array) -> bool:
        ordinary = np.abs(batch) < 1e6
        return bool((ordinary & (np.abs(batch - 200) < 40)).any())

    certificate = Bench().prove(candidate(Picky(is_bright)))
    refused = [row for row in certificate.measured.refused_rows if "rounding row" in row]
    assert 0 < len(refused) < MAX_ROWS
    assert all("[0, 255]" in row for row in refused)
    assert "BP506" not in rule_ids(certificate)


def test_a_bucket_that_fails_on_rows_which_another_answers_is_named() -> None:
    calls = 0

    def late(batch: Array) -> bool:
        nonlocal calls
        calls += len(batch) == BUCKETS[1]
        return calls > 20

    certificate = Bench().prove(candidate(Picky(late)))
    assert certificate.verdict == "unproven"
    assert "bucket 4" in {finding.where for finding in certificate.findings}


def test_a_start_executes_the_few_rows_and_a_certificate_binds_both() -> None:
    certificate = Bench().prove(candidate(Good()))
    assert certificate.subject.probe_rows["rounding"] == 171
    first, *others = certificate.measured.answers
    assert first.rounding_digest != first.digest
    assert {AnswersDigest(0, each.digest, each.rounding_digest) for each in others} == {
        AnswersDigest(0, first.digest, first.rounding_digest)
    }
    assert certificate.measured.executions["rounding"] == 2 * sum(
        -(-171 // bucket) for bucket in BUCKETS
    )
    assert sum(certificate.subject.probe_rows.values()) == PROBE_ROWS + 171
