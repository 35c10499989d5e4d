"""A message is refused for what it holds too much of, when little more than that was read."""

import re
from typing import Any

import pytest
from google.protobuf import struct_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError

from batchproof.compat import inference_pb2 as oip
from batchproof.compat import tensorflow_serving_pb2 as tfs
from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.base.errors import InvalidInput
from batchproof_server.rpc.wire_limits import (
    SMALL_MESSAGE_BYTES,
    FieldLimit,
    WireLimits,
    limits_with_rows,
    tensor_values,
)
from batchproof_server.rpc.wire_scan import WireScan
from support.every_method import (
    FILES,
    MANAGEMENT,
    entry,
    messages,
    methods,
    published,
    repeated,
    tag,
    varint,
)

ROWS = 256
CHECKS = {path: method.scan for path, method in published(ROWS).items()}
MOST_PARTS = limits_with_rows(ROWS, {}).parts
# Of one part: its tag and its length, of up to ten bytes each.
MOST_READS = 20 * (MOST_PARTS + 1)
# Those without pictures and tensors.
SMALL = (
    "ReportOutcome",
    "GetModelMetadata",
    "SetLabels",
    "HandleReloadConfigRequest",
    "RepositoryModelLoad",
    "RepositoryModelUnload",
)
METHODS = methods((*FILES, *MANAGEMENT))
OFTEN = {
    f"{path} {often}": (path, often)
    for path, method in METHODS.items()
    for often in repeated(method.input_type)
}
ONCE = {
    f"{path} {once}": (path, once)
    for path, method in METHODS.items()
    for once in messages(method.input_type)
    if path in CHECKS
}


class Watched(bytes):
    """Counts the bytes that are read one by one; slices of it are not read at all."""

    reads = 0

    def __getitem__(self, at: Any) -> Any:
        assert isinstance(at, int)
        self.reads += 1
        return super().__getitem__(at)


def refusal(check: Any, content: bytes) -> str:
    """What is said of a message that holds too much, of which little was read."""
    watched = Watched(content)
    with pytest.raises(InvalidInput) as refused:
        check(watched)
    assert watched.reads <= MOST_READS
    return str(refused.value)


def test_every_method_that_has_a_field_that_repeats_goes_through_the_calls() -> None:
    assert {path for path, _ in OFTEN.values()} <= set(CHECKS)
    assert len(OFTEN) > 40


@pytest.mark.parametrize("case", OFTEN)
@pytest.mark.parametrize("count", [200_000, 2_000_000])
def test_no_field_of_any_request_may_have_so_many_entries(case: str, count: int) -> None:
    path, often = OFTEN[case]
    content = often.content(count)
    says = refusal(CHECKS[path], content)
    if path.endswith(SMALL) and len(content) > SMALL_MESSAGE_BYTES:
        assert says == f"the message has {len(content)} bytes, expected 1048576 at most"
    else:
        name = ".".join(often.field.full_name.split(".")[-2:])
        assert re.fullmatch(
            rf"{re.escape(name)} has more than \d+ entries, expected \d+ at most"
            "(, or packed ones)?",
            says,
        )


@pytest.mark.parametrize("case", [case for case, (_, often) in OFTEN.items() if often.outer])
def test_neither_may_many_parts_have_a_few_entries_each(case: str) -> None:
    path, often = OFTEN[case]
    inner = often.outer[-1]
    content = entry(often.field) * 30
    part = tag(inner, 2) + varint(len(content)) + content
    assert "expected" in refusal(CHECKS[path], often.wrapped(part * 20_000, -1))


@pytest.mark.parametrize("case", ONCE)
def test_neither_may_a_field_that_comes_once_come_so_often(case: str) -> None:
    path, once = ONCE[case]
    assert "expected" in refusal(CHECKS[path], once.content(2_000_000))


@pytest.mark.parametrize(
    "path", [path for path, each in methods().items() if each.input_type.fields]
)
def test_fields_that_nobody_knows_may_not_take_much(path: str) -> None:
    check = CHECKS.get(path, WireScan(methods()[path].input_type, WireLimits()).read)
    number = 1_000 << 3
    one = varint(number | 2) + varint(1 << 16) + bytes(1 << 16)
    assert refusal(check, one) == (
        "fields that this server does not know have more than 65536 bytes, expected 65536 at most"
    )
    many = refusal(check, (varint(number) + b"\0") * 300_000)
    assert re.fullmatch(r"the message has more than (\d+) fields, expected \1 at most", many)


def scan_of(message: Any, **limits: Any) -> WireScan:
    """A scan with limits of its own."""
    return WireScan(message.DESCRIPTOR, WireLimits(**limits))


