"""What an unmodified tritonclient gets over HTTP.

Usage: stock_triton_http.py ADDRESS MODEL PICTURE

Prints one JSON object. Runs in the environment of requirements/interop.txt.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from triton_calls import Answers, at_once, bits, picture_answers, picture_input, refusals


def number_input(name: str, shape: list[int], *, binary: bool = True) -> Any:
    """The input as numbers, all 0.1, which no float32 is."""
    tensor = triton.InferInput(name, shape, "FP32")
    return tensor.set_data_from_numpy(np.full(shape, 0.1, np.float32), binary_data=binary)


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
    inputs = [picture_input(triton, name, picture)]
    result, answers = picture_answers(triton, client, model, inputs, output)
    wanted = [output, "probabilities", "label"]
    in_json = [triton.InferRequestedOutput(each, binary_data=False) for each in wanted]
    as_json = client.infer(model, inputs, outputs=in_json, parameters={"top_k": 1})
    compressed = [
        client.infer(
            model, inputs, request_compression_algorithm=form, response_compression_algorithm=form
        )
        for form in ("gzip", "deflate")
    ]
    later = [client.async_infer(model, inputs) for _ in range(8)]
    return answers | {
        "id": result.get_response()["id"],
        "json_bits": bits(as_json, output),
        "compressed": [bits(each, output) for each in compressed],
        "asynchronous": [bits(each.get_result(), output) for each in later],
    }


def numbers(client: Any, model: str, name: str, output: str, shape: list[int]) -> list[str]:
    """The same numbers in binary and in JSON, both ways."""
    return [
        bits(
            client.infer(
                model,
                [number_input(name, shape, binary=binary_in)],
                outputs=[triton.InferRequestedOutput(output, binary_data=binary_out)],
            ),
            output,
        )
        for binary_in in (True, False)
        for binary_out in (True, False)
    ]


async def asynchronous(address: str, model: str, name: str, output: str, picture: bytes) -> Any:
    """The same over asyncio: many at the same time."""
    async with triton_aio.InferenceServerClient(address) as client:
        tensor = picture_input(triton_aio, name, picture)
        return await at_once(client, model, tensor, output)


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
    good = number_input(name, shape)
    answers["refusals"] = refusals(triton, client, model, good, {})
    client.close()
    answers["asyncio"] = asyncio.run(asynchronous(address, model, name, output, picture))
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
