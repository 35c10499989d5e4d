"""Where certificates are kept: in the bundle, or in a directory for all of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from batchproof_server.base.files import read_text, write_whole
from batchproof_server.proof.certificate.certificate import (
    CERTIFICATE_NAME,
    Certificate,
    parse_certificate,
)

MAX_CERTIFICATE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Archive:
    """The places for the certificates of one model version.

    Attributes:
        bundle: the bundle's directory; only read.
        directory: for all certificates; read and written. None keeps none.
        model: the model's name.
        version: its number.
    """

    bundle: Path
    directory: Path | None
    model: str
    version: int

    def _places(self) -> Iterator[Path]:
        if self.directory is not None:
            yield self.directory / f"{self.model}-{self.version}.json"
        yield self.bundle / CERTIFICATE_NAME

    def read(self) -> Iterator[tuple[str, Certificate | ValueError]]:
        """Every certificate there is by the name of its file, or why it cannot be read."""
        for place in self._places():
            if not place.is_file():
                continue
            try:
                yield place.name, parse_certificate(read_text(place, MAX_CERTIFICATE_BYTES))
            except (ValueError, RecursionError) as fault:
                yield place.name, ValueError(str(fault).splitlines()[0])
            except OSError as fault:
                yield place.name, ValueError(fault.strerror or type(fault).__name__)

    def write(self, certificate: Certificate) -> None:
        """Keeps a certificate when there is a directory for it.

        Raises:
            OSError: the directory cannot be written.
        """
        if self.directory is not None:
            self.directory.mkdir(parents=True, exist_ok=True)
            write_certificate(certificate, next(self._places()))


def write_certificate(certificate: Certificate, file: Path) -> None:
    """Writes a certificate whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    write_whole(file, certificate.to_json() + "\n")
