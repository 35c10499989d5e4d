"""A list of any length, asked in as many requests as the model and the message limit want."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from batchproof_client.answers import PredictResult
from batchproof_client.encoded import BLOCKING, ENCODED, content_of
from batchproof_client.inputs import PredictRequest

Ask: TypeAlias = Callable[[PredictRequest, str], Awaitable[PredictResult]]
Progress: TypeAlias = Callable[[int, int], None]
"""Is told how many rows were answered, and of how many."""


def is_list(image: object) -> bool:
    """Whether there may be more than one picture or array."""
    return isinstance(image, Sequence) and not isinstance(image, ENCODED) and len(image) > 1


async def ask_in_chunks(
    ask: Ask,
    request: PredictRequest,
    request_id: str,
    limits: tuple[int, int],
    progress: Progress | None,
) -> PredictResult:
    """Asks one request after the other; all are answered by the version that answered the first.

    Args:
        ask: one request under its id.
        request: whose image is a list.
        request_id: of the first; the others have ``-2``, ``-3`` and so on after it.
        limits: rows and bytes of one request at most; 0 rows for any number.
        progress: told after each.

    Returns:
        All rows in the order of the list, with the provenance of the first and every execution.

    Raises:
        BatchproofError: a picture cannot be read, or the server could not answer.
    """
    results: list[PredictResult] = []
    images: Any = request.image
    answered = 0
    async for chunk in _chunks(images, *limits):
        part = replace(request, image=chunk, model=_pinned(request.model, results))
        own_id = f"{request_id}-{len(results) + 1}" if results else request_id
        results.append(await ask(part, own_id))
        answered += len(chunk)
        if progress is not None:
            progress(answered, len(images))
    return merged(results)


async def _chunks(
    images: Sequence[Any], most_rows: int, most_bytes: int
) -> AsyncIterator[list[Any]]:
    chunk: list[Any] = []
    size_bytes = 0
    for image in images:
        piece, piece_bytes = await _piece(image)
        is_full = len(chunk) == (most_rows or len(images))
        if chunk and (is_full or size_bytes + piece_bytes > most_bytes):
            yield chunk
            chunk, size_bytes = [], 0
        chunk.append(piece)
        size_bytes += piece_bytes
    yield chunk


async def _piece(image: Any) -> tuple[Any, int]:
    """What is sent, and its bytes; what is neither picture nor array is refused with its chunk."""
    if isinstance(image, np.ndarray):
        return image, image.nbytes
    if isinstance(image, BLOCKING):
        image = await asyncio.to_thread(content_of, image)
    return image, len(image) if isinstance(image, bytes | bytearray | memoryview) else 0


def _pinned(model: str | None, results: Sequence[PredictResult]) -> str | None:
    if not results:
        return model
    first = results[0].provenance
    return f"{first.model}:{first.version}"


def merged(results: Sequence[PredictResult]) -> PredictResult:
    """One result of several that one version gave."""
    first = results[0]
    if len(results) == 1:
        return first
    names = first.outputs
    executions = (each for result in results for each in result.provenance.executions)
    return PredictResult(
        rows=tuple(row for result in results for row in result.rows),
        outputs={name: np.concatenate([each.outputs[name] for each in results]) for name in names},
        provenance=replace(first.provenance, executions=tuple(executions)),
        request_id=first.request_id,
        warnings=tuple(_warnings(results)),
    )


def _warnings(results: Sequence[PredictResult]) -> Iterator[str]:
    """Those of each; the rows that they name are counted from the first of their request."""
    start = 0
    for result in results:
        end = start + len(result.rows)
        yield from (f"rows {start} to {end - 1}: {each}" for each in result.warnings)
        start = end
