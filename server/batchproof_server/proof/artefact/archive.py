"""Where certificates are kept that this server made, and may take for proof again."""

from dataclasses import dataclass
from pathlib import Path

from batchproof_server.base.files import read_text, write_whole
from batchproof_server.proof.certificate.certificate import Certificate, parse_certificate

MAX_CERTIFICATE_BYTES = 4 << 20


# A certificate is believed for its place alone: whoever can write the directory is this server, or
# can forge what it made. Nothing in a bundle is read, since a bundle comes from somebody else. A
# signature by a configured key would be checked in ``read``, and could then hold anywhere.
@dataclass(frozen=True, slots=True)
class Archive:
    """The place for the certificate of one model version.

    Attributes:
        directory: for all certificates; read and written. None keeps none.
        model: the model's name.
        version: its number.
    """

    directory: Path | None
    model: str
    version: int

    @property
    def file_name(self) -> str:
        """The name of the certificate's file."""
        return f"{self.model}-{self.version}.json"

    def read(self) -> Certificate | ValueError | None:
        """The certificate, or why it cannot be read; None where there is none."""
        place = self._place()
        if place is None or not place.is_file():
            return None
        try:
            return parse_certificate(read_text(place, MAX_CERTIFICATE_BYTES))
        except (ValueError, RecursionError) as fault:
            return ValueError(str(fault).splitlines()[0])
        except OSError as fault:
            return ValueError(fault.strerror or type(fault).__name__)

    def write(self, certificate: Certificate) -> None:
        """Keeps a certificate when there is a directory for it.

        Raises:
            OSError: the directory cannot be written.
        """
        place = self._place()
        if place is not None:
            place.parent.mkdir(parents=True, exist_ok=True)
            write_certificate(certificate, place)

    def _place(self) -> Path | None:
        return None if self.directory is None else self.directory / self.file_name


def write_certificate(certificate: Certificate, file: Path) -> None:
    """Writes a certificate whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    write_whole(file, certificate.to_json() + "\n")