def accepted(path: str, message: Any) -> int:
    """How many bytes are read one by one of a message that holds no more than it may."""
    watched = Watched(message.SerializeToString())
    CHECKS[path](watched)
    return watched.reads


PREDICT = "/batchproof.v1.PredictionService/Predict"
INFER = "/inference.GRPCInferenceService/ModelInfer"
SERVING_PREDICT = "/tensorflow.serving.PredictionService/Predict"
STATUS = "/tensorflow.serving.ModelService/GetModelStatus"


def test_pictures_tensors_and_packed_numbers_are_passed_over_whatever_their_size() -> None:
    large = bytes(10_000_000)
    picture = pb.PredictRequest(images=pb.EncodedImages(contents=[large]))
    tensor = pb.NamedTensors(tensors={"image": pb.Tensor(shape=[1, 2], content=large)})
    raw = oip.ModelInferRequest(raw_input_contents=[large])
    packed = oip.ModelInferRequest()
    packed.inputs.add(shape=[1]).contents.fp32_contents.extend([1.0] * 1_000_000)
    typed = tfs.PredictRequest()
    typed.inputs["image"].int_val.extend([1] * 1_000_000)
    asked = [(PREDICT, picture), (PREDICT, pb.PredictRequest(tensors=tensor))]
    asked += [(INFER, raw), (INFER, packed), (SERVING_PREDICT, typed)]  # type: ignore[list-item] # messages of several protocols
    assert max(accepted(path, message) for path, message in asked) < 60


def test_as_many_rows_as_a_request_may_have_pass_and_those_near_are_left_to_who_counts_them() -> (
    None
):
    for count in (ROWS, 2 * ROWS):
        accepted(PREDICT, pb.PredictRequest(images=pb.EncodedImages(contents=[b""] * count)))
    too_many = pb.PredictRequest(images=pb.EncodedImages(contents=[b""] * (2 * ROWS + 1)))
    assert refusal(CHECKS[PREDICT], too_many.SerializeToString()) == (
        "EncodedImages.contents has more than 512 entries, expected 256 at most"
    )


def test_a_server_of_more_rows_takes_more_entries() -> None:
    check = published(10_000)[PREDICT].scan
    check(pb.PredictRequest(images=pb.EncodedImages(contents=[b""] * 10_000)).SerializeToString())


def test_numbers_may_come_one_by_one_up_to_a_limit() -> None:
    float_val = tfs.PredictRequest.DESCRIPTOR.fields_by_name["inputs"].message_type
    (often,) = (
        each for each in repeated(tfs.PredictRequest.DESCRIPTOR) if each.field.name == "float_val"
    )
    assert float_val in [each.message_type for each in often.outer]
    CHECKS[SERVING_PREDICT](often.content(1_024))
    assert refusal(CHECKS[SERVING_PREDICT], often.content(2_049)) == (
        "TensorProto.float_val has more than 2048 entries, expected 1024 at most, or packed ones"
    )


# As wide in memory as in the message.
_WIDTHS = {FieldDescriptor.CPPTYPE_DOUBLE: 8, FieldDescriptor.CPPTYPE_FLOAT: 4}
PACKED = {
    case: (path, often)
    for case, (path, often) in OFTEN.items()
    if often.field.cpp_type not in (FieldDescriptor.CPPTYPE_STRING, FieldDescriptor.CPPTYPE_MESSAGE)
    and not path.endswith(SMALL)
}


@pytest.mark.parametrize("case", PACKED)
def test_no_field_may_become_much_more_in_memory_than_it_was_in_the_message(case: str) -> None:
    path, often = PACKED[case]
    count = 8_000_000
    size_bytes = count * _WIDTHS.get(often.field.cpp_type, 1)
    packed = tag(often.field, 2) + varint(size_bytes) + bytes(size_bytes)
    content = often.wrapped(packed)
    if often.field.cpp_type in _WIDTHS:
        CHECKS[path](content)
    else:
        assert "expected" in refusal(CHECKS[path], content)


