"""Callers of an HTTP port who send a byte now and then, never finish, and come again."""

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from support.patience import PATIENCE_S

HALF: Final = b"GET /metrics HTTP/1.1\r\nx: "


class SlowCallers:
    """So many of them at one address.

    Args:
        address: ``host:port``.
        count: how many call at the same time.

    Attributes:
        opened: connections so far.
        answered: how many of them got an answer to half a request.
    """

    def __init__(self, address: str, count: int) -> None:
        host, port = address.rsplit(":", 1)
        self._address = (host, int(port))
        self._count = count
        self._selector = selectors.DefaultSelector()
        self._all_have_called = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.opened = 0
        self.answered = 0

    def _open(self) -> None:
        connection = socket.socket()
        connection.settimeout(0)
        connection.connect_ex(self._address)
        self._selector.register(connection, selectors.EVENT_WRITE)
        self.opened += 1

    def _run(self) -> None:
        for _ in range(self._count):
            self._open()
        self._all_have_called.set()
        while not self._stop.is_set():
            for key, event in self._selector.select(0.05):
                self._go_on(key.fileobj, event)

    def _go_on(self, connection: object, event: int) -> None:
        assert isinstance(connection, socket.socket)
        try:
            if event & selectors.EVENT_WRITE:
                connection.send(HALF)
                self._selector.modify(connection, selectors.EVENT_READ)
                return
            self.answered += bool(connection.recv(64))
        except OSError:
            pass  # closed by the server, as it may
        self._selector.unregister(connection)
        connection.close()
        self._open()

    @contextmanager
    def calling(self) -> Iterator[None]:
        """From when all have called until they hang up."""
        self._thread.start()
        try:
            assert self._all_have_called.wait(PATIENCE_S)
            yield
        finally:
            self._stop.set()
            self._thread.join()
            for key in tuple(self._selector.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr] # they are sockets
            self._selector.close()
