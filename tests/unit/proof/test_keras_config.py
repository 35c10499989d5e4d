"""The configuration of a ``.keras`` file is judged without Keras."""

from typing import Any

import pytest

from batchproof_server.proof.findings import Severity, beyond_repair, failures
from batchproof_server.proof.keras.config import audit_config
from batchproof_server.proof.rules import RULES, found
from support.artefact_fixtures import config_of, layer


def called(node: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    return {**node, "inbound_nodes": [{"args": [], "kwargs": kwargs}]}


def functional(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"module": "keras", "class_name": "Functional", "config": config_of(*layers)["config"]}


def rules(*layers: dict[str, Any]) -> list[str]:
    return [finding.rule_id for finding in audit_config(functional(*layers))]


NORM = layer("BatchNormalization")
TRAINED = {"training": True}


@pytest.mark.parametrize(
    ("node", "rule_id"),
    [
        (NORM, "BP101"),
        (layer("Dropout", rate=0.5), "BP102"),
        (layer("LSTM", dropout=0.5), "BP102"),
        (layer("GaussianNoise", stddev=1.0), "BP103"),
        (layer("RandomZoom"), "BP103"),
        (layer("TimeDistributed", layer=NORM), "BP101"),
        (functional(NORM), "BP101"),
    ],
)
def test_training_stored_in_a_node_is_found(node: dict[str, Any], rule_id: str) -> None:
    assert rule_id in rules(called(node, training=True))
    assert rule_id not in rules(called(node, training=False))
    assert rule_id not in rules(called(node, training=None))


def test_what_training_mode_leaves_alone_is_no_finding() -> None:
    assert rules(called(layer("Dropout", rate=0.0), **TRAINED)) == []
    assert rules(called(layer("GaussianNoise", stddev=0), **TRAINED)) == []
    assert rules(called(layer("BatchNormalization", trainable=False), **TRAINED)) == []
    assert rules(called(layer("Resizing"), **TRAINED), layer("Dense")) == []


def test_a_trained_layer_spreads_to_what_comes_after_it_only() -> None:
    resizing = called(layer("Resizing"), **TRAINED)
    assert rules(resizing, called(NORM)) == ["BP104"]
    assert rules(called(NORM), resizing) == []
    assert rules(resizing, called(layer("Dropout", rate=0.5), training=False)) == []


def test_a_default_of_training_mode_is_a_warning() -> None:
    findings = audit_config(functional(layer("CenterCrop"), NORM))
    assert [finding.rule_id for finding in findings] == ["BP105"]
    assert findings[0].severity is Severity.WARN
    assert rules(layer("RandomFlip")) == ["BP106"]
    assert rules(called(layer("RandomFlip"), training=False)) == []


def test_a_recurrent_layer_with_dropout_moves_its_seed() -> None:
    assert rules(layer("GRU", recurrent_dropout=0.2)) == ["BP109"]
    assert rules(layer("GRU", dropout=0.0)) == []


@pytest.mark.parametrize("name", ["float16", "mixed_float16", "mixed_bfloat16", "float8"])
def test_reduced_precision_is_found(name: str) -> None:
    policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": name}}
    assert rules(layer("Dense", dtype=policy), layer("Dense", dtype=policy)) == ["BP401"]
    assert rules(layer("Dense", dtype=name)) == ["BP401"]


def test_a_fixed_number_of_rows_is_found() -> None:
    assert rules(layer("InputLayer", batch_shape=[4, 8])) == ["BP309"]
    assert rules(layer("InputLayer", batch_shape=[None, 8])) == []


def test_findings_name_the_path_of_the_layer() -> None:
    (finding,) = audit_config(functional(functional(called(NORM, **TRAINED))))
    assert finding.where == "outer/outer/it" or finding.where.endswith("/it")


def test_failures_that_a_repair_mends_are_told_apart() -> None:
    mended, lost = found("BP101", "norm"), found("BP012", "lambda")
    mild = found("BP203", "seed", severity=Severity.WARN)
    assert failures((mended, lost, mild)) == (mended, lost)
    assert beyond_repair((mended, lost, mild)) == (lost,)


def test_every_rule_has_an_id_a_reason_and_a_way_out() -> None:
    for rule_id, rule in RULES.items():
        assert rule.rule_id == rule_id
        assert len(rule_id) == 5
        assert rule_id.startswith("BP")
        for sentence in (rule.title, rule.why, rule.mend):
            assert sentence
            assert not sentence.endswith(".")