def test_packed_integers_are_counted_over_all_tensors_and_by_their_last_bytes() -> None:
    most = WireLimits().packed_numbers
    request = oip.ModelInferRequest()
    for value in (1, 300):
        request.inputs.add().contents.int64_contents.extend([value] * (most // 2))
    accepted(INFER, request)
    request.inputs.add().contents.bool_contents.append(True)
    assert refusal(CHECKS[INFER], request.SerializeToString()) == (
        f"the tensors have more than {most} typed integers or booleans, expected {most} at most; "
        "send the bytes of a tensor"
    )


def test_packed_sizes_of_a_shape_are_counted_by_the_fewest_that_take_so_many_bytes() -> None:
    scan = scan_of(pb.Tensor, other=FieldLimit(1))
    scan.read(pb.Tensor(shape=[1] * 20).SerializeToString())
    with pytest.raises(InvalidInput, match=r"Tensor\.shape has more than 2 entries"):
        scan.read(pb.Tensor(shape=[1] * 21).SerializeToString())
    with pytest.raises(InvalidInput, match=r"Tensor\.shape has more than 2 entries"):
        scan.read(pb.Tensor(shape=[1]).SerializeToString() * 3)


def test_only_repeated_numbers_of_a_message_are_values_of_a_tensor() -> None:
    assert [name for _, name in tensor_values(oip.InferTensorContents)] == [
        "bool_contents",
        "int_contents",
        "int64_contents",
        "uint_contents",
        "uint64_contents",
        "fp32_contents",
        "fp64_contents",
    ]
    assert tensor_values(pb.EncodedImages) == {}


def test_a_limit_of_a_field_that_does_not_exist_is_no_limit() -> None:
    with pytest.raises(KeyError, match="content"):
        limits_with_rows(1, {(pb.EncodedImages, "content"): FieldLimit(1)})


def test_messages_that_hold_each_other_are_followed_to_a_limit() -> None:
    value = struct_pb2.Value(number_value=1.0)
    for _ in range(3):
        value = struct_pb2.Value(list_value=struct_pb2.ListValue(values=[value]))
    scan_of(struct_pb2.Value, depth=6).read(value.SerializeToString())
    with pytest.raises(InvalidInput, match="more than 5 messages within each other, expected 5"):
        scan_of(struct_pb2.Value, depth=5).read(value.SerializeToString())


def test_of_a_type_without_fields_any_bytes_of_a_message_are_taken_and_none_is_kept() -> None:
    method = published(ROWS)["/tensorflow.serving.PredictionService/Classify"]
    content = pb.Tensor(content=bytes(10_000_000)).SerializeToString()
    method.scan(content)
    assert method.parse(content).ByteSize() == 0


def test_a_message_of_names_alone_is_refused_by_its_size_before_a_byte_is_read() -> None:
    content = bytes(SMALL_MESSAGE_BYTES + 1)
    assert refusal(CHECKS[STATUS], content) == (
        "the message has 1048577 bytes, expected 1048576 at most"
    )


MESSAGES = {
    PREDICT: pb.PredictRequest(
        request_id="r" * 200,
        model=pb.ModelSelector(name="m", version=1 << 40),
        tensors=pb.NamedTensors(
            tensors={"image": pb.Tensor(data_type=pb.DATA_TYPE_UINT8, shape=[1, 3], content=b"abc")}
        ),
        options=pb.PredictOptions(tta=pb.TestTimeAugmentation(views=["hflip"], early_exit=0.5)),
    ),
    INFER: oip.ModelInferRequest(
        inputs=[
            oip.ModelInferRequest.InferInputTensor(
                name="image",
                shape=[1, 2],
                contents=oip.InferTensorContents(fp32_contents=[1, 2], fp64_contents=[3]),
            )
        ]
    ),
}


@pytest.mark.parametrize("path", MESSAGES)
def test_what_is_cut_or_changed_is_no_message_only_where_the_parser_says_so_too(path: str) -> None:
    kind: Any = type(MESSAGES[path])
    whole = MESSAGES[path].SerializeToString()
    CHECKS[path](whole)
    cut = [whole[:end] for end in range(len(whole))]
    changed = [
        whole[:place] + bytes((byte,)) + whole[place + 1 :]
        for place in range(len(whole))
        for byte in (0x00, 0x07, 0x7F, 0x80, 0xFF)
    ]
    unreadable = 0
    for content in (*cut, *changed):
        try:
            CHECKS[path](content)
        except DecodeError:
            unreadable += 1
            with pytest.raises(DecodeError):
                kind.FromString(content)
    assert unreadable > len(cut) // 2


@pytest.mark.parametrize(
    "content",
    [
        b"\xff" * 20,
        b"\x0b\x0c",
        b"\x0a",
        b"\x0a\x05abc",
        b"\x80",
        b"\x0d\x00",
        b"\x09\x00",
        b"\x08",
    ],
    ids=["endless", "group", "no length", "too long", "half a tag", "4 bytes", "8 bytes", "number"],
)
def test_bytes_that_are_no_message_are_told_apart_from_too_much(content: bytes) -> None:
    with pytest.raises(DecodeError):
        CHECKS[PREDICT](content)
