"""Drift over real ports: a scrape shows exactly what was answered, and nothing else."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from io import BytesIO
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families as parse

from batchproof.v1 import prediction_pb2 as pb
from batchproof_client import AsyncClient
from batchproof_server.__main__ import main
from batchproof_server.application.config import Config
from batchproof_server.base.input_statistics import InputStatistics
from batchproof_server.base.scores import score
from batchproof_server.base.signature import Array
from batchproof_server.drift.counters import DriftCounts, Ruler
from batchproof_server.drift.pictures import input_values
from batchproof_server.drift.profile import ReferenceProfile
from batchproof_server.drift.profile_form import parse_profile, profile_digest, profile_json
from batchproof_server.drift.settings import DriftSettings
from batchproof_server.drift.signals import Signals, prediction_signals
from batchproof_server.imaging.decoded import picture_statistics
from batchproof_server.rpc.settings import RpcSettings
from batchproof_server.selfcheck.settings import SelfCheckSettings
from batchproof_server.serving.request import RequestLimits
from support.bundles_on_disk import PICTURES, write_bundle
from support.compat_requests import content, infer, open_inference, predict, prediction
from support.fakes import PATIENCE_S
from support.running import Running, refused, running, tensors

QUEUE_ROWS = 16
# A stream has no more requests under way than the queue holds rows, however slow the device is.
EVERY_REQUEST = Config(self_check=SelfCheckSettings(1.0), rpc=RpcSettings(stream_window=QUEUE_ROWS))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Three scores of 2 x 2 pixels, with the profile of 300 random pictures."""
    # A stream of 40 pictures is refused nothing, however slow the device is.
    roomy = PICTURES.replace("max_queued_rows = 16", "max_queued_rows = 256")
    directory = write_bundle(tmp_path / "shoes" / "1", roomy, shape=(2, 2, 3), scale=0.02)
    images = pictures(300, seed=1)
    labels = images[:, 0, 0].argmax(axis=1)
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    assert main(["profile", str(directory), "--data", str(tmp_path / "data.npz")]) == 0
    return directory


@pytest.fixture
async def serving(bundle: Path) -> AsyncIterator[Running]:
    async with running(bundle, EVERY_REQUEST) as started:
        yield started


def pictures(count: int, seed: int) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (count, 2, 2, 3)).astype(np.uint8)


def png(pixels: Array) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def request(images: Iterable[Array]) -> pb.PredictRequest:
    return pb.PredictRequest(images=pb.EncodedImages(contents=[png(each) for each in images]))


def page(serving: Running) -> dict[str, dict[tuple[str, ...], float]]:
    """The series of drift: name -> (signal, bin, reason) -> value."""
    address = f"http://127.0.0.1:{serving.server.operations.port}/metrics"
    with urllib.request.urlopen(address, timeout=PATIENCE_S) as answer:
        families = list(parse(answer.read().decode()))
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in families:
        for sample in family.samples:
            named = (sample.labels.get(key) for key in ("signal", "bin", "reason"))
            key = tuple(label for label in named if label is not None)
            found.setdefault(sample.name.removeprefix("batchproof_"), {})[key] = sample.value
    return found


def expected(reference: ReferenceProfile, images: Array) -> DriftCounts:
    """What numpy counts of the same pictures, from the arithmetic of the bundle."""
    rows = images.astype(np.float32)
    logits = rows.reshape(len(rows), -1)[:, :3] * np.float32(0.02) + np.float32(1)
    scores = score(logits, "logits")
    known = prediction_signals(scores.probabilities, scores.logits, scores.entropy, scores.decided)
    seen = InputStatistics(
        pixels=tuple(picture_statistics(each, None).pixels for each in images),
        aspect_ratios=np.ones(len(images)),
        tensor_means=rows.mean(axis=(1, 2, 3), dtype=np.float64),
    )
    values = {**known.values, **input_values([seen])}
    return Ruler(reference).counted(Signals(known.classes, values, known.log_probabilities))


def shown_bins(
    shown: dict[str, dict[tuple[str, ...], float]], names: Sequence[str]
) -> list[list[float]]:
    counts = shown["drift_observations_total"]
    return [[counts.get((name, f"{bin_:02}"), 0.0) for bin_ in range(20)] for name in names]


async def test_a_scrape_equals_numpy_without_padding_and_self_checks(
    serving: Running, bundle: Path
) -> None:
    reference = parse_profile((bundle / "profile.json").read_text())
    images = pictures(63, seed=2)
    # Requests of 1 to 5 rows in buckets of 2 and 4: padded, sliced, and each checked again.
    borders = np.cumsum([0, *[1, 2, 3, 4, 5] * 4, 3])
    for start, stop in pairwise(borders):
        await serving.stub.Predict(request(images[start:stop]))
    shown = await asyncio.to_thread(page, serving)
    counts, ruler = expected(reference, images), Ruler(reference)
    assert shown_bins(shown, ruler.names) == counts.bins.tolist()
    assert shown["drift_atc_above_total"] == {(): counts.atc_above}
    for place, name in enumerate(ruler.names[1:], start=1):
        total = shown["drift_deviation_sum_total"][name,]
        assert total == pytest.approx(counts.deviation_sum[place], rel=1e-9)
    assert shown["confidence_ratio_count"] == {(): 63}
    assert shown["padding_rows_total"][()] > 0
    assert set(shown["drift_unusable_total"].values()) == {0}


