"""A process that executes for this one: started, listened to, watched, and ended."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeAlias

from batchproof_server.base.clock import Clock, Timer
from batchproof_server.base.files import read_text
from batchproof_server.devices.arena import Arena, make_arena
from batchproof_server.devices.picture_slots import PictureSlots
from batchproof_server.devices.records import MOST_RECORD_BYTES

LossReason: TypeAlias = Literal["crashed", "hung", "memory"]

_STDERR: Final = 2
_GRACE_S: Final = 5.0
_LOOK_AT_MEMORY_S: Final = 1.0
_MOST_STATISTICS_BYTES: Final = 4096
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Loss:
    """Why a process is there no more.

    Attributes:
        reason: ``crashed`` where it ended by itself or said what makes no sense; ``hung`` and
            ``memory`` where it was ended for that.
        detail: the same as the end of a sentence that begins with the process.
    """

    reason: LossReason
    detail: str


def _nobody(*_told: object) -> None:
    """Is told, and does nothing."""


@dataclass(frozen=True, slots=True)
class ChildListener:
    """Who is told of a child, on the loop thread.

    Attributes:
        receive: a record came.
        gone: nothing can be sent any more, and nothing comes.
        lost: the child is dead, and its memory is given back.
    """

    receive: Callable[[bytes], None] = _nobody
    gone: Callable[[], None] = _nobody
    lost: Callable[[Loss], None] = _nobody


NOBODY: Final = ChildListener()


# Contract: lives on one loop, whose thread started it: the kernel ends the child with that thread.
# Until ``end`` whoever listens is told of every record, once that the child is gone, and then once
# of the loss, also when both happened before; after ``end`` of nothing. No child outlives its
# front, none becomes a zombie, and no descriptor stays open.
class DeviceProcess:
    """A child process with its socket and the memory that is shared with it.

    Args:
        process: just started.
        channel: this process's end, which does not block.
        arena: shared with the child.
        pictures: this process's end, which does not block, and the slots for pictures.
        clock: for looking at its memory.
        max_memory_bytes: the child is ended when it takes more; 0 never looks.
    """

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        channel: socket.socket,
        arena: Arena,
        pictures: tuple[socket.socket, Sequence[Arena]],
        clock: Clock,
        max_memory_bytes: int,
    ) -> None:
        self._process = process
        self._channel = channel
        self.arena = arena
        self._pictures, slots = pictures
        send = partial(self._send, self._pictures)
        self.pictures = PictureSlots(slots, send, clock, partial(self.kill, _SLOW_PICTURE))
        self._clock = clock
        self._max_memory_bytes = max_memory_bytes
        self._look: Timer | None = None
        self._is_open = True
        self._loss: Loss | None = None
        self._listener = NOBODY

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._process.pid

    def listen(self, listener: ChildListener) -> None:
        """Says who is told from now on."""
        self._listener = listener
        loop = asyncio.get_running_loop()
        if self._is_open:
            loop.add_reader(self._channel, self._read, self._channel, self._receive)
            loop.add_reader(self._pictures, self._read, self._pictures, self._receive_picture)
            if self._max_memory_bytes and self._look is None:
                self._look_at_memory()
            return
        loop.call_soon(listener.gone)
        if self._loss is not None:
            loop.call_soon(listener.lost, self._loss)

    def send(self, record: bytes) -> None:
        """Sends a record; a child that does not take it is lost."""
        self._send(self._channel, record)

    def _send(self, channel: socket.socket, record: bytes) -> None:
        try:
            channel.send(record)
        except BlockingIOError:
            self.kill(Loss("hung", "does not read what it is sent"))
        except OSError:  # it is dead; the reader is about to notice
            return

    def kill(self, why: Loss) -> None:
        """Ends the child now, whatever it does."""
        if self._is_open:
            self._process.kill()
            self._hang_up(partial(self._tell_lost, why))

    def end(self) -> None:
        """Lets the child go: it ends by itself, or is ended a few seconds later."""
        self._listener = NOBODY
        if self._is_open:
            self._hang_up(_nobody)

    def memory_bytes(self) -> int:
        """What the child has in memory, shared memory included; 0 when it is dead."""
        try:
            statistics = read_text(Path(f"/proc/{self.pid}/statm"), _MOST_STATISTICS_BYTES)
            return int(statistics.split()[1]) * _PAGE_BYTES
        except (OSError, ValueError, IndexError):
            return 0

    def _receive(self, record: bytes) -> None:
        self._listener.receive(record)

    def _receive_picture(self, record: bytes) -> None:
        try:
            self.pictures.receive(record)
        except ValueError as fault:
            self.kill(Loss("crashed", f"sent what cannot be: {fault}"))

    def _read(self, channel: socket.socket, receive: Callable[[bytes], None]) -> None:
        while self._is_open:
            try:
                record = channel.recv(MOST_RECORD_BYTES)
            except BlockingIOError:
                return
            except OSError:  # a peer that died with unread records resets the connection
                record = b""
            if record:
                receive(record)
            else:
                self._process.kill()  # one that closed its socket and lives on is of no use
                self._hang_up(self._tell_ended)

    def _hang_up(self, told: Callable[[int], None]) -> None:
        self._is_open = False
        if self._look is not None:
            self._look.cancel()
        loop = asyncio.get_running_loop()
        for channel in (self._channel, self._pictures):
            loop.remove_reader(channel)
            channel.close()
        self.pictures.close()
        self.arena.close()
        told_there = partial(_tell, loop, told)
        name = f"reap-{self.pid}"
        threading.Thread(
            target=_reap, args=(self._process, told_there), name=name, daemon=True
        ).start()
        self._listener.gone()

    def _tell_ended(self, code: int) -> None:
        self._tell_lost(Loss("crashed", _ending(code)))

    def _tell_lost(self, loss: Loss, *_code: int) -> None:
        self._loss = loss
        self._listener.lost(loss)

    def check_memory(self) -> bool:
        """Whether the child takes no more memory than it may; one that does is ended."""
        limit = self._max_memory_bytes
        if not limit or (taken := self.memory_bytes()) <= limit:
            return True
        text = f"took {taken} bytes of memory, [devices] max_memory_bytes is {limit}"
        self.kill(Loss("memory", text))
        return False

    def _look_at_memory(self) -> None:
        if self.check_memory():
            at_s = self._clock.now_s() + _LOOK_AT_MEMORY_S
            self._look = self._clock.call_at(at_s, self._look_at_memory)


def start_process(
    command: Sequence[str],
    request: bytes,
    clock: Clock,
    max_memory_bytes: int,
    picture_slots: int = 0,
) -> DeviceProcess:
    """Starts a child; to be called on the thread of the loop.

    Args:
        command: is given more arguments: the descriptors of the socket and of the shared memory,
            the bytes of the request at its beginning, and the descriptors of the socket and of the
            slots for pictures.
        request: what the child is to do.
        clock: of the watch over it.
        max_memory_bytes: see ``DeviceProcess``.
        picture_slots: how many pictures it can be given at the same time.

    Raises:
        OSError: the system has no room for another process.
    """
    with contextlib.ExitStack() as unused:
        ours, theirs = _channel(unused)
        pictures, their_pictures = _channel(unused)
        arena, *slots = (_arena(unused) for _ in range(1 + picture_slots))
        arena.write(request)
        first = (theirs.fileno(), arena.descriptor)
        rest = (their_pictures.fileno(), *(slot.descriptor for slot in slots))
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*command, *map(str, (*first, len(request), *rest))],
            stdin=subprocess.DEVNULL,
            stdout=_STDERR,  # what libraries print must not stand where the server's line does
            pass_fds=(*first, *rest),
        )
        unused.pop_all()
    for channel in (theirs, their_pictures):
        channel.close()
    return DeviceProcess(process, ours, arena, (pictures, slots), clock, max_memory_bytes)


def _arena(unused: contextlib.ExitStack) -> Arena:
    arena = make_arena()
    unused.callback(arena.close)
    return arena


def _channel(unused: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
    """Both ends; ours does not block."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        unused.enter_context(end)
    ours.settimeout(0)
    return ours, theirs


_SLOW_PICTURE: Final = Loss("hung", "did not end decoding a picture in time")


def _reap(process: "subprocess.Popen[bytes]", told: Callable[[int], None]) -> None:
    try:
        code = process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    told(code)


def _tell(loop: asyncio.AbstractEventLoop, told: Callable[[int], None], code: int) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(told, code)


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"
