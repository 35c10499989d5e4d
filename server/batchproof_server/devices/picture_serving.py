"""The side of a device process that decodes: it makes rows of files that lie in slots."""

import socket
from collections.abc import Callable, Sequence
from typing import TypeAlias

from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.freed_memory import return_freed_memory
from batchproof_server.base.signature import Array, TensorSpec
from batchproof_server.devices.arena import Arena
from batchproof_server.devices.executing import answer_records
from batchproof_server.devices.picture_records import (
    PictureAsked,
    PictureMade,
    row_place,
    write_made,
)
from batchproof_server.devices.records import Tag, pack, unpack
from batchproof_server.imaging.decoded import PictureRows

# Makes rows of a file: the file, what is asked for, and where a single row may be put.
MakeRows: TypeAlias = Callable[[bytes, PictureAsked, Array | None], PictureRows]


# Contract: safe in several threads, which share the socket: each takes the next record.
class PictureServer:
    """Decodes pictures in place.

    Args:
        slots: hold the files, and get the rows behind them.
        row: of the model's input.
        make_rows: decodes.
        clock: measures.
    """

    def __init__(
        self, slots: Sequence[Arena], row: TensorSpec, make_rows: MakeRows, clock: Clock
    ) -> None:
        self._slots = slots
        self._row = row
        self._make_rows = make_rows
        self._clock = clock

    def serve(self, channel: socket.socket) -> None:
        """Answers every record; returns when the front hangs up."""
        answer_records(channel, self.answer)

    def answer(self, record: bytes) -> bytes:
        """The record that answers a record: what became of the picture."""
        _, place, rest = unpack(record)
        asked = PictureAsked.unpack(rest)
        try:
            return pack(Tag.MADE, place, self._decode(self._slots[place], asked))
        except InvalidInput as refused:
            return pack(Tag.UNFIT, place, str(refused).encode(errors="replace"))
        except Exception as failure:  # noqa: BLE001 - whatever it is, the caller must hear of it
            return pack(Tag.FAILED, place, repr(failure).encode(errors="replace"))
        finally:
            if asked.is_large:
                return_freed_memory()

    def _decode(self, slot: Arena, asked: PictureAsked) -> bytes:
        started_s = self._clock.now_s()
        file, place = slot.read(asked.file_bytes), row_place(self._row, asked.file_bytes)
        if place is not None:
            slot.reserve(place.end)
        made = self._make_rows(file, asked, None if place is None else slot.array(place))
        took_s = self._clock.now_s() - started_s
        return write_made(slot, asked.file_bytes, PictureMade(made, took_s))
