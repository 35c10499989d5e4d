"""``batchproof predict``: one answer for each picture, in the order of the arguments."""

import asyncio
from collections import deque
from collections.abc import (
    AsyncGenerator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from batchproof_client.answers import HeadPrediction, Prediction, PredictResult
from batchproof_client.augmentation import RowAugmentation
from batchproof_client.client import AsyncClient
from batchproof_client.commands.arguments import PredictArguments
from batchproof_client.commands.pictures import STANDARD_INPUT, Picture, expand
from batchproof_client.commands.terminal import progress, write_error, write_json, write_table
from batchproof_client.descriptions import ModelDescription
from batchproof_client.errors import (
    BatchproofError,
    DeadlineExceeded,
    InvalidRequest,
    LocalInputError,
    ServerBusy,
    ServerFailed,
)
from batchproof_client.records import result_record

# What one picture may suffer without telling anything about the next one.
_PRIVATE_FAULTS: Final = (
    DeadlineExceeded,
    InvalidRequest,
    LocalInputError,
    ServerBusy,
    ServerFailed,
)
_HEADINGS: Final = ("picture", "rank", "class", "score")


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """How one picture went.

    Attributes:
        name: of the picture, as the user knows it.
        result: the answer; None when it failed.
        error: the failure; None when it was answered.
    """

    name: str
    result: PredictResult | None = None
    error: BatchproofError | None = None


async def predict(client: AsyncClient, arguments: PredictArguments, given: bytes = b"") -> int:
    """Shows each answer; what was answered is shown too when the rest is not, as after Ctrl-C.

    Args:
        client: of the server.
        arguments: as typed.
        given: the picture that was read from standard input, where ``-`` stands for one.

    Returns:
        0 when every picture was answered, 1 when not.

    Raises:
        BatchproofError: the server or the model cannot answer any picture.
    """
    # A wrong address or name is one fault of the command, not one of each picture.
    model = await client.get_model(arguments.model)
    pictures = await asyncio.to_thread(expand, arguments.images)
    output = _Output(arguments, model)
    under_way: deque[asyncio.Task[Outcome]] = deque()
    try:
        with progress(len(pictures)) as bar:
            ask = partial(_ask, client, arguments, given)
            # Closed here, so that every task has ended whatever ends the loop.
            async with aclosing(
                _outcomes(ask, pictures, under_way, arguments.concurrency)
            ) as outcomes:
                async for outcome in outcomes:
                    output.add(outcome)
                    bar.advance(bar.task_ids[0])
    finally:
        for task in under_way:
            if not task.cancelled() and task.exception() is None:
                output.add(task.result())
        output.end()
    return 1 if output.has_failures else 0


class _Output:
    """What the user sees: lines of JSON at once, or one table at the end."""

    def __init__(self, arguments: PredictArguments, model: ModelDescription) -> None:
        self._arguments = arguments
        self._model = model
        self._outcomes: list[Outcome] = []
        self.has_failures = False

    def add(self, outcome: Outcome) -> None:
        self.has_failures = self.has_failures or outcome.error is not None
        if self._arguments.server.json:
            write_json(_record(outcome))
        else:
            self._outcomes.append(outcome)

    def end(self) -> None:
        if self._outcomes:
            _show(self._outcomes, self._model, self._arguments)


async def _outcomes(
    ask: Callable[[Picture], Coroutine[Any, Any, Outcome]],
    pictures: Iterable[Picture],
    under_way: deque[asyncio.Task[Outcome]],
    concurrency: int,
) -> AsyncGenerator[Outcome, None]:
    """Gives each outcome in the order of the pictures.

    Args:
        ask: about one of them.
        pictures: all of them.
        under_way: where the tasks are that were asked and whose outcome was not given; all of them
            have ended when this has.
        concurrency: so many at a time.
    """
    try:
        for picture in pictures:
            if len(under_way) == concurrency:
                yield await under_way.popleft()
            under_way.append(asyncio.create_task(ask(picture)))
        while under_way:
            yield await under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _ask(
    client: AsyncClient, arguments: PredictArguments, given: bytes, picture: Picture
) -> Outcome:
    if picture.fault:
        return Outcome(picture.name, error=LocalInputError(picture.fault))
    try:
        result = await client.predict(
            given if picture.name == STANDARD_INPUT else picture.name,
            model=arguments.model,
            top_k=arguments.top_k,
            return_probabilities=arguments.probabilities,
            tta=arguments.tta,
        )
    except _PRIVATE_FAULTS as fault:
        return Outcome(picture.name, error=fault)
    return Outcome(picture.name, result=result)


def _record(outcome: Outcome) -> dict[str, object]:
    if outcome.result is None:
        return {"picture": outcome.name, "error": _error_record(outcome.error)}
    answered = result_record(outcome.result)
    rows = answered.pop("rows")
    record: dict[str, object] = {"picture": outcome.name, "request_id": answered["request_id"]}
    for row in rows if isinstance(rows, list) else ():
        record |= row
    return record | answered


def _error_record(error: BatchproofError | None) -> dict[str, object]:
    code = error.code.name if error is not None and error.code is not None else None
    return {
        "kind": type(error).__name__,
        "code": code,
        "message": str(error),
        "request_id": error.request_id if error is not None else "",
    }


def _show(
    outcomes: Sequence[Outcome], model: ModelDescription, arguments: PredictArguments
) -> None:
    rows = [row for outcome in outcomes for row in _rows(outcome, model, arguments)]
    write_table(_HEADINGS, rows, caption=_caption(outcomes))
    for warning in _warnings(outcomes):
        write_error(f"warning: {warning}")


def _warnings(outcomes: Iterable[Outcome]) -> Iterable[str]:
    answered = [outcome.result for outcome in outcomes if outcome.result]
    applied = (each.provenance.tta for each in answered)
    told = [warning for each in applied if each for warning in each.warnings]
    return dict.fromkeys([*told, *(warning for each in answered for warning in each.warnings)])


def _rows(
    outcome: Outcome, model: ModelDescription, arguments: PredictArguments
) -> Iterator[Sequence[str]]:
    result = outcome.result
    if result is None:
        yield (outcome.name, "", f"error: {outcome.error}", "")
        return
    for name, array in result.outputs.items():
        yield (outcome.name, "", f"output {name}: {array.dtype.name} {list(array.shape)}", "")
    for row in result.rows:
        is_multi_label = model.output_kind.is_multi_label
        yield from ((outcome.name, *cells) for cells in _scored(row, is_multi_label=is_multi_label))
        for name, head in row.heads.items():
            kinds = {each.output: each.kind for each in model.heads}
            told = _scored(head, is_multi_label=name in kinds and kinds[name].is_multi_label)
            yield from ((f"{outcome.name} {name}", *cells) for cells in told)
        if arguments.handles:
            shown = row.handle or "none, the server takes no outcomes"
            yield (outcome.name, "", f"handle {shown}", "")
        if arguments.probabilities:
            yield (outcome.name, "", "probabilities", _probabilities(row))
        if row.tta is not None:
            yield from ((outcome.name, *cells) for cells in _augmentation(row.tta, model.labels))


def _scored(
    row: Prediction | HeadPrediction, *, is_multi_label: bool
) -> Iterator[tuple[str, str, str]]:
    """Ranked classes; of independent labels those that are answered before the others."""
    if not is_multi_label:
        for rank, each in enumerate(row.classes, start=1):
            yield (str(rank), each.label, f"{each.score:.4f}")
        return
    if not row.labels:
        yield ("answer", "no label is above its threshold", "")
    answered = {each.index for each in row.labels}
    for each in (*row.labels, *(one for one in row.classes if one.index not in answered)):
        mark = "answer" if each.index in answered else ""
        yield (mark, each.label, f"{each.score:.4f}")


def _augmentation(tta: RowAugmentation, labels: Sequence[str]) -> Iterator[Sequence[str]]:
    for each in tta.views:
        best = int(each.probabilities.argmax())
        label = labels[best] if best < len(labels) else str(best)
        text = f"{each.view} (weight {each.weight:.3g}): {label}"
        yield ("view", text, f"{each.probabilities[best]:.4f}")
    stopped = ", stopped early" if tta.exited_early else ""
    agreement = (
        f"{tta.views_executed} view(s){stopped}, flip rate {tta.flip_rate:.3g}, "
        f"mutual information {tta.mutual_information:.3g} nats"
    )
    yield ("tta", agreement, f"+- {tta.confidence_stddev:.4f}")


def _probabilities(row: Prediction) -> str:
    values = () if row.probabilities is None else row.probabilities.tolist()
    return " ".join(f"{value:.4f}" for value in values)


def _caption(outcomes: Iterable[Outcome]) -> str:
    answered = {
        f"{who.model}:{who.version} on {who.engine}"
        for who in (outcome.result.provenance for outcome in outcomes if outcome.result)
    }
    return ", ".join(sorted(answered))