async def test_each_request_of_a_stream_counts_once(serving: Running, bundle: Path) -> None:
    images = pictures(40, seed=3)

    async def requests() -> AsyncIterator[pb.PredictStreamRequest]:
        for image in images:
            yield pb.PredictStreamRequest(request=request([image]))

    async for answer in serving.stub.PredictStream(requests()):
        assert answer.WhichOneof("outcome") == "response"
    reference = parse_profile((bundle / "profile.json").read_text())
    shown = await asyncio.to_thread(page, serving)
    assert shown_bins(shown, Ruler(reference).names) == expected(reference, images).bins.tolist()


async def test_tensors_count_what_is_known_of_them(serving: Running, bundle: Path) -> None:
    rows = pictures(3, seed=4).astype(np.float32)
    await serving.stub.Predict(pb.PredictRequest(tensors=tensors(rows)))
    shown = await asyncio.to_thread(page, serving)
    counts = shown["drift_observations_total"]
    seen = {
        name: sum(count for (signal, _), count in counts.items() if signal == name)
        for name in ("class", "energy", "tensor_mean", "brightness", "aspect_ratio")
    }
    assert seen == {"class": 3, "energy": 3, "tensor_mean": 3, "brightness": 0, "aspect_ratio": 0}
    reference = parse_profile((bundle / "profile.json").read_text())
    expected_rows = expected(reference, rows.astype(np.uint8)).bins
    place = Ruler(reference).names.index("tensor_mean")
    assert shown_bins(shown, ["tensor_mean"])[0] == expected_rows[place].tolist()


async def test_tensors_in_another_unit_are_answered_with_a_warning_and_counted(
    serving: Running,
) -> None:
    usual, far = pictures(3, seed=4).astype(np.float32), np.full((2, 2, 2, 3), 2e4, np.float32)
    rows = np.concatenate([usual, far])
    said = "2 row(s) of the input are far from the reference pictures, the first is row 3"
    native = await serving.stub.Predict(pb.PredictRequest(tensors=tensors(rows)))
    (warning,) = native.warnings
    assert warning.startswith(said)
    triton = await open_inference(serving.channel).ModelInfer(infer(rows, "shoes"))
    assert triton.parameters["warnings"].string_param == warning
    call = prediction(serving.channel).Predict(predict(content(rows), "shoes"))
    await call
    assert dict(tuple(await call.trailing_metadata()))["x-warning"] == warning
    async with AsyncClient(serving.address) as client:
        result = await client.predict(rows)
    assert result.warnings == (warning,)
    assert result.to_dict()["warnings"] == [warning]
    assert (await asyncio.to_thread(page, serving))["far_rows_total"] == {(): 8}


@pytest.mark.parametrize("order", [*permutations((100, 2e4, np.nan))])
async def test_a_row_of_nan_hides_no_row_that_is_far(
    bundle: Path, order: tuple[float, ...]
) -> None:
    rows = np.stack([np.full((2, 2, 3), number, np.float32) for number in order])
    config = replace(EVERY_REQUEST, requests=RequestLimits(non_finite="answer"))
    async with running(bundle, config) as serving:
        await serving.stub.Predict(pb.PredictRequest(tensors=tensors(rows)))
        assert (await asyncio.to_thread(page, serving))["far_rows_total"] == {(): 1}


async def test_usual_tensors_and_pictures_are_answered_without_a_warning(serving: Running) -> None:
    rows = pictures(3, seed=4)
    bright = np.full((1, 2, 2, 3), 255, np.uint8)
    for asked in (
        pb.PredictRequest(tensors=tensors(rows.astype(np.float32))),
        request([*rows, *bright]),
    ):
        assert not (await serving.stub.Predict(asked)).warnings
    assert (await asyncio.to_thread(page, serving))["far_rows_total"] == {(): 0}


@pytest.fixture
async def augmented(bundle: Path, tmp_path: Path) -> AsyncIterator[Running]:
    """The same, with a profile that was looked at twice, the second time mirrored."""
    data = str(tmp_path / "data.npz")
    given = ["profile", str(bundle), "--data", data, "--tta", "flip"]
    assert await asyncio.to_thread(main, given) == 0
    async with running(bundle, EVERY_REQUEST) as started:
        yield started


def looked(images: Array, **tta: Any) -> pb.PredictRequest:
    asked = request(images)
    asked.options.tta.CopyFrom(pb.TestTimeAugmentation(**tta))
    return asked


async def disagreement(serving: Running) -> tuple[list[float], float]:
    """The bins of the flip rate, and the observations of the mutual information."""
    shown = await asyncio.to_thread(page, serving)
    information = shown["drift_deviations_total"]["tta_mutual_information",]
    return shown_bins(shown, ["tta_flip_rate"])[0], information


