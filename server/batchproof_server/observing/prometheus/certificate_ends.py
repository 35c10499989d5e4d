"""Until when the TLS certificates of the ports hold."""

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from prometheus_client import metrics_core as core
from prometheus_client.registry import Collector

from batchproof_server.base.files import read_start

_MAX_PEM_BYTES: Final = 4 << 20


# Contract: read anew by each scrape, since files are replaced while ports are open. A file that
# cannot be read just then has no series; the port that uses it says why in the log.
class CertificateEnds(Collector):
    """The end of each port's certificate, of the file as it lies there now.

    Args:
        certificates: by the port's name, PEM files whose first certificate is the port's own.
    """

    def __init__(self, certificates: Mapping[str, Path]) -> None:
        self._certificates = dict(certificates)

    def collect(self) -> Iterable[core.Metric]:
        """Called by the registry, on the thread of the scrape."""
        ends = core.GaugeMetricFamily(
            "batchproof_tls_not_after_timestamp_seconds",
            "Until when the certificate of the port holds, in seconds since 1970.",
            labels=("port",),
        )
        for port, file in self._certificates.items():
            from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415 - 8 MB that no server takes unless it has certificates

            with contextlib.suppress(OSError, ValueError):
                certificate = load_pem_x509_certificate(read_start(file, _MAX_PEM_BYTES))
                ends.add_metric((port,), certificate.not_valid_after_utc.timestamp())
        yield ends
