"""An open loop over eight connections, which costs its core next to nothing.

    python benchmarks/open_loop.py ADDRESS RATE SECONDS DEADLINE MESSAGE_FILE...

sends Predict at instants of a Poisson process, over each connection and of each message in turn,
and prints one JSON object: how the calls ended, the latencies of the answered from their due
instants, and how busy and how late the sender itself was. What is due in the first second is sent
and not counted.
"""

import json
import math
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from batchproof_client.loadtest.arrivals import OpenLoop, Phase, schedule
from raw_connection import RawConnection, prefixed, wait

# A call is named by its connection and its stream there.
_Place: TypeAlias = tuple[RawConnection, int]

CONNECTIONS: Final = 8
WARM_UP_S: Final = 1.0
_ANSWERED: Final = "OK"
_LATE: Final = "DEADLINE_EXCEEDED"


@dataclass
class Count:
    """How the calls ended that were due after the warm-up.

    Attributes:
        from_s: what was due before is not counted.
        codes: how many ended with each.
        latencies_s: of those answered, from the due instant.
        lateness_s: of each, how long after its due instant it was written.
    """

    from_s: float
    codes: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    lateness_s: list[float] = field(default_factory=list)

    def sent(self, due_s: float, now_s: float) -> None:
        """A call was written."""
        if due_s >= self.from_s:
            self.lateness_s.append(now_s - due_s)

    def ended(self, due_s: float, now_s: float, code: str) -> None:
        """A call ended, with a code of gRPC."""
        if due_s < self.from_s:
            return
        self.codes[code] += 1
        if code == _ANSWERED:
            self.latencies_s.append(now_s - due_s)


class Sender:
    """Sends what is due and counts what ends.

    Args:
        connections: to the server; used in turn.
        contents: of the messages, sent in turn.
        deadline_s: of each call, from its due instant; then it is given up.
        count: is told.
    """

    def __init__(
        self,
        connections: Sequence[RawConnection],
        contents: Sequence[bytes],
        deadline_s: float,
        count: Count,
    ) -> None:
        self._connections = connections
        self._contents = contents
        self._deadline_s = deadline_s
        self._count = count
        self._due_s: deque[float] = deque()
        self._open: dict[_Place, float] = {}
        self._sent = 0

    def run(self, instants_s: Iterator[float], until_s: float) -> None:
        """Until nothing is due or open any more.

        Args:
            instants_s: when each call is due, by the clock of this process.
            until_s: the last is due before.
        """
        next_s = next(instants_s)
        while next_s < until_s or self._open or self._due_s:
            now_s = time.perf_counter()
            while next_s <= now_s and next_s < until_s:
                self._due_s.append(next_s)
                next_s = next(instants_s)
            self._give_up(now_s)
            self._send(now_s)
            for connection in self._connections:
                connection.write()
            wait(self._connections, self._rest_s(next_s if next_s < until_s else math.inf))
            for connection in self._connections:
                for stream, code in connection.read():
                    self._end((connection, stream), code)

    def _rest_s(self, next_s: float) -> float:
        oldest_s = next(iter(self._open.values()), math.inf)
        soonest_s = min(next_s, oldest_s + self._deadline_s)
        return max(0.0, min(soonest_s - time.perf_counter(), self._deadline_s))

    def _send(self, now_s: float) -> None:
        room = sum(each.most_streams for each in self._connections) - len(self._open)
        for _ in range(min(room, len(self._due_s))):
            due_s = self._due_s.popleft()
            round_, turn = divmod(self._sent, len(self._connections))
            connection, stream = self._connections[turn], 2 * round_ + 1
            content = self._contents[self._sent % len(self._contents)]
            connection.begin(stream, due_s + self._deadline_s - now_s, content)
            self._count.sent(due_s, now_s)
            self._open[connection, stream] = due_s
            self._sent += 1

    def _give_up(self, now_s: float) -> None:
        """Calls are open in the order of their deadlines."""
        late_s = now_s - self._deadline_s
        while self._due_s and self._due_s[0] <= late_s:
            self._count.ended(self._due_s.popleft(), now_s, _LATE)
        while self._open:
            place, due_s = next(iter(self._open.items()))
            if due_s > late_s:
                return
            connection, stream = place
            connection.cancel(stream)
            self._end(place, _LATE)

    def _end(self, place: _Place, code: str) -> None:
        due_s = self._open.pop(place, None)
        if due_s is not None:
            self._count.ended(due_s, time.perf_counter(), code)


def instants(begin_s: float, rate_hz: float) -> Iterator[float]:
    """Of a Poisson process, without end; the same for the same rate."""
    load = OpenLoop((Phase(math.inf, rate_hz, rate_hz),))
    return (begin_s + arrival.due_s for arrival in schedule(load))


def measure(
    address: str, rate_hz: float, duration_s: float, deadline_s: float, messages: list[bytes]
) -> dict[str, Any]:
    """Sends; see the head of this file."""
    contents = [prefixed(each) for each in messages]
    connections = [RawConnection(address) for _ in range(CONNECTIONS)]
    begin_s, spent_s = time.perf_counter(), time.process_time()
    count = Count(begin_s + WARM_UP_S)
    until_s = count.from_s + duration_s
    try:
        Sender(connections, contents, deadline_s, count).run(instants(begin_s, rate_hz), until_s)
    finally:
        for each in connections:
            each.close()
    busy_share = (time.process_time() - spent_s) / (time.perf_counter() - begin_s)
    return _figures(count, duration_s) | {"busy_share": busy_share}


def _figures(count: Count, duration_s: float) -> dict[str, Any]:
    requests = count.codes.total()
    p50_s, p99_s = np.percentile(count.latencies_s, (50, 99)) if count.latencies_s else (None, None)
    return {
        "requests": requests,
        "duration_s": duration_s,
        "sent_hz": len(count.lateness_s) / duration_s,
        "goodput_hz": len(count.latencies_s) / duration_s,
        "codes": dict(count.codes),
        "p50_s": p50_s,
        "p99_s": p99_s,
        "sent_late_p99_s": float(np.percentile(count.lateness_s, 99)),
    }


if __name__ == "__main__":
    target, rate, seconds, deadline, *files = sys.argv[1:]
    found = [Path(each).read_bytes() for each in files]
    print(json.dumps(measure(target, float(rate), float(seconds), float(deadline), found)))
