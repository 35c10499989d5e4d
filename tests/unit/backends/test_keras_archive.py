"""What a ``.keras`` file says about itself decides whether Keras gets to see it."""

from pathlib import Path

import pytest

from batchproof_server.backends.keras.archive import check_archive
from batchproof_server.base.errors import ModelRefused
from support.artefact_fixtures import HOSTILE, archive, config_of, layer


def test_layers_of_keras_pass_and_the_training_configuration_is_not_looked_at(
    tmp_path: Path,
) -> None:
    policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}}
    config = config_of(layer("Dense", dtype=policy), layer("ReLU"))
    assert check_archive(archive(tmp_path / "m.keras", config)) is None  # type: ignore[func-returns-value]


def test_what_the_repair_mends_is_no_reason_to_refuse(tmp_path: Path) -> None:
    node = {"args": [], "kwargs": {"training": True}}
    config = config_of({**layer("BatchNormalization"), "inbound_nodes": [node]})
    assert check_archive(archive(tmp_path / "m.keras", config)) is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize("name", ["a zip bomb", "a pickle", "an archive cut in half"])
def test_a_hostile_file_is_refused_with_its_findings(name: str, tmp_path: Path) -> None:
    rule_id, write = HOSTILE[name]
    with pytest.raises(ModelRefused) as refused:
        check_archive(write(tmp_path / "m.keras"))
    assert any(text.startswith(rule_id) for text in refused.value.findings)
    assert str(tmp_path) not in " ".join((str(refused.value), *refused.value.findings))


def test_every_foreign_object_is_listed(tmp_path: Path) -> None:
    config = config_of(layer("Lambda"), layer("Odd", "shop"))
    with pytest.raises(ModelRefused) as refused:
        check_archive(archive(tmp_path / "m.keras", config))
    assert len(refused.value.findings) == 2
