"""Profiles as text: what is refused, with which words, and what survives."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from batchproof_server.base.validation import InvalidSettings
from batchproof_server.drift.profile_form import (
    KnownProfile,
    ModelFacts,
    canonical_json,
    other_libraries,
    parse_profile,
    profile_digest,
    profile_json,
    unfit_findings,
)
from support.drift_fixtures import (
    MODEL_DIGEST,
    RECIPE_DIGEST,
    TTA,
    augmented_profile,
    profile,
    subject,
)

SCHEMA = json.loads(
    (Path(__file__).resolve().parents[3] / "docs/schemas/profile.schema.json").read_text()
)
WEIGHTED = replace(TTA, aggregation="weighted", early_exit=0.95, weights=(3.0, 1.0))
FACTS = ModelFacts(MODEL_DIGEST, RECIPE_DIGEST, subject().labels, 3)


def document() -> Any:
    return json.loads(profile_json(profile()))


def faults(text: str) -> tuple[str, ...]:
    with pytest.raises(InvalidSettings) as refused:
        parse_profile(text)
    return refused.value.faults


def test_a_profile_survives_its_file_to_the_last_bit() -> None:
    made = profile(classes=30)
    assert parse_profile(profile_json(made)) == made
    assert parse_profile(canonical_json(made)) == made
    assert profile_digest(parse_profile(profile_json(made))) == profile_digest(made)


def test_the_file_fits_the_published_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for classes in (1, 3, 30):
        made = json.loads(profile_json(profile(classes=classes)))
        jsonschema.validate(made, SCHEMA, jsonschema.Draft202012Validator)


@pytest.mark.parametrize("key", sorted(document()))
def test_the_schema_and_the_parser_miss_no_key(key: str) -> None:
    values = document()
    del values[key]
    assert faults(json.dumps(values)) == (f"{key}: missing",)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values, SCHEMA, jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "(root): no JSON"),
        ("[]", "(root): list, expected an object"),
        ("[" * 100_000, "(root): no JSON: it is nested too deep"),
        ('{"pictures": NaN}', "(root): no JSON: NaN is no number of JSON"),
        ('{"pictures": ' + "9" * 5000 + "}", "(root): no JSON"),
    ],
)
def test_what_is_no_document_is_refused_as_a_whole(text: str, said: str) -> None:
    (fault,) = faults(text)
    assert fault.startswith(said)


def put(*path: str | int, value: object = None) -> Callable[..., None]:
    def change(values: Any, value: Any = value) -> None:
        for key in path[:-1]:
            values = values[key]
        values[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("format",), 2, "format: unknown 2, one of 1"),
        (("more",), 1, "more: unknown key"),
        (("pictures",), "many", "pictures: "),
        (("pictures",), 0, "(root): pictures: 0, expected 1 or more"),
        (("pictures",), 401, "(root): classes.pictures: 400 in all, expected 401"),
        (("accuracy_ratio",), 0.5, "(root): accuracy_ratio: 0.5, expected 0."),
        (("class_bins",), [0, 1], "(root): class_bins: expected 3 different classes"),
        (("class_bins",), [0, 1, 7], "(root): class_bins: expected classes from 0 to 2"),
        (("class_bins",), [0, 1, -1], "(root): class_bins: expected classes from 0 to 2"),
        (("signals", "confidence", "edges", 0), 2.0, "signals.confidence: edges must be finite"),
        (("signals", "confidence", "edges", 0), 1e999, "signals.confidence: edges must be finite"),
        (("signals", "confidence", "counts", 0), -1, "signals.confidence: counts must be 0 or"),
        (("signals", "confidence", "counts"), [400], "signals.confidence: 1 counts, expected 10"),
        (("signals", "confidence", "stddev"), -1.0, "signals.confidence: mean, stddev, min"),
        (("signals", "confidence", "mean"), 1e999, "signals.confidence: mean, stddev, min"),
        (("signals", "wildness"), None, "signals.wildness: "),
        (("classes", 0, "right"), 399, "classes.0: more pictures are right than there are"),
        (("classes",), [], "(root): classes: none"),
        (("calibration", "temperature"), 0.0, "calibration: temperature is 0.0"),
        (("calibration", "ece_ratio"), 0.9, "(root): calibration.ece_ratio: 0.9, expected"),
        (("calibration", "pictures"), [], "calibration: 0 counts, expected 10"),
        (("calibration", "confidence_sum", 9), 1e9, "calibration: a bin has more right answers"),
        (("calibration", "confidence_sum"), [], "calibration: 0 sums, expected 10"),
        (("atc", "threshold"), 3.0, "atc: threshold 3.0 is none of the edges"),
        (("atc", "score"), "luck", 'atc.score: unknown "luck"'),
        (("atc", "counts", 0), 10**9, "(root): atc.counts: "),
    ],
)
def test_every_fault_is_named_with_its_path(
    path: tuple[str | int, ...], value: object, said: str
) -> None:
    values = document()
    put(*path)(values, value)
    assert any(
        fault.startswith(said)
        for fault in faults(json.dumps(values, allow_nan=True).replace("Infinity", "1e999"))
    ), said


def test_several_faults_are_told_at_once() -> None:
    values = document()
    values["calibration"]["temperature"] = -1
    values["signals"]["entropy"]["stddev"] = -1
    assert len(faults(json.dumps(values))) == 2


def test_signals_that_do_not_exist_and_too_many_bins_are_refused() -> None:
    values = document()
    values["signals"]["wildness"] = values["signals"].pop("confidence")
    (fault,) = faults(json.dumps(values))
    assert "signals: unknown wildness" in fault
    assert "signals: no confidence" in fault
    values = document()
    wide = values["signals"]["entropy"]
    wide["edges"], wide["counts"] = list(range(20)), [0] * 20 + [400]
    assert faults(json.dumps(values)) == ("signals.entropy: 21 bins, expected at most 20",)


def test_right_answers_must_agree_between_classes_and_calibration() -> None:
    values = document()
    place = next(n for n, count in enumerate(values["calibration"]["right"]) if count)
    values["calibration"]["right"][place] -= 1
    assert any("calibration.right: " in fault for fault in faults(json.dumps(values)))


def test_the_policy_of_the_signals_of_augmentation_survives_and_fits_the_schema() -> None:
    made = augmented_profile(tta=WEIGHTED)
    assert parse_profile(profile_json(made)) == made
    assert parse_profile(canonical_json(made)) == made
    values = json.loads(profile_json(made))
    jsonschema.validate(values, SCHEMA, jsonschema.Draft202012Validator)
    for key in values["tta"]:
        lacking = json.loads(profile_json(made))
        del lacking["tta"][key]
        assert faults(json.dumps(lacking)) == (f"tta.{key}: missing",)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(lacking, SCHEMA, jsonschema.Draft202012Validator)


def test_without_augmentation_a_profile_says_nothing_of_it() -> None:
    assert "tta" not in profile_json(profile())
    assert "tta" not in canonical_json(profile())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda values: values.pop("tta"), "(root): tta: missing, expected the policy that tta_"),
        (
            lambda values: values["signals"].pop("tta_flip_rate"),
            "(root): signals: no tta_flip_rate, expected beside tta",
        ),
        (put("tta", "views", value=["identity"]), "tta: 1 view(s), expected 2 or more"),
        (put("tta", "weights", value=[1.0]), "tta: 1 weights for 2 views"),
        (put("tta", "early_exit", value="soon"), "tta.early_exit: "),
        (put("tta", "sd", value=1), "tta.sd: unknown key"),
    ],
)
def test_signals_of_augmentation_and_their_policy_stand_together(
    change: Callable[[Any], object], said: str
) -> None:
    values = json.loads(profile_json(augmented_profile()))
    change(values)
    (fault,) = faults(json.dumps(values))
    assert fault.startswith(said)


def test_a_policy_that_the_model_does_not_have_does_not_fit() -> None:
    made = augmented_profile()
    assert unfit_findings(made, replace(FACTS, policies={"flip": TTA})) == ()
    assert unfit_findings(profile(), replace(FACTS, policies={})) == ()
    assert unfit_findings(made, replace(FACTS, policies={"d4": TTA, "light": TTA})) == (
        'its TTA policy "flip" is unknown to the bundle, one of d4, light; build it again',
    )
    (said,) = unfit_findings(made, replace(FACTS, policies={"flip": WEIGHTED}))
    assert said.startswith('its TTA policy "flip" has other views, aggregation, early exit or')


def test_a_profile_of_this_very_model_fits_it() -> None:
    assert unfit_findings(profile(), FACTS) == ()
    assert unfit_findings(profile(), ModelFacts(MODEL_DIGEST, RECIPE_DIGEST, (), 3)) == ()


def test_a_profile_of_another_model_recipe_or_labels_does_not_fit() -> None:
    other = ModelFacts("cc" * 32, "", ("a", "b", "c"), 3)
    assert unfit_findings(profile(), other) == (
        "it is of the model aaaaaaaaaaaa, the bundle's is cccccccccccc; build it again",
        "it is of the recipe bbbbbbbbbbbb, the bundle has none; build it again",
        "its labels are not those of the bundle",
    )
    more = ModelFacts(MODEL_DIGEST, RECIPE_DIGEST, (), 4)
    assert unfit_findings(profile(), more) == ("it has 3 classes, the model has 4",)


def test_a_profile_of_another_version_of_pillow_fits_and_says_so() -> None:
    made = replace(profile(), libraries={"pillow": "12.1.1"})
    here = replace(FACTS, libraries={"pillow": "13.0.0"})
    assert unfit_findings(made, here) == ()
    (said,) = other_libraries(made, here)
    assert said.startswith("it was made with pillow 12.1.1, here is 13.0.0, which may make other")


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ({}, {"pillow": "13.0.0"}),
        ({"pillow": "13.0.0"}, {"pillow": "13.0.0"}),
        ({"pillow": "13.0.0"}, {}),
    ],
)
def test_where_versions_are_equal_or_unknown_nothing_is_said(
    then: dict[str, str], now: dict[str, str]
) -> None:
    made, here = replace(profile(), libraries=then), replace(FACTS, libraries=now)
    assert other_libraries(made, here) == ()


def test_a_profile_that_names_no_libraries_keeps_the_text_and_the_digest_that_it_had() -> None:
    assert "libraries" not in document()
    made = replace(profile(), libraries={"pillow": "13.0.0"})
    assert parse_profile(profile_json(made)) == made
    assert profile_digest(made) != profile_digest(profile())
    jsonschema.validate(json.loads(profile_json(made)), SCHEMA, jsonschema.Draft202012Validator)


@pytest.mark.parametrize("text", ["x" * 41, "13\n0"])
def test_a_version_that_is_none_is_refused(text: str) -> None:
    values = document() | {"libraries": {"pillow": text}}
    assert faults(json.dumps(values))[0].startswith("(root): libraries: ")


def test_the_metrics_show_the_beginning_of_the_digest() -> None:
    known = KnownProfile.of(profile())
    assert known.digest == profile_digest(profile())
    assert known.digest.startswith(known.short_digest)
    assert len(known.short_digest) == 12
