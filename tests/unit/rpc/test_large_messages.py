"""A long message is read in steps, and whoever waits is answered between them."""

import asyncio

import pytest

from batchproof_server.rpc import large_messages
from batchproof_server.rpc.large_messages import LargeMessages


@pytest.mark.parametrize(
    ("size_bytes", "steps"), [(10, ["parsed"]), (11, ["others", "parsed", "others"])]
)
async def test_no_step_of_a_long_message_begins_at_once_behind_another(
    size_bytes: int, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    async def pause(duration_s: float) -> None:
        assert duration_s > 0
        seen.append("others")

    def parse(content: bytes) -> int:
        seen.append("parsed")
        return len(content)

    monkeypatch.setattr(large_messages, "_LONG_BYTES", 10)
    monkeypatch.setattr(asyncio, "sleep", pause)
    assert await LargeMessages().parse(parse, bytes(size_bytes)) == size_bytes
    assert seen == steps
