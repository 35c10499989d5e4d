"""All ports are opened or none; those that answer requests are drained, the others stay."""

from dataclasses import dataclass, field

import pytest

from batchproof_server.application.ports import Port, drain_ports, open_ports
from batchproof_server.base.listener import PortUnavailable


@dataclass
class RecordingListener:
    """Remembers what was asked of it."""

    bound: int | None
    asked: list[tuple[object, ...]] = field(default_factory=list)

    async def start(self, host: str, port: int) -> int:
        """Has its port or is refused it."""
        self.asked.append(("start", host, port))
        if self.bound is None:
            raise PortUnavailable("it is taken")
        return self.bound

    async def drain(self, grace_s: float) -> None:
        """Drains at once."""
        self.asked.append(("drain", grace_s))


def _ports(*listeners: RecordingListener) -> list[Port]:
    return [
        Port(f"port{place}", "127.0.0.1", place, listener, answers_requests=place == 0)
        for place, listener in enumerate(listeners)
    ]


async def test_opened_ports_are_told_by_name() -> None:
    first, second = RecordingListener(8500), RecordingListener(8080)
    opened = await open_ports(_ports(first, second))
    assert opened == {"port0": "127.0.0.1:8500", "port1": "127.0.0.1:8080"}
    assert first.asked == [("start", "127.0.0.1", 0)]


async def test_one_port_that_is_taken_closes_those_that_were_opened() -> None:
    first, taken, third = RecordingListener(8500), RecordingListener(None), RecordingListener(1)
    with pytest.raises(PortUnavailable, match="it is taken"):
        await open_ports(_ports(first, taken, third))
    assert first.asked[1:] == [("drain", 0)]
    assert taken.asked == [("start", "127.0.0.1", 1)]
    assert third.asked == []


async def test_only_ports_that_answer_requests_are_drained() -> None:
    answering, watching = RecordingListener(8500), RecordingListener(8080)
    await drain_ports(_ports(answering, watching), 3.0)
    assert answering.asked == [("drain", 3.0)]
    assert watching.asked == []
