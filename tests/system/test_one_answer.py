"""One image, one answer: the same bits beside any other rows, over TCP."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from batchproof.v1 import prediction_pb2 as pb
from system.bundles import encoded, samples
from system.process import ServerProcess
from system.traffic import ask, ask_stream, bits, connected, images, tensors

COMPOSITIONS = 200
SEED = 20_240_229
QUEUE_ROWS = 512  # by default; more would be refused
OPTIONS: dict[str, Any] = {"return_probabilities": True, "return_logits": True}


@dataclass(frozen=True)
class Composition:
    """Requests that are sent at the same time: what each row shows, as indices of the sources."""

    requests: tuple[tuple[int, ...], ...]
    as_images: tuple[bool, ...]
    as_stream: bool


def _pictures() -> list[bytes]:
    others = [encoded("JPEG", 40), encoded("BMP", 28), encoded("WEBP", 31), encoded("GIF", 17)]
    return samples() + others


def _arrays() -> np.typing.NDArray[np.float32]:
    """As many input tensors as there are pictures, [n, 28, 28, 1] float32."""
    numbers = np.random.default_rng(SEED)
    return numbers.random((len(_pictures()), 28, 28, 1), np.float32)


def _compositions(count: int) -> Iterator[Composition]:
    chance = random.Random(SEED)  # noqa: S311 - a test, and the same one every time
    sources = range(len(_pictures()))
    for _ in range(count):
        concurrency = chance.randint(1, 16)
        # A few sources at a time, so that each of them meets many neighbours.
        few = chance.sample(sources, 8)
        sizes = [chance.choice([1, 1, 1, 2, 3, 5, 8, 16, 33, 40]) for _ in range(concurrency)]
        while sum(sizes) > QUEUE_ROWS:
            sizes.pop()
        requests = tuple(tuple(chance.choices(few, k=size)) for size in sizes)
        as_images = tuple(chance.random() < 0.5 for _ in requests)
        yield Composition(requests, as_images, chance.random() < 0.5)


def _messages(composition: Composition) -> Iterator[pb.PredictRequest]:
    pictures, arrays = _pictures(), _arrays()
    pairs = zip(composition.requests, composition.as_images, strict=True)
    for number, (rows, as_images) in enumerate(pairs):
        if as_images:
            yield images([pictures[row] for row in rows], str(number), **OPTIONS)
        else:
            yield tensors(arrays[list(rows)], str(number), **OPTIONS)


async def _answers(stub: Any, composition: Composition) -> dict[str, pb.PredictResponse]:
    messages = list(_messages(composition))
    if composition.as_stream:
        members, code = await ask_stream(stub, messages)
        assert code == "OK"
        return {member.request_id: member.response for member in members}
    outcomes = await asyncio.gather(*(ask(stub, message) for message in messages))
    answers = [outcome.answer for outcome in outcomes]
    return {answer.request_id: answer for answer in answers if answer is not None}


async def test_a_picture_has_one_answer_in_200_random_compositions(
    embedded: ServerProcess,
) -> None:
    seen: dict[tuple[bool, int], set[bytes]] = defaultdict(set)
    buckets: set[int] = set()
    async with connected(embedded.grpc) as stub:
        for composition in _compositions(COMPOSITIONS):
            answers = await _answers(stub, composition)
            assert len(answers) == len(composition.requests)
            for number, rows in enumerate(composition.requests):
                answer = answers[str(number)]
                assert len(answer.rows) == len(rows)
                for source, row in zip(rows, answer.rows, strict=True):
                    assert len(row.probabilities) == len(row.logits) == 10
                    seen[composition.as_images[number], source].add(bits(row))
                buckets.update(part.bucket_rows for part in answer.provenance.executions)
        described = await stub.GetModel(pb.GetModelRequest())
    assert len(seen) > len(_pictures())
    assert {source: len(answers) for source, answers in seen.items() if len(answers) != 1} == {}
    # The compositions were executed in every bucket that the server has.
    assert {2, 4, 8, 16, 32} <= buckets
    assert buckets == set(described.buckets_rows)


async def test_different_pictures_have_different_answers(embedded: ServerProcess) -> None:
    async with connected(embedded.grpc) as stub:
        outcome = await ask(stub, images(samples(), **OPTIONS))
    assert outcome.answer is not None
    assert len({bits(row) for row in outcome.answer.rows}) == len(samples())
