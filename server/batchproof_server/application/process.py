"""From start to exit: signals, the one line on standard output, and honest exit codes."""

import asyncio
import gc
import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

from batchproof.command_line import lead_nowhere
from batchproof_server.application.server import Server
from batchproof_server.observing.logs import Logger

OK = 0
FAILED = 1


class StopRequest:
    """SIGTERM or SIGINT, as something to wait for; a second one ends the process at once."""

    def __init__(self) -> None:
        self._received_one = False
        self._requested = asyncio.Event()
        self._hung_up = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Takes over these signals and SIGHUP, and gives them back."""
        handlers = {signal.SIGTERM: self._receive, signal.SIGINT: self._receive}
        handlers[signal.SIGHUP] = self._hang_up
        previous = {number: signal.signal(number, each) for number, each in handlers.items()}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    async def wait(self) -> None:
        """Returns once a signal was received."""
        await self._requested.wait()

    async def wait_hang_up(self) -> None:
        """Returns once SIGHUP was received since it was last waited for."""
        await self._hung_up.wait()
        self._hung_up.clear()

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._loop.call_soon_threadsafe(self._hung_up.set)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._received_one:
            # Dying of the signal tells the parent the truth: this was no orderly end.
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        # Not the event: a loop that is stuck never sets it, and then the second must work.
        self._received_one = True
        self._loop.call_soon_threadsafe(self._requested.set)


async def run(server: Server, announcement: TextIO, logger: Logger) -> int:
    """Serves until a signal asks to stop.

    Args:
        server: composed, not opened.
        announcement: gets one line of JSON with the addresses as soon as the ports are open.
        logger: is told where the server listens, and that it stops.

    Returns:
        The exit code: 0 after an orderly end; 1 when no version could be loaded, or when the grace
        ended before every accepted request was answered.

    Raises:
        PortUnavailable: a port cannot be opened.
    """
    stop = StopRequest()
    with stop.capture_signals():
        try:
            addresses = await server.open()
            if not server.listens_late:
                _announce(addresses, announcement, logger)
            return await _serve(server, stop, addresses, announcement, logger)
        finally:
            server.close()


async def _serve(
    server: Server,
    stop: StopRequest,
    addresses: Mapping[str, str],
    announcement: TextIO,
    logger: Logger,
) -> int:
    stopped = asyncio.ensure_future(stop.wait())
    reloading = asyncio.ensure_future(_reload(server, stop))
    loading = asyncio.ensure_future(server.load())
    await asyncio.wait({stopped, loading}, return_when=asyncio.FIRST_COMPLETED)
    nothing_answers = loading.done() and not loading.result()
    # What is loaded stays. Looking through it for cycles would hold the loop up for 30 ms, and for
    # 300 ms where TensorFlow is loaded, now and again.
    gc.freeze()
    if server.listens_late and loading.done() and not nothing_answers:
        _announce({**addresses, **await server.open_late()}, announcement, logger)
    if not nothing_answers:
        await stopped
    ending = {loading, stopped, reloading}
    for task in ending:
        task.cancel()
    await asyncio.wait(ending)
    because = "no version could be loaded" if nothing_answers else "a signal asked for it"
    logger.info("stopping", because=because, grace_s=server.config.server.grace_s)
    answered = await server.drain()
    return OK if answered and not nothing_answers else FAILED


async def _reload(server: Server, stop: StopRequest) -> None:
    while True:
        await stop.wait_hang_up()
        await server.reloading.reload()


def _announce(addresses: Mapping[str, str], announcement: TextIO, logger: Logger) -> None:
    logger.info("listening", **addresses)
    try:
        print(json.dumps(addresses), file=announcement, flush=True)
    except OSError as fault:
        logger.warning("addresses not written", reason=str(fault))
        lead_nowhere(announcement)
