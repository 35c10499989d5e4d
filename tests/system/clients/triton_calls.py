"""What is the same for tritonclient over gRPC and over HTTP; ``library`` is one of its modules."""

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from tritonclient.utils import InferenceServerException

Answers = dict[str, Any]
PATIENCE_S = float(os.environ["PATIENCE_S"])


def picture_input(library: Any, name: str, picture: bytes) -> Any:
    """The input as encoded picture."""
    tensor = library.InferInput(name, [1], "BYTES")
    return tensor.set_data_from_numpy(np.array([picture], object))


def bits(result: Any, output: str) -> str:
    """What came, as text."""
    text: str = result.as_numpy(output).tobytes().hex()
    return text


def picture_answers(
    library: Any, client: Any, model: str, inputs: list[Any], output: str
) -> tuple[Any, Answers]:
    """The answer to a picture with everything that may be asked for, and what it says."""
    wanted = [library.InferRequestedOutput(each) for each in (output, "probabilities", "label")]
    limit_us = int(PATIENCE_S * 1e6)
    result = client.infer(model, inputs, outputs=wanted, request_id="mine", timeout=limit_us)
    three = [library.InferRequestedOutput(output, class_count=3)]
    classes = client.infer(model, inputs, outputs=three)
    return result, {
        "bits": bits(result, output),
        "probabilities": bits(result, "probabilities"),
        "label": [text.decode() for text in result.as_numpy("label").ravel()],
        "classes": [text.decode() for text in classes.as_numpy(output).ravel()],
    }


def refused(ask: Callable[[], Any]) -> list[str]:
    """The status and the sentence of an error."""
    try:
        ask()
    except InferenceServerException as error:
        return [error.status(), error.message()]
    raise AssertionError("the call succeeded")


def refusals(
    library: Any, client: Any, model: str, good: Any, more: Mapping[str, Callable[[], Any]]
) -> Answers:
    """Errors as the client raises them.

    Args:
        library: of the protocol.
        client: of it.
        model: that is asked.
        good: an input that it takes.
        more: calls that only this protocol has, or writes in its own way.
    """
    shape = good.shape()
    other = library.InferInput(good.name(), shape, "INT32")
    other.set_data_from_numpy(np.zeros(shape, np.int32))
    flat = library.InferInput(good.name(), shape[1:], "FP32")
    flat.set_data_from_numpy(np.zeros(shape[1:], np.float32))
    unknown = [library.InferRequestedOutput("unknown")]
    asks: dict[str, Callable[[], Any]] = {
        "model": lambda: client.infer("other", [good]),
        "version": lambda: client.infer(model, [good], model_version="99"),
        "datatype": lambda: client.infer(model, [other]),
        "rank": lambda: client.infer(model, [flat]),
        "output": lambda: client.infer(model, [good], outputs=unknown),
        "priority": lambda: client.infer(model, [good], priority=1),
        "statistics": lambda: client.get_inference_statistics("other"),
        "load": lambda: client.load_model(model),
        "shared memory": client.get_system_shared_memory_status,
        "trace": client.get_trace_settings,
        **more,
    }
    return {name: refused(ask) for name, ask in asks.items()}


async def at_once(client: Any, model: str, tensor: Any, output: str) -> list[str]:
    """The different answers to 20 calls of an asyncio client that are under way together."""
    results = await asyncio.gather(*(client.infer(model, [tensor]) for _ in range(20)))
    return sorted({bits(result, output) for result in results})
