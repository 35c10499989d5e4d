"""Where certificates lie: those that this server made, and those that came with a bundle."""

from dataclasses import dataclass
from pathlib import Path

from batchproof_server.base.files import read_text, write_whole
from batchproof_server.proof.certificate.certificate import (
    Certificate,
    CertificateDocument,
    parse_certificate,
)
from batchproof_server.proof.certificate.signing import KeySignature

MAX_CERTIFICATE_BYTES = 4 << 20


# A certificate in the directory is believed for its place: whoever can write there is this server,
# or can forge what it made. One in a bundle came from somebody else, and is worth its signature.
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
    def file(self) -> Path | None:
        """Where the certificate is kept; None where none is."""
        return None if self.directory is None else self.directory / self.file_name

    @property
    def file_name(self) -> str:
        """The name of the certificate's file."""
        return f"{self.model}-{self.version}.json"

    def write(self, certificate: Certificate) -> None:
        """Keeps a certificate when there is a directory for it.

        Raises:
            OSError: the directory cannot be written.
        """
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_certificate(certificate, self.file)


def read_certificate(file: Path | None) -> CertificateDocument | ValueError | None:
    """The certificate in a file, or why it cannot be read; None where there is none."""
    if file is None or not file.is_file():
        return None
    try:
        return parse_certificate(read_text(file, MAX_CERTIFICATE_BYTES))
    except (ValueError, RecursionError) as fault:
        return ValueError(str(fault).splitlines()[0])
    except OSError as fault:
        return ValueError(fault.strerror or type(fault).__name__)


def write_certificate(
    certificate: Certificate, file: Path, signature: KeySignature | None = None
) -> None:
    """Writes a certificate whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    write_whole(file, certificate.to_json(signature) + "\n")
