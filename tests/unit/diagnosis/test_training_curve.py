import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.base.validation import InvalidSettings
from batchproof_server.diagnosis.training_curve import (
    TrainingCurve,
    parse_training_curve,
    training_curve_json,
)

FIGURES = st.dictionaries(st.text(), st.none() | st.floats(allow_nan=False, allow_infinity=False))


def curve(*values: float | None, kept: int = 1) -> TrainingCurve:
    return TrainingCurve(1, "val_loss", "lowest", kept, tuple({"val_loss": v} for v in values))


@given(epochs=st.lists(FIGURES, min_size=1, max_size=5), value=st.floats(-1e9, 1e9))
def test_what_is_written_is_read_again(epochs: list[dict[str, float | None]], value: float) -> None:
    epochs[0]["val_loss"] = value
    written = TrainingCurve(1, "val_loss", "lowest", 1, tuple(epochs))

    assert parse_training_curve(training_curve_json(written)) == written


@pytest.mark.parametrize(
    ("curve", "end"),
    [
        (curve(0.5, 0.25, kept=2), "Epoch 2 of 2 was kept, with the lowest val_loss (0.25); it"),
        (curve(0.25, 0.5), "Epoch 1 of 2 was kept, with the lowest val_loss (0.25); at the last"),
        (curve(0.25, None), "(0.25); at the last it was not finite."),
    ],
)
def test_the_summary_says_what_was_kept_and_how_it_went_on(curve: TrainingCurve, end: str) -> None:
    assert end in curve.summary


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"kept": 3}, "kept: 3, expected 1 to 2"),
        ({"kept": 0}, "kept: 0, expected 1 to 2"),
        ({"monitor": "auc"}, 'epoch 1 has no finite "auc"'),
        ({"epochs": [{"val_loss": None}]}, "epoch 1 has no finite"),
        ({"epochs": [{str(each): 1.0 for each in range(1001)}]}, "expected 1000 figures or fewer"),
        ({"format": 2}, "format: unknown 2"),
        ({"best": "nicest"}, 'best: unknown "nicest"'),
        ({"more": 1}, "more: unknown key"),
    ],
)
def test_every_fault_of_a_file_is_named(changed: dict[str, Any], fault: str) -> None:
    values = json.loads(training_curve_json(curve(0.5, 0.25)))

    with pytest.raises(InvalidSettings, match=fault):
        parse_training_curve(json.dumps(values | changed))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"kept": NaN}', "[" * 100_000])
def test_what_is_no_curve_at_all_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettings):
        parse_training_curve(text)
