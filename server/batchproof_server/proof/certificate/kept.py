"""The certificates that may save a proof: where they lie, and which of them are believed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from batchproof_server.base.files import read_text, reason_of, write_whole
from batchproof_server.base.validation import parser_says
from batchproof_server.proof.artefact.converted import CONVERTED_NAME, Converted
from batchproof_server.proof.certificate.certificate import CERTIFICATE_NAME, Certificate
from batchproof_server.proof.certificate.document import CertificateDocument, parse_certificate
from batchproof_server.proof.certificate.signing import KeySignature, TrustedKeys

MAX_CERTIFICATE_BYTES: Final = 4 << 20

_OF_OTHERS: Final = (
    "it lies in the bundle without a signature, and only certificates that this server made, or "
    "that a key of proof.trusted_keys signed, are proof"
)


@dataclass(frozen=True, slots=True)
class FoundCertificate:
    """A certificate that was found.

    Attributes:
        name: of its file.
        certificate: None where it is not believed.
        doubt: why it is not; empty where it is.
        converted: where the converted model lies, if there is one.
    """

    name: str
    certificate: Certificate | None
    doubt: str
    converted: Path

    def of(self, model_digest: str) -> Certificate | None:
        """The certificate, if it is believed and of the artefact with this digest."""
        certificate = self.certificate
        if certificate is None or certificate.subject.model_digest != model_digest:
            return None
        return certificate


# Contract: a certificate in the directory is believed for its place: whoever can write there is
# this server, or can forge what it made. One in a bundle came from somebody else, and is worth its
# signature; a wrong signature is worse than none, wherever it stands.
@dataclass(frozen=True, slots=True)
class KeptCertificates:
    """Finds certificates, and keeps those that this server makes.

    Attributes:
        directory: of this server's own, with what engines made of models; None keeps none.
        trusted: keys whose signature makes a certificate in a bundle proof.
    """

    directory: Path | None = None
    trusted: TrustedKeys = field(default_factory=TrustedKeys)

    def find(self, model: str, version: int, bundle: Path) -> Iterator[FoundCertificate]:
        """Those of one model version: this server's own, then the one in its bundle."""
        if self.directory is not None:
            own = _certificate_in(self.directory, model, version)
            yield from self._found(own, "", converted_in(self.directory, model, version))
        yield from self._found(bundle / CERTIFICATE_NAME, _OF_OTHERS, bundle / CONVERTED_NAME)

    def _found(self, file: Path, unsigned: str, converted: Path) -> Iterator[FoundCertificate]:
        kept = read_certificate(file)
        if isinstance(kept, CertificateDocument):
            doubt = unsigned
            if kept.signature is not None:
                doubt = self.trusted.doubt(kept.signature, kept.certificate.digest) or ""
            yield FoundCertificate(file.name, None if doubt else kept.certificate, doubt, converted)
        elif kept is not None:
            yield FoundCertificate(file.name, None, f"it cannot be read: {kept}", converted)

    def keep(self, certificate: Certificate, converted: Converted | None) -> None:
        """Writes a certificate, and before it what it is of.

        Raises:
            OSError: the directory cannot be written.
        """
        if self.directory is None:
            return
        model, version = certificate.model, certificate.version
        if converted is not None:
            converted.keep(converted_in(self.directory, model, version))
        self.directory.mkdir(parents=True, exist_ok=True)
        write_certificate(certificate, _certificate_in(self.directory, model, version))


def converted_in(directory: Path, model: str, version: int) -> Path:
    """Where ``KeptCertificates`` keeps what an engine made of a version."""
    return directory / f"{model}-{version}.{CONVERTED_NAME}"


def _certificate_in(directory: Path, model: str, version: int) -> Path:
    return directory / f"{model}-{version}.json"


def read_certificate(file: Path) -> CertificateDocument | ValueError | None:
    """The certificate in a file, or why it cannot be read; None where there is none."""
    if not file.is_file():
        return None
    try:
        return parse_certificate(read_text(file, MAX_CERTIFICATE_BYTES))
    except (ValueError, RecursionError) as fault:
        return ValueError(parser_says(fault).splitlines()[0])
    except OSError as fault:
        return ValueError(reason_of(fault))


def write_certificate(
    certificate: Certificate, file: Path, signature: KeySignature | None = None
) -> None:
    """Writes a certificate whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    write_whole(file, certificate.to_json(signature) + "\n")
