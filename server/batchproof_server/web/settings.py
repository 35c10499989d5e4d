"""What may be set about the web port."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from pydantic import ConfigDict

from batchproof_server.base.files import read_text
from batchproof_server.base.listener import is_loopback
from batchproof_server.base.validation import NO_UNKNOWN_KEYS, InvalidSettings
from batchproof_server.rpc.settings import TlsSettings


@dataclass(frozen=True, slots=True)
class WebSettings:
    """The web port, which speaks HTTP/1.1.

    Attributes:
        enabled: whether it is opened.
        host: address to listen on; beyond this machine callers must show who they are.
        port: 0 takes a free one.
        token_file: holds the word that every request brings as ``Authorization: Bearer``; empty
            asks for none.
        allow_origins: of pages in browsers that may ask, such as ``https://app.example``.
        allow_hosts: names under which callers may ask, such as ``models.example``, beside IP
            addresses, ``localhost`` and the names of ``allow_origins``; they matter to the page,
            and to every path where nobody is asked who they are.
        site: whether the page for people is there too, under ``/``.
        max_connections: open at the same time, and half of the descriptors that the process may
            open at most; the slowest gives way to one more.
        max_head_bytes: of the request line and the headers together.
        max_bytes_in_flight: of all bodies that are read or answered; more are refused.
        head_timeout_s: from the first byte of a request, or the connection, to the end of its
            headers.
        body_timeout_s: from the end of the headers to the end of the body.
        send_timeout_s: for the caller to take an answer.
        idle_timeout_s: between an answer and the next request.
        tls: None serves in plain text.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    enabled: bool = False
    host: str = "127.0.0.1"
    port: int = 8501
    token_file: str = ""
    allow_origins: tuple[str, ...] = ()
    allow_hosts: tuple[str, ...] = ()
    site: bool = False
    max_connections: int = 1024
    max_head_bytes: int = 16_384
    max_bytes_in_flight: int = 268_435_456
    head_timeout_s: float = 5.0
    body_timeout_s: float = 30.0
    send_timeout_s: float = 30.0
    idle_timeout_s: float = 60.0
    tls: TlsSettings | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.port <= _MAX_PORT:
            raise ValueError(f"port is {self.port}, expected 0 to {_MAX_PORT}")
        for name in self.allow_hosts:
            if not re.fullmatch(_HOST_NAME, name):
                raise ValueError(
                    f'allow_hosts: "{name}" is no name, expected one like "models.example", '
                    "without scheme, port and path"
                )
        if min(self.max_connections, self.max_head_bytes, self.max_bytes_in_flight) < 1:
            raise ValueError("every limit must be 1 or more")
        for name in ("head_timeout_s", "body_timeout_s", "send_timeout_s", "idle_timeout_s"):
            if not _SHORTEST_S <= getattr(self, name) <= _LONGEST_S:
                expected = f"expected {_SHORTEST_S} to {_LONGEST_S:.0f}"
                raise ValueError(f"{name} is {getattr(self, name)}, {expected}")

    @property
    def scheme(self) -> str:
        """Of the port."""
        return "http" if self.tls is None else "https"

    def asks_callers(self, *, has_callers: bool) -> bool:
        """Whether whoever reaches the port is asked who they are."""
        has_authority = self.tls is not None and bool(self.tls.client_ca)
        return has_callers or bool(self.token_file) or has_authority

    def check_asked(self, *, has_callers: bool) -> None:
        """Returns when whoever reaches the port is asked who they are.

        Args:
            has_callers: whether ``access.callers`` is set.

        Raises:
            ValueError: nobody is asked, or in two ways.
        """
        if has_callers and self.token_file:
            raise ValueError("web.token_file and access.callers are set, expected one of them")
        if not (self.asks_callers(has_callers=has_callers) or is_loopback(self.host)):
            raise ValueError(
                f"web.host is {self.host}, which others reach, and nobody is asked who they are: "
                "expected access.callers, web.token_file, web.tls with client_ca, or 127.0.0.1"
            )


_MAX_PORT: Final = 65_535
_HOST_NAME: Final = r"[A-Za-z0-9.-]+"
_SHORTEST_S: Final = 0.001
_LONGEST_S: Final = 86_400.0


def read_token(file: str) -> str:
    """The word that callers must bring; empty when no file is set.

    Raises:
        InvalidSettings: the file cannot be read, or does not hold one long word. No text of the
            file stands in the error.
    """
    if not file:
        return ""
    try:
        token = read_text(Path(file), _MAX_FILE_BYTES).strip()
    except (OSError, ValueError) as fault:  # too long, or not UTF-8
        says = f"web.token_file: {file} cannot be read as a short text file"
        raise InvalidSettings((says,)) from fault
    if not re.fullmatch(_WORD, token):
        expected = (
            "expected 16 letters, digits or -._~+/= or more, as `openssl rand -hex 32` prints"
        )
        raise InvalidSettings((f"web.token_file: {file} holds no token, {expected}",))
    return token


_MAX_FILE_BYTES: Final = 4_096
# Of the characters of RFC 6750.
_WORD: Final = r"[A-Za-z0-9._~+/=-]{16,}"
