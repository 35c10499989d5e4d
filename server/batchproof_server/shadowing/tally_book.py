"""The file that keeps what was counted of shadows."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from batchproof_server.base.clock import Alarm, Clock
from batchproof_server.base.files import read_text, reason_of, write_whole
from batchproof_server.models.off_loop import off_loop
from batchproof_server.shadowing.kept_tallies import (
    MAX_TALLIES_BYTES,
    read_tallies,
    tallies_text,
)
from batchproof_server.shadowing.tally import KeptTally, Pair

WRITE_EVERY_S: Final = 60.0


def beside(orders: Path) -> Path:
    """Where tallies are kept, beside the orders of operators."""
    return orders.with_name(f"{orders.stem}.shadows.json")


def read_tally_book(file: Path) -> dict[Pair, KeptTally]:
    """The tallies of a file; none where there is no file.

    Raises:
        ValueError: it cannot be read, or holds something else.
    """
    try:
        return read_tallies(read_text(file, MAX_TALLIES_BYTES))
    except FileNotFoundError:
        return {}
    except OSError as fault:
        raise ValueError(f"{file}: {reason_of(fault)}") from fault
    except ValueError as fault:
        raise ValueError(f"{file}: {'; '.join(str(fault).splitlines())}") from fault


# Contract: on the loop thread; the disk is written on another. A server that is killed loses what
# was counted in its last WRITE_EVERY_S and leaves the file whole.
class TallyBook:
    """Writes tallies over those before, every WRITE_EVERY_S, where they have changed.

    Args:
        file: that keeps them; None keeps nothing.
        tallies: as they are now, copied.
        clock: for the alarm.
        tell_unkept: told why they cannot be written, once until they can.
    """

    def __init__(
        self,
        file: Path | None,
        tallies: Callable[[], Mapping[Pair, KeptTally]],
        clock: Clock,
        tell_unkept: Callable[[str], None],
    ) -> None:
        self._file = file
        self._tallies = tallies
        self._clock = clock
        self._tell_unkept = tell_unkept
        self._written: Mapping[Pair, KeptTally] | None = None
        self._is_unkept = False
        self._turn = asyncio.Lock()
        self._alarm = Alarm(clock, self._look)
        self._writing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Writes from now on."""
        if self._file is not None:
            self._alarm.ring_by(self._clock.now_s() + WRITE_EVERY_S)

    def _look(self) -> None:
        self._writing = asyncio.create_task(self._write())
        self.start()

    async def end(self) -> None:
        """Writes once more, and then no more."""
        self._alarm.cancel()
        await self._write()

    async def _write(self) -> None:
        if self._file is None:
            return
        async with self._turn:
            now = self._tallies()
            if now == self._written:
                return
            try:
                await off_loop(partial(_write, self._file, now))
            except OSError as fault:
                if not self._is_unkept:
                    self._tell_unkept(f"{self._file}: {reason_of(fault)}")
                self._is_unkept = True
            else:
                self._written, self._is_unkept = now, False


def _write(file: Path, tallies: Mapping[Pair, KeptTally]) -> None:
    write_whole(file, tallies_text(tallies), 0o600)
