"""What an unmodified tritonclient gets over HTTP.

Usage: stock_triton_http.py ADDRESS MODEL PICTURE

Prints one JSON object. Runs in the environment of requirements/interop.txt.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio

Answers = dict[str, Any]
PATIENCE_S = float(os.environ["PATIENCE_S"])


def picture_input(name: str, picture: bytes, library: Any = triton) -> Any:
    """The input as encoded picture."""
    tensor = library.InferInput(name, [1], "BYTES")
    return tensor.set_data_from_numpy(np.array([picture], object))


def number_input(name: str, shape: list[int], *, binary: bool = True) -> Any:
    """The input as numbers, all 0.1, which no float32 is."""
    tensor = triton.InferInput(name, shape, "FP32")
    return tensor.set_data_from_numpy(np.full(shape, 0.1, np.float32), binary_data=binary)


def refused(ask: Any) -> list[str]:
    """The status and the sentence of an error."""
    try:
        ask()
    except triton.InferenceServerException as error:
        return [error.status(), error.message()]
    raise AssertionError("the call succeeded")


def about(client: Any, model: str) -> Answers:
    """Everything but inference."""
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": client.is_model_ready(model),
        "version_ready": client.is_model_ready(model, "1"),
        "other_ready": client.is_model_ready("other"),
        "server": client.get_server_metadata(),
        "metadata": client.get_model_metadata(model),
        "config": client.get_model_config(model),
        "index": client.get_model_repository_index(),
        "statistics": client.get_inference_statistics(model, "1")["model_stats"][0]["name"],
    }


def infer(client: Any, model: str, name: str, output: str, picture: bytes) -> Answers:
    """Inference, one call after the other."""
    inputs = [picture_input(name, picture)]
    wanted = [output, "probabilities", "label"]
    asked = [triton.InferRequestedOutput(each) for each in wanted]
    limit_us = int(PATIENCE_S * 1e6)
    result = client.infer(model, inputs, outputs=asked, request_id="mine", timeout=limit_us)
    in_json = [triton.InferRequestedOutput(each, binary_data=False) for each in wanted]
    as_json = client.infer(model, inputs, outputs=in_json, parameters={"top_k": 1})
    classes = client.infer(
        model, inputs, outputs=[triton.InferRequestedOutput(output, class_count=3)]
    )
    compressed = [
        client.infer(
            model, inputs, request_compression_algorithm=form, response_compression_algorithm=form
        )
        for form in ("gzip", "deflate")
    ]
    later = [client.async_infer(model, inputs) for _ in range(8)]
    return {
        "id": result.get_response()["id"],
        "bits": result.as_numpy(output).tobytes().hex(),
        "json_bits": as_json.as_numpy(output).tobytes().hex(),
        "probabilities": result.as_numpy("probabilities").tobytes().hex(),
        "label": [text.decode() for text in result.as_numpy("label").ravel()],
        "classes": [text.decode() for text in classes.as_numpy(output).ravel()],
        "compressed": [each.as_numpy(output).tobytes().hex() for each in compressed],
        "asynchronous": [each.get_result().as_numpy(output).tobytes().hex() for each in later],
    }


def numbers(client: Any, model: str, name: str, output: str, shape: list[int]) -> list[str]:
    """The same numbers in binary and in JSON, both ways."""
    return [
        client.infer(
            model,
            [number_input(name, shape, binary=binary_in)],
            outputs=[triton.InferRequestedOutput(output, binary_data=binary_out)],
        )
        .as_numpy(output)
        .tobytes()
        .hex()
        for binary_in in (True, False)
        for binary_out in (True, False)
    ]


def refusals(client: Any, model: str, name: str, shape: list[int]) -> Answers:
    """Errors as the client raises them."""
    good = [number_input(name, shape)]
    other = triton.InferInput(name, shape, "INT32")
    other.set_data_from_numpy(np.zeros(shape, np.int32))
    unknown = [triton.InferRequestedOutput("unknown")]
    asks: dict[str, Any] = {
        "model": lambda: client.infer("other", good),
        "version": lambda: client.infer(model, good, model_version="99"),
        "datatype": lambda: client.infer(model, [other]),
        "rank": lambda: client.infer(model, [number_input(name, shape[1:])]),
        "output": lambda: client.infer(model, good, outputs=unknown),
        "priority": lambda: client.infer(model, good, priority=1),
        "statistics": lambda: client.get_inference_statistics("other"),
        "load": lambda: client.load_model(model),
        "shared memory": client.get_system_shared_memory_status,
        "trace": client.get_trace_settings,
    }
    return {name: refused(ask) for name, ask in asks.items()}


async def asynchronous(address: str, model: str, name: str, output: str, picture: bytes) -> Any:
    """The same over asyncio: many at the same time."""
    async with triton_aio.InferenceServerClient(address) as client:
        results = await asyncio.gather(
            *(client.infer(model, [picture_input(name, picture, triton_aio)]) for _ in range(20))
        )
    return sorted({result.as_numpy(output).tobytes().hex() for result in results})


def main(address: str, model: str, picture_file: str) -> None:
    """Asks for everything and prints what came."""
    picture = Path(picture_file).read_bytes()
    client = triton.InferenceServerClient(address, concurrency=4)
    answers: Answers = {"about": about(client, model)}
    metadata = answers["about"]["metadata"]
    name, output = metadata["inputs"][0]["name"], metadata["outputs"][0]["name"]
    shape = [1, *metadata["inputs"][0]["shape"][1:]]
    answers["infer"] = infer(client, model, name, output, picture)
    answers["numbers"] = numbers(client, model, name, output, shape)
    answers["refusals"] = refusals(client, model, name, shape)
    client.close()
    answers["asyncio"] = asyncio.run(asynchronous(address, model, name, output, picture))
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
