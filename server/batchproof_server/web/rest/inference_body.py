"""The bodies of inference in the Open Inference Protocol v2: JSON, and binary tensors behind it."""

import math
import secrets
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, cast

import numpy as np

from batchproof.compat import inference_pb2 as pb
from batchproof.tensors import MAX_DIMENSIONS
from batchproof_server.base.errors import InvalidInput, cut
from batchproof_server.rpc.contents import LARGE_BYTES, NO_CONTENTS, TOKEN_BYTES, Contents
from batchproof_server.rpc.open_inference.tensors import BYTES, InferTensor, dtype_of
from batchproof_server.web.rest.endpoint import ReadRequest, RestAsked, Written
from batchproof_server.web.rest.exchange import BINARY
from batchproof_server.web.rest.json_text import read_json, write_json
from batchproof_server.web.rest.values import byte_strings, flattened, numbers, texts

HEADER_LENGTH: Final = "inference-header-content-length"
_BINARY_OUTPUT: Final = "binary_data_output"
_BINARY: Final = "binary_data"
_SIZE: Final = "binary_data_size"
_CONTENT_TYPE: Final = "content_type"
_LENGTH: Final = struct.Struct("<I")


def read_infer(asked: RestAsked) -> ReadRequest:
    """A request for inference: JSON, and tensors in it or behind it.

    Raises:
        InvalidInput: it is not of the form that the protocol says.
    """
    text, rest = _parts(asked)
    body = json_object(read_json(text), "the body")
    request = pb.ModelInferRequest(
        model_name=asked.words["model"],
        model_version=asked.words["version"],
        id=_text(body, "id", "the body"),
    )
    _read_parameters(request.parameters, body, "the request", (_BINARY_OUTPUT,))
    for wanted in _objects(body, "outputs"):
        output = request.outputs.add(name=_text(wanted, "name", "an output"))
        _read_parameters(output.parameters, wanted, f'output "{cut(output.name)}"', (_BINARY,))
    end, contents = 0, NO_CONTENTS
    if len(rest) >= LARGE_BYTES:
        contents = Contents(secrets.token_bytes(TOKEN_BYTES))
    for given in _objects(body, "inputs"):
        end = _read_input(request, given, rest, end, contents)
    if end != len(rest):
        raise InvalidInput(f"{len(rest) - end} bytes come after the binary data of the inputs")
    return ReadRequest(request, partial(write_infer, _binary_outputs(body)), contents)


def _binary_outputs(body: Mapping[str, Any]) -> Callable[[str], bool]:
    """Of an output's name whether its tensor comes behind the JSON."""
    everything = (body.get("parameters") or {}).get(_BINARY_OUTPUT) is True
    wanted = {
        each.get("name"): (each.get("parameters") or {}).get(_BINARY, everything)
        for each in _objects(body, "outputs")
    }
    return lambda name: wanted.get(name, everything) is True


def _parts(asked: RestAsked) -> tuple[bytes, memoryview]:
    """The JSON, and the bytes behind it."""
    text = asked.headers.get(HEADER_LENGTH)
    if text is None:
        return asked.body, memoryview(b"")
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise InvalidInput("Inference-Header-Content-Length is no number of bytes")
    end = int(text)
    if end > len(asked.body):
        raise InvalidInput(
            f"Inference-Header-Content-Length is {end}, the body has {len(asked.body)} bytes"
        )
    return asked.body[:end], memoryview(asked.body)[end:]


_MOST_DIGITS: Final = 18


def _read_input(
    request: pb.ModelInferRequest,
    given: Mapping[str, Any],
    rest: memoryview,
    begin: int,
    contents: Contents,
) -> int:
    """Adds an input; where its bytes end."""
    tensor = request.inputs.add(
        name=_text(given, "name", "an input"), datatype=_text(given, "datatype", "an input")
    )
    name = f'input "{cut(tensor.name)}"'
    tensor.shape.extend(_shape(given, name))
    parameters = given.get("parameters") or {}
    size = parameters.get(_SIZE) if isinstance(parameters, dict) else None
    _read_parameters(tensor.parameters, given, name, (_SIZE, _CONTENT_TYPE))
    if size is None:
        request.raw_input_contents.append(_from_json(tensor, given, name))
        return begin
    if "data" in given:
        raise InvalidInput(f"{name} has data beside {_SIZE}, expected one of them")
    if not _is_whole(size) or not 0 <= size <= len(rest) - begin:
        left = len(rest) - begin
        raise InvalidInput(f"{name}: {_SIZE} is {cut(str(size))}, and {left} bytes are left")
    raw = rest[begin : begin + size]
    request.raw_input_contents.append(contents.leave(raw) if size >= LARGE_BYTES else bytes(raw))
    return begin + int(size)


