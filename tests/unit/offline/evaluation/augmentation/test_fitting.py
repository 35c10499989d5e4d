"""Weights are fitted on one part of the pictures and judged on the other."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.application.config import Config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.imaging.encoding import encode_png
from batchproof_server.models.discovery import Place
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.loading import load_version
from batchproof_server.offline.datasets.pictures import InvalidData, LabelledPicture
from batchproof_server.offline.evaluation.augmentation.fitting import Fitter, WeightsFit, split
from batchproof_server.offline.evaluation.augmentation.paired import Paired
from batchproof_server.offline.evaluation.augmentation.policies import fit_plan
from batchproof_server.tta.choice import choice_of
from batchproof_server.tta.policies import PolicySettings, TtaSettings
from batchproof_server.tta.weights import parse_weights
from support.asked import asked
from support.bundles_on_disk import PICTURES, write_bundle
from unit.offline.evaluation.augmentation.courses import SUBJECT

SCHEMA: Any = json.loads(
    (Path(__file__).resolve().parents[5] / "docs/schemas/tta-fit.schema.json").read_text()
)
CHOICE = choice_of(TtaSettings(policies={"one": PolicySettings(("hflip",))}), None, "m", "r")


def named(count: int) -> list[LabelledPicture]:
    return [LabelledPicture(f"p{n}", n % 3, bytes) for n in range(count)]


@given(st.integers(2, 200), st.floats(0.01, 0.99), st.integers(0, 1000))
def test_a_split_has_every_picture_on_one_side_and_none_on_both(
    count: int, share: float, seed: int
) -> None:
    pictures = named(count)
    parts = split(pictures, share, seed)
    assert sorted(p.name for p in (*parts.fitted, *parts.held_out)) == sorted(
        p.name for p in pictures
    )
    assert min(len(parts.fitted), len(parts.held_out)) >= 1
    assert abs(len(parts.held_out) - share * count) <= 1
    assert split(pictures, share, seed) == parts


def test_another_seed_is_another_split_and_the_split_of_a_seed_never_changes() -> None:
    pictures = named(10)
    assert [p.name for p in split(pictures, 0.3, 0).held_out] == ["p2", "p4", "p6"]
    assert split(pictures, 0.3, 1) != split(pictures, 0.3, 0)
    with pytest.raises(InvalidData, match="1 picture, expected at least 2"):
        split(named(1), 0.5, 0)


@pytest.fixture
def found(tmp_path: Path) -> WeightsFit:
    """The right answer is what the mirrored picture shows: the second pixel of the first line."""
    directory = write_bundle(tmp_path / "pets" / "1", PICTURES, shape=(2, 2, 3), scale=0.02)
    model = load_version(Place("pets", 1, directory), loading_plugs(Config()))
    return fitted(model, "flip")


def fitted(model: LoadedModel, policy: str) -> WeightsFit:
    numbers = np.random.default_rng(7)
    pixels = numbers.integers(0, 256, (60, 2, 2, 3), np.uint8)
    pictures = [
        LabelledPicture(f"p{n}", int(each[0, 1].argmax()), partial(encode_png, each))
        for n, each in enumerate(pixels)
    ]
    told: list[tuple[str, int]] = []

    def begin(title: str, total: int) -> Callable[[int], None]:
        told.append((title, total))
        return lambda _done: None

    with asked(model) as serving:
        fitter = Fitter(fit_plan(CHOICE, policy, 0), serving.runner, begin)
        result = asyncio.run(fitter.fit(split(pictures, 0.4, 0), SUBJECT, 0))
    assert told == [("the pictures to fit on", 36), ("the held-out pictures", 24)]
    return result


def test_the_view_that_knows_gets_the_weight_and_is_right_on_pictures_it_never_saw(
    found: WeightsFit,
) -> None:
    identity, hflip = found.weights.weights
    assert identity < 1e-3
    assert hflip > 0.999
    plain, mean, weighted = found.judged
    assert [each.answers for each in found.judged] == ["plain", "mean", "weighted"]
    assert weighted.figures.right == 24
    assert plain.figures.right < mean.figures.right < 24
    assert weighted.change == Paired(24 - plain.figures.right, 0)
    assert found.against_mean == Paired(24 - mean.figures.right, 0)
    assert found.is_better
    assert found.weights.loss_after_nats < found.weights.loss_before_nats
    assert found.gap_nats <= 1e-6


def test_the_weights_are_bound_to_model_recipe_and_views_and_can_be_read_back(
    found: WeightsFit,
) -> None:
    weights = found.weights
    assert (weights.model_digest, weights.recipe_digest) == ("a" * 64, "b" * 64)
    assert (weights.policy, weights.views, weights.rows) == ("flip", ("identity", "hflip"), 36)
    assert weights.method.startswith("expectation maximisation of the mixture's likelihood, ")
    assert parse_weights(weights.to_json()) == weights


def test_weights_that_are_worse_on_held_out_pictures_are_called_that(found: WeightsFit) -> None:
    plain, mean, weighted = found.judged
    worse = replace(found, judged=(plain, weighted, mean))
    assert not worse.is_better
    assert not json.loads(worse.to_json())["better_than_equal"]


def test_the_document_fits_the_published_schema(found: WeightsFit) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    document = json.loads(found.to_json())
    jsonschema.validate(document, SCHEMA, jsonschema.Draft202012Validator)
    assert document["weights_digest"] == found.weights.digest
    document["judged"].pop()
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA, jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    ("policy", "said"), [("one", "has one view"), ("none", "has one view"), ("flop", "unknown")]
)
def test_only_several_views_can_be_weighed(policy: str, said: str) -> None:
    with pytest.raises(InvalidData, match=said):
        fit_plan(CHOICE, policy, 0)
