"""Pictures that device processes decode: their slots, and who gets the next one."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from batchproof_server.base.clock import Alarm, Clock, Timer
from batchproof_server.base.errors import BackendFailed, InvalidInput, ModelNotReady
from batchproof_server.base.signature import TensorSpec
from batchproof_server.devices.arena import Arena
from batchproof_server.devices.picture_records import PictureAsked, PictureMade, read_made
from batchproof_server.devices.records import Record, Tag, pack, unpack

# So long pictures wait for another process when none is there.
PATIENCE_S: Final = 5.0
# What a slot keeps of its memory between two pictures: a file, and some rows of a usual model.
_KEPT_BYTES: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class PictureUse:
    """For what slots are used.

    Attributes:
        row: of the model's input.
        limit_s: a process that takes longer for a picture is ended.
        freed: told when a slot is free again.
    """

    row: TensorSpec
    limit_s: float
    freed: Callable[[], None]


_UNUSED: Final = PictureUse(TensorSpec("", np.dtype(np.uint8), ()), 0.0, lambda: None)


@dataclass(frozen=True, slots=True)
class _Decoding:
    """A picture that is in a slot."""

    file_bytes: int
    made: "asyncio.Future[PictureMade]"
    over: Callable[[], None]
    due_at_s: float


# Contract: lives on the loop thread. A slot is taken until the device has answered, also where the
# caller has gone meanwhile; only then is the memory for the work given back. Of a process that is
# lost every picture is answered with ModelNotReady, once.
class PictureSlots:
    """The slots for pictures of one process.

    Args:
        slots: memory that is shared with it, one region each.
        send: sends it a record.
        clock: of the limit.
        hang: ends a process that does not end a picture in time.
    """

    def __init__(
        self,
        slots: Sequence[Arena],
        send: Callable[[bytes], None],
        clock: Clock,
        hang: Callable[[], None],
    ) -> None:
        self._slots = slots
        self._send = send
        self._clock = clock
        self._hang = hang
        self._free = list(range(len(slots)))
        self._decoding: dict[int, _Decoding] = {}
        self._alarm = Alarm(clock, self._look)
        self._is_open = True
        self._use = _UNUSED

    def use(self, use: PictureUse) -> None:
        """Says for what the slots are used from now on."""
        self._use = use

    @property
    def room(self) -> int:
        """How many more pictures it can be given."""
        return len(self._free)

    def take(self) -> int:
        """Takes a slot, where there is room."""
        return self._free.pop()

    def give_back(self, place: int) -> None:
        """A slot is free again."""
        if self._is_open:
            self._free.append(place)
            self._use.freed()

    def decode(
        self, place: int, file: bytes, asked: PictureAsked, over: Callable[[], None]
    ) -> "asyncio.Future[PictureMade]":
        """Begins to make the rows of a picture.

        Args:
            place: a slot that was taken.
            file: encoded.
            asked: what is to be made of it.
            over: called when the device has answered, or is lost.

        Returns:
            What was made. Raises InvalidInput for a picture that is refused, BackendFailed where
            the work failed or took too long, and ModelNotReady where the process was lost.

        Raises:
            ModelNotReady: it was lost before.
            OSError: the system has no memory for the file.
        """
        made: asyncio.Future[PictureMade] = asyncio.get_running_loop().create_future()
        try:
            self._put(place, file)
        except BaseException:
            over()
            self.give_back(place)
            raise
        due_at_s = self._clock.now_s() + self._use.limit_s
        self._decoding[place] = _Decoding(len(file), made, over, due_at_s)
        self._send(pack(Tag.DECODE, place, asked.pack()))
        self._alarm.ring_by(due_at_s)
        return made

    def _put(self, place: int, file: bytes) -> None:
        if not self._is_open:
            raise ModelNotReady(_LOST_WITH)
        self._slots[place].write(file)

    def receive(self, record: bytes) -> None:
        """The device has answered.

        Raises:
            ValueError: it says what cannot be.
        """
        answer = unpack(record)
        decoding = self._decoding.get(answer.number)
        if decoding is None:
            raise ValueError(f"an answer to picture {answer.number}, which nobody waits for")
        came = self._read(answer, decoding)
        del self._decoding[answer.number]
        self._slots[answer.number].give_back(_KEPT_BYTES)
        _settle(decoding, came)
        self.give_back(answer.number)

    def close(self) -> None:
        """The process is gone; of no effect the second time."""
        if not self._is_open:
            return
        self._is_open = False
        self._free.clear()
        self._alarm.cancel()
        decoding, self._decoding = self._decoding, {}
        for each in decoding.values():
            _settle(each, ModelNotReady(_LOST_WITH))
        for slot in self._slots:
            slot.close()

    def _read(self, answer: Record, decoding: _Decoding) -> PictureMade | Exception:
        if answer.tag is Tag.MADE:
            slot = self._slots[answer.number]
            return read_made(slot, decoding.file_bytes, answer.rest, self._use.row)
        text = answer.rest.decode(errors="replace")
        if answer.tag is Tag.UNFIT:
            return InvalidInput(text)
        if answer.tag is Tag.FAILED:
            return BackendFailed(f"the picture could not be decoded: {text}")
        raise ValueError(f"a record {answer.tag.name} in answer to a picture")

    def _look(self) -> None:
        """Ends the process if a picture takes too long."""
        now_s = self._clock.now_s()
        late = [each for each in self._decoding.values() if each.due_at_s <= now_s]
        for each in late:
            if not each.made.done():
                each.made.set_exception(BackendFailed(_GIVEN_UP))
        if late:
            self._hang()
        elif self._decoding:
            self._alarm.ring_by(min(each.due_at_s for each in self._decoding.values()))


# Contract: lives on the loop thread. Pictures get their slots in the order in which they came, of
# the process that has the most room; where none is there they wait for one. When the last process
# has been gone for PATIENCE_S those that wait are refused, and so is who comes before another is
# there.
class PictureDecoding:
    """Decodes pictures in the processes that execute a version.

    Args:
        row: of the model's input.
        limit_s: a process that takes longer for a picture is ended.
        clock: of the patience.
    """

    def __init__(self, row: TensorSpec, limit_s: float, clock: Clock) -> None:
        self._members: list[PictureSlots] = []
        self._waiting: deque[asyncio.Future[_Turn]] = deque()
        self._use = PictureUse(row, limit_s, self._give_turns)
        self._clock = clock
        self._patience: Timer | None = None
        self._is_away = False

    def join(self, slots: PictureSlots) -> None:
        """A process is there."""
        self._members.append(slots)
        self._is_away = False
        if self._patience is not None:
            self._patience.cancel()
        slots.use(self._use)
        self._give_turns()

    def leave(self, slots: PictureSlots) -> None:
        """It is there no more."""
        self._members.remove(slots)
        if not self._members:
            self._patience = self._clock.call_at(self._clock.now_s() + PATIENCE_S, self._refuse)

    async def turn(self) -> "_Turn":
        """A slot that was taken, when it is there, and of which process.

        Raises:
            ModelNotReady: there has been no process for too long.
        """
        if self._is_away:
            raise ModelNotReady(_AWAY)
        if not self._waiting and (slots := self._freest()) is not None:
            return slots, slots.take()
        turn: asyncio.Future[_Turn] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:  # it was given one meanwhile
                slots, place = turn.result()
                slots.give_back(place)
            raise

    def _give_turns(self) -> None:
        while self._waiting and (slots := self._freest()) is not None:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result((slots, slots.take()))

    def _freest(self) -> PictureSlots | None:
        slots = max(self._members, key=_room_of, default=None)
        return slots if slots is not None and slots.room else None

    def _refuse(self) -> None:
        self._is_away = True
        waiting, self._waiting = self._waiting, deque()
        for turn in waiting:
            if not turn.done():
                turn.set_exception(ModelNotReady(_AWAY))


# Of which process, and which of its slots.
_Turn: TypeAlias = tuple[PictureSlots, int]


def _room_of(slots: PictureSlots) -> int:
    return slots.room


def _settle(decoding: _Decoding, came: PictureMade | Exception) -> None:
    decoding.over()
    if decoding.made.done():  # nobody waits any more
        return
    if isinstance(came, Exception):
        decoding.made.set_exception(came)
    else:
        decoding.made.set_result(came)


_GIVEN_UP: Final = (
    "decoding the picture took longer than [execution] max_execution_s allows and was given up"
)
_AWAY: Final = "the processes that decode pictures are being started again; try again"
_LOST_WITH: Final = (
    "the process that decoded a picture of this request was lost, and another is being started; "
    "try again"
)
