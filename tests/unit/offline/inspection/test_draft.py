"""Manifests that are written for people: they can be read again, whatever a model file says."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.imaging.presets import PRESETS
from batchproof_server.imaging.resize import ResizeSettings
from batchproof_server.imaging.settings import RecipeSettings, recipe_plan
from batchproof_server.models.manifest import parse_manifest
from batchproof_server.offline.inspection.draft import Draft, preset_text, watched_output
from batchproof_server.offline.inspection.guesses import Guess, LikelyKind

Names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def guess(kind: LikelyKind, reason: str = "it ends so") -> Guess[LikelyKind]:
    return Guess(kind, reason)


def test_of_several_outputs_each_is_named_and_one_is_watched() -> None:
    kinds = {"a": guess("logits"), "map": guess("raw"), "b": guess("binary_logit")}
    read = parse_manifest(Draft("title", kinds, "b").text)
    assert read.format == 2
    assert {name: head.kind for name, head in read.outputs.items()} == {
        "a": "logits",
        "b": "binary_logit",
    }
    assert read.output.name == "b"


@given(name=Names, reason=st.text(st.characters(exclude_categories=["Cs"])))
def test_no_name_and_no_reason_becomes_anything_but_a_key_and_a_comment(
    name: str, reason: str
) -> None:
    text = Draft(reason, {name: guess("logits", reason)}, name, "[recipe]", (reason,)).text
    assert tomllib.loads(text) == {
        "format": 2,
        "outputs": {name: {"kind": "logits"}},
        "recipe": {},
    }


def test_the_text_of_a_preset_comes_to_its_recipe() -> None:
    resize = ResizeSettings(
        width=8, height=9, library="tensorflow", method="bilinear", rounding="none"
    )
    for preset in PRESETS:
        settings = RecipeSettings(preset=preset, layout="channels_first", resize=resize)
        read = parse_manifest("format = 2\n" + preset_text(settings)).recipe
        assert read is not None
        assert recipe_plan(read) == recipe_plan(settings)


def test_the_output_of_most_classes_is_watched() -> None:
    kinds = {"x": guess("raw"), "few": guess("logits"), "many": guess("logits")}
    assert watched_output(kinds, {"few": 2, "many": 9}) == "many"
    assert watched_output({"x": guess("raw")}, {}) == ""
