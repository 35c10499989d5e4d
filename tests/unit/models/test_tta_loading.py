"""Policies and fitted weights of a bundle: what must fit together before it may answer."""

import json
from pathlib import Path
from typing import Any

import pytest

from batchproof_server.backends.affine import kind as affine
from batchproof_server.backends.numpy import engine as numpy_engine
from batchproof_server.base.backend import EngineSettings
from batchproof_server.base.errors import ModelRefused
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.recipe import pillow_plugs
from batchproof_server.models.discovery import Place
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.loading import LoadingPlugs, load_version
from batchproof_server.tta.choice import TtaRequest
from batchproof_server.tta.weights import FittedWeights, fitted_policy_digest
from support.bundles_on_disk import LOGITS, PICTURES, write_bundle
from support.fakes import FakeClock

FLIP = ("identity", "hflip")


def load(directory: Path) -> LoadedModel:
    plugs = LoadingPlugs(
        (affine.KIND,),
        (numpy_engine.ENGINE,),
        lambda _: pillow_plugs(),
        BatchingSettings(),
        EngineSettings(),
        ImageLimits(),
        clock=FakeClock(),
    )
    return load_version(Place("m", 1, directory), plugs)


def findings(directory: Path) -> tuple[str, ...]:
    with pytest.raises(ModelRefused) as refused:
        load(directory)
    return refused.value.findings


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "b", PICTURES, shape=(2, 2, 3))


def write_weights(bundle: Path, **changes: Any) -> FittedWeights:
    loaded = load(bundle)
    assert loaded.recipe is not None
    values: dict[str, Any] = {
        "format": 1,
        "model_digest": loaded.bundle.model_digest,
        "recipe_digest": loaded.recipe.digest,
        "policy": "flip",
        "policy_digest": fitted_policy_digest(FLIP),
        "views": FLIP,
        "weights": (0.75, 0.25),
        "method": "by hand",
        "rows": 10,
        "loss_before_nats": 0.5,
        "loss_after_nats": 0.4,
    }
    fitted = FittedWeights(**(values | changes))
    (bundle / "tta_weights.json").write_text(fitted.to_json())
    return fitted


def test_a_bundle_says_nothing_and_has_the_server_s_policies(bundle: Path) -> None:
    assert load(bundle).tta.plan(None).is_plain
    assert "d4" in load(bundle).tta.plans


def test_fitted_weights_beside_the_model_are_used_for_its_policy(bundle: Path) -> None:
    fitted = write_weights(bundle)
    plan = load(bundle).tta.plan(TtaRequest("flip", aggregation="weighted"))
    assert plan.weights == (0.75, 0.25)
    assert plan.weights_digest == fitted.digest


@pytest.mark.parametrize("changed", ["model_digest", "recipe_digest"])
def test_weights_of_another_model_or_recipe_are_refused(bundle: Path, changed: str) -> None:
    write_weights(bundle, **{changed: "0" * 64})
    (finding,) = findings(bundle)
    assert finding.startswith(
        f"tta_weights.json: {changed}: fitted to 000000000000, the bundle has"
    )


def test_weights_of_a_policy_that_has_changed_are_refused(bundle: Path) -> None:
    manifest = (bundle / "batchproof.toml").read_text()
    views = '[tta.policies.mine]\nviews = ["identity", "{}"]\n'
    (bundle / "batchproof.toml").write_text(manifest + views.format("hflip"))
    write_weights(bundle, policy="mine")
    assert load(bundle).tta.fitted is not None
    (bundle / "batchproof.toml").write_text(manifest + views.format("vflip"))
    assert findings(bundle)[0].startswith("tta_weights.json: policy_digest: fitted to")


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("{", "tta_weights.json: "),
        (json.dumps({"format": 1}), "tta_weights.json: model_digest: missing"),
        ("[]", "tta_weights.json: (root): not a JSON object"),
    ],
)
def test_a_weights_file_that_cannot_be_read_is_refused(
    bundle: Path, text: str, finding: str
) -> None:
    (bundle / "tta_weights.json").write_text(text)
    assert findings(bundle)[0].startswith(finding)


@pytest.mark.parametrize(
    ("manifest", "finding"),
    [
        (LOGITS + '[tta]\ndefault = "flip"\n', "tta: augmentation needs a recipe"),
        (
            "format = 1\n[recipe]\n[tta.policies.mine]\nviews = ['identity']\n",
            "tta: augmentation needs class scores, and the output is raw",
        ),
    ],
)
def test_policies_of_a_model_that_cannot_be_augmented_are_refused(
    tmp_path: Path, manifest: str, finding: str
) -> None:
    assert findings(write_bundle(tmp_path / "b", manifest, shape=(2, 2, 3))) == (finding,)
