import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.tta.weights import FittedWeights, fitted_policy_digest, parse_weights

VIEWS = ("identity", "hflip")


def values(**changes: Any) -> dict[str, Any]:
    return {
        "format": 1,
        "model_digest": "m" * 64,
        "recipe_digest": "r" * 64,
        "policy": "flip",
        "policy_digest": fitted_policy_digest(VIEWS),
        "views": VIEWS,
        "weights": (0.75, 0.25),
        "method": "expectation maximisation",
        "rows": 100,
        "loss_before_nats": 0.5,
        "loss_after_nats": 0.4,
    } | changes


@given(st.tuples(st.floats(0, 1e6), st.floats(1e-6, 1e6)), st.integers(0, 10**6))
def test_weights_that_are_written_read_back_the_same(
    weights: tuple[float, float], rows: int
) -> None:
    fitted = FittedWeights(**values(weights=weights, rows=rows))
    again = parse_weights(fitted.to_json())
    assert again == fitted
    assert again.digest == fitted.digest


def test_other_weights_have_another_digest() -> None:
    one, other = FittedWeights(**values()), FittedWeights(**values(weights=(0.5, 0.5)))
    assert one.digest != other.digest
    assert one.policy_digest == other.policy_digest


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"weights": (1.0,)}, "1 weight(s) for 2 view(s)"),
        ({"weights": (1.0, -0.1)}, "the weights must be 0 or above, finite, and not all 0"),
        ({"weights": (0.0, 0.0)}, "not all 0"),
        ({"views": ("identity", "rotate(5.0)")}, "views: not in canonical form"),
        ({"views": ("identity", "flop")}, 'unknown view "flop"'),
        ({"policy_digest": "0" * 64}, "policy_digest is 000000000000, the views have"),
        ({"format": 2}, "format: unknown 2, one of 1"),
        ({"speed": 1}, "speed: unknown key"),
    ],
)
def test_a_file_with_a_fault_is_told_which(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        parse_weights(json.dumps(values(**changes)))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"weights": [NaN]}', "[" * 100_000, "null"])
def test_what_is_no_weights_file_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_weights(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "it is nested too deep"),
        ('{"weights": ' + "9" * 5_000 + "}", "a number has too many digits"),
    ],
)
def test_what_the_parser_gives_up_on_is_said_in_plain_words(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}$"):
        parse_weights(text)