async def test_disagreement_counts_for_the_policy_of_the_profile_under_any_name(
    augmented: Running, bundle: Path
) -> None:
    reference = parse_profile((bundle / "profile.json").read_text())
    assert await disagreement(augmented) == ([0] * 20, 0)
    images = pictures(60, seed=7)
    rates = []
    for part in np.array_split(images, 12):
        answer = await augmented.stub.Predict(looked(part, policy="flip"))
        rates += [row.tta.flip_rate for row in answer.rows]
        assert reference.tta is not None
        assert answer.provenance.tta.policy_digest == reference.tta.policy_digest
    edges = reference.signals["tta_flip_rate"].edges
    expected_bins = np.bincount(np.searchsorted(edges, rates, side="right"), minlength=20)
    assert 0 < sum(rates) < 30
    assert await disagreement(augmented) == (expected_bins.tolist(), 60)
    await augmented.stub.Predict(looked(images[:3], views=["identity", "hflip"], seed=5))
    assert (await disagreement(augmented))[1] == 63


async def test_requests_with_other_views_or_none_leave_disagreement_as_it_is(
    augmented: Running,
) -> None:
    images = pictures(2, seed=8)
    await augmented.stub.Predict(request(images))
    await augmented.stub.Predict(looked(images, policy="none"))
    await augmented.stub.Predict(looked(images, policy="d4"))
    await augmented.stub.Predict(looked(images, policy="flip", aggregation="vote"))
    await augmented.stub.Predict(looked(images, policy="flip", early_exit=0.99))
    assert await disagreement(augmented) == ([0] * 20, 0)
    shown = await asyncio.to_thread(page, augmented)
    assert shown["confidence_ratio_count"] == {(): 10}
    assert shown["drift_deviations_total"]["confidence",] == 10


async def test_a_refused_request_counts_nowhere(serving: Running) -> None:
    bad = pb.PredictRequest(images=pb.EncodedImages(contents=[b"no picture"]))
    await refused(serving, bad)
    infinite = np.full((1, 2, 2, 3), 3e38, np.float32)
    infinite[0, 0, 0, 0] = np.inf
    await refused(serving, pb.PredictRequest(tensors=tensors(infinite)))
    shown = await asyncio.to_thread(page, serving)
    assert set(shown["drift_observations_total"].values()) == {0}
    assert shown["confidence_ratio_count"] == {(): 0}


async def test_get_model_returns_the_profile_and_its_digest(serving: Running, bundle: Path) -> None:
    answer = await serving.stub.GetModel(pb.GetModelRequest())
    reference = parse_profile((bundle / "profile.json").read_text())
    assert parse_profile(answer.profile_json) == reference
    assert answer.profile_digest == profile_digest(reference)


async def test_a_profile_of_another_model_fails_the_version_with_its_findings(
    bundle: Path,
) -> None:
    reference = parse_profile((bundle / "profile.json").read_text())
    other = replace(reference, model_digest="ff" * 32)
    (bundle / "profile.json").write_text(profile_json(other))
    async with running(bundle) as serving:
        (summary,) = (await serving.stub.ListModels(pb.ListModelsRequest())).models
        assert summary.state == pb.MODEL_STATE_FAILED
        assert summary.findings[0].startswith("profile.json: it is of the model ffffffffffff")


async def test_a_profile_that_is_ignored_is_told_in_the_log_and_counted_by_nobody(
    bundle: Path,
) -> None:
    (bundle / "profile.json").write_text("{}")
    config = Config(drift=DriftSettings(unfit_profile="ignore"))
    async with running(bundle, config) as serving:
        await serving.stub.Predict(request(pictures(2, seed=5)))
        shown = await asyncio.to_thread(page, serving)
        assert not shown.get("drift_observations_total")
        assert shown["confidence_ratio_count"] == {(): 2}
        told = [each for each in serving.log.events if each["event"] == "drift profile ignored"]
        assert {each["level"] for each in told} == {"warning"}
        assert any("model_digest: missing" in each["finding"] for each in told)
        answer = await serving.stub.GetModel(pb.GetModelRequest())
        assert (answer.profile_json, answer.profile_digest) == ("", "")


async def test_other_protocols_count_too(serving: Running) -> None:
    rows = pictures(2, seed=6).astype(np.float32)
    asked = infer(rows, model="shoes", name="image")
    await open_inference(serving.channel).ModelInfer(asked)
    shown = await asyncio.to_thread(page, serving)
    assert shown["confidence_ratio_count"] == {(): 2}


async def test_a_scrape_is_answered_although_counting_fails(
    serving: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ArithmeticError("no figure")

    await serving.stub.Predict(request(pictures(3, seed=9)))
    with monkeypatch.context() as patched:
        patched.setattr(Ruler, "counted", fail)
        shown = await asyncio.to_thread(page, serving)
    assert shown["uncounted_rows_total"] == {(): 3}
    assert shown["confidence_ratio_count"] == {(): 0}
    assert shown["tta_rows_total"]
    (logged,) = serving.log.unforeseen()
    assert "ArithmeticError: no figure" in logged["exception"]
