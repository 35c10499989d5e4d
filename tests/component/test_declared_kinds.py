"""What is declared of an output is compared with what the model answers while it is proven."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batchproof_server.base.output import OutputKind, OutputSettings
from batchproof_server.base.output_forms import FORMS
from batchproof_server.base.signature import Array
from batchproof_server.proof.certificate.certificate import Certificate
from batchproof_server.proof.findings import Severity
from batchproof_server.proof.settings import ProofSettings
from support.proof_backends import Bench, Good, candidate, rule_ids


class Ending(Good):
    """Its last layer is the one that a test names; ``y`` has 3 columns, or 1.

    Args:
        layer: ``dense``, ``softmax``, ``sigmoid`` or ``narrow sigmoid``.
        columns: 3 or 1.
    """

    def __init__(self, layer: str, columns: int = 3) -> None:
        super().__init__(columns)
        self._layer = layer

    def spoilt(self, answers: Array, inputs: Array) -> Array:
        """Ends the model."""
        del inputs
        with np.errstate(all="ignore"):
            ended: Array = LAYERS[self._layer](answers)
        return ended


def softmax(z: Array) -> Array:
    shifted = np.exp(z - z.max(axis=1, keepdims=True))
    result: Array = shifted / shifted.sum(axis=1, keepdims=True)
    return result


def sigmoid(z: Array) -> Array:
    result: Array = 1 / (1 + np.exp(-z))
    return result.astype(np.float32)


LAYERS: dict[str, Any] = {
    "dense": lambda z: z,
    "softmax": softmax,
    "sigmoid": sigmoid,
    "narrow sigmoid": lambda z: sigmoid(np.tanh(z)),
}


def proven(layer: str, kind: OutputKind, columns: int = 3) -> Certificate:
    outputs = (OutputSettings(kind, "y"),)
    return Bench().prove(candidate(Ending(layer, columns), outputs=outputs))


@pytest.mark.parametrize(
    ("layer", "kind", "columns"),
    [
        ("dense", "logits", 3),
        ("softmax", "probabilities", 3),
        ("dense", "binary_logit", 1),
        ("sigmoid", "binary_probability", 1),
        ("dense", "multilabel_logits", 3),
        ("sigmoid", "multilabel_probabilities", 3),
        ("narrow sigmoid", "multilabel_probabilities", 3),
    ],
)
def test_what_was_declared_right_is_proven(layer: str, kind: OutputKind, columns: int) -> None:
    certificate = proven(layer, kind, columns)
    assert (certificate.verdict, certificate.findings) == ("proven", ())


@pytest.mark.parametrize(
    ("layer", "declared", "columns", "expected"),
    [
        ("softmax", "logits", 3, "probabilities"),
        ("sigmoid", "logits", 3, "multilabel_probabilities"),
        ("dense", "probabilities", 3, "logits"),
        ("sigmoid", "probabilities", 3, "multilabel_probabilities"),
        ("sigmoid", "binary_logit", 1, "binary_probability"),
        ("dense", "binary_probability", 1, "binary_logit"),
        ("sigmoid", "multilabel_logits", 3, "multilabel_probabilities"),
        ("dense", "multilabel_probabilities", 3, "multilabel_logits"),
        ("softmax", "multilabel_logits", 3, "probabilities"),
        ("softmax", "multilabel_probabilities", 3, "probabilities"),
        ("softmax", "logits", 1, "binary_logit"),
        ("softmax", "probabilities", 1, "binary_logit"),
        ("softmax", "binary_logit", 1, "Dense(1) and a sigmoid"),
        ("softmax", "binary_probability", 1, "Dense(1) and a sigmoid"),
    ],
)
def test_what_was_declared_wrong_is_refused_with_the_kind_that_it_would_be(
    layer: str, declared: OutputKind, columns: int, expected: str
) -> None:
    certificate = proven(layer, declared, columns)
    assert certificate.verdict == "unproven"
    assert "BP516" in rule_ids(certificate)
    (sentence,) = (each for each in certificate.failures if each.startswith("BP516"))
    assert sentence.startswith('BP516 output "y": ')
    assert expected in sentence


def test_a_softmax_of_a_softmax_says_what_it_would_do_to_a_sure_answer() -> None:
    (sentence,) = proven("softmax", "logits").failures
    assert "another softmax would make 0.58 of 1.000" in sentence


def test_sigmoids_that_nothing_saturates_are_a_warning_where_one_logit_was_declared() -> None:
    certificate = proven("narrow sigmoid", "binary_logit", 1)
    assert certificate.verdict == "proven"
    (finding,) = certificate.findings
    assert (finding.rule_id, finding.severity) == ("BP516", Severity.WARN)


def test_raw_outputs_are_anything() -> None:
    raw = Bench().prove(candidate(Ending("softmax"), outputs=(OutputSettings("raw"),)))
    assert (raw.verdict, raw.findings, raw.subject.outputs_digest) == ("proven", (), "")


@pytest.mark.parametrize(
    "other",
    [
        OutputSettings("multilabel_logits", "y"),
        OutputSettings("multilabel_logits", "y", 0.3),
        OutputSettings("multilabel_logits", "y", None, (0.2, 0.5, 0.7)),
        OutputSettings("raw"),
    ],
)
def test_a_certificate_of_another_output_section_is_not_reused(
    tmp_path: Path, other: OutputSettings
) -> None:
    kept = ProofSettings(certificate_directory=str(tmp_path))
    first = candidate(Ending("dense"), outputs=(OutputSettings("logits", "y"),))
    Bench(kept).prove(first)
    again, changed = Bench(kept), Bench(kept)
    again.prove(first)
    assert "certificate reused" in again.steps()
    changed.prove(replace(first, outputs=(other,)))
    assert "certificate reused" not in changed.steps()
    assert any("changed since: outputs_digest" in progress.detail for progress in changed.told)


@pytest.mark.parametrize("kind", sorted(FORMS))
def test_too_few_rows_prove_nothing_of_logits(kind: str) -> None:
    rows = np.full((7, 2), 0.5)
    found = FORMS[kind].contradiction(rows)
    assert found is None
