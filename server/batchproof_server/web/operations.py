"""The HTTP port: three pages to read, on a loop and a thread that touch nothing else."""

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future

from batchproof_server.web.desk import Connection, Desk, HttpLimits
from batchproof_server.web.listening import accepting, bound_socket
from batchproof_server.web.pages import Pages


class HttpServer:
    """Serves the pages between ``start`` and ``close``.

    Args:
        pages: what to answer.
        on_failure: told of an exception in a page; the client only learns that there was one.
        limits: what callers may take.
    """

    def __init__(
        self,
        pages: Pages,
        on_failure: Callable[[Exception], None],
        limits: HttpLimits | None = None,
    ) -> None:
        self._pages = pages
        self._on_failure = on_failure
        self._limits = limits or HttpLimits()
        self._running: _Running | None = None

    @property
    def port(self) -> int:
        """The port that is listened on.

        Raises:
            RuntimeError: the server does not run.
        """
        if self._running is None:
            raise RuntimeError("the HTTP port is not open")
        return self._running.port

    async def start(self, host: str, port: int) -> int:
        """Opens the port and answers on a thread of its own; see ``Listener``.

        Raises:
            PortUnavailable: the address cannot be bound.
        """
        listening = bound_socket(host, port, "HTTP")
        desk = Desk(self._pages, self._limits, self._on_failure)
        self._running = _Running(desk, listening)
        self._running.start()
        return self.port

    async def drain(self, grace_s: float) -> None:
        """Closes the port; a page takes a millisecond, so there is nothing to wait for."""
        del grace_s
        self.close()

    def close(self) -> None:
        """Closes the port and every connection; harmless when the server does not run."""
        if self._running is not None:
            self._running.stop()
            self._running = None


class _Running:
    """A loop on a thread of its own that answers at one socket.

    Args:
        desk: admits and answers.
        listening: bound; closed at the end.
    """

    def __init__(self, desk: Desk, listening: socket.socket) -> None:
        self.port = int(listening.getsockname()[1])
        self._desk = desk
        self._listening = listening
        self._stopping: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def start(self) -> None:
        """Begins to answer; who came before has waited in the backlog."""
        self._thread.start()

    def stop(self) -> None:
        """Hangs up, and returns when the loop has ended."""
        self._stopping.set_result(None)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        asyncio.get_running_loop().set_exception_handler(self._desk.hear_of_failure)
        server = await accepting(lambda: Connection(self._desk), self._listening)
        await asyncio.wrap_future(self._stopping)
        server.close()
        self._desk.hang_up()
        # A loop's turn, in which the sockets are closed.
        await asyncio.sleep(0)
