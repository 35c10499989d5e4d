"""Lines of a log of predictions, hostile ones among them."""

import json
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.drift.signals import NO_LABEL
from batchproof_server.offline.prediction_log.lines import (
    InvalidLine,
    LoggedAnswer,
    LoggedModel,
    parse_line,
)
from support.drift_fixtures import profile

PROFILE: Final = profile()
MODEL: Final = LoggedModel("shoes", 3, PROFILE)
LABELS: Final = replace(
    PROFILE,
    classes=(*PROFILE.classes[:2], replace(PROFILE.classes[2], label=NO_LABEL)),
    is_multi_label=True,
)
PREDICTED: Final[dict[str, Any]] = {
    "picture": "one.png",
    "request_id": "ab",
    "classes": [{"index": 1, "label": "class 1", "score": 0.75}],
    "entropy": 0.5,
    "margin": 0.5,
    "handle": "",
    "labels": [],
    "probabilities": [0.125, 0.75, 0.125],
    "logits": [0.0, 2.0, 0.0],
    "provenance": {
        "model": "shoes",
        "version": 3,
        "model_digest": PROFILE.model_digest,
        "recipe_digest": PROFILE.recipe_digest,
    },
}
CAPTURED: Final[dict[str, Any]] = {
    "id": "1-2",
    "model": "shoes",
    "version": 3,
    "answer": {"class": 2, "label": "class 2", "confidence": 0.9, "best": []},
    "signals": {"confidence": 0.9, "entropy": 0.25, "brightness": 0.5, "of_tomorrow": 1},
    "sample": "random",
}


def line(said: Any) -> bytes:
    return json.dumps(said).encode()


def answer(said: Any, model: LoggedModel = MODEL) -> LoggedAnswer:
    found = parse_line(line(said), model)
    assert isinstance(found, LoggedAnswer)
    return found


def test_an_answer_of_the_client_has_its_class_entropy_and_scores() -> None:
    found = answer(PREDICTED)
    assert (found.answered, dict(found.values)) == (1, {"entropy": 0.5})
    assert found.probabilities is not None
    assert found.probabilities.tolist() == [0.125, 0.75, 0.125]
    assert found.logits is not None
    assert found.logits.tolist() == [0, 2, 0]


def test_an_answer_needs_neither_scores_nor_a_word_of_who_gave_it() -> None:
    few = {key: PREDICTED[key] for key in ("classes", "entropy")}
    found = answer(few)
    assert (found.answered, found.probabilities, found.logits) == (1, None, None)


def test_a_captured_row_has_the_signals_that_drift_knows() -> None:
    found = answer(CAPTURED)
    assert found.answered == 2
    assert found.values == {"confidence": 0.9, "entropy": 0.25, "brightness": 0.5}


