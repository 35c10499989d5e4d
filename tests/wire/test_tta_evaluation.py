"""What ``tta evaluate`` and ``tta fit`` say is what the server answers to the same pictures."""

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.__main__ import main
from batchproof_server.application.config import Config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.imaging.encoding import encode_png
from batchproof_server.models.discovery import Place
from batchproof_server.models.loading import load_version
from batchproof_server.offline.datasets.pictures import LabelledPicture
from batchproof_server.offline.evaluation.augmentation.policies import WantedTrials, tried_policies
from batchproof_server.offline.evaluation.augmentation.running import (
    Course,
    new_course,
)
from support.asked import asked
from support.bundles_on_disk import PICTURES, write_bundle
from support.running import Running, running

COUNT = 12
TRUTH = np.arange(COUNT) % 3
PIXELS = np.random.default_rng(11).integers(0, 256, (COUNT, 2, 2, 3), np.uint8)
SEED = 5

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Ranks red, green and blue of the first of 2 x 2 pixels; buckets of 2 and 4."""
    roomy = PICTURES.replace("max_queued_rows = 16", "max_queued_rows = 256")
    return write_bundle(tmp_path / "colours" / "1", roomy, shape=(2, 2, 3), scale=0.02)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    np.savez(tmp_path / "data.npz", images=PIXELS, labels=TRUTH)
    return tmp_path / "data.npz"


async def tried(bundle: Path, wanted: WantedTrials) -> list[Course]:
    """The courses of a fresh copy of the model."""
    model = load_version(Place("colours", 1, bundle), loading_plugs(Config()))
    policies = tried_policies(model.tta, wanted)
    courses = [new_course(policy, TRUTH) for policy in policies]
    pictures = [
        LabelledPicture(str(n), int(TRUTH[n]), partial(encode_png, PIXELS[n])) for n in range(COUNT)
    ]
    with asked(model) as served:
        await served.runner().run(pictures, courses)
    return courses


async def rows(serving: Running, **tta: Any) -> list[Any]:
    """The server's answers to all pictures, sent together."""
    request = pb.PredictRequest(
        images=pb.EncodedImages(contents=[encode_png(pixels) for pixels in PIXELS]),
        options=pb.PredictOptions(
            return_probabilities=True, tta=pb.TestTimeAugmentation(seed=SEED, **tta)
        ),
    )
    return list((await serving.stub.Predict(request)).rows)


def assert_same(course: Course, aggregation: str, answers: list[Any]) -> None:
    noted = course.answers[aggregation]
    given = np.array([list(row.probabilities) for row in answers])
    assert noted.top1.tolist() == [row.classes[0].index for row in answers]
    assert noted.confidence.tolist() == given.max(axis=1).tolist()
    assert noted.true_probability.tolist() == given[np.arange(COUNT), TRUTH].tolist()


async def test_every_trial_has_the_very_answers_of_the_server(bundle: Path) -> None:
    aggregations = ("mean", "logit_mean", "vote", "max", "sharpen(2)", "blend(0.25)")
    views = ("identity", "noise(0.1)", "rotate(8)", "noise(0.1)")
    wanted = WantedTrials(("flip", "d4", "crops", "light"), views, aggregations, SEED)
    courses = await tried(bundle, wanted)
    async with running(bundle) as serving:
        for course in courses:
            name = course.policy.name
            asked: Any = {"views": views} if name == "custom" else {"policy": name}
            for aggregation in aggregations:
                answers = await rows(serving, aggregation=aggregation, **asked)
                assert_same(course, aggregation, answers)


async def test_as_many_pictures_stop_early_as_was_said(
    bundle: Path, data: Path, capsys: Captured
) -> None:
    thresholds = (0.5, 0.6, 0.8)
    given = ("--policies", "flip", "--early-exit", ",".join(map(str, thresholds)), "--json")
    assert (
        await asyncio.to_thread(main, ["tta", "evaluate", str(bundle), "--data", str(data), *given])
        == 0
    )
    points = json.loads(capsys.readouterr().out)["details"][0]["early_exit"]
    async with running(bundle) as serving:
        for point, threshold in zip(points, thresholds, strict=True):
            answers = await rows(serving, policy="flip", early_exit=threshold)
            assert point["stopped"] == sum(row.tta.exited_early for row in answers)
            top1 = np.array([row.classes[0].index for row in answers])
            assert point["right"] == np.count_nonzero(top1 == TRUTH)
            assert point["views"] == pytest.approx(
                np.mean([row.tta.views_executed for row in answers])
            )
    assert 0 < points[1]["stopped"] < COUNT


async def test_fitted_weights_are_served_where_they_belong_and_refused_elsewhere(
    bundle: Path, data: Path, capsys: Captured
) -> None:
    assert (
        await asyncio.to_thread(
            main, ["tta", "fit", str(bundle), "--data", str(data), "--policy", "flip", "--json"]
        )
        == 0
    )
    fitted = json.loads(capsys.readouterr().out)
    (course,) = await tried(bundle, WantedTrials(("flip",), seed=SEED))
    assert list(course.answers) == ["mean", "logit_mean", "weighted"]
    async with running(bundle) as serving:
        answers = await rows(serving, policy="flip", aggregation="weighted", return_views=True)
        assert_same(course, "weighted", answers)
        weights = [view.weight for view in answers[0].tta.views]
        assert weights == pytest.approx(fitted["weights"]["weights"])
    affine = json.loads((bundle / "affine.json").read_text())
    (bundle / "affine.json").write_text(json.dumps(affine | {"scale": 0.03}))
    assert await asyncio.to_thread(main, ["tta", "evaluate", str(bundle), "--data", str(data)]) == 1
    assert "tta_weights.json: model_digest: fitted to" in capsys.readouterr().err
