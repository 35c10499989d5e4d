"""TensorFlow Serving's REST API: rows (``instances``) and columns (``inputs``) of JSON."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from batchproof.compat import tensorflow_pb2
from batchproof.compat import tensorflow_serving_pb2 as pb
from batchproof_server.base.errors import InvalidInput, ServingError
from batchproof_server.base.signature import Array, Signature
from batchproof_server.models.selection import ModelSelector
from batchproof_server.models.versions import Versions
from batchproof_server.rpc.tensorflow_serving.tensors import (
    ServingTensor,
    dtype_number,
    write_shape,
)
from batchproof_server.rpc.versions import labelled_or_numbered
from batchproof_server.web.rest.endpoint import (
    LABEL,
    MODEL,
    Endpoint,
    Read,
    ReadRequest,
    RestAsked,
    Written,
)
from batchproof_server.web.rest.json_text import read_json, write_json
from batchproof_server.web.rest.plain import plain
from batchproof_server.web.rest.values import (
    B64,
    byte_strings,
    flattened,
    nested,
    numbers,
    texts,
)

_PREDICTION: Final = "/tensorflow.serving.PredictionService/"
_MODEL: Final = "/tensorflow.serving.ModelService/"
_ROWS: Final = "instances"
_COLUMNS: Final = "inputs"
_KEYS: Final = frozenset({_ROWS, _COLUMNS, "signature_name", "output_filter"})
_FLOAT32: Final = np.dtype(np.float32)
_MOST_INT64: Final = (1 << 63) - 1


def tensorflow_endpoints(versions: Versions) -> tuple[Endpoint, ...]:
    """The paths of the API.

    Args:
        versions: know the signatures, which say what JSON does not: the types of the numbers.
    """
    model = rf"/v1{MODEL}{LABEL}"
    read = partial(_read_predict, versions)
    return (
        _endpoint(rf"{model}:predict", "POST", f"{_PREDICTION}Predict", read, predicts=True),
        _endpoint(model, "GET", f"{_MODEL}GetModelStatus", _read_status),
        _endpoint(rf"{model}/metadata", "GET", f"{_PREDICTION}GetModelMetadata", _read_metadata),
        _endpoint(rf"{model}:classify", "POST", f"{_PREDICTION}Classify", _unread),
        _endpoint(rf"{model}:regress", "POST", f"{_PREDICTION}Regress", _unread),
    )


def _endpoint(path: str, verb: str, rpc: str, read: Read, *, predicts: bool = False) -> Endpoint:
    verbs = ("GET", "HEAD") if verb == "GET" else (verb,)
    return Endpoint(re.compile(path), verbs, rpc, read, predicts)


def _spec(asked: RestAsked, signature_name: str = "") -> pb.ModelSpec:
    spec = pb.ModelSpec(name=asked.words["model"], signature_name=signature_name)
    number, label = asked.words["version"], asked.words["label"]
    if label:
        spec.version_label = label
    elif number:
        if not (number.isascii() and number.isdigit() and int(number[:20]) <= _MOST_INT64):
            raise InvalidInput("the version in the path is no number, expected such as versions/1")
        spec.version.value = int(number[:20])
    return spec


def _unread(asked: RestAsked) -> ReadRequest:
    """What the method refuses whatever it is."""
    del asked
    return ReadRequest(None, _written)


def _read_status(asked: RestAsked) -> ReadRequest:
    return ReadRequest(pb.GetModelStatusRequest(model_spec=_spec(asked)), _write_status)


def _read_metadata(asked: RestAsked) -> ReadRequest:
    request = pb.GetModelMetadataRequest(model_spec=_spec(asked), metadata_field=["signature_def"])
    return ReadRequest(request, _write_metadata)


def _read_predict(versions: Versions, asked: RestAsked) -> ReadRequest:
    body = read_json(asked.body)
    if not isinstance(body, dict):
        raise InvalidInput("JSON Value: the body is no JSON object")
    if (_ROWS in body) == (_COLUMNS in body):
        raise InvalidInput("JSON Value: expected one of the keys 'instances' and 'inputs'")
    if unknown := sorted(set(body) - _KEYS):
        raise InvalidInput(f"unknown key {unknown[0][:80]!r}, expected one of {sorted(_KEYS)}")
    signature_name = body.get("signature_name", "")
    if not isinstance(signature_name, str):
        raise InvalidInput("'signature_name' is no string")
    request = pb.PredictRequest(model_spec=_spec(asked, signature_name))
    request.output_filter.extend(_filter(body))
    signature = _signature(versions, request.model_spec)
    if signature is not None:  # else the service says why there is none
        names = [spec.name for spec in signature.inputs]
        columns = _columns(body[_ROWS]) if _ROWS in body else body[_COLUMNS]
        for name, value in _named(columns, names).items():
            _fill(request.inputs[name], name, value, signature)
    return ReadRequest(request, _write_rows if _ROWS in body else _write_columns)


def _filter(body: Mapping[str, Any]) -> Sequence[str]:
    names = body.get("output_filter", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidInput("'output_filter' is no list of strings")
    if len(names) > _MOST_NAMES:
        raise InvalidInput(f"'output_filter' has more than {_MOST_NAMES} names")
    return names


_MOST_NAMES: Final = 256


def _signature(versions: Versions, spec: pb.ModelSpec) -> Signature | None:
    """The signature of the version that is asked for; None where it does not answer."""
    number = spec.version.value if spec.HasField("version") else None
    try:
        selector = ModelSelector(spec.name, version=number)
        if spec.version_label:
            selector = labelled_or_numbered(versions, spec.name, spec.version_label)
        return versions.select(selector).loaded.backend.signature
    except ServingError:
        return None


def _is_named(value: Any) -> bool:
    """Whether an object names inputs, and is no picture."""
    return isinstance(value, dict) and set(value) != {B64}


def _columns(rows: Any) -> Any:
    """The inputs of rows: by name where the rows name them."""
    if not isinstance(rows, list) or not rows:
        raise InvalidInput("'instances' is no list of one row or more")
    if not any(map(_is_named, rows)):
        return rows
    names = set(rows[0]) if _is_named(rows[0]) else set()
    if not all(_is_named(row) and set(row) == names for row in rows):
        raise InvalidInput("'instances' name different inputs, expected the same in each row")
    return {name: [row[name] for row in rows] for name in sorted(names)}


def _named(value: Any, names: Sequence[str]) -> Mapping[str, Any]:
    if _is_named(value):
        if len(value) > _MOST_NAMES:
            raise InvalidInput(f"there are {len(value)} inputs, expected {len(names)}")
        return dict(value)
    if len(names) != 1:
        raise InvalidInput(f"the inputs have no names, expected {', '.join(names)}")
    return {names[0]: value}


def _fill(tensor: tensorflow_pb2.TensorProto, name: str, value: Any, signature: Signature) -> None:
    what = f'input "{name[:80]}"'
    flat = flattened(value, what)
    write_shape(tensor.tensor_shape, flat.shape)
    if flat.is_text():
        tensor.dtype = tensorflow_pb2.DT_STRING
        tensor.string_val.extend(byte_strings(flat.leaves, what))
        return
    dtypes = {spec.name: np.dtype(spec.dtype) for spec in signature.inputs}
    dtype = dtypes.get(name, _FLOAT32)
    tensor.dtype = dtype_number(dtype)
    tensor.tensor_content = numbers(flat.leaves, dtype, what).tobytes()


def _outputs(response: pb.PredictResponse) -> dict[str, Any]:
    return {name: _plain_tensor(name, response.outputs[name]) for name in sorted(response.outputs)}


def _plain_tensor(name: str, message: tensorflow_pb2.TensorProto) -> Any:
    tensor = ServingTensor(name, message, 0)
    if tensor.dtype is not None:
        return _native(tensor.array())
    return nested(texts(tensor.strings()), tensor.shape)


def _native(array: Array) -> Array:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))


def _write_columns(response: pb.PredictResponse) -> Written:
    outputs = _outputs(response)
    only = next(iter(outputs.values())) if len(outputs) == 1 else outputs
    return Written(write_json({"outputs": only}))


def _write_rows(response: pb.PredictResponse) -> Written:
    outputs = _outputs(response)
    if len(outputs) == 1:
        return Written(write_json({"predictions": next(iter(outputs.values()))}))
    rows = zip(*outputs.values(), strict=True)
    predictions = [dict(zip(outputs, row, strict=True)) for row in rows]
    return Written(write_json({"predictions": predictions}))


def _written(response: Any) -> Written:
    return Written(write_json(plain(response, wide_as_text=True)))


def _write_status(response: pb.GetModelStatusResponse) -> Written:
    versions = [
        {
            "version": str(each.version),
            "state": pb.ModelVersionStatus.State.Name(each.state),
            "status": {
                "error_code": _CODES.get(each.status.error_code, str(each.status.error_code)),
                "error_message": each.status.error_message,
            },
        }
        for each in response.model_version_status
    ]
    return Written(write_json({"model_version_status": versions}))


_CODES: Final = {0: "OK", 9: "FAILED_PRECONDITION"}


def _write_metadata(response: pb.GetModelMetadataResponse) -> Written:
    signatures = pb.SignatureDefMap.FromString(response.metadata["signature_def"].value)
    spec = response.model_spec
    body = {
        "model_spec": {
            "name": spec.name,
            "signature_name": spec.signature_name,
            "version": str(spec.version.value),
        },
        "metadata": {"signature_def": plain(signatures, wide_as_text=True)},
    }
    return Written(write_json(body))
