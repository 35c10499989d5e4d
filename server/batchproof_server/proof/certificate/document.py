"""Reading a certificate: what is no certificate, was changed, or contradicts itself is refused."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from batchproof_server.base.validation import parse_settings
from batchproof_server.proof.certificate.certificate import AnswersDigest, Certificate
from batchproof_server.proof.certificate.signing import KeySignature
from batchproof_server.proof.probing.buckets import served_buckets


@dataclass(frozen=True, slots=True)
class CertificateDocument:
    """A certificate as it was found, and who vouches for it; the signature was not checked."""

    certificate: Certificate
    signature: KeySignature | None = None


def parse_certificate(text: str) -> CertificateDocument:
    """Reads a document.

    Raises:
        ValueError: it is no certificate of this format, its digest is not that of its content, or
            it contradicts itself.
    """
    values: Any = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - the document is wrong, no argument
    digest, signature = values.pop("digest", None), values.pop("signature", None)
    certificate = parse_settings(Certificate, values)
    if certificate.digest != digest:
        raise ValueError("its digest is not that of its content")
    if fault := next(_contradictions(certificate), None):
        raise ValueError(f"it contradicts itself: {fault}")
    if signature is None:
        return CertificateDocument(certificate)
    return CertificateDocument(certificate, parse_settings(KeySignature, signature))


def _contradictions(certificate: Certificate) -> Iterator[str]:
    """What cannot be true together, so that nobody measured it."""
    subject, measured = certificate.subject, certificate.measured
    if (certificate.verdict == "unproven") != bool(certificate.failures):
        yield f"it says {certificate.verdict} with {len(certificate.failures)} findings that fail"
    if certificate.verdict == "probed" and not certificate.undecided:
        yield "it says probed with nothing undecided"
    if certificate.verdict != "unproven" and not measured.answers:
        yield f"it says {certificate.verdict} without an answer"
    if not {each.bucket_rows for each in measured.answers} <= {1, *subject.buckets_rows}:
        yield "it names answers of buckets that were not asked for"
    if measured.classes != _classes(measured.answers):
        yield "its classes are not those of its digests"
    served = served_buckets(measured.classes, subject.consistency) or subject.buckets_rows
    if measured.served_buckets_rows != served:
        yield f"its classes are not what is served under {subject.consistency}"
    if len(measured.classes) < 2 and measured.greatest_difference != 0:  # noqa: PLR2004 - two to differ
        yield "its buckets differ in one class"


def _classes(answers: Iterable[AnswersDigest]) -> tuple[tuple[int, ...], ...]:
    """The buckets with the same digests, as ``bucket_classes`` has those with the same answers."""
    classes: dict[tuple[str, str], tuple[int, ...]] = {}
    for each in answers:
        bits = (each.digest, each.rounding_digest)
        classes[bits] = (*classes.get(bits, ()), each.bucket_rows)
    return tuple(classes.values())
