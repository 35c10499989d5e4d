"""The whole road with real TensorFlow: audit, repair, compile, probe, certify."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from batchproof_server.__main__ import main
from batchproof_server.application.config import Config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.base.backend import EngineSettings, Stateful
from batchproof_server.base.errors import ModelRefused
from batchproof_server.models.discovery import discover
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.loading import load_version
from batchproof_server.proof.certificate.document import parse_certificate
from batchproof_server.proof.settings import ProofSettings
from support.even_kernels import skip_where_kernels_are_uneven
from support.model_fixtures import cnn, save_cnn, save_exported, save_table
from system.bundles import EMBEDDED

SMALL = "format = 1\n[batching]\nbuckets_rows = [1, 2, 4]\n"
layers = keras.layers


def trapped(*, baked: bool) -> Any:
    """A model that Keras 3.15 calls and exports in training mode.

    Args:
        baked: with ``training=True`` in the node of the BatchNormalization, else a Resizing before.
    """
    keras.utils.set_random_seed(4)
    image = keras.Input((8, 8, 3), name="image")
    seen = image if baked else layers.Resizing(6, 6)(image)
    norm = layers.BatchNormalization(name="norm")
    seen = norm(seen, training=True) if baked else norm(seen)
    return keras.Model(image, layers.Dense(4, name="scores")(layers.Flatten()(seen)))


def bundle(directory: Path, save: Callable[[Path], object]) -> Path:
    """A bundle of one version, of what ``save`` writes into it."""
    version = directory / "model" / "1"
    version.mkdir(parents=True)
    (version / "batchproof.toml").write_text(SMALL)
    (version / "labels.txt").write_text("")
    save(version)
    return version


def keras_bundle(directory: Path, model: Any) -> Path:
    return bundle(directory, lambda version: model.save(version / "model.keras"))


def exported_bundle(directory: Path, model: Any) -> Path:
    return bundle(directory, lambda version: model.export(version, verbose=False))


def loaded(version: Path, engine: str = "auto", **proof: Any) -> LoadedModel:
    config = Config(proof=ProofSettings(**proof), engine=EngineSettings(name=engine))
    return load_version(discover(version)[0], loading_plugs(config))


def test_the_embedded_model_is_proven_in_all_its_buckets() -> None:
    model = loaded(EMBEDDED)
    assert model.certificate is not None
    assert model.certificate.verdict == "proven"
    assert model.batching.buckets_rows[-5:] == (2, 4, 8, 16, 32)
    assert model.certificate.subject.probe_rows["sample"] == 6


@pytest.mark.parametrize("baked", [False, True])
def test_a_keras_model_in_training_mode_is_repaired_and_proven(
    tmp_path: Path,
    baked: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    model = loaded(keras_bundle(tmp_path, trapped(baked=baked)))
    assert model.certificate is not None
    assert model.certificate.verdict == "proven"
    assert any("norm" in change.where for change in model.certificate.repairs)


@pytest.mark.parametrize("baked", [False, True])
def test_the_same_model_exported_is_refused_or_served_as_unproven(
    tmp_path: Path,
    baked: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    version = exported_bundle(tmp_path, trapped(baked=baked))
    with pytest.raises(ModelRefused) as refused:
        loaded(version)
    assert any(finding.startswith(("BP2", "BP3")) for finding in refused.value.findings)
    assert any("batchproof-server repair" in finding for finding in refused.value.findings)
    # The probes see it too, without the audit.
    assert any(finding.startswith("BP501") for finding in refused.value.findings)
    assert any(finding.startswith("BP505") for finding in refused.value.findings)
    model = loaded(version, allow_unproven=True)
    assert model.certificate is not None
    assert model.certificate.verdict == "unproven"


@pytest.mark.parametrize("save", [save_cnn, save_table])
def test_a_good_keras_model_and_a_good_saved_model_are_proven(
    tmp_path: Path, save: Callable[[Path], Path]
) -> None:
    saved = save(tmp_path)
    version = tmp_path / "model" / "1"
    version.parent.mkdir()
    if saved.is_dir():
        saved.rename(version)
    else:
        version.mkdir()
        saved.rename(version / saved.name)
    (version / "batchproof.toml").write_text(SMALL)
    certificate = loaded(version).certificate
    assert certificate is not None
    assert certificate.verdict == "proven"
    assert max(certificate.measured.classes, key=max)[-1] == 4


def counting(version: Path, share: float) -> None:
    """A SavedModel that adds a share of the number of rows to each logit."""
    module = tf.Module()
    module.weights = tf.Variable(np.random.default_rng(0).normal(0, 0.3, (48, 5)), dtype=tf.float32)

    def answer(x: Any) -> dict[str, Any]:
        rows = tf.cast(tf.shape(x)[0], tf.float32)
        return {"logits": tf.matmul(tf.reshape(x, [-1, 48]), module.weights) + rows * share}

    spec = tf.TensorSpec((None, 4, 4, 3), tf.float32, name="x")
    served = tf.function(answer, input_signature=[spec])
    tf.saved_model.save(module, version, signatures={"serving_default": served})


@pytest.mark.parametrize("share", [1.0, 0.01])
def test_a_model_that_answers_with_the_number_of_rows_is_refused(
    tmp_path: Path, share: float
) -> None:
    version = bundle(tmp_path, lambda at: counting(at, share))
    with pytest.raises(ModelRefused) as refused:
        loaded(version)
    assert any(finding.startswith("BP512") for finding in refused.value.findings)


def test_a_model_for_a_fixed_number_of_rows_says_that_it_was_not_compared_with_one(
    tmp_path: Path,
) -> None:
    image = keras.Input(batch_shape=(4, 6), name="image")
    version = keras_bundle(tmp_path, keras.Model(image, layers.Dense(3)(image)))
    (version / "batchproof.toml").write_text("format = 1\n[batching]\nbuckets_rows = [4]\n")
    certificate = loaded(version).certificate
    assert certificate is not None
    assert certificate.verdict == "proven"
    (note,) = [each for each in certificate.findings if each.rule_id == "BP513"]
    assert "built for exactly 4 rows" in note.detail


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_model_in_half_precision_is_proven_and_warned_of(tmp_path: Path, policy: str) -> None:
    keras.config.set_dtype_policy(policy)
    try:
        half = cnn()
    finally:
        keras.config.set_dtype_policy("float32")
    scores = layers.Activation("linear", dtype="float32")(half.output)
    model = keras.Model(half.input, scores)
    versions = [keras_bundle(tmp_path / "k", model), exported_bundle(tmp_path / "s", model)]
    for version in versions:
        certificate = loaded(version).certificate
        assert certificate is not None
        assert certificate.verdict == "proven"
        assert "BP401" in {finding.rule_id for finding in certificate.findings}


def test_what_is_not_safe_to_load_is_refused_whatever_is_allowed(tmp_path: Path) -> None:
    version = bundle(tmp_path, lambda at: (at / "model.keras").write_bytes(b"no zip"))
    with pytest.raises(ModelRefused) as refused:
        loaded(version, allow_unproven=True)
    assert all(finding.startswith("BP0") for finding in refused.value.findings)


def test_a_certificate_is_reused_by_a_new_process_of_the_same_kind(tmp_path: Path) -> None:
    version = keras_bundle(tmp_path, cnn())
    kept = {"certificate_directory": str(tmp_path / "kept")}
    first, second = loaded(version, **kept), loaded(version, **kept)
    assert first.certificate == second.certificate
    assert {path.suffix for path in (tmp_path / "kept").iterdir()} == {".json", ".converted"}


def test_the_state_of_a_model_changes_with_any_of_its_variables(tmp_path: Path) -> None:
    model = loaded(keras_bundle(tmp_path, cnn()), engine="tensorflow")
    assert model.certificate is not None
    backend = model.backend
    assert isinstance(backend, Stateful)
    before = backend.state_digest()
    assert model.certificate.measured.state_digest == before
    assert backend.state_digest() == before
    variable = next(iter(backend.functions.values())).variables[0]  # type: ignore[attr-defined] # TensorFlow's
    value = variable.numpy()
    variable.assign(np.nextafter(value, np.inf))
    assert backend.state_digest() != before
    variable.assign(value)
    assert backend.state_digest() == before


def test_repair_writes_a_bundle_that_is_good_for_any_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = keras_bundle(tmp_path, trapped(baked=True))
    out = tmp_path / "mended" / "7"
    assert main(["repair", str(version), "-o", str(out)]) == 0
    said = capsys.readouterr()
    assert "repaired" in said.out
    assert "PROVEN" in said.out
    assert sorted(path.name for path in out.iterdir()) == [
        "batchproof.toml", "certificate.json", "converted", "labels.txt", "model.keras",
    ]  # fmt: skip
    certificate = parse_certificate((out / "certificate.json").read_text()).certificate
    assert (certificate.model, certificate.version) == ("mended", 7)
    assert certificate.repairs == ()
    model = keras.saving.load_model(out / "model.keras")
    batch = np.random.default_rng(0).normal(0, 1, (4, 8, 8, 3)).astype(np.float32)
    alone, beside = model(batch[:1]).numpy()[0], model(batch).numpy()[0]
    np.testing.assert_allclose(alone, beside, atol=1e-6)  # plain Keras, without training=False


def test_repair_overwrites_nothing_and_leaves_nothing_half_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = keras_bundle(tmp_path, cnn())
    taken = tmp_path / "taken"
    taken.mkdir()
    assert main(["repair", str(version), "-o", str(taken)]) == 2
    assert "exists already" in capsys.readouterr().err
    broken = bundle(tmp_path / "b", lambda at: (at / "model.keras").write_bytes(b"no zip"))
    assert main(["repair", str(broken), "-o", str(tmp_path / "new")]) == 1
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".repair-*"))


def test_a_saved_model_is_never_altered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version = bundle(tmp_path, save_exported)
    (version / "exported" / "saved_model.pb").rename(version / "saved_model.pb")
    (version / "exported" / "variables").rename(version / "variables")
    assert main(["repair", str(version), "-o", str(tmp_path / "new")]) == 1
    assert "model.export" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_certify_prints_the_repairs_and_writes_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = keras_bundle(tmp_path, trapped(baked=False))
    assert main(["certify", str(version), "--engine", "tensorflow", "--json", "--write"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == "proven"
    assert document["repairs"]
    assert json.loads((version / "certificate.json").read_text()) == document


def test_certify_of_a_bad_saved_model_exits_1_with_the_findings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = exported_bundle(tmp_path, trapped(baked=True))
    assert main(["certify", str(version), "--write"]) == 1
    said = capsys.readouterr().out
    assert "UNPROVEN" in said
    assert "fail  BP" in said
    assert not (version / "certificate.json").exists()


def looping(version: Path) -> None:
    """A SavedModel that treats its rows one after the other, which the audit cannot read."""
    spec = tf.TensorSpec((None, 3), tf.float32, name="image")
    module = tf.Module()
    module.answer = tf.function(
        lambda rows: {"scores": tf.map_fn(lambda row: row * 2.0, rows)}, input_signature=[spec]
    )
    tf.saved_model.save(module, version, signatures={"serving_default": module.answer})


def test_a_model_that_cannot_be_read_is_probed_served_and_called_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = bundle(tmp_path, looping)
    assert main(["certify", str(version)]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first == ("model version 1: PROBED (tested; the audit left 1 place undecided), strict")
    model = loaded(version)
    assert model.certificate is not None
    assert (model.certificate.verdict, model.batching.buckets_rows) == ("probed", (1, 2, 4))


def test_a_setting_refuses_what_was_probed_but_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = bundle(tmp_path, looping)
    with pytest.raises(ModelRefused, match="probed but not read") as refused:
        loaded(version, allow_probed=False)
    assert refused.value.findings[0].startswith("BP305 ")
    assert loaded(version, allow_probed=False, allow_unproven=True).certificate is not None
    settings = tmp_path / "server.toml"
    settings.write_text("[proof]\nallow_probed = false\n")
    assert main(["certify", str(version), "--config", str(settings), "--write"]) == 1
    assert "PROBED" in capsys.readouterr().out
    assert not (version / "certificate.json").exists()


def test_measuring_shows_every_engine_whichever_was_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skip_where_kernels_are_uneven()
    version = keras_bundle(tmp_path, cnn())
    assert main(["certify", str(version), "--measure"]) == 0
    chosen = capsys.readouterr().out
    assert main(["certify", str(version), "--measure", "--engine", "tensorflow"]) == 0
    forced = capsys.readouterr().out
    for said in (chosen, forced):
        assert re.search(r"openvino \(proven\): 1: \S+ ms, 2:", said)
        assert re.search(r"tensorflow \(proven\): (1: \S+ ms, )?2: \S+ ms", said)
