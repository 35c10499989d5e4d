"""The runner: the server's own views and aggregation, picture by picture, and what is refused."""

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batchproof_server.application.config import Config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.base.errors import BackendFailed
from batchproof_server.base.scores import probabilities_of, scored
from batchproof_server.imaging.encoding import encode_png
from batchproof_server.models.discovery import Place
from batchproof_server.models.loading import LoadedModel, load_version
from batchproof_server.offline.datasets.pictures import InvalidData, LabelledPicture
from batchproof_server.offline.evaluation.augmentation.policies import (
    Wanted,
    plain_policy,
    tried_policies,
)
from batchproof_server.offline.evaluation.augmentation.running import (
    Course,
    Policy,
    Runner,
    new_course,
    served_runner,
)
from batchproof_server.offline.evaluation.paths import EvaluationFailed
from batchproof_server.tta.choice import Choice, TtaRequest, choice_of
from batchproof_server.tta.expansion import Expansion
from batchproof_server.tta.policies import PolicySettings, TtaSettings
from batchproof_server.tta.result import row_result
from support.bundles_on_disk import PICTURES, picture, write_bundle

TRUTH = np.array([0, 1, 2, 1])
ALL = ("mean", "logit_mean", "vote", "max", "sharpen", "blend")


@pytest.fixture
def model(tmp_path: Path) -> Iterator[LoadedModel]:
    """Takes pictures of 2 x 2 pixels; its logits are the first pixel; buckets of 2 and 4."""
    directory = write_bundle(tmp_path / "pets" / "1", PICTURES, shape=(2, 2, 3), scale=0.01)
    loaded = load_version(Place("pets", 1, directory), loading_plugs(Config()))
    yield loaded
    loaded.backend.close()


@pytest.fixture
def pictures() -> list[LabelledPicture]:
    pixels = np.random.default_rng(5).integers(0, 256, (len(TRUTH), 2, 2, 3), np.uint8)
    return [
        LabelledPicture(f"p{n}", int(true), partial(encode_png, pixels[n]))
        for n, true in enumerate(TRUTH)
    ]


def choice(**settings: Any) -> Choice:
    return choice_of(TtaSettings(**settings), None, "m", "r")


def runner(model: LoadedModel) -> Runner:
    ticks = itertools.count()
    return served_runner(model, lambda: float(next(ticks)), lambda _done: None)


def expansion_of(model: LoadedModel) -> Expansion:
    assert model.expansion is not None
    return model.expansion


def test_the_answers_are_those_of_the_servers_views_and_aggregation(
    model: LoadedModel, pictures: list[LabelledPicture]
) -> None:
    expansion, known = expansion_of(model), choice()
    tried = tried_policies(known, expansion, Wanted(aggregations=ALL, seed=3))
    assert [policy.name for policy in tried] == ["flip", "d4", "crops", "light"]
    courses = [new_course(policy, TRUTH) for policy in tried]
    runner(model).run(pictures, courses)
    for course, name in itertools.product(courses, ALL):
        asked = TtaRequest(policy=course.policy.name, aggregation=name, seed=3)
        plan = known.plan(asked)
        for place, each in enumerate(pictures):
            rows = expansion.rows(expansion.recipe.picture(each.read()), plan)
            logits = 0.01 * rows.reshape(len(rows), -1)[:, :3] + 1
            views = probabilities_of(logits.astype(np.float32), "logits")
            (answer,) = scored(
                row_result(plan, views).probabilities[np.newaxis], None
            ).probabilities
            answers = course.answers[plan.aggregation.text]
            assert answers.top1[place] == answer.argmax()
            assert answers.confidence[place] == answer.max()
            assert answers.true_probability[place] == answer[TRUTH[place]]


def test_the_plain_course_is_the_plain_prediction_whatever_the_default_is(
    model: LoadedModel, pictures: list[LabelledPicture]
) -> None:
    expansion = expansion_of(model)
    plain = new_course(plain_policy(choice(default="flip"), expansion), TRUTH)
    runner(model).run(pictures, [plain])
    first = np.stack([expansion.recipe.apply(each.read())[0, 0] for each in pictures])
    assert plain.policy.views == ("identity",)
    assert plain.alone[0].top1.tolist() == first.argmax(axis=1).tolist()
    assert plain.without == ()


def test_a_policy_brings_its_own_aggregation_and_others_are_tried_where_asked(
    model: LoadedModel,
) -> None:
    own = PolicySettings(("identity", "hflip"), "blend(0.5)", early_exit=0.9)
    known = choice(policies={"own": own})
    expansion = expansion_of(model)
    (usual,) = tried_policies(known, expansion, Wanted(("own", "none", "own")))
    assert list(usual.combine) == ["mean", "logit_mean", "blend(0.5)"]
    (asked,) = tried_policies(known, expansion, Wanted(("own",), None, ("sharpen", "sharpen(2)")))
    assert list(asked.combine) == ["sharpen(2)"]


