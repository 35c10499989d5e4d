"""The outputs that callers of other protocols may ask for by name."""

import numpy as np
import pytest

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.output import OutputSettings
from batchproof_server.base.signature import Array, Signature, Tensors
from batchproof_server.rpc.named_outputs import (
    check_classifiable,
    classified,
    known_outputs,
    output,
    own_outputs,
)
from support.engine_bench import NO_HURRY_S, engine_bench
from support.fakes import ElementwiseBackend, spec


class NamedBackend(ElementwiseBackend):
    """Gives the input under any names.

    Args:
        names: of the outputs.
    """

    def __init__(self, *names: str) -> None:
        super().__init__(3)
        self._signature = Signature((spec("x", 3),), tuple(spec(name, 3) for name in names))

    def execute(self, inputs: Tensors) -> Tensors:
        """Gives the input."""
        return {each.name: inputs["x"].copy() for each in self._signature.outputs}


ROWS = np.array([[0.0, 2.0, 1.0], [5.0, 5.0, 4.0]])
LOGITS = OutputSettings("logits", "y")


async def test_a_model_with_scores_has_three_outputs_more_and_a_raw_one_has_not() -> None:
    with engine_bench(NamedBackend("y"), output=LOGITS) as bench:
        assert own_outputs(bench.model) == ("y",)
        assert known_outputs(bench.model) == ("y", "probabilities", "label", "handle")
    with engine_bench(NamedBackend("y")) as bench:
        assert known_outputs(bench.model) == ("y",)


async def test_a_models_own_output_goes_before_an_extra_of_the_same_name() -> None:
    with engine_bench(NamedBackend("y", "label"), output=LOGITS) as bench:
        assert known_outputs(bench.model) == ("y", "label", "probabilities", "handle")
        answer = await bench.engine.predict_tensors(bench.model, {"x": ROWS}, NO_HURRY_S)
    np.testing.assert_array_equal(output(answer, "label"), ROWS)


async def test_labels_are_the_best_classes_and_ties_go_to_the_lower_index() -> None:
    with engine_bench(NamedBackend("y"), output=LOGITS) as bench:
        answer = await bench.engine.predict_tensors(bench.model, {"x": ROWS}, NO_HURRY_S)
    assert output(answer, "label").tolist() == [[b"1"], [b"0"]]
    assert output(answer, "label", 9).tolist() == [[b"1", b"2", b"0"], [b"0", b"1", b"2"]]
    assert answer.scores is not None
    assert output(answer, "probabilities") is answer.scores.probabilities


async def test_classes_are_the_best_values_of_any_output_of_numbers() -> None:
    with engine_bench(NamedBackend("y", "z"), output=LOGITS) as bench:
        check_classifiable(bench.model, "z", 2)
        answer = await bench.engine.predict_tensors(bench.model, {"x": ROWS}, NO_HURRY_S)
    best: Array = classified(answer, "z", 2)
    assert best.tolist() == [[b"2.000000:1", b"1.000000:2"], [b"5.000000:0", b"5.000000:1"]]


@pytest.mark.parametrize(
    ("name", "top_k", "sentence"),
    [
        ("y", 0, 'output "y": classification is 0, expected 1 or more'),
        ("label", 1, 'output "label" cannot be classified'),
        ("image", 1, 'output "image" cannot be classified'),
    ],
)
async def test_what_has_no_classes_cannot_be_classified(
    name: str, top_k: int, sentence: str
) -> None:
    backend = NamedBackend("y")
    backend._signature = Signature(backend._signature.inputs, (spec("y", 3), spec("image", 2, 2)))
    with (
        engine_bench(backend, output=LOGITS) as bench,
        pytest.raises(InvalidInput, match=sentence.replace("(", r"\(")),
    ):
        check_classifiable(bench.model, name, top_k)
