"""What may be set about traces."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from pydantic import ConfigDict

from batchproof_server.base.validation import NO_UNKNOWN_KEYS


@dataclass(frozen=True, slots=True)
class CollectorTls:
    """Files in PEM format, for an endpoint that begins with ``https://``.

    Attributes:
        ca: who signs the collector's certificate; None: those that gRPC trusts by itself.
        certificate: of this server, for a collector that asks for one; None shows none.
        key: of that certificate.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together, and one of them is missing")


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """Which requests are traced, and where their spans go.

    Attributes:
        endpoint: of a collector that takes OTLP over gRPC, such as ``http://localhost:4317``, or
            with ``https://`` over TLS; empty traces nothing.
        share: of the requests whose caller says nothing of a trace that are sampled.
        callers_decide: whether a request is sampled exactly when its caller's trace is; or else by
            its share, too.
        service_name: ``service.name`` of every span.
        headers: sent to the collector, such as the word that it asks for.
        max_queued_spans: that wait to be sent; more are dropped.
        timeout_s: for sending some of them, attempts included.
        tls: None trusts those that gRPC trusts by itself.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    endpoint: str = ""
    share: float = 0.01
    callers_decide: bool = True
    service_name: str = "batchproof"
    headers: Mapping[str, str] = field(default_factory=dict)
    max_queued_spans: int = 4096
    timeout_s: float = 10.0
    tls: CollectorTls | None = None

    def __post_init__(self) -> None:
        if self.endpoint and not _ENDPOINT.fullmatch(self.endpoint):
            raise ValueError(
                f"endpoint is {self.endpoint!r}, expected such as http://localhost:4317, or "
                "https://collector.example:4317 for TLS: OTLP over gRPC has no path"
            )
        if self.tls is not None and not self.is_secure:
            raise ValueError("tls is set, expected an endpoint that begins with https://")
        if not 0 <= self.share <= 1:
            raise ValueError(f"share is {self.share}, expected 0 to 1")
        if not self.service_name:
            raise ValueError("service_name is empty, expected a name")
        for name, value in self.headers.items():
            if not (_HEADER.fullmatch(name) and value.isascii() and value.isprintable()):
                # Not the value, which may be a secret.
                raise ValueError(
                    f"headers: {name!r} cannot be sent, expected a name of small letters, digits, "
                    "._- and a value of printable ASCII"
                )
        if self.max_queued_spans < 1:
            raise ValueError(f"max_queued_spans is {self.max_queued_spans}, expected 1 or more")
        if not 0 < self.timeout_s < math.inf:
            raise ValueError(f"timeout_s is {self.timeout_s}, expected a positive number")

    @property
    def is_secure(self) -> bool:
        """Whether the spans leave over TLS."""
        return self.endpoint.startswith("https://")


_ENDPOINT: Final = re.compile(r"https?://[^/?#\s@]+/?")
_HEADER: Final = re.compile(r"[a-z0-9._-]{1,256}")
