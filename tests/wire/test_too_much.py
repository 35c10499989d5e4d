"""Messages of very many empty things are refused at the port, and the next call is answered."""

from collections.abc import Mapping
from typing import Any, Final

import pytest
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from batchproof_server.rpc.fronts.front import Code
from batchproof_server.rpc.wire_limits import SMALL_MESSAGE_BYTES
from support.every_method import Often, methods, repeated, varint
from support.running import Running, failure, request, trailer

METHODS: Final = methods()
FIELDS: Final[Mapping[str, tuple[str, Often]]] = {
    f"{path} {often}": (path, often)
    for path, method in METHODS.items()
    for often in repeated(method.input_type)
}
# Orders, which the port takes only where the configuration says so.
ORDERS: Final = ("/RepositoryModelLoad", "/RepositoryModelUnload", "/HandleReloadConfigRequest")
NOT_SERVED: Final = "/grpc.health.v1.Health/List"
# Requests of these streams fail alone.
MEMBERS: Final = ("PredictStream", "ModelStreamInfer")
# What takes pictures or tensors, of any size.
PREDICTIONS: Final = ("/Predict", "/Diagnose", "/ModelInfer", *MEMBERS)


async def ended(serving: Running, path: str, content: bytes) -> tuple[str, str]:
    """How a call of ready bytes ended, or the one request of a stream: its code and text."""
    if not METHODS[path].server_streaming:
        unary: Any = serving.channel.unary_unary(path)
        error = await failure(unary(content))
    else:
        both_ways: Any = serving.channel.stream_stream(path)
        stream = both_ways(iter((content,)))
        if path.endswith(MEMBERS):
            return _told(path, [each async for each in stream])
        error = await failure(anext(aiter(stream)))
    return error.code().name, error.details() or ""


def _told(path: str, answers: list[Any]) -> tuple[str, str]:
    (answer,) = answers
    message: Any = GetMessageClass(METHODS[path].output_type).FromString(answer)
    if path.endswith("PredictStream"):
        return Code(message.error.code).name, message.error.message
    return message.infer_response.parameters["code"].string_param, message.error_message


async def test_these_are_all_methods_of_the_port(serving: Running) -> None:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(serving.channel)  # type: ignore[arg-type] # the stub is typed for channels that are not asynchronous
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = [each async for each in stub.ServerReflectionInfo(iter((asked,)))]
    named = {each.name for each in answer.list_services_response.service}
    assert named == {path.split("/")[1] for path in METHODS}


async def test_a_field_that_comes_very_often_is_refused(
    serving: Running, subtests: pytest.Subtests
) -> None:
    for number, (field, (path, often)) in enumerate(FIELDS.items(), 1):
        with subtests.test(field):
            code, text = await ended(serving, path, often.content(200_000))
            assert code == "INVALID_ARGUMENT"
            assert f".{often.field.name} has more than " in text
            await serving.stub.Predict(request(model="raw"))
            assert (await serving.log.ended(2 * number))[-2:] == ["INVALID_ARGUMENT", "OK"]
            assert not serving.log.unforeseen()


async def test_a_refusal_has_the_id_that_was_given_beside_the_message(serving: Running) -> None:
    call: Any = serving.channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
    error = await failure(call(b"\x2a\x00" * 2_000_000, metadata=(("x-request-id", "mine"),)))
    assert error.details() == (
        "ModelInferRequest.inputs has more than 512 entries, expected 256 at most"
    )
    assert trailer(error) == {"x-request-id": "mine"}


async def test_a_megabyte_that_nobody_knows_is_refused_by_every_method(
    serving: Running, subtests: pytest.Subtests
) -> None:
    for path in METHODS:
        with subtests.test(path):
            await _refuses_a_megabyte(serving, path)


async def _refuses_a_megabyte(serving: Running, path: str) -> None:
    method = METHODS[path]
    content = varint(1_000 << 3 | 2) + varint(SMALL_MESSAGE_BYTES) + bytes(SMALL_MESSAGE_BYTES)
    code, text = await ended(serving, path, content)
    if path.endswith(ORDERS):
        assert (code, "fields that this server does not know" in text) == ("INVALID_ARGUMENT", True)
    elif method.input_type.name == "Unsupported" or path == NOT_SERVED:
        assert code == "UNIMPLEMENTED"
    elif path.endswith(PREDICTIONS):
        assert (code, "fields that this server does not know" in text) == ("INVALID_ARGUMENT", True)
    else:
        assert (code, text) == (
            "INVALID_ARGUMENT",
            f"the message has {len(content)} bytes, expected {SMALL_MESSAGE_BYTES} at most",
        )
