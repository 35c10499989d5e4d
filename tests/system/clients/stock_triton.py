"""What an unmodified tritonclient gets.

Usage: stock_triton.py ADDRESS MODEL PICTURE

Prints one JSON object. Runs in the environment of requirements/interop.txt.
"""

import asyncio
import json
import queue
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from triton_calls import (
    PATIENCE_S,
    Answers,
    at_once,
    bits,
    picture_answers,
    picture_input,
    refusals,
)


def number_input(name: str, shape: list[int]) -> Any:
    """The input as numbers, all 0.5."""
    tensor = triton.InferInput(name, shape, "FP32")
    return tensor.set_data_from_numpy(np.full(shape, 0.5, np.float32))


def about(client: Any, model: str) -> Answers:
    """Everything but inference."""
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": client.is_model_ready(model),
        "other_ready": client.is_model_ready("other"),
        "server": client.get_server_metadata(as_json=True),
        "metadata": client.get_model_metadata(model, as_json=True),
        "config": client.get_model_config(model, as_json=True)["config"],
        "index": client.get_model_repository_index(as_json=True)["models"],
    }


def infer(client: Any, model: str, name: str, output: str, picture: bytes) -> Answers:
    """Inference, one call after the other."""
    inputs = [picture_input(triton, name, picture)]
    result, answers = picture_answers(triton, client, model, inputs, output)
    compressed = [
        bits(client.infer(model, inputs, compression_algorithm=form), output)
        for form in ("gzip", "deflate")
    ]
    return answers | {"id": result.get_response().id, "compressed": compressed}


def own_refusals(client: Any, model: str, name: str, shape: list[int]) -> Answers:
    """Errors, with those that only gRPC lets a client make."""
    cut = number_input(name, shape)
    cut._raw_content = cut._raw_content[:-1]  # there is no honest way to lie
    more = {
        "bytes": lambda: client.infer(model, [cut]),
        "missing": lambda: client.infer(model, []),
    }
    return refusals(triton, client, model, number_input(name, shape), more)


def statistics(client: Any, model: str, name: str, shape: list[int]) -> Answers:
    """The differences that perf_analyzer takes, over two requests of three rows each."""
    before = client.get_inference_statistics(model, "1", as_json=False).model_stats[0]
    for _ in range(2):
        client.infer(model, [number_input(name, [3, *shape[1:]])])
    after = client.get_inference_statistics(model, "1", as_json=False).model_stats[0]
    parts = ("success", "queue", "compute_input", "compute_infer", "compute_output")
    return {
        "rows": after.inference_count - before.inference_count,
        "executions": after.execution_count - before.execution_count,
        "counts": {
            part: getattr(after.inference_stats, part).count
            - getattr(before.inference_stats, part).count
            for part in parts
        },
        "ns": {part: getattr(after.inference_stats, part).ns for part in parts},
    }


def stream(address: str, model: str, name: str, output: str, shape: list[int]) -> Answers:
    """A stream of three, of which the second is bad."""
    answers: queue.Queue[Any] = queue.Queue()
    client = triton.InferenceServerClient(address)
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    for number, size in enumerate((shape, [1, 2, 3], shape)):
        tensor = number_input(name, size)
        client.async_stream_infer(model, [tensor], request_id=str(number))
    got = [answers.get(timeout=PATIENCE_S) for _ in range(3)]
    client.stop_stream()
    client.close()
    return {
        "errors": [error is not None for _, error in got],
        "error": got[1][1].message(),
        "ids": [result.get_response().id for result, error in got if error is None],
        "bits": [bits(result, output) for result, error in got if not error],
    }


async def asynchronous(address: str, model: str, name: str, output: str, picture: bytes) -> Answers:
    """The same over asyncio: many at the same time, and a stream."""

    async def requests() -> AsyncIterator[dict[str, Any]]:
        for number in range(5):
            yield {
                "model_name": model,
                "inputs": [picture_input(triton_aio, name, picture)],
                "request_id": str(number),
            }

    async with triton_aio.InferenceServerClient(address) as client:
        tensor = picture_input(triton_aio, name, picture)
        answers = await at_once(client, model, tensor, output)
        streamed = [
            (result.get_response().id, error)
            async for result, error in client.stream_infer(requests())
        ]
    return {
        "bits": answers,
        "streamed": streamed,
    }


def main(address: str, model: str, picture_file: str) -> None:
    """Asks for everything and prints what came."""
    picture = Path(picture_file).read_bytes()
    client = triton.InferenceServerClient(address)
    answers: Answers = {"about": about(client, model)}
    metadata = answers["about"]["metadata"]
    name, output = metadata["inputs"][0]["name"], metadata["outputs"][0]["name"]
    shape = [1, *map(int, metadata["inputs"][0]["shape"][1:])]
    answers["statistics"] = statistics(client, model, name, shape)
    answers["infer"] = infer(client, model, name, output, picture)
    answers["refusals"] = own_refusals(client, model, name, shape)
    client.close()
    answers["stream"] = stream(address, model, name, output, shape)
    answers["asyncio"] = asyncio.run(asynchronous(address, model, name, output, picture))
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
