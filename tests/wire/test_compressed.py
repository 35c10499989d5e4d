"""Compressed messages, over every front: decompressed beside the loop, and never beyond limits."""

import asyncio
import gzip
import zlib
from dataclasses import replace
from typing import Final

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor

from batchproof_server.rpc.fronts.front import MakeFront
from batchproof_server.rpc.fronts.inflating import is_compressed
from batchproof_server.rpc.settings import RpcSettings
from support.every_method import FILES, MANAGEMENT, methods
from support.fakes import until
from support.front_bench import CHAT, ECHO, HELD, front_bench
from support.running import failure

MAX_BYTES: Final = 1 << 20
ROOM: Final = RpcSettings(max_message_bytes=MAX_BYTES, max_bytes_in_flight=2 * MAX_BYTES)
EXHAUSTED, INVALID = grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT
GZIP: Final = grpc.Compression.Gzip


def test_no_request_begins_as_compressed_bytes_do() -> None:
    """Of gzip no tag does; of zlib one of field 15 would, were it a number."""
    texts = (FieldDescriptor.CPPTYPE_STRING, FieldDescriptor.CPPTYPE_MESSAGE)
    for path, method in methods((*FILES, *MANAGEMENT)).items():
        known = method.input_type.fields_by_number.get(15)
        assert known is None or known.cpp_type in texts, path
    assert 0x1F & 7 == 7
    assert 0x78 == 15 << 3


@pytest.mark.parametrize("level", range(10))
def test_every_level_is_known_by_its_first_bytes(level: int) -> None:
    assert is_compressed(gzip.compress(b"x", level))
    assert is_compressed(zlib.compress(b"x", level))


@pytest.mark.parametrize("compression", [GZIP, grpc.Compression.Deflate])
async def test_streams_are_decompressed_too(
    make_front: MakeFront, compression: grpc.Compression
) -> None:
    async with front_bench(make_front, ROOM) as bench:
        call = bench.channel.stream_stream(CHAT)(compression=compression)
        for size_bytes in (1, 2000, MAX_BYTES):
            await call.write(bytes(size_bytes))
            assert await call.read() == bytes(size_bytes)
        await call.done_writing()
        assert await call.code() is grpc.StatusCode.OK


async def test_a_bomb_in_a_stream_ends_it_and_no_other(make_front: MakeFront) -> None:
    async with front_bench(make_front, ROOM) as bench:
        call = bench.channel.stream_stream(CHAT)(compression=GZIP)
        await call.write(bytes(64 * MAX_BYTES))
        assert await call.code() is EXHAUSTED
        await until(lambda: bench.ended == 1)
        assert await bench.call(ECHO)(b"next") == b"next"


@pytest.mark.parametrize("broken", [b"\x1f\x8b", b"\x1f\x8bjunk", b"\x78\x9cjunk", b"whole+"])
async def test_what_cannot_be_decompressed_is_the_callers_fault(
    make_front: MakeFront, broken: bytes
) -> None:
    content = gzip.compress(b"whole") + b"+" if broken == b"whole+" else broken
    async with front_bench(make_front, ROOM) as bench:
        error = await failure(bench.call(ECHO)(content))
        assert (error.code(), error.details()) == (INVALID, "the message cannot be decompressed")
        assert bench.begun == []


async def test_what_a_message_becomes_counts_among_the_bytes_in_flight(
    make_front: MakeFront,
) -> None:
    settings = replace(ROOM, reading_counts_bytes=1000)
    async with front_bench(make_front, settings) as bench:
        held = [bench.call(HELD)(bytes(MAX_BYTES - 4000), compression=GZIP) for _ in range(2)]
        await until(lambda: len(bench.begun) == 2)
        error = await failure(bench.call(ECHO)(bytes(MAX_BYTES), compression=GZIP))
        assert error.code() is EXHAUSTED
        assert await bench.call(ECHO)(bytes(2000), compression=GZIP) == bytes(2000)
        bench.opened.set()
        await asyncio.gather(*held)
        assert await bench.call(ECHO)(bytes(MAX_BYTES), compression=GZIP) == bytes(MAX_BYTES)
