"""Our own REST API: pictures as they are, answers as JSON."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from batchproof.handles import handle_to_text
from batchproof.tensors import from_proto
from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.base.errors import InvalidInput, cut
from batchproof_server.web.rest.endpoint import Endpoint, ReadRequest, RestAsked, Written
from batchproof_server.web.rest.json_text import write_json
from batchproof_server.web.rest.multipart import Part, boundary_of, read_parts
from batchproof_server.web.rest.plain import plain

_MOST_DIGITS: Final = 18
_BETWEEN_VIEWS: Final = ";"


def own_endpoints(max_rows: int) -> tuple[Endpoint, ...]:
    """The path of our own API. PUT is what ``curl -T`` sends.

    Args:
        max_rows: pictures of one request.
    """

    def read(asked: RestAsked) -> ReadRequest:
        return read_predict(asked, max_rows)

    rpc = "/batchproof.v1.PredictionService/Predict"
    return (Endpoint(re.compile(r"/v1/predict/?"), ("POST", "PUT"), rpc, read, predicts=True),)


def read_predict(asked: RestAsked, max_rows: int) -> ReadRequest:
    """A request of pictures: one as the body, or several in a form.

    Raises:
        InvalidInput: there is no picture, an option is unknown, or has no value that it takes.
    """
    boundary = boundary_of(asked.headers.get("content-type", ""))
    options = dict(asked.query)
    if boundary is None:
        pictures: Sequence[bytes] = [asked.body] if asked.body else []
    else:
        parts = read_parts(asked.body, boundary, max_rows + len(_OPTIONS))
        pictures = [part.content for part in parts if part.is_file]
        options |= {part.name: _form_text(part) for part in parts if not part.is_file}
    if not pictures:
        raise InvalidInput(
            "the request has no picture, expected one as the body, or files in a form"
        )
    request = pb.PredictRequest(images=pb.EncodedImages(contents=pictures))
    for name, text in options.items():
        take = _OPTIONS.get(name)
        if take is None:
            known = ", ".join(_OPTIONS)
            raise InvalidInput(f'unknown option "{cut(name)}", expected one of {known}')
        take(request, text)
    return ReadRequest(request, write_predict)


_MOST_TEXT_BYTES: Final = 4_096


def _form_text(part: Part) -> str:
    if len(part.content) > _MOST_TEXT_BYTES:
        raise InvalidInput(f'"{cut(part.name)}" has more than {_MOST_TEXT_BYTES} bytes')
    try:
        return part.content.decode()
    except UnicodeDecodeError as fault:
        raise InvalidInput(f'"{cut(part.name)}" is no UTF-8 text') from fault


def whole_number(name: str, text: str) -> int:
    """The number of an option, 0 or more.

    Raises:
        InvalidInput: it is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise InvalidInput(f'"{name}" is "{cut(text)}", expected a whole number')
    return int(text)


def _flag(name: str, text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise InvalidInput(f'"{name}" is "{cut(text)}", expected true or false')
    return _FLAGS[text.lower()]


_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}


def _take_model(request: pb.PredictRequest, text: str) -> None:
    request.model.name = text


def _take_version(request: pb.PredictRequest, text: str) -> None:
    request.model.version = whole_number("version", text)


def _take_label(request: pb.PredictRequest, text: str) -> None:
    request.model.label = text


def _take_top_k(request: pb.PredictRequest, text: str) -> None:
    top_k = whole_number("top_k", text)
    if top_k > _MOST_UINT32:
        raise InvalidInput(f'"top_k" is {top_k}, expected {_MOST_UINT32} at most')
    request.options.top_k = top_k


_MOST_UINT32: Final = (1 << 32) - 1


def _take_probabilities(request: pb.PredictRequest, text: str) -> None:
    request.options.return_probabilities = _flag("probabilities", text)


def _take_logits(request: pb.PredictRequest, text: str) -> None:
    request.options.return_logits = _flag("logits", text)


def _take_tta(request: pb.PredictRequest, text: str) -> None:
    request.options.tta.policy = text


def _take_views(request: pb.PredictRequest, text: str) -> None:
    views = [view.strip() for view in text.split(_BETWEEN_VIEWS)]
    request.options.tta.views.extend(views)


def _take_aggregation(request: pb.PredictRequest, text: str) -> None:
    request.options.tta.aggregation = text


def _take_early_exit(request: pb.PredictRequest, text: str) -> None:
    try:
        request.options.tta.early_exit = float(text)
    except ValueError as fault:
        raise InvalidInput(f'"tta_early_exit" is "{cut(text)}", expected a number') from fault


def _take_seed(request: pb.PredictRequest, text: str) -> None:
    request.options.tta.seed = whole_number("tta_seed", text)


# As the Open Inference Protocol's parameters are called, where they are some.
_OPTIONS: Final[Mapping[str, Callable[[pb.PredictRequest, str], None]]] = {
    "model": _take_model,
    "version": _take_version,
    "label": _take_label,
    "top_k": _take_top_k,
    "probabilities": _take_probabilities,
    "logits": _take_logits,
    "tta": _take_tta,
    "tta_views": _take_views,
    "tta_aggregation": _take_aggregation,
    "tta_early_exit": _take_early_exit,
    "tta_seed": _take_seed,
}


def write_predict(response: pb.PredictResponse) -> Written:
    """The answer, under the names of ``batchproof.v1``; what is empty is left out."""
    body: dict[str, Any] = {
        "request_id": response.request_id,
        "rows": [_row(row) for row in response.rows],
        "outputs": {name: from_proto(response.outputs[name]) for name in sorted(response.outputs)},
        "provenance": plain(response.provenance),
    }
    if response.warnings:
        body["warnings"] = list(response.warnings)
    return Written(write_json({key: value for key, value in body.items() if value != {}}) + b"\n")


def _row(row: pb.RowPrediction) -> dict[str, Any]:
    told = plain(row)
    told["handle"] = handle_to_text(row.handle) if row.handle else ""
    return {key: value for key, value in told.items() if not _is_nothing(value)}


def _is_nothing(value: Any) -> bool:
    return (isinstance(value, str | list) and not value) or getattr(value, "size", 1) == 0
