"""The paths of an evaluation: single pictures and batches through the core, and Keras' own."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import numpy as np

from batchproof_server.backends.foreign_faults import first_line
from batchproof_server.base.errors import InvalidInput, ServingError
from batchproof_server.base.meaning import Limit
from batchproof_server.base.output_forms import ScoresKind
from batchproof_server.base.scores import score
from batchproof_server.base.signature import Array, Tensors
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.served import ServedModel
from batchproof_server.offline.asking import Count, Predict, ask
from batchproof_server.offline.datasets.pictures import InvalidData, LabelledPicture
from batchproof_server.offline.evaluation.answers import Reference, SingleAnswer, Tally
from batchproof_server.serving.request import NO_DEADLINE_S, PredictRequest

PathName: TypeAlias = Literal["single", "in_process", "keras_predict"]
Ask: TypeAlias = Callable[[bytes], Awaitable[SingleAnswer]]
Execute: TypeAlias = Callable[[Array], Awaitable[tuple[Array, int]]]
"""From stacked rows to the output of the scores for these rows, and the rows that were executed."""
KerasPredict: TypeAlias = Callable[[Tensors, int], Tensors]
"""``predict`` of a model as it was loaded: inputs and batch size to outputs."""

KERAS_BATCH_ROWS: Final = 32
"""What ``model.predict`` takes when it is told nothing."""

_MAX_PREDICT_BYTES: Final = 64 << 20


class EvaluationFailed(Exception):
    """The model did not answer on a path that it must answer on."""


async def ask_one_by_one(
    ask: Ask, pictures: Sequence[LabelledPicture], count: Count
) -> list[SingleAnswer]:
    """The answer to each picture, asked for when the one before was there.

    Raises:
        InvalidData: pictures that cannot be read, or that the model's recipe refuses.
        EvaluationFailed: the server failed.
    """
    answers: list[SingleAnswer] = []
    refused: list[str] = []
    for done, picture in enumerate(pictures, start=1):
        try:
            answers.append(await ask(picture.read()))
        except OSError as fault:
            refused.append(f"{picture.name}: cannot be read ({fault.strerror})")
        except InvalidInput as invalid:
            refused.append(f"{picture.name}: {invalid}")
        except ServingError as failed:
            raise EvaluationFailed(f"{picture.name}: {failed}") from failed
        count(done)
    if refused:
        raise InvalidData(refused)
    return answers


# Collects rows until a batch is full; rows of different shapes never share one. A path that may be
# missing takes note of its failure and stays silent from then on.
@dataclass(slots=True, eq=False)
class BatchPath:
    """One way of executing pictures together.

    Attributes:
        name: of the path.
        batch_rows: asked for.
        chunk_rows: handed to ``execute`` at the same time, at most.
        execute: the way.
        tally: of the answers.
        may_fail: whether a failure is a result and not the end of the evaluation.
        failure: why the path has no answers; empty while all goes well.
    """

    name: PathName
    batch_rows: int
    chunk_rows: int
    execute: Execute
    tally: Tally
    may_fail: bool = False
    failure: str = ""
    waiting: dict[tuple[int, ...], list[tuple[int, Array]]] = field(default_factory=dict)

    async def push(self, place: int, row: Array, judge: "Judge") -> None:
        """Takes one row, and executes when that fills a batch."""
        if self.failure:
            return
        members = self.waiting.setdefault(row.shape, [])
        members.append((place, row))
        if len(members) == self.chunk_rows:
            await self._run(self.waiting.pop(row.shape), judge)

    async def finish(self, judge: "Judge") -> None:
        """Executes what is left."""
        for shape in [] if self.failure else list(self.waiting):
            await self._run(self.waiting.pop(shape), judge)

    async def _run(self, members: Sequence[tuple[int, Array]], judge: "Judge") -> None:
        try:
            output, bucket_rows = await self.execute(np.stack([row for _, row in members]))
            judge.note(self.tally, [place for place, _ in members], output, bucket_rows)
        except Exception as fault:
            # Keras raises what it likes; the served backend only what its contract says.
            if self.may_fail:
                self.failure = first_line(str(fault), fault)
            elif isinstance(fault, ServingError):
                raise EvaluationFailed(f"batches of {self.batch_rows}: {fault}") from fault
            else:
                raise


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """Scores outputs as the server does, and compares them with the reference.

    Attributes:
        kind: of the output.
        truth: int64 [pictures], the true classes; of labels bool [pictures, labels].
        known: the reference.
        limit: above which something is the answer, see ``OutputSettings.limit``.
    """

    kind: ScoresKind
    truth: Array
    known: Reference
    limit: Limit = None

    def note(self, tally: Tally, places: Sequence[int], output: Array, bucket_rows: int) -> None:
        """Adds the answers to some pictures to a path's tally.

        Raises:
            InvalidInput: an output is not finite.
        """
        scores = score(output, self.kind, self.limit)
        tally.add(np.array(places), scores, bucket_rows, self.truth, self.known)


def single_asker(model: ServedModel, predict: Predict) -> Ask:
    """Asks the core for the answer to one picture, as a caller does who sends nothing else."""

    async def ask_alone(encoded: bytes) -> SingleAnswer:
        request = PredictRequest(model, NO_DEADLINE_S, images=[encoded], request_id="single")
        prediction = await ask(predict, request)
        if prediction.scores is None:
            raise ServingError("the model's output is raw")
        return SingleAnswer(
            top1=int(prediction.scores.decided[0]),
            probabilities=prediction.scores.probabilities[0],
            logits=None if prediction.scores.logits is None else prediction.scores.logits[0],
            bucket_rows=prediction.executions[0].bucket_rows,
            chosen=None if prediction.scores.chosen is None else prediction.scores.chosen[0],
        )

    return ask_alone


def served_execution(model: ServedModel, predict: Predict) -> Execute:
    """Asks the core for the answers to rows that fit into the largest bucket."""
    name = model.loaded.backend.signature.inputs[0].name
    output = model.loaded.output.name or ""

    async def execute(rows: Array) -> tuple[Array, int]:
        request = PredictRequest(model, NO_DEADLINE_S, tensors={name: rows})
        prediction = await ask(predict, request)
        return prediction.outputs[output], prediction.executions[0].bucket_rows

    return execute


def predict_execution(model: LoadedModel, predict: KerasPredict) -> Execute:
    """Executes rows through ``model.predict``, whose batches are Keras' own business."""
    name, output = model.backend.signature.inputs[0].name, model.output.name or ""

    async def execute(rows: Array) -> tuple[Array, int]:
        return predict({name: rows}, KERAS_BATCH_ROWS)[output], 0

    return execute


def predict_chunk_rows(model: LoadedModel) -> int:
    """How many rows to hand to ``predict`` at the same time: whole batches, up to 64 MiB."""
    spec = model.backend.signature.inputs[0]
    row_bytes = spec.dtype.itemsize * int(np.prod([size or 1 for size in spec.row_shape]))
    batches = _MAX_PREDICT_BYTES // (row_bytes * KERAS_BATCH_ROWS)
    return KERAS_BATCH_ROWS * int(max(1, batches))


async def execute_together(
    recipe: Recipe,
    pictures: Sequence[LabelledPicture],
    paths: Sequence[BatchPath],
    judge: Judge,
    count: Count,
) -> None:
    """Decodes each picture once and hands its row to every path.

    Raises:
        InvalidData: a picture changed meanwhile.
        EvaluationFailed: the model failed on a path that may not fail.
    """
    for place, picture in enumerate(pictures):
        try:
            row = recipe.apply(picture.read())
        except (InvalidInput, OSError) as fault:
            raise InvalidData([f"{picture.name}: changed meanwhile: {fault}"]) from fault
        for path in paths:
            await path.push(place, row, judge)
        count(place + 1)
    for path in paths:
        await path.finish(judge)
