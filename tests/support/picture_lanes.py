"""Device processes that decode pictures, without processes: they decode when a test says so."""

import asyncio
from collections.abc import Callable
from functools import partial

import numpy as np

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.signature import Array, TensorSpec
from batchproof_server.devices.arena import Arena, make_arena
from batchproof_server.devices.picture_records import PictureAsked, PictureMade
from batchproof_server.devices.picture_serving import PictureServer
from batchproof_server.devices.picture_slots import PictureDecoding, PictureSlots
from batchproof_server.imaging.decoded import PictureRows
from support.fakes import FakeClock, settle_loop

ROW = TensorSpec("x", np.dtype(np.float32), (3,))
LIMIT_S = 10.0


def _make(file: bytes, asked: PictureAsked, out: Array | None) -> PictureRows:
    """A row of the file's length; what begins with ``bad`` is refused, and some fails."""
    if file.startswith(b"bad"):
        raise InvalidInput("corrupt")
    if file == b"fault":
        raise RuntimeError("unforeseen")
    assert asked.views == b""
    row = np.empty(3, np.float32) if out is None else out
    row[...] = len(file)
    return PictureRows(row[np.newaxis], None)


class DecodingLane:
    """A process without a process: it decodes when the test says so."""

    def __init__(
        self, clock: FakeClock, slots: int, hang: Callable[["DecodingLane"], None]
    ) -> None:
        self.records: list[bytes] = []
        self.hung = 0
        self._hang = hang
        self.width = slots
        descriptors: list[Arena] = [make_arena() for _ in range(slots)]
        self.slots = PictureSlots(descriptors, self.records.append, clock, self._end)
        self._server = PictureServer(descriptors, ROW, _make, clock)

    def run_next(self) -> None:
        """Decodes the oldest picture."""
        self.slots.receive(self._server.answer(self.records.pop(0)))

    def _end(self) -> None:
        self.hung += 1
        self._hang(self)


class DecodingPlace:
    """The pictures of one version, decoded in such processes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.decoding = PictureDecoding(ROW, LIMIT_S, self.clock)
        self.lanes: list[DecodingLane] = []
        self.lost: list[DecodingLane] = []
        self.sent: set[bytes] = set()
        self.over: list[bytes] = []
        self.asked: dict[bytes, asyncio.Task[PictureMade]] = {}

    def another(self, slots: int = 1) -> DecodingLane:
        """One more process."""
        self.lanes.append(DecodingLane(self.clock, slots, self.lose))
        self.decoding.join(self.lanes[-1].slots)
        return self.lanes[-1]

    def lose(self, lane: DecodingLane) -> None:
        """It is there no more."""
        self.lost.append(lane)
        self.decoding.leave(lane.slots)
        lane.slots.close()

    @property
    def there(self) -> list[DecodingLane]:
        """Those that were not lost."""
        return [lane for lane in self.lanes if lane not in self.lost]

    async def ask(self, *files: bytes) -> None:
        """Asks for the rows of pictures."""
        for file in files:
            self.asked[file] = asyncio.create_task(self._ask(file))
        await settle_loop()

    async def _ask(self, file: bytes) -> PictureMade:
        slots, place = await self.decoding.turn()
        asked = PictureAsked(len(file), is_watched=False, is_large=False, views=b"")
        self.sent.add(file)
        return await slots.decode(place, file, asked, partial(self.over.append, file))

    async def value(self, file: bytes) -> float:
        """Of the row."""
        rows: Array = (await self.asked[file]).made.rows
        return float(rows[0, 0])
