"""Two engines may differ in what rounding explains, and not in what is answered."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.base.output import OutputSettings
from batchproof_server.base.output_forms import FORMS
from batchproof_server.base.signature import Array, Tensors
from batchproof_server.proof.probing.parity import SeenParity, compare_engines
from batchproof_server.proof.probing.probes import ProbeReport
from batchproof_server.proof.probing.rows import ProbeRow
from support.fakes import ElementwiseBackend

ROUNDING = 1e-6
STEP = 2.0**-10
"""From row to row: all are of one size."""
EXACTLY_ON_IT = {
    "binary_logit": [0.0],
    "binary_probability": [0.5],
    "multilabel_logits": [0.0, 0.0, 1.0],
    "multilabel_probabilities": [0.5, 0.5, 1.0],
}

DECIDED_BY_THRESHOLD = list(EXACTLY_ON_IT)
EXCLUSIVE = [kind for kind in FORMS if kind not in EXACTLY_ON_IT]


class Looked(ElementwiseBackend):
    """Answers each row with what stands at its number in a table."""

    def __init__(self, answers: Array) -> None:
        super().__init__(1)
        self.answers = answers

    def execute(self, inputs: Tensors) -> Tensors:
        """Looks them up."""
        return {"y": self.answers[(inputs["x"][:, 0] / STEP).astype(np.int64)]}


def compared(theirs: Any, ours: Any, output: OutputSettings, *, coarse: bool = False) -> SeenParity:
    wanted, came = np.asarray(theirs, np.float32), np.asarray(ours, np.float32)
    rows = tuple(
        ProbeRow(f"row {number}", "sample", {"x": np.array([number * STEP], np.float32)})
        for number in range(len(wanted))
    )
    report = ProbeReport(rows, {2: tuple({"y": each} for each in came)}, (), {}, {}, 0, "")
    return compare_engines(Looked(wanted), 2, report, outputs=(output,), coarse=coarse)


def sentences(seen: SeenParity) -> dict[str, str]:
    return {finding.rule_id: finding.sentence for finding in seen.findings}


def many(*rows: Sequence[float]) -> Array:
    """Rows of 200 numbers that begin with these; the others are of a common magnitude."""
    made = np.random.default_rng(0).uniform(0.1, 0.2, (len(rows), 200))
    for place, row in enumerate(rows):
        made[place, : len(row)] = row
    return made


def test_one_logit_on_the_other_side_of_its_threshold_is_another_class() -> None:
    found = sentences(compared([[-2], [3]], [[2], [3]], OutputSettings("binary_logit", "y")))
    assert 'the row "row 0" gets the class 1, and the class 0 from elementwise 1' in found["BP515"]


@pytest.mark.parametrize(("threshold", "broken"), [(0.9, ["BP514", "BP515"]), (0.5, ["BP514"])])
def test_one_probability_is_read_with_the_threshold_of_its_manifest(
    threshold: float, broken: list[str]
) -> None:
    output = OutputSettings("binary_probability", "y", threshold=threshold)
    assert list(sentences(compared([0.85, 0.2], [0.95, 0.2], output))) == broken


def test_one_label_of_many_that_comes_or_goes_is_another_answer() -> None:
    output = OutputSettings("multilabel_probabilities", "y")
    theirs, ours = many([0.6, 0.4], [0.6, 0.1]), many([0.6, 0.7], [0.6, 0.1])
    found = sentences(compared(theirs, ours, output))
    assert list(found) == ["BP515"]
    assert "gets the labels 0, 1, and the labels 0 from" in found["BP515"]
    assert "gets no label, and the labels 0" in str(
        sentences(compared(many([0.6], [0.6]), many([0.3], [0.6]), output))
    )


def test_each_label_has_its_own_threshold() -> None:
    limits = (0.65, *[0.9] * 199)
    output = OutputSettings("multilabel_probabilities", "y", thresholds=limits)
    assert not compared(many([0.6, 0.4], [0.1]), many([0.6, 0.7], [0.1]), output).findings
    assert compared(many([0.6, 0.4], [0.1]), many([0.7, 0.4], [0.1]), output).findings


def test_a_class_that_changes_by_a_rare_jump_is_another_class() -> None:
    output = OutputSettings("logits", "y")
    found = sentences(compared(many([5, 4], [5, 4]), many([5, 9], [5, 4]), output))
    assert list(found) == ["BP515"]


@pytest.mark.parametrize("kind", DECIDED_BY_THRESHOLD)
def test_what_lies_on_a_threshold_may_fall_to_either_side(kind: Any) -> None:
    output = OutputSettings(kind, "y")
    on_it = np.array([EXACTLY_ON_IT[kind]] * 2, np.float32)
    to_one_side, to_the_other = on_it.copy(), on_it.copy()
    to_one_side[:, 0] += ROUNDING
    to_the_other[:, 0] -= ROUNDING
    # What is answered is of the size of 1 here, which a row beside these shows.
    one, other = (np.vstack([each, np.ones_like(each[:1])]) for each in (to_one_side, to_the_other))
    assert not compared(one, other, output).findings
    assert not compared(other, one, output).findings


@pytest.mark.parametrize("kind", EXCLUSIVE)
def test_the_first_of_exclusive_classes_is_the_same_even_in_a_tie(kind: Any) -> None:
    tied = np.array([[0.5, 0.5, 0.0], [0.9, 0.1, 0.0]], np.float32)
    other = tied.copy()
    other[0, 1] += ROUNDING
    assert list(sentences(compared(tied, other, OutputSettings(kind, "y")))) == ["BP515"]


def test_the_numbers_of_a_coarse_model_are_rounded_more_coarsely() -> None:
    output = OutputSettings("binary_logit", "y")
    one, other = [[-0.01], [1]], [[0.01], [1]]
    assert {*sentences(compared(one, other, output))} == {"BP514", "BP515"}
    assert not compared(one, other, output, coarse=True).findings


def test_what_one_engine_only_answers_finitely_is_another_answer() -> None:
    output = OutputSettings("logits", "y")
    found = sentences(compared(many([5], [5]), many([np.nan], [5]), output))
    assert "gets no finite answer, and the class 0 from" in found["BP515"]
    assert not compared(many([np.nan], [5]), many([np.nan], [5]), output).findings


def test_a_raw_output_names_no_classes() -> None:
    found = sentences(compared(many([5, 4]), many([5, 9]), OutputSettings("raw")))
    assert "BP515" not in found


@given(
    kind=st.sampled_from(DECIDED_BY_THRESHOLD),
    numbers=st.lists(st.floats(-3, 3, width=32), min_size=6, max_size=6),
    moves=st.lists(st.sampled_from([-ROUNDING, 0.0, ROUNDING]), min_size=6, max_size=6),
)
def test_rounding_alone_never_crosses_a_threshold(
    kind: Any, numbers: list[float], moves: list[float]
) -> None:
    columns = 1 if FORMS[kind].is_binary else 3
    theirs = np.array([*numbers, *[1.0] * columns], np.float32).reshape(-1, columns)
    ours = theirs.copy()
    ours.reshape(-1)[:6] += np.array(moves, np.float32)
    assert not compared(theirs, ours, OutputSettings(kind, "y")).findings
