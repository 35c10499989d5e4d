"""Figures, leave-one-out, early exit and the recommendation, by hand; and the document."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from batchproof_server.offline.evaluation.augmentation.paired import Paired
from batchproof_server.offline.evaluation.augmentation.result import evaluation_of, is_recommended
from batchproof_server.offline.evaluation.augmentation.verdict import (
    Trial,
    p_sentence,
    p_text,
    recommended,
)
from batchproof_server.tta.plan import Plan
from batchproof_server.tta.result import is_sure
from batchproof_server.tta.views import IDENTITY, parse_views
from unit.offline.evaluation.augmentation.courses import SUBJECT, course, evaluation, policy

SCHEMA: Any = json.loads(
    (Path(__file__).resolve().parents[5] / "docs/schemas/tta-evaluation.schema.json").read_text()
)


def test_a_trial_is_compared_with_the_plain_answers() -> None:
    result = evaluation(corrected=12, corrupted=2, unchanged=20)
    assert result.plain.figures.right == 22
    assert (result.plain.cost.views, result.plain.cost.ratio) == (1, 1.0)
    mean, highest = result.trials
    assert (mean.title, highest.title) == ("flip0, mean", "flip0, max")
    assert mean.change == Paired(12, 2)
    assert mean.figures.right == 32
    assert mean.figures.accuracy == pytest.approx(32 / 34)
    own = [0.65] * 12 + [0.35] * 2 + [0.925] * 20
    assert mean.figures.nll == pytest.approx(-np.log(own).mean())
    assert (mean.cost.views, mean.cost.picture_s, mean.cost.ratio) == (2, 0.002, 2.0)


def test_each_view_is_judged_alone_and_by_what_is_lost_without_it() -> None:
    (detail,) = evaluation(corrected=12, corrupted=2, unchanged=20).details
    identity, hflip = detail.views
    assert (identity.alone.right, identity.without.right) == (22, 32)
    assert (hflip.alone.right, hflip.without.right) == (32, 22)
    assert identity.gain == Paired(0, 0)
    assert hflip.gain == Paired(12, 2)


def test_a_policy_of_one_view_has_nothing_to_leave_out() -> None:
    rows, truth = [[0.9], [0.2]], [1, 1]
    plain = course(policy("none", ["identity"]), rows, truth)
    only = course(policy("turned", ["hflip"]), rows, truth)
    result = evaluation_of(SUBJECT, plain, [only], ())
    (detail,) = result.details
    assert (detail.views, detail.early_exit) == ((), ())
    assert result.recommendation.policy == "none"


def test_early_exit_keeps_the_plain_answers_that_are_sure_and_counts_what_is_saved() -> None:
    (detail,) = evaluation(corrected=12, corrupted=2, unchanged=20).details
    half, sure = detail.early_exit
    assert (half.threshold, sure.threshold) == (0.5, 0.9)
    assert (half.stopped, half.stopped_share, half.change) == (34, 1.0, Paired(0, 0))
    assert (half.views, half.other_answers) == (1.0, 14)
    assert (sure.stopped, sure.right, sure.change) == (20, 32, Paired(12, 2))
    assert sure.other_answers == 0
    assert sure.views == pytest.approx(1 + 14 / 34)
    assert sure.picture_s == pytest.approx(0.001 + 14 / 34 * 0.002)


def test_without_the_plain_view_there_is_no_early_exit_as_the_server_says_too() -> None:
    rows, truth = [[0.9, 0.8], [0.2, 0.6]], [1, 1]
    plain = course(policy("none", ["identity"]), [[0.9], [0.2]], truth)
    turned = course(policy("custom", ["rot90", "hflip"]), rows, truth)
    (detail,) = evaluation_of(SUBJECT, plain, [turned], (0.5,)).details
    assert detail.early_exit == ()
    with pytest.raises(ValueError, match='early_exit needs the view "identity"'):
        Plan("custom", parse_views(("rot90", "hflip")), early_exit=0.5)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.9, 1.0])
def test_early_exit_stops_where_the_server_stops(threshold: float) -> None:
    dogs = np.random.default_rng(1).random((50, 2)).round(1)
    truth = [1] * 50
    plain = course(policy("none", ["identity"]), dogs[:, :1], truth)
    full = course(policy("flip", ["identity", "hflip"]), dogs, truth)
    (detail,) = evaluation_of(SUBJECT, plain, [full], (threshold,)).details
    plan = Plan("flip", (IDENTITY, IDENTITY), early_exit=threshold)
    stops = [is_sure(plan, np.array([1 - dog, dog])) for dog in dogs[:, 0]]
    assert detail.early_exit[0].stopped == sum(stops)


def test_a_significant_gain_is_recommended() -> None:
    result = evaluation(corrected=12, corrupted=2)
    chosen = result.recommendation
    assert (chosen.policy, chosen.aggregation) == ("flip0", "mean")
    assert chosen.why == (
        "corrects 12 pictures and corrupts 2, p = 0.026 (McNemar, Holm over 2 trials) is below 0.05"
    )
    assert [is_recommended(trial, chosen) for trial in result.trials] == [True, False]
    assert result.trials[0].is_gain
    assert not result.trials[0].is_harm


def test_the_same_gain_is_no_longer_significant_when_more_was_tried() -> None:
    result = evaluation(corrected=12, corrupted=2, policies=3)
    assert result.recommendation.policy == "none"
    assert result.recommendation.why == (
        "no gain is significant; the greatest, flip0, mean, corrects 12 pictures and corrupts 2, "
        "but p = 0.078 (McNemar, Holm over 6 trials) is not below 0.05"
    )
    assert not any(trial.is_gain or trial.is_harm for trial in result.trials)


def test_what_harms_is_never_recommended_however_significant() -> None:
    result = evaluation(corrected=2, corrupted=40)
    assert result.trials[0].is_harm
    assert result.recommendation.policy == "none"
    assert result.recommendation.why.startswith("nothing corrects more than it corrupts")
    assert not any(is_recommended(trial, result.recommendation) for trial in result.trials)


def trials_of(*rights: tuple[list[int], int, float]) -> tuple[list[Trial], list[Any]]:
    """Trials against plain answers that are all wrong: who is right, views, NLL."""
    some = evaluation().trials[0]
    trials = [
        replace(
            some,
            policy=f"t{number}",
            figures=replace(some.figures, nll=nll),
            change=Paired(sum(right), 0),
            adjusted_p=0.001,
            cost=replace(some.cost, views=views),
        )
        for number, (right, views, nll) in enumerate(rights)
    ]
    return trials, [np.array(right, bool) for right, _, _ in rights]


def test_of_gains_that_differ_by_chance_the_cheaper_is_recommended() -> None:
    trials, right = trials_of(([1] * 20, 8, 0.1), ([0] * 3 + [1] * 17, 2, 0.3))
    assert recommended(trials, right).policy == "t1"


def test_a_gain_that_is_significantly_smaller_is_not_recommended_for_being_cheap() -> None:
    trials, right = trials_of(([0] * 6 + [1] * 14, 2, 0.1), ([1] * 20, 8, 0.3))
    assert recommended(trials, right).policy == "t1"


def test_of_equally_cheap_gains_the_better_calibrated_is_recommended() -> None:
    trials, right = trials_of(([1] * 20, 2, 0.3), ([0, 0] + [1] * 18, 2, 0.2))
    assert recommended(trials, right).policy == "t1"


def test_a_p_value_below_what_a_float_holds_is_not_told_as_0() -> None:
    assert p_text(0.0) == p_text(1e-301) == "<1e-300"
    assert p_text(0.01234) == "0.012"
    assert (p_sentence(0.0), p_sentence(0.5)) == ("p < 1e-300", "p = 0.5")


def test_the_document_fits_the_published_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    document = json.loads(evaluation(policies=2).to_json())
    jsonschema.validate(document, SCHEMA, jsonschema.Draft202012Validator)
    assert document["trials"][0]["change"]["p_value"] == pytest.approx(212 / 2**14)
    assert document["warnings"] == ["flip: may be unsafe"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document.pop("recommendation"),
        lambda document: document.update(extra=1),
        lambda document: document["trials"].clear(),
        lambda document: document["trials"][0].update(adjusted_p=1.5),
        lambda document: document["plain"]["figures"].pop("ece"),
        lambda document: document["details"][0]["early_exit"][0].update(views=0.5),
    ],
)
def test_the_schema_refuses_what_is_no_evaluation(spoil: Callable[[Any], object]) -> None:
    document = json.loads(evaluation().to_json())
    spoil(document)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA, jsonschema.Draft202012Validator)
