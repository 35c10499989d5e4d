"""What counts as a broken promise, and the document."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from batchproof_server.base.scores import score
from batchproof_server.offline.evaluation.answers import (
    NEAR_TIE,
    SingleAnswer,
    empty_tally,
    reference,
    single_tally,
)
from batchproof_server.offline.evaluation.result import compare, path_result
from unit.offline.evaluation.results import different, evaluation, path

SCHEMA: Any = json.loads(
    (Path(__file__).resolve().parents[4] / "docs/schemas/evaluation.schema.json").read_text()
)
LOGITS = np.array([[2, 1, 0], [0, 2, 1], [1, 1.00001, 0], [0, 1, 2]], np.float32)
TRUTH = np.array([0, 1, 0, 0])


def single(logits: Any = LOGITS, bucket_rows: int = 2) -> Any:
    scores = score(logits, "logits")
    return reference(
        [
            SingleAnswer(int(row.argmax()), row, logit, bucket_rows)
            for row, logit in zip(scores.probabilities, logits, strict=True)
        ]
    )


def together(logits: Any, bucket_rows: int, *classes: tuple[int, ...]) -> Any:
    tally = empty_tally(len(logits))
    tally.add(np.arange(len(logits)), score(logits, "logits"), bucket_rows, TRUTH, single())
    return compare(tally, single(), classes)


def test_the_same_answers_have_no_difference_and_the_figures_of_the_single_ones() -> None:
    assert together(LOGITS, 2) == different(must_agree_pictures=4)
    known = single()
    figures = path_result("single", 1, single_tally(known, TRUTH), None)
    assert (figures.right, figures.accuracy, figures.buckets_rows) == (2, 0.5, (2,))
    own = np.array([known.probabilities[row, true] for row, true in enumerate(TRUTH)], float)
    assert figures.nll == pytest.approx(-np.log(own).mean())


def test_a_bit_in_the_logits_counts_even_when_the_probabilities_are_the_same() -> None:
    shifted = LOGITS + np.array([[64], [0], [0], [0]], np.float32)
    found = together(shifted, 2)
    assert (found.bits_pictures, found.broken_pictures, found.top1_pictures) == (1, 1, 0)
    assert found.greatest == 0


def test_bits_must_agree_within_a_bucket_and_within_a_class_of_buckets() -> None:
    other = LOGITS + np.float32(1e-5) * np.arange(3, dtype=np.float32)
    assert together(other, 2).broken_pictures == 4
    assert together(other, 8, (2, 8)).broken_pictures == 4
    assert together(other, 8, (2,), (8,)).broken_pictures == 0
    assert together(other, 8, (2,), (8,)).must_agree_pictures == 0
    assert together(other, 8).bits_pictures == 4


def test_a_near_tie_is_told_from_another_class() -> None:
    changed = LOGITS.copy()
    changed[2] = [1.00001, 1, 0]
    changed[3] = [0, 2, 1]
    found = together(changed, 8)
    assert (found.top1_pictures, found.near_ties) == (2, 1)
    assert found.greatest > NEAR_TIE


def test_other_bits_in_company_break_the_promise_and_so_does_another_class() -> None:
    assert evaluation(path("in_process")).agrees
    broken = evaluation(
        path("in_process", different(bits_pictures=3, broken_pictures=3, greatest=0.25))
    )
    assert broken.failures == (
        "in process, 8 together: 3 of 100 pictures get other bits than alone, by up to 0.25",
    )
    changed = evaluation(path("in_process", different(top1_pictures=2, near_ties=2)))
    assert changed.failures == ("in process, 8 together: 2 pictures get another class than alone",)


def test_bits_that_differ_where_the_certificate_allows_it_break_nothing() -> None:
    tolerated = different(bits_pictures=100, must_agree_pictures=0, greatest=1e-7)
    assert evaluation(path("in_process", tolerated)).agrees


def test_keras_may_round_otherwise_but_not_mean_another_class() -> None:
    rounded = different(bits_pictures=90, must_agree_pictures=0, top1_pictures=1, near_ties=1)
    assert evaluation(path("keras_predict", rounded)).agrees
    meant = different(bits_pictures=90, must_agree_pictures=0, top1_pictures=3, near_ties=1)
    assert evaluation(path("keras_predict", meant)).failures == (
        "Keras predict, 8 together: 2 pictures get another class than alone",
    )


def test_the_document_fits_the_published_schema_and_counts_every_picture() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    document = json.loads(evaluation(path("in_process"), path("keras_predict")).to_json())
    jsonschema.validate(document, SCHEMA, jsonschema.Draft202012Validator)
    assert document["verdict"] == "same"
    assert sum(cell["pictures"] for cell in document["confusion"]) == 100
    assert sum(each["pictures"] for each in document["reliability"]) == 100


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document.pop("verdict"),
        lambda document: document.update(extra=1),
        lambda document: document["paths"].clear(),
        lambda document: document["paths"][0].update(accuracy=1.5),
        lambda document: document["subject"].pop("labels"),
        lambda document: document["reliability"].pop(),
    ],
)
def test_the_schema_refuses_what_is_no_evaluation(spoil: Callable[[Any], object]) -> None:
    document = json.loads(evaluation(path("in_process")).to_json())
    spoil(document)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA, jsonschema.Draft202012Validator)