def test_a_left_out_view_has_no_part_and_blend_without_the_plain_view_is_the_mean(
    model: LoadedModel,
) -> None:
    expansion = expansion_of(model)
    known = choice(
        policies={"own": PolicySettings(("identity", "hflip"), "weighted", weights=(1.0, 0.0))}
    )
    views = ("identity", "hflip", "vflip")
    given = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    for name, expected in (("mean", [0.35, 0.65]), ("blend", [0.35, 0.65])):
        (three,) = tried_policies(choice(), expansion, Wanted(None, views, (name,)))
        assert three.combine_without[0](given) == pytest.approx(expected)
    (own,) = tried_policies(known, expansion, Wanted(("own",), None, ("weighted",)))
    assert own.combine["weighted"](given[:2]).tolist() == [0.9, 0.1]
    assert own.combine_without[0](given[:2]).tolist() == [0.2, 0.8]


def test_views_are_one_policy_more_or_the_only_one(model: LoadedModel) -> None:
    expansion, views = expansion_of(model), ("identity", "rotate(8)")
    (only,) = tried_policies(choice(), expansion, Wanted(views=views))
    assert (only.name, only.views) == ("custom", views)
    flip, more = tried_policies(choice(), expansion, Wanted(("flip",), views))
    assert (flip.name, more.name) == ("flip", "custom")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Wanted(("flop",)), 'unknown policy "flop", one of none, flip'),
        (Wanted(("none",)), 'no policy beside "none", expected one of none, flip'),
        (Wanted(("",)), 'unknown policy "", one of none, flip'),
        (Wanted(("flip",), None, ("median",)), 'unknown aggregation "median", one of mean'),
        (Wanted(("flip",), None, ("weighted",)), 'the policy "flip" has no weights'),
        (Wanted(("bare",), None, ("blend",)), 'needs the view "identity"'),
        (Wanted(views=("blur",)), 'unknown view "blur", one of identity'),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(
    wanted: Wanted, said: str, model: LoadedModel
) -> None:
    known = choice(policies={"bare": PolicySettings(("hflip", "vflip"))})
    with pytest.raises(InvalidData, match=said):
        tried_policies(known, expansion_of(model), wanted)


def counted(name: str, begun: list[str]) -> Policy:
    def expand(encoded: bytes) -> Any:
        begun.append(name)
        return np.full((2, 2, 2, 3), encoded[-1], np.float32)

    return Policy(name, ("one", "other"), expand, {"mean": lambda views: views[0]}, ())


def test_every_picture_is_answered_by_all_policies_and_each_time_by_another_one_first(
    model: LoadedModel, pictures: list[LabelledPicture]
) -> None:
    begun: list[str] = []
    courses = [new_course(counted(name, begun), TRUTH) for name in "abc"]
    runner(model).run(pictures, courses)
    assert "".join(begun) == "abcbcacababc"
    assert all(course.picture_s.tolist() == [1.0] * len(pictures) for course in courses)


def test_an_output_that_is_not_finite_is_refused_with_the_name_of_its_view(
    model: LoadedModel, pictures: list[LabelledPicture]
) -> None:
    def execute(rows: Any) -> Any:
        return np.where(np.arange(len(rows))[:, np.newaxis] == 1, np.nan, np.zeros(3)), 4

    (flip,) = tried_policies(choice(), expansion_of(model), Wanted(("flip",)))
    broken = Runner(execute, "logits", 4, lambda: 0.0, lambda _done: None)
    with pytest.raises(InvalidData, match='p0: the model\'s output for view "hflip" is not finite'):
        broken.run(pictures[:1], [new_course(flip, TRUTH[:1])])


def test_every_picture_that_is_refused_is_named_and_a_failure_ends_it(
    model: LoadedModel, pictures: list[LabelledPicture], tmp_path: Path
) -> None:
    bad = LabelledPicture("bad", 0, lambda: b"bad")
    gone = LabelledPicture("gone", 0, (tmp_path / "gone").read_bytes)
    large = LabelledPicture("large", 0, partial(picture, 5, size=9))
    course = plain_course(model)
    with pytest.raises(InvalidData) as invalid:
        runner(model).run([bad, gone, large], [course])
    assert [fault.split(":")[0] for fault in invalid.value.faults] == ["bad", "gone", "large"]

    def execute(_rows: Any) -> Any:
        raise BackendFailed("it broke")

    broken = Runner(execute, "logits", 4, lambda: 0.0, lambda _done: None)
    with pytest.raises(EvaluationFailed, match="p0: it broke"):
        broken.run(pictures, [course])


def plain_course(model: LoadedModel) -> Course:
    return new_course(plain_policy(choice(), expansion_of(model)), TRUTH)
