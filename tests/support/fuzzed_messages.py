"""Requests of every method as nobody sends them: good ones with fields changed, and any bytes."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, TypeAlias

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from batchproof.compat import inference_pb2 as oip
from batchproof.compat import tensorflow_pb2 as tf
from batchproof.compat import tensorflow_serving_pb2 as tfs
from batchproof.tensors import to_proto
from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.rpc.fronts.front import Code
from support.compat_requests import infer, infer_images, predict, strings
from support.every_method import methods
from support.mutations import mutated

Path: TypeAlias = str

PICTURES_MODEL: Final = "colour"
NUMBERS_MODEL: Final = "numbers"
METHODS: Final = methods()
# The words at which the server does something, and such as it should never repeat unescaped.
WORDS: Final = (
    "", PICTURES_MODEL, NUMBERS_MODEL, "grey", "image", "scores", "predict", "1", "2",
    "serving_default", "FP32", "BYTES", "UINT8", "INT64", "BOOL", "float32",
    "d4", "flip", "none", "hflip", "rotate(10)", "noise(0.1)", "rotate(1e999)", "crop(0)",
    "five_crop", "mean", "vote", "sharpen(2)", "blend(0.5)", "sharpen(nan)",
    "tta", "top_k", "classification", "binary_data", "sequence_id",
    "x" * 300, "\x1b[31m", "\u202egnp", "a\nb", "\0",
    "batchproof.v1.PredictionService", "grpc.health.v1.Health", "batchproof/v1/prediction.proto",
)  # fmt: skip
NUMBERS: Final = (
    0, 1, -1, 2, 3, 4, 7, 28, 127, 128, 255, 256, 65_536, 2**31 - 1, -(2**31), 2**31, 2**32 - 1,
    2**53, 2**63 - 1, -(2**63), 2**64 - 1,
)  # fmt: skip
FLOATS: Final = (0.0, -0.0, 0.5, 1.0, -1.0, 1e-45, 1e38, float("nan"), float("inf"), -float("inf"))
_RANGES: Final = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_DEPTH: Final = 5


def good_requests(pictures: Sequence[bytes]) -> Mapping[str, tuple[Any, ...]]:
    """By the full names of their types, requests that the server answers."""
    picture = pictures[0]
    row = {"image": to_proto(np.zeros((1, 4), np.float32))}
    native = (
        pb.PredictRequest(
            request_id="a",
            model=_native(PICTURES_MODEL),
            images=pb.EncodedImages(contents=[picture]),
        ),
        pb.PredictRequest(
            model=_native(PICTURES_MODEL),
            images=pb.EncodedImages(contents=list(pictures)),
            options=pb.PredictOptions(
                tta=pb.TestTimeAugmentation(views=["identity", "hflip"], aggregation="mean", seed=7)
            ),
        ),
        pb.PredictRequest(model=_native(NUMBERS_MODEL), tensors=pb.NamedTensors(tensors=row)),
    )
    requests = (
        *native,
        *(pb.PredictStreamRequest(request=each) for each in native),
        pb.ReportOutcomeRequest(outcomes=[pb.Outcome(request_id="a", class_index=1)]),
        pb.ReportOutcomeRequest(outcomes=[pb.Outcome(handle=bytes(80), label="1")]),
        pb.DiagnoseRequest(model=_native(PICTURES_MODEL), image=picture, label="1"),
        infer(model=NUMBERS_MODEL),
        infer_images(list(pictures), PICTURES_MODEL),
        infer_images([picture], PICTURES_MODEL, typed=True),
        oip.ModelMetadataRequest(name=PICTURES_MODEL),
        predict(model=NUMBERS_MODEL),
        predict(strings([picture]), PICTURES_MODEL, version=1),
        tfs.GetModelMetadataRequest(
            model_spec=tfs.ModelSpec(name=NUMBERS_MODEL), metadata_field=["signature_def"]
        ),
        predict(tf.TensorProto(dtype=tf.DT_FLOAT, float_val=[1.0]), NUMBERS_MODEL),
    )
    by_type: dict[str, tuple[Any, ...]] = {}
    for each in requests:
        name = each.DESCRIPTOR.full_name
        by_type[name] = (*by_type.get(name, ()), each)
    return by_type


def _native(name: str) -> pb.ModelSelector:
    return pb.ModelSelector(name=name, version=1)


@st.composite
def calls(
    draw: st.DrawFn, pictures: Sequence[bytes], found: Mapping[Path, Sequence[bytes]]
) -> tuple[Path, bytes]:
    """A method and the bytes of a message for it.

    Args:
        draw: Hypothesis's.
        pictures: files that requests may hold.
        found: bytes that did something once, by method; they are changed again.
    """
    path = draw(st.sampled_from(sorted(METHODS)))
    kind = METHODS[path].input_type
    good = good_requests(pictures).get(kind.full_name, ())
    match draw(st.sampled_from(("fields", "fields", "bytes", "any"))):
        case "fields":
            message = GetMessageClass(kind)()
            if good:
                message.CopyFrom(draw(st.sampled_from(good)))
            draw(_changed(message, tuple(pictures)))
            return path, message.SerializePartialToString()
        case "bytes":
            bases = [each.SerializePartialToString() for each in good] or [b""]
            return path, draw(mutated([*bases, *found.get(path, ())]))
        case _:
            return path, draw(st.binary(max_size=60))


@st.composite
def _changed(draw: st.DrawFn, message: Any, pictures: tuple[bytes, ...], depth: int = 0) -> None:
    """Changes up to three fields of a message, or of those that it holds."""
    fields = tuple(message.DESCRIPTOR.fields)
    if not fields or depth > _DEPTH:
        return
    for field in draw(st.lists(st.sampled_from(fields), min_size=1, max_size=3)):
        if draw(st.integers(0, 7)) == 0:
            message.ClearField(field.name)
        elif _is_map(field):
            _change_map(draw, message, field, pictures, depth)
        elif field.is_repeated:
            _change_list(draw, message, field, pictures, depth)
        elif field.message_type is not None:
            inner = getattr(message, field.name)
            inner.SetInParent()
            draw(_changed(inner, pictures, depth + 1))
        else:
            setattr(message, field.name, draw(_scalars(field, pictures)))


def _change_map(
    draw: st.DrawFn, message: Any, field: FieldDescriptor, pictures: tuple[bytes, ...], depth: int
) -> None:
    key, value = (_entry_type(field).fields_by_name[name] for name in ("key", "value"))
    entries = getattr(message, field.name)
    at = draw(
        _scalars(key, pictures) | st.sampled_from(sorted(entries) or [draw(_scalars(key, ()))])
    )
    if value.message_type is None:
        entries[at] = draw(_scalars(value, pictures))
    else:
        draw(_changed(entries[at], pictures, depth + 1))


def _change_list(
    draw: st.DrawFn, message: Any, field: FieldDescriptor, pictures: tuple[bytes, ...], depth: int
) -> None:
    entries = getattr(message, field.name)
    if field.message_type is None:
        entries.extend(draw(st.lists(_scalars(field, pictures), max_size=4)))
    elif entries and draw(st.booleans()):
        draw(_changed(entries[0], pictures, depth + 1))
    else:
        draw(_changed(entries.add(), pictures, depth + 1))
    if entries and draw(st.integers(0, 3)) == 0:
        del entries[0]


def _is_map(field: FieldDescriptor) -> bool:
    kind = field.message_type
    return field.is_repeated and kind is not None and kind.GetOptions().map_entry


def _entry_type(field: FieldDescriptor) -> Descriptor:
    assert field.message_type is not None
    return field.message_type


@cache
def _scalars(field: FieldDescriptor, pictures: tuple[bytes, ...]) -> st.SearchStrategy[Any]:
    """Values of one field that hold the edges of its type."""
    if field.cpp_type in _RANGES:
        low, high = _RANGES[field.cpp_type]
        edges = [number for number in NUMBERS if low <= number <= high]
        return st.sampled_from(edges) | st.integers(low, high)
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_BOOL:
            return st.booleans()
        case FieldDescriptor.CPPTYPE_FLOAT | FieldDescriptor.CPPTYPE_DOUBLE:
            return st.sampled_from(FLOATS) | st.floats(width=32)
        case _ if field.type == FieldDescriptor.TYPE_BYTES:
            return st.sampled_from([b"", bytes(16), *pictures]) | st.binary(max_size=40)
        case _:
            return st.sampled_from(WORDS) | st.text(max_size=20)


def codes_within(path: Path, answers: Sequence[bytes]) -> list[tuple[str, str]]:
    """Code and text of each answer of a method whose requests fail alone; OK of all others."""
    if path.endswith("/PredictStream"):
        natives = (pb.PredictStreamResponse.FromString(each) for each in answers)
        return [(Code(each.error.code).name, each.error.message) for each in natives]
    if path.endswith("/ModelStreamInfer"):
        infers = (oip.ModelStreamInferResponse.FromString(each) for each in answers)
        return [
            (each.infer_response.parameters["code"].string_param or "OK", each.error_message)
            for each in infers
        ]
    return [("OK", "")] * len(answers)