def _from_json(
    tensor: pb.ModelInferRequest.InferInputTensor, given: Mapping[str, Any], name: str
) -> bytes:
    """The values of an input as bytes."""
    if "shared_memory_region" in tensor.parameters:
        return b""  # refused by the service
    if "data" not in given:
        raise InvalidInput(f"{name} has no data, expected a list of values")
    leaves = flattened(given["data"], name).leaves
    expected = math.prod(tensor.shape)
    if len(leaves) != expected and min(tensor.shape, default=0) >= 0:  # else the service says so
        raise InvalidInput(f"{name}: data has {len(leaves)} values, expected {expected}")
    if tensor.datatype == BYTES:
        parameters = given.get("parameters") or {}
        are_base64 = parameters.get(_CONTENT_TYPE) == "base64"
        return framed(byte_strings(leaves, name, are_base64=are_base64))
    dtype = dtype_of(tensor.datatype)
    return b"" if dtype is None else numbers(leaves, dtype, name, tensor.datatype).tobytes()


def framed(strings: Iterable[bytes]) -> bytes:
    """Byte strings, each behind its length."""
    return b"".join(_LENGTH.pack(len(each)) + each for each in strings)


def _shape(given: Mapping[str, Any], name: str) -> Sequence[int]:
    shape = given.get("shape")
    if not isinstance(shape, list) or not all(map(_is_whole, shape)):
        raise InvalidInput(f"{name} has no shape, expected a list of whole numbers")
    if len(shape) > MAX_DIMENSIONS:
        raise InvalidInput(
            f"{name}: shape has {len(shape)} sizes, expected {MAX_DIMENSIONS} at most"
        )
    if any(abs(size) > _MOST_INT64 for size in shape):
        raise InvalidInput(f"{name}: a size of the shape is beyond 64 bits")
    return shape


def _is_whole(value: Any) -> bool:
    return type(value) is int


_MOST_INT64: Final = (1 << 63) - 1


def json_object(value: Any, what: str) -> Mapping[str, Any]:
    """A value that has to be an object of JSON.

    Args:
        value: as it came.
        what: it is, for errors.

    Raises:
        InvalidInput: it is none.
    """
    if not isinstance(value, dict):
        raise InvalidInput(f"{what} is no JSON object")
    return value


def _objects(body: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    value = body.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > _MOST_TENSORS:
        raise InvalidInput(f'"{key}" is no list of {_MOST_TENSORS} objects at most')
    return [json_object(each, f'an entry of "{key}"') for each in value]


_MOST_TENSORS: Final = 256


def _text(holder: Mapping[str, Any], key: str, what: str) -> str:
    value = holder.get(key, "")
    if not isinstance(value, str):
        raise InvalidInput(f'"{key}" of {what} is no string')
    return value


def _read_parameters(
    into: Any, holder: Mapping[str, Any], what: str, ours: tuple[str, ...]
) -> None:
    """Takes the parameters over, but for those that are about this form."""
    given = holder.get("parameters")
    if given is None:
        return
    for name, value in json_object(given, f"parameters of {what}").items():
        if name in ours:
            continue
        if len(into) >= _MOST_TENSORS:
            raise InvalidInput(f"{what} has more than {_MOST_TENSORS} parameters")
        _set_parameter(into[name], value, f'parameter "{cut(name)}" of {what}')


def _set_parameter(parameter: pb.InferParameter, value: Any, what: str) -> None:
    match value:
        case bool():
            parameter.bool_param = value
        case int() if value > _MOST_INT64:
            parameter.uint64_param = value
        case int():
            parameter.int64_param = value
        case float():
            parameter.double_param = value
        case str():
            parameter.string_param = value
        case _:
            raise InvalidInput(f"{what} is no boolean, number or string")


def write_infer(is_binary: Callable[[str], bool], response: pb.ModelInferResponse) -> Written:
    """An answer: JSON, and behind it the tensors that are asked for in binary."""
    outputs, behind = [], list[bytes]()
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        written: dict[str, Any] = {
            "name": output.name,
            "datatype": output.datatype,
            "shape": list(output.shape),
        }
        if is_binary(output.name):
            written["parameters"] = {_SIZE: len(raw)}
            behind.append(raw)
        else:
            written["data"] = _data(output, raw)
        outputs.append(written)
    body: dict[str, Any] = {
        "model_name": response.model_name,
        "model_version": response.model_version,
        "id": response.id,
        "parameters": {name: _parameter(each) for name, each in response.parameters.items()},
        "outputs": outputs,
    }
    text = write_json(body)
    if not behind:
        return Written(text)
    headers = {"content-type": BINARY, HEADER_LENGTH: str(len(text))}
    return Written(b"".join((text, *behind)), headers)


def _parameter(parameter: pb.InferParameter) -> Any:
    choice = parameter.WhichOneof("parameter_choice")
    return None if choice is None else getattr(parameter, choice)


def _data(output: pb.ModelInferResponse.InferOutputTensor, raw: bytes) -> Any:
    tensor = InferTensor(cast("pb.ModelInferRequest.InferInputTensor", output), raw)
    if output.datatype == BYTES:
        return texts(tensor.strings())
    return np.ascontiguousarray(tensor.array()).ravel()