def test_the_answer_of_independent_labels_is_the_best_of_them_or_none() -> None:
    model = LoggedModel("shoes", 3, LABELS)
    said = PREDICTED | {"probabilities": [0.9, 0.6], "logits": None}
    found = answer(said | {"labels": [{"index": 1, "label": "class 1", "score": 0.9}]}, model)
    assert found.answered == 1
    assert found.chosen is not None
    assert found.chosen.tolist() == [False, True]
    assert found.values == {"entropy": 0.5, "margin": 0.5, "labels": 1}
    assert answer(said, model).answered == 2
    nothing = CAPTURED | {"answer": {"class": 2, "label": "2"}}
    assert answer(nothing, model).answered == 2


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"picture": "x", "error": {"message": "late"}}, "no answer"),
        (PREDICTED | {"classes": [], "entropy": None}, "not finite"),
        (CAPTURED | {"answer": {"class": None}}, "not finite"),
        (CAPTURED | {"sample": "suspicious"}, "suspicious sample"),
    ],
)
def test_what_is_no_observation_is_left_out(said: Any, reason: str) -> None:
    assert parse_line(line(said), MODEL) == reason


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ([1, 2], "it is a list, expected an object"),
        ({}, "it has nothing; expected `classes` as `batchproof predict --json`"),
        ({"foo": 1}, "it has foo; expected `classes`"),
        (PREDICTED | {"classes": []}, "it was asked with top_k 0"),
        (PREDICTED | {"classes": {}}, "classes is a dict, expected a list"),
        (PREDICTED | {"classes": [7]}, "a class is a int, expected an object"),
        (PREDICTED | {"classes": [{"index": 3}]}, "the class is 3, expected a whole number from 0"),
        (PREDICTED | {"classes": [{"index": -1}]}, "the class is -1"),
        (PREDICTED | {"classes": [{"index": True}]}, "the class is True"),
        (PREDICTED | {"classes": [{"index": 1.0}]}, "the class is 1.0"),
        (
            PREDICTED | {"classes": [{"index": 1, "label": "boot"}]},
            'class 1 is called "boot", in the profile "class 1"',
        ),
        (PREDICTED | {"entropy": "high"}, "entropy is a str, expected a number"),
        (PREDICTED | {"entropy": -1}, "entropy is -1, expected 0 to inf"),
        (PREDICTED | {"entropy": 10**400}, "entropy is inf"),
        (PREDICTED | {"probabilities": [1.0]}, "1 probabilities, expected 3, one for each class"),
        (PREDICTED | {"probabilities": [0.5, 0.5, 0.5]}, "the sum of the probabilities is 1.5"),
        (PREDICTED | {"probabilities": [-0.5, 1, 0.5]}, "probabilities are not all from 0 to 1"),
        (PREDICTED | {"probabilities": [None, 1, 0]}, "probabilities[0] is a NoneType"),
        (PREDICTED | {"provenance": 3}, "provenance is a int"),
        (
            PREDICTED | {"provenance": {"model_digest": "ff" * 32}},
            "model_digest is ffffffffffff..., the profile's is aaaaaaaaaaaa",
        ),
        (CAPTURED | {"version": 2}, "it is of shoes version 2, expected shoes version 3"),
        (CAPTURED | {"signals": None}, "answer and signals are not both objects"),
        (CAPTURED | {"signals": {"confidence": 1.5}}, "signals.confidence is 1.5, expected 0 to 1"),
        (CAPTURED | {"signals": {"energy": "low"}}, "signals.energy is a str"),
    ],
)
def test_a_faulty_line_is_told_what_came_and_what_was_expected(said: Any, fault: str) -> None:
    with pytest.raises(InvalidLine) as refused:
        parse_line(line(said), MODEL)
    assert fault in str(refused.value)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"\xff{}", "it is no UTF-8 text at byte 0"),
        (b"{", "it is no JSON"),
        (b'{"entropy": NaN}', "NaN is no number of JSON"),
        (b'{"entropy": 1' + b"0" * 5000 + b"}", "a number has too many digits"),
        (b"[" * 100_000, "it is no JSON: it is nested too deep"),
    ],
)
def test_what_is_no_json_is_told(text: bytes, fault: str) -> None:
    with pytest.raises(InvalidLine) as refused:
        parse_line(text, MODEL)
    assert fault in str(refused.value)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@pytest.mark.parametrize("whole", [PREDICTED, CAPTURED])
@pytest.mark.parametrize("shape", [PROFILE, LABELS])
@given(data=st.data())
def test_whatever_stands_in_a_line_it_is_used_left_out_or_refused(
    whole: dict[str, Any], shape: Any, data: st.DataObject
) -> None:
    said = dict(whole)
    for key in data.draw(st.lists(st.sampled_from(sorted(whole)), max_size=3)):
        said[key] = data.draw(ANYTHING)
    try:
        found = parse_line(line(said), LoggedModel("shoes", 3, shape))
    except InvalidLine as refused:
        assert str(refused)  # noqa: PT017 - both ways out are right
        return
    if isinstance(found, LoggedAnswer):
        assert 0 <= found.answered < len(shape.classes)
        assert np.isfinite(list(found.values.values())).all()


@given(st.binary(max_size=40))
def test_whatever_bytes_come_they_are_refused_or_read(text: bytes) -> None:
    try:
        parse_line(text, MODEL)
    except InvalidLine as refused:
        assert str(refused)  # noqa: PT017 - both ways out are right
