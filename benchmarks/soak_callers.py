"""Callers that nobody wants, for soak.py: they cancel, vanish, talk nonsense and go away."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from grpc import aio

from soak_protocols import PATHS, PATIENCE_S, STREAM_REQUESTS, Protocols, Served, connected
from soak_setting import Metadata

_CUT_AFTER_S: Final = 0.05
_SLOWLY_S: Final = 0.05
_GOOD_SHARE: Final = 0.5


async def cancelling(served: Served, chance: random.Random) -> None:
    """Asks and changes its mind, of a single call and in the midst of a stream."""
    async with connected(served.address) as channel:
        protocols = Protocols(channel, served)
        for ask in protocols.asks().values():
            asked = asyncio.ensure_future(ask([0] * STREAM_REQUESTS))
            await asyncio.sleep(chance.random() * _CUT_AFTER_S)
            asked.cancel()
            with suppress(asyncio.CancelledError):
                await asked


async def vanishing(served: Served, chance: random.Random) -> None:
    """Asks over a wire that is cut in the midst of it, so that nobody says goodbye."""
    after_s = chance.random() * _CUT_AFTER_S
    async with _cut_wire(served.address, after_s) as address, connected(address) as channel:
        ask = chance.choice(list(Protocols(channel, served).asks().values()))
        await ask([0] * STREAM_REQUESTS)


@asynccontextmanager
async def _cut_wire(address: str, after_s: float) -> AsyncIterator[str]:
    """An address that leads to another until it is cut; it answers one connection."""
    host, port = address.rsplit(":", 1)

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
        flows = (_flow(reader, inner_writer), _flow(inner_reader, writer))
        ways = [asyncio.ensure_future(flow) for flow in flows]
        await asyncio.wait(ways, timeout=after_s)
        for way, end in zip(ways, (inner_writer, writer), strict=True):
            way.cancel()
            end.transport.abort()
        server.close()

    server = await asyncio.start_server(lead, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def _flow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while (content := await reader.read(1 << 14)) and not writer.is_closing():
            writer.write(content)
            await writer.drain()


async def garbage(served: Served, chance: random.Random) -> list[str]:
    """Sends a good request with a few bytes changed, or any bytes; gives how they ended."""
    async with connected(served.address) as channel:
        good = Protocols(channel, served).native(0).SerializeToString()
        codes = []
        for path in PATHS:
            content = bytearray(good if chance.random() < _GOOD_SHARE else chance.randbytes(60))
            for _ in range(chance.randrange(8)):
                content[chance.randrange(len(content))] = chance.randrange(256)
            codes.append(await _code(channel, path, bytes(content), served.metadata))
        return codes


async def _code(channel: aio.Channel, path: str, content: bytes, metadata: Metadata) -> str:
    try:
        if "Stream" in path:
            both_ways: Any = channel.stream_stream(path)
            async for _ in both_ways(iter((content,)), timeout=PATIENCE_S, metadata=metadata):
                pass
        else:
            unary: Any = channel.unary_unary(path)
            await unary(content, timeout=PATIENCE_S, metadata=metadata)
    except aio.AioRpcError as error:
        return str(error.code().name)
    return "OK"


async def half_asking(http: str, chance: random.Random) -> None:
    """Begins to ask for the metrics, byte by byte, and goes away."""
    host, port = http.rsplit(":", 1)
    _, writer = await asyncio.open_connection(host, int(port))
    with suppress(OSError):
        for byte in b"GET /metrics HTTP/1.1\r\n"[: chance.randrange(1, 23)]:
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(chance.random() * _SLOWLY_S)
    writer.transport.abort()
