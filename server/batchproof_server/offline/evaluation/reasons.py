"""Why Keras' ``predict`` may answer otherwise than the server. A guess from the certificate."""

from collections.abc import Iterator
from typing import Final

from batchproof_server.offline.evaluation.result import Difference
from batchproof_server.proof.certificate.certificate import Certificate

ROUNDING: Final = 1e-4
"""A greater difference of probabilities is not taken for rounding."""

_SHOWN: Final = 3


def likely_reason(difference: Difference, certificate: Certificate | None) -> str:
    """One sentence; empty when nothing differs."""
    if not difference.bits_pictures:
        return ""
    named = list(dict.fromkeys(_named(certificate))) if certificate is not None else []
    if difference.greatest < ROUNDING and not difference.top1_pictures:
        return _rounding(certificate)
    if named:
        shown = "; ".join(named[:_SHOWN])
        more = f"; and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
        return f"predict runs the file as it was saved, without the server's repairs: {shown}{more}"
    return "unknown: the audit found nothing in the model that predict would run otherwise"


def _rounding(certificate: Certificate | None) -> str:
    engine = "" if certificate is None else certificate.subject.environment.engine
    if engine and not engine.startswith("tensorflow "):
        return (
            f"rounding: the server executes the model with {engine}, which adds up in another "
            'order than Keras; engine = "tensorflow" gives the bits of TensorFlow'
        )
    return "rounding: predict runs batches of other sizes, for which TensorFlow has other kernels"


def _named(certificate: Certificate) -> Iterator[str]:
    for repair in certificate.repairs:
        yield f"{repair.rule_id} {repair.where}: {repair.change}"
    for finding in certificate.findings:
        if finding.severity == "fail":
            yield f"{finding.rule_id} {finding.where}: {finding.detail or finding.why}"
