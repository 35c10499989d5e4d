"""Whatever text stands in a message, what its caller is told can be shown on a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc import aio

from support.every_method import Often, messages, methods, tag, varint
from support.running import Running

HOSTILE: Final = "shoe\x1b[2K\x1b]0;title\x07\r\n\u202eenvorp\u2066\x7f\x85\u2028"
METHODS: Final = methods()


def _texts(message: Any) -> Iterator[Often]:
    """All fields that hold a text, in a message and in those that it holds."""
    found = [Often(field, ()) for field in message.fields]
    for each in messages(message):
        outer = (*each.outer, each.field)
        inner = each.field.message_type
        found += [Often(field, outer) for field in (inner.fields if inner else ())]
    yield from (each for each in found if each.field.type == FieldDescriptor.TYPE_STRING)


FIELDS: Final[Mapping[str, tuple[str, Often]]] = {
    f"{path} {text}": (path, text)
    for path, method in METHODS.items()
    for text in _texts(method.input_type)
}


async def test_a_refusal_says_what_came_in_one_line_that_moves_no_cursor(
    serving: Running, subtests: pytest.Subtests
) -> None:
    for field, (path, text) in FIELDS.items():
        with subtests.test(field):
            written = HOSTILE.encode()
            content = text.wrapped(tag(text.field, 2) + varint(len(written)) + written)
            for said in await _said(serving, path, content):
                assert said.isprintable()
            for event in serving.log.requests():
                assert str(event.get("message", "")).isprintable()


async def _said(serving: Running, path: str, content: bytes) -> list[str]:
    """All sentences about what went wrong."""
    if METHODS[path].server_streaming:
        stream: Any = serving.channel.stream_stream(path)
        answers = stream(iter((content,)))
        try:
            # Some never end by themselves.
            return [_error(path, await anext(aiter(answers)))]
        except aio.AioRpcError as error:
            return [error.details() or ""]
        except StopAsyncIteration:
            return []
        finally:
            answers.cancel()
    call: Any = serving.channel.unary_unary(path)
    try:
        await call(content)
    except aio.AioRpcError as error:
        return [error.details() or ""]
    return []


def _error(path: str, answer: bytes) -> str:
    message: Any = GetMessageClass(METHODS[path].output_type).FromString(answer)
    if hasattr(message, "error_message"):
        return str(message.error_message)
    return str(message.error.message) if hasattr(message, "error") else ""


def test_there_are_such_fields_in_every_protocol() -> None:
    services = {path.split("/")[1] for path, _ in FIELDS.values()}
    assert len(services) >= 5
