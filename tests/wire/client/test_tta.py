"""Test-time augmentation as callers and the command line see it."""

import json
from pathlib import Path

import numpy as np
import pytest

from batchproof.v1 import prediction_pb2 as pb
from batchproof_client import (
    AsyncClient,
    Augmentation,
    Client,
    LocalInputError,
    PredictRequest,
)
from batchproof_client.conversion import description_of
from wire.client.conftest import Run
from wire.client.fake_server import Context, FakeServer, answer

WARNING = "hflip: may show something else"


def augmented(request: pb.PredictRequest, _context: Context = None) -> pb.PredictResponse:
    """The usual answer, as if two views had been executed."""
    response = answer(request)
    tta = request.options.tta
    response.provenance.tta.CopyFrom(
        pb.Augmentation(
            policy=tta.policy or "custom",
            views=["identity", "hflip"],
            aggregation="mean",
            policy_digest="12" * 32,
            seed=tta.seed,
            warnings=[WARNING],
        )
    )
    for row in response.rows:
        row.tta.views_executed = 2
        row.tta.flip_rate = 0.5
        row.tta.mutual_information = 0.25
        row.tta.confidence_stddev = 0.125
        if tta.return_views:
            row.tta.views.add(view="identity", weight=0.5, probabilities=[0.0, 0.75, 0.25])
            row.tta.views.add(view="hflip", weight=0.5, probabilities=[0.5, 0.25, 0.25])
    return response


@pytest.fixture
def server(server: FakeServer) -> FakeServer:
    server.predicts = [augmented]
    return server


@pytest.fixture
def boot(tmp_path: Path) -> Path:
    file = tmp_path / "boot.png"
    file.write_bytes(bytes([0]))
    return file


async def test_a_policy_is_asked_for_by_its_name(server: FakeServer) -> None:
    async with AsyncClient(server.target) as client:
        result = await client.predict(b"\x00", tta="flip")
    assert server.requests[0].options.tta == pb.TestTimeAugmentation(policy="flip")
    row = result.only.tta
    assert row is not None
    assert (row.views_executed, row.exited_early, row.views) == (2, False, ())
    assert (row.flip_rate, row.mutual_information, row.confidence_stddev) == (0.5, 0.25, 0.125)
    done = result.provenance.tta
    assert done is not None
    assert (done.policy, done.views, done.warnings) == ("flip", ("identity", "hflip"), (WARNING,))
    assert done.early_exit is None


def test_everything_can_be_said_synchronously_too(server: FakeServer) -> None:
    asked = Augmentation(
        views=("identity", "rotate(10)"),
        aggregation="sharpen(2)",
        early_exit=0.0,
        return_views=True,
        seed=0,
    )
    with Client(server.target) as client:
        result = client.predict(b"\x00", tta=asked)
    sent = server.requests[0].options.tta
    assert list(sent.views) == ["identity", "rotate(10)"]
    assert (sent.aggregation, sent.early_exit, sent.return_views) == ("sharpen(2)", 0.0, True)
    assert sent.HasField("early_exit")
    assert sent.HasField("seed")
    assert result.only.tta is not None
    view = result.only.tta.views[1]
    assert (view.view, view.weight) == ("hflip", 0.5)
    np.testing.assert_array_equal(view.probabilities, np.array([0.5, 0.25, 0.25]))


async def test_each_request_of_a_stream_asks_for_itself(server: FakeServer) -> None:
    server.stream = lambda requests, _: (
        pb.PredictStreamResponse(
            request_id=each.request.request_id, response=augmented(each.request)
        )
        for each in requests
    )
    requests = [
        PredictRequest(b"\x00", tta="d4", request_id="a"),
        PredictRequest(b"\x01", tta=Augmentation("flip", seed=9), request_id="b"),
    ]
    async with AsyncClient(server.target) as client:
        answers = {each.request_id: each async for each in client.predict_stream(requests)}
    done = {key: each.unwrap().provenance.tta for key, each in answers.items()}
    assert done["a"] is not None
    assert done["b"] is not None
    assert (done["a"].policy, done["b"].policy, done["b"].seed) == ("d4", "flip", 9)


async def test_nothing_is_asked_for_by_default(server: FakeServer) -> None:
    async with AsyncClient(server.target) as client:
        await client.predict(b"\x00")
    assert not server.requests[0].options.HasField("tta")


@pytest.mark.parametrize("seed", [-1, 2**64])
async def test_a_seed_that_cannot_be_sent_is_refused_here(server: FakeServer, seed: int) -> None:
    async with AsyncClient(server.target) as client:
        with pytest.raises(LocalInputError, match="the seed is"):
            await client.predict(b"\x00", tta=Augmentation("flip", seed=seed))


def test_the_policies_of_a_model_are_described() -> None:
    policy = pb.TtaPolicy(name="flip", views=["identity"], aggregation="mean", early_exit=0.5)
    limits = pb.TtaLimits(max_views=32, max_request_views=256, takes_views=True)
    model = description_of(
        pb.GetModelResponse(tta_policies=[policy], tta_default_policy="flip", tta_limits=limits)
    )
    (described,) = model.tta_policies
    assert (described.name, described.views, described.early_exit) == ("flip", ("identity",), 0.5)
    assert model.tta_default_policy == "flip"
    assert model.tta_limits is not None
    assert (model.tta_limits.max_views, model.tta_limits.takes_views) == (32, True)
    assert description_of(pb.GetModelResponse()).tta_limits is None


def test_the_command_shows_views_agreement_and_warnings(run: Run, boot: Path) -> None:
    code, out, err = run("predict", boot, "--top-k", 1, "--tta", "flip", "--show-views")
    name = str(boot)
    assert [line.split("\t") for line in out.splitlines()] == [
        ["picture", "rank", "class", "score"],
        [name, "1", "boot", "0.7500"],
        [name, "view", "identity (weight 0.5): bag", "0.7500"],
        [name, "view", "hflip (weight 0.5): boot", "0.5000"],
        [name, "tta", "2 view(s), flip rate 0.5, mutual information 0.25 nats", "+- 0.1250"],
    ]
    assert (code, err) == (0, f"batchproof: warning: {WARNING}\n")


def test_the_command_writes_all_of_it_as_json(run: Run, boot: Path) -> None:
    _, out, err = run("predict", boot, "--tta", "flip", "--show-views", "--json")
    record = json.loads(out)
    assert record["tta"]["flip_rate"] == 0.5
    assert record["tta"]["views"][0]["probabilities"] == [0.0, 0.75, 0.25]
    assert record["provenance"]["tta"]["warnings"] == [WARNING]
    assert err == ""


def test_every_option_of_the_command_is_sent(run: Run, server: FakeServer, boot: Path) -> None:
    run(
        *("predict", boot, "--tta-view", "identity", "--tta-view", "rotate(5)"),
        *("--tta-aggregation", "vote", "--tta-early-exit", 0.9, "--tta-seed", 7),
    )
    sent = server.requests[0].options.tta
    assert sent == pb.TestTimeAugmentation(
        views=["identity", "rotate(5)"], aggregation="vote", early_exit=0.9, seed=7
    )
