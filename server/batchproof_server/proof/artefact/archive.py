"""Where certificates are kept: in the bundle, or in a directory for all of them."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
                yield place.name, parse_certificate(_text(place))
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
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".certificate-")
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(certificate.to_json() + "\n")
        Path(name).chmod(0o644)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _text(file: Path) -> str:
    size_bytes = file.stat().st_size
    if size_bytes > MAX_CERTIFICATE_BYTES:
        raise ValueError(f"it has {size_bytes} bytes, expected at most {MAX_CERTIFICATE_BYTES}")
    return file.read_text(encoding="utf-8")
