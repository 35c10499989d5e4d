"""A client of HTTP/1.1 that sends what a test says, byte by byte where it wants."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from support.patience import PATIENCE_S


@dataclass(frozen=True)
class Reply:
    """What came back.

    Attributes:
        headers: by their names in small letters.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The sentence of an error."""
        sentence = self.json()["error"]
        assert isinstance(sentence, str)
        return sentence


class RestConversation:
    """One connection.

    Args:
        reader: of what the server sends.
        writer: to it.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, content: bytes) -> None:
        """Sends bytes as they are."""
        self._writer.write(content)
        await self._writer.drain()

    async def reply(self, *, has_body: bool = True) -> Reply:
        """The next answer."""
        async with asyncio.timeout(PATIENCE_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").rstrip().split("\r\n")
            status = int(first.split()[1])
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines)
            }
            size_bytes = int(headers.get("content-length", "0")) if has_body else 0
            return Reply(status, headers, await self._reader.readexactly(size_bytes))

    async def ask(
        self,
        target: str,
        body: Any = None,
        verb: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Sends a request and returns its answer; ``body`` is bytes, or becomes JSON."""
        verb = verb or ("GET" if body is None else "POST")
        content = b"" if body is None else body
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        await self.send(request_bytes(target, content, verb, headers or {}))
        return await self.reply(has_body=verb != "HEAD")

    async def end(self) -> bytes:
        """What comes until the server closes."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.read()


def request_bytes(target: str, content: bytes, verb: str, headers: Mapping[str, str]) -> bytes:
    """A request of HTTP/1.1."""
    lines = [f"{verb} {target} HTTP/1.1"]
    lines += [] if "Host" in headers else ["Host: localhost"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(content)}"] if content else []
    return "\r\n".join((*lines, "", "")).encode("latin-1") + content


@asynccontextmanager
async def conversation(address: str) -> AsyncIterator[RestConversation]:
    """A connection to ``host:port``."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 27)
    try:
        yield RestConversation(reader, writer)
    finally:
        writer.close()


async def ask(
    address: str,
    target: str,
    body: Any = None,
    verb: str = "",
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """One request on a connection of its own."""
    async with conversation(address) as talk:
        return await talk.ask(target, body, verb, headers)
