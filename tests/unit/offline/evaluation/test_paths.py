"""The paths: who executes what, beside which rows, and what happens when something fails."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batchproof_server.application.config import Config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.base.errors import BackendFailed, InvalidInput, ServingError
from batchproof_server.base.scores import score
from batchproof_server.models.discovery import Place
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.loading import load_version
from batchproof_server.offline.datasets.pictures import InvalidData, LabelledPicture
from batchproof_server.offline.evaluation.answers import SingleAnswer, Tally, empty_tally, reference
from batchproof_server.offline.evaluation.paths import (
    BatchPath,
    EvaluationFailed,
    Execute,
    Judge,
    ask_one_by_one,
    execute_together,
    predict_chunk_rows,
    predict_execution,
    served_execution,
)
from support.asked import Asked, asked
from support.bundles_on_disk import PICTURES, picture, write_bundle

ROWS = 7


@pytest.fixture
def model(tmp_path: Path) -> LoadedModel:
    """Takes pictures of 2 x 2 pixels; its three logits are the first pixel, times 2 plus 1."""
    directory = write_bundle(tmp_path / "pets" / "1", PICTURES, shape=(2, 2, 3))
    return load_version(Place("pets", 1, directory), loading_plugs(Config()))


@pytest.fixture
def serving(model: LoadedModel) -> Iterator[Asked]:
    with asked(model) as served:
        yield served


@pytest.fixture
def pictures() -> list[LabelledPicture]:
    return [LabelledPicture(f"p{n}", n % 3, partial(picture, 10 * n)) for n in range(ROWS)]


@pytest.fixture
def judge() -> Judge:
    logits = np.repeat(20.0 * np.arange(ROWS, dtype=np.float32)[:, np.newaxis] + 1, 3, axis=1)
    scores = score(logits, "logits")
    answers = [
        SingleAnswer(0, row, logit, 2)
        for row, logit in zip(scores.probabilities, logits, strict=True)
    ]
    return Judge("logits", np.arange(ROWS) % 3, reference(answers))


def tallied_path(
    execute: Execute, chunk_rows: int = 3, *, may_fail: bool = False
) -> tuple[BatchPath, Tally]:
    tally = empty_tally(ROWS)
    return BatchPath("in_process", 3, chunk_rows, execute, tally, may_fail=may_fail), tally


def recipe_of(model: LoadedModel) -> Any:
    assert model.recipe is not None
    return model.recipe


async def test_rows_are_executed_in_batches_padded_to_buckets_and_compared(
    serving: Asked, pictures: list[LabelledPicture], judge: Judge
) -> None:
    execute = served_execution(serving.model, serving.predict)
    three, tally = tallied_path(execute)
    one, single = tallied_path(execute, 1)
    done: list[int] = []
    await execute_together(
        recipe_of(serving.model.loaded), pictures, [three, one], judge, done.append
    )
    assert done == list(range(1, ROWS + 1))
    assert tally.buckets_rows.tolist() == [4] * 6 + [1]
    assert single.buckets_rows.tolist() == [1] * 7
    assert not tally.bits_differ.any()
    assert tally.confidence.tolist() == single.confidence.tolist()


async def test_rows_of_other_shapes_never_share_a_batch(judge: Judge) -> None:
    shapes: list[tuple[int, ...]] = []

    async def execute(rows: Any) -> tuple[Any, int]:
        shapes.append(rows.shape)
        return np.zeros((len(rows), 3), np.float32), 4

    path, tally = tallied_path(execute)
    for place in range(ROWS):
        await path.push(place, np.zeros((place % 2 + 1, 1)), judge)
    await path.finish(judge)
    assert sorted(shapes) == [(1, 1, 1), (3, 1, 1), (3, 2, 1)]
    assert tally.buckets_rows.tolist() == [4] * ROWS


@pytest.mark.parametrize("fault", [BackendFailed("it broke"), InvalidInput("not finite")])
async def test_the_served_backend_must_not_fail(fault: ServingError, judge: Judge) -> None:
    path, _ = tallied_path(raising(fault), 1)
    with pytest.raises(EvaluationFailed, match=f"batches of 3: {fault}"):
        await path.push(0, np.zeros(1), judge)
    other, _ = tallied_path(raising(KeyError("a fault of ours")), 1)
    with pytest.raises(KeyError):
        await other.push(0, np.zeros(1), judge)


@pytest.mark.parametrize(("text", "said"), [("first\nsecond", "first"), ("", "RuntimeError")])
async def test_keras_may_fail_and_is_then_left_alone(text: str, said: str, judge: Judge) -> None:
    calls: list[int] = []
    path, _ = tallied_path(raising(RuntimeError(text), calls), 2, may_fail=True)
    for place in range(ROWS):
        await path.push(place, np.zeros(1), judge)
    await path.finish(judge)
    assert path.failure == said
    assert len(calls) == 1


def raising(fault: Exception, calls: list[int] | None = None) -> Execute:
    async def execute(rows: Any) -> tuple[Any, int]:
        if calls is not None:
            calls.append(len(rows))
        raise fault

    return execute


async def test_predict_gets_whole_batches_and_gives_the_output_of_the_scores(
    model: LoadedModel,
) -> None:
    given: list[tuple[str, int]] = []

    def predict(inputs: Any, batch_rows: int) -> Any:
        given.extend((name, batch_rows) for name in inputs)
        return {"scores": inputs["image"].reshape(-1, 12)[:, :3], "other": None}

    rows = np.ones((5, 2, 2, 3), np.float32)
    output, bucket_rows = await predict_execution(model, predict)(rows)
    assert output.shape == (5, 3)
    assert bucket_rows == 0
    assert given == [("image", 32)]
    assert predict_chunk_rows(model) % 32 == 0
    assert 1 << 25 < predict_chunk_rows(model) * 48 <= 1 << 26


async def test_a_picture_that_changes_meanwhile_is_named(
    model: LoadedModel, judge: Judge, tmp_path: Path
) -> None:
    gone = LabelledPicture("gone.png", 0, (tmp_path / "gone.png").read_bytes)
    torn = LabelledPicture("torn.png", 0, lambda: b"torn")
    for each in (gone, torn):
        with pytest.raises(InvalidData, match=rf"{each.name}: changed meanwhile"):
            await execute_together(recipe_of(model), [each], [], judge, lambda _: None)


async def test_every_picture_that_is_refused_is_named_before_it_ends(tmp_path: Path) -> None:
    answer = SingleAnswer(0, np.ones(1, np.float32), None, 2)

    async def ask(encoded: bytes) -> SingleAnswer:
        if encoded == b"bad":
            raise InvalidInput("the picture is bad")
        return answer

    good = LabelledPicture("good", 0, lambda: b"good")
    bad = LabelledPicture("bad", 0, lambda: b"bad")
    gone = LabelledPicture("gone", 0, (tmp_path / "gone").read_bytes)
    done: list[int] = []
    assert await ask_one_by_one(ask, [good, good], done.append) == [answer, answer]
    assert done == [1, 2]
    with pytest.raises(InvalidData) as invalid:
        await ask_one_by_one(ask, [bad, good, gone], done.append)
    assert invalid.value.faults == (
        "bad: the picture is bad",
        "gone: cannot be read (No such file or directory)",
    )


async def test_a_server_that_fails_ends_it_at_once() -> None:
    async def ask(encoded: bytes) -> SingleAnswer:
        raise ServingError(f"INTERNAL: {len(encoded)}")

    picture = LabelledPicture("first", 0, lambda: b"12")
    with pytest.raises(EvaluationFailed, match="first: INTERNAL: 2"):
        await ask_one_by_one(ask, [picture, picture], lambda _: None)
