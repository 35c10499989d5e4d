"""The profile of a bundle: read, refused or ignored when the version is loaded."""

from dataclasses import replace
from pathlib import Path

import pytest

from batchproof_server.application.config import Config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.base.errors import ModelRefused
from batchproof_server.drift.profile import ReferenceProfile
from batchproof_server.drift.profile_form import MAX_PROFILE_BYTES, PROFILE_NAME, profile_json
from batchproof_server.drift.settings import DriftSettings
from batchproof_server.models.discovery import Place
from batchproof_server.models.loaded import LoadedModel, model_facts
from batchproof_server.models.loading import load_version
from batchproof_server.models.profiles import tta_reference
from support.bundles_on_disk import PICTURES, RAW, write_bundle
from support.drift_fixtures import augmented_profile, profile


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place("colours", 3, write_bundle(tmp_path / "3", PICTURES, shape=(2, 2, 3)))


def load(place: Place, **settings: object) -> LoadedModel:
    drift = DriftSettings(**settings)  # type: ignore[arg-type] # by name
    return load_version(place, loading_plugs(Config(drift=drift)))


def fitting(place: Place) -> ReferenceProfile:
    facts = model_facts(load(place))
    return replace(profile(), model_digest=facts.model_digest, recipe_digest=facts.recipe_digest)


def test_a_bundle_without_a_profile_has_none(place: Place) -> None:
    model = load(place)
    assert (model.profile, model.profile_findings, model.classes) == (None, (), 3)


def test_a_profile_of_this_model_and_recipe_is_loaded(place: Place) -> None:
    made = fitting(place)
    (place.directory / PROFILE_NAME).write_text(profile_json(made))
    loaded = load(place)
    assert loaded.profile is not None
    assert loaded.profile.profile == made
    assert loaded.profile_findings == ()


def test_a_profile_of_another_version_of_pillow_is_used_and_said(place: Place) -> None:
    made = replace(fitting(place), libraries={"pillow": "1.0"})
    (place.directory / PROFILE_NAME).write_text(profile_json(made))
    loaded = load(place)
    assert loaded.profile is not None
    (note,) = loaded.profile_findings
    assert note.startswith("profile.json: it was made with pillow 1.0, here is ")


def test_a_profile_of_another_model_refuses_the_version_with_its_findings(place: Place) -> None:
    (place.directory / PROFILE_NAME).write_text(profile_json(profile()))
    with pytest.raises(ModelRefused, match="the profile does not fit the model") as refused:
        load(place)
    assert [finding.split(",")[0] for finding in refused.value.findings] == [
        "profile.json: it is of the model aaaaaaaaaaaa",
        "profile.json: it is of the recipe bbbbbbbbbbbb",
    ]


def test_a_profile_whose_policy_is_gone_or_changed_refuses_the_version(place: Place) -> None:
    flip = load(place).tta.plans["flip"]
    made = replace(
        augmented_profile(tta=tta_reference(flip)),
        model_digest=fitting(place).model_digest,
        recipe_digest=fitting(place).recipe_digest,
    )
    (place.directory / PROFILE_NAME).write_text(profile_json(made))
    assert load(place).profile is not None
    for manifest, said in (
        ('[tta]\nallowed = ["d4"]', 'its TTA policy "flip" is unknown to the bundle, one of d4;'),
        ("[tta]\nmax_views = 1", 'its TTA policy "flip" is unknown to the bundle, one of none;'),
    ):
        (place.directory / "batchproof.toml").write_text(PICTURES + manifest)
        with pytest.raises(ModelRefused) as refused:
            load(place)
        (finding,) = refused.value.findings
        assert finding.startswith(f"profile.json: {said}")
        ignored = load(place, unfit_profile="ignore")
        assert (ignored.profile, ignored.profile_findings) == (None, (finding,))


def test_the_user_may_serve_without_a_profile_that_does_not_fit(place: Place) -> None:
    (place.directory / PROFILE_NAME).write_text(profile_json(profile()))
    loaded = load(place, unfit_profile="ignore")
    assert loaded.profile is None
    assert len(loaded.profile_findings) == 2


def test_drift_switched_off_reads_no_profile(place: Place) -> None:
    (place.directory / PROFILE_NAME).write_text("nonsense")
    assert load(place, enabled=False).profile is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "profile.json: (root): no JSON"),
        (b"\xff\xfe", "profile.json: is not UTF-8 text"),
        (b" " * (MAX_PROFILE_BYTES + 1), f"profile.json: more than {MAX_PROFILE_BYTES} bytes"),
        (b'{"format": 1}', "profile.json: model_digest: missing"),
    ],
)
def test_a_broken_profile_is_refused_by_name(place: Place, content: bytes, said: str) -> None:
    (place.directory / PROFILE_NAME).write_bytes(content)
    with pytest.raises(ModelRefused) as refused:
        load(place)
    assert refused.value.findings[0].startswith(said)


def test_a_profile_that_cannot_be_read_is_refused(place: Place) -> None:
    (place.directory / PROFILE_NAME).mkdir()
    with pytest.raises(ModelRefused) as refused:
        load(place)
    assert refused.value.findings == ("profile.json: cannot be read (Is a directory)",)


def test_a_raw_model_has_no_classes_and_takes_no_profile(tmp_path: Path) -> None:
    place = Place("raw", 1, write_bundle(tmp_path / "raw", RAW))
    assert load(place).classes == 0
    (place.directory / PROFILE_NAME).write_text(profile_json(profile()))
    with pytest.raises(ModelRefused) as refused:
        load(place)
    assert "profile.json: it has 3 classes, the model has 0" in refused.value.findings
