"""The runner: the server's own views and aggregation, picture by picture, and what is refused."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batchproof_server.application.config import Config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.base.backend import Backend
from batchproof_server.base.errors import BackendFailed
from batchproof_server.base.scores import probabilities_of, score_probabilities
from batchproof_server.base.signature import Tensors
from batchproof_server.imaging.encoding import encode_png
from batchproof_server.models.discovery import Place
from batchproof_server.models.loading import load_version
from batchproof_server.offline.datasets.pictures import InvalidData, LabelledPicture
from batchproof_server.offline.evaluation.augmentation.policies import (
    WantedTrials,
    plain_policy,
    tried_policies,
)
from batchproof_server.offline.evaluation.augmentation.running import (
    Course,
    Policy,
    new_course,
)
from batchproof_server.offline.evaluation.paths import EvaluationFailed
from batchproof_server.serving.request import Prediction, PredictRequest, Refusal
from batchproof_server.tta.choice import Choice, TtaRequest, choice_of
from batchproof_server.tta.expansion import Expansion
from batchproof_server.tta.plan import Plan
from batchproof_server.tta.policies import PolicySettings, TtaSettings
from batchproof_server.tta.result import row_result
from batchproof_server.tta.views import IDENTITY
from support.asked import Asked, asked
from support.bundles_on_disk import PICTURES, picture, write_bundle

TRUTH = np.array([0, 1, 2, 1])
ALL = ("mean", "logit_mean", "vote", "max", "sharpen", "blend")


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Asked]:
    """Takes pictures of 2 x 2 pixels; its logits are the first pixel; buckets of 2 and 4."""
    directory = write_bundle(tmp_path / "pets" / "1", PICTURES, shape=(2, 2, 3), scale=0.01)
    with asked(load_version(Place("pets", 1, directory), loading_plugs(Config()))) as served:
        yield served


@pytest.fixture
def pictures() -> list[LabelledPicture]:
    pixels = np.random.default_rng(5).integers(0, 256, (len(TRUTH), 2, 2, 3), np.uint8)
    return [
        LabelledPicture(f"p{n}", int(true), partial(encode_png, pixels[n]))
        for n, true in enumerate(TRUTH)
    ]


def choice(**settings: Any) -> Choice:
    return choice_of(TtaSettings(**settings), None, "m", "r")


def expansion_of(serving: Asked) -> Expansion:
    expansion = serving.model.loaded.expansion
    assert expansion is not None
    return expansion


async def test_the_answers_are_those_of_the_servers_views_and_aggregation(
    serving: Asked, pictures: list[LabelledPicture]
) -> None:
    expansion, known = expansion_of(serving), choice()
    tried = tried_policies(known, WantedTrials(aggregations=ALL, seed=3))
    assert [policy.name for policy in tried] == ["flip", "d4", "crops", "light"]
    courses = [new_course(policy, TRUTH) for policy in tried]
    await serving.runner().run(pictures, courses)
    for course, name in itertools.product(courses, ALL):
        asked = TtaRequest(policy=course.policy.name, aggregation=name, seed=3)
        plan = known.plan(asked)
        for place, each in enumerate(pictures):
            rows = expansion.rows(expansion.recipe.picture(each.read()), plan)
            logits = 0.01 * rows.reshape(len(rows), -1)[:, :3] + 1
            views = probabilities_of(logits.astype(np.float32), "logits")
            (answer,) = score_probabilities(
                row_result(plan, views).probabilities[np.newaxis], None
            ).probabilities
            answers = course.answers[plan.aggregation.text]
            assert answers.top1[place] == answer.argmax()
            assert answers.confidence[place] == answer.max()
            assert answers.true_probability[place] == answer[TRUTH[place]]


async def test_the_plain_course_is_the_plain_prediction_whatever_the_default_is(
    serving: Asked, pictures: list[LabelledPicture]
) -> None:
    expansion = expansion_of(serving)
    plain = new_course(plain_policy(choice(default="flip")), TRUTH)
    await serving.runner().run(pictures, [plain])
    first = np.stack([expansion.recipe.apply(each.read())[0, 0] for each in pictures])
    assert plain.policy.views == ("identity",)
    assert plain.alone[0].top1.tolist() == first.argmax(axis=1).tolist()
    assert plain.without == ()


def test_a_policy_brings_its_own_aggregation_and_others_are_tried_where_asked() -> None:
    own = PolicySettings(("identity", "hflip"), "blend(0.5)", early_exit=0.9)
    known = choice(policies={"own": own})
    (usual,) = tried_policies(known, WantedTrials(("own", "none", "own")))
    assert list(usual.combine) == ["mean", "logit_mean", "blend(0.5)"]
    (asked,) = tried_policies(known, WantedTrials(("own",), None, ("sharpen", "sharpen(2)")))
    assert list(asked.combine) == ["sharpen(2)"]


def test_a_left_out_view_has_no_part_and_blend_without_the_plain_view_is_the_mean() -> None:
    known = choice(
        policies={"own": PolicySettings(("identity", "hflip"), "weighted", weights=(1.0, 0.0))}
    )
    views = ("identity", "hflip", "vflip")
    given = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    for name, expected in (("mean", [0.35, 0.65]), ("blend", [0.35, 0.65])):
        (three,) = tried_policies(choice(), WantedTrials(None, views, (name,)))
        assert three.combine_without[0](given) == pytest.approx(expected)
    (own,) = tried_policies(known, WantedTrials(("own",), None, ("weighted",)))
    assert own.combine["weighted"](given[:2]).tolist() == [0.9, 0.1]
    assert own.combine_without[0](given[:2]).tolist() == [0.2, 0.8]


def test_views_are_one_policy_more_or_the_only_one() -> None:
    views = ("identity", "rotate(8)")
    (only,) = tried_policies(choice(), WantedTrials(views=views))
    assert (only.name, only.views) == ("custom", views)
    flip, more = tried_policies(choice(), WantedTrials(("flip",), views))
    assert (flip.name, more.name) == ("flip", "custom")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (WantedTrials(("flop",)), 'unknown policy "flop", one of none, flip'),
        (WantedTrials(("none",)), 'no policy beside "none", expected one of none, flip'),
        (WantedTrials(("",)), 'unknown policy "", one of none, flip'),
        (WantedTrials(("flip",), None, ("median",)), 'unknown aggregation "median", one of mean'),
        (WantedTrials(("flip",), None, ("weighted",)), 'the policy "flip" has no weights'),
        (WantedTrials(("bare",), None, ("blend",)), 'needs the view "identity"'),
        (WantedTrials(views=("blur",)), 'unknown view "blur", one of identity'),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(wanted: WantedTrials, said: str) -> None:
    known = choice(policies={"bare": PolicySettings(("hflip", "vflip"))})
    with pytest.raises(InvalidData, match=said):
        tried_policies(known, wanted)


async def test_every_picture_is_answered_by_all_policies_and_each_time_by_another_one_first(
    serving: Asked, pictures: list[LabelledPicture]
) -> None:
    begun: list[str] = []

    async def predict(requests: Sequence[PredictRequest]) -> list[Prediction | Refusal]:
        begun.extend(request.plan.policy for request in requests)
        return await serving.predict(requests)

    def counted(name: str) -> Policy:
        plan = Plan(name, (IDENTITY, IDENTITY))
        return Policy(name, ("one", "other"), plan, {"mean": lambda views: views[0]}, ())

    courses = [new_course(counted(name), TRUTH) for name in "abc"]
    await replace(serving.runner(), predict=predict).run(pictures, courses)
    assert "".join(begun) == "abcbcacababc"
    assert all(course.picture_s.tolist() == [1.0] * len(pictures) for course in courses)


class Wild:
    """A backend that has no finite answer to a row whose first pixel is white."""

    def __init__(self, backend: Backend) -> None:
        self.signature, self.engine, self.close = backend.signature, backend.engine, backend.close
        self._execute = backend.execute

    def execute(self, inputs: Tensors) -> Tensors:
        """Answers, but for white."""
        white = inputs["image"][:, 0, 0, 0] == 255
        scores = self._execute(inputs)["scores"]
        return {"scores": np.where(white[:, np.newaxis], np.float32(np.nan), scores)}


async def test_an_output_that_is_not_finite_is_refused_with_the_name_of_its_view(
    tmp_path: Path,
) -> None:
    directory = write_bundle(tmp_path / "wild" / "1", PICTURES, shape=(2, 2, 3))
    loaded = load_version(Place("wild", 1, directory), loading_plugs(Config()))
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[0, 1] = 255  # which the mirror brings to the first place
    white = LabelledPicture("p0", 0, partial(encode_png, pixels))
    (flip,) = tried_policies(choice(), WantedTrials(("flip",)))
    said = r'p0: the model\'s output for row 0, view "hflip", is not finite'
    with (
        asked(replace(loaded, backend=Wild(loaded.backend))) as serving,
        pytest.raises(InvalidData, match=said),
    ):
        await serving.runner().run([white], [new_course(flip, TRUTH[:1])])


async def test_every_picture_that_is_refused_is_named_and_a_failure_ends_it(
    serving: Asked, pictures: list[LabelledPicture], tmp_path: Path
) -> None:
    bad = LabelledPicture("bad", 0, lambda: b"bad")
    gone = LabelledPicture("gone", 0, (tmp_path / "gone").read_bytes)
    large = LabelledPicture("large", 0, partial(picture, 5, size=9))
    course = plain_course()
    with pytest.raises(InvalidData) as invalid:
        await serving.runner().run([bad, gone, large], [course])
    assert [fault.split(":")[0] for fault in invalid.value.faults] == ["bad", "gone", "large"]

    async def predict(requests: Sequence[PredictRequest]) -> list[Prediction | Refusal]:
        return [Refusal(BackendFailed(f"it broke at {each.plan.policy}")) for each in requests]

    broken = replace(serving.runner(), predict=predict)
    with pytest.raises(EvaluationFailed, match="p0: it broke"):
        await broken.run(pictures, [course])


def plain_course() -> Course:
    return new_course(plain_policy(choice()), TRUTH)
