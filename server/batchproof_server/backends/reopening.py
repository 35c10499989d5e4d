"""What an engine made of an artefact at an earlier start, without the library of the artefact."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from batchproof_server.backends.engine import Engine
from batchproof_server.base.backend import EngineSettings
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.files import reason_of
from batchproof_server.proof.artefact.converted import Converted, digest_directory
from batchproof_server.proof.certificate.kept import FoundCertificate
from batchproof_server.proof.examination import Examined
from batchproof_server.proof.findings import Finding
from batchproof_server.proof.verdict import is_undecided


def reopen(
    found: FoundCertificate, model_digest: str, engines: Sequence[Engine], settings: EngineSettings
) -> Examined | None:
    """What an engine made of the artefact before, compiled for the buckets that were served.

    The audit was made before it was converted, of an artefact with the same digest; what it left
    undecided, and so which rows are tried, stands in the certificate.

    Args:
        found: a certificate.
        model_digest: of the artefact that lies there now.
        engines: that may execute it.
        settings: of engines.

    Returns:
        None where the certificate is not believed, is of something else, or nothing was converted.

    Raises:
        ModelRefused: what was kept is not what the certificate is of, or is damaged.
    """
    certificate = found.of(model_digest)
    if certificate is None:
        return None
    digest = certificate.subject.converted_digest
    for engine in engines if digest else ():
        conversion = engine.conversion
        if conversion is None or not engine.is_installed:
            continue
        _check_kept(found.converted, digest)
        source = conversion.reopen(found.converted)
        rows = certificate.measured.served_buckets_rows
        return Examined(
            engine.compile(source, rows, settings),
            findings=tuple(
                Finding(**asdict(each)) for each in certificate.findings if is_undecided(each)
            ),
            thresholds=certificate.subject.thresholds,
            repairs=certificate.repairs,
            compiled_rows=rows,
            packages=engine.packages,
            converted=Converted.lying_in(found.converted, digest),
        )
    return None


def _check_kept(directory: Path, digest: str) -> None:
    try:
        came = digest_directory(directory)
    except OSError as fault:
        raise ModelRefused(
            "what was converted cannot be read", (f"{directory.name}: {reason_of(fault)}",)
        ) from fault
    if came != digest:
        sentence = f"{directory.name}: it is not what the certificate is of, or is not there"
        raise ModelRefused("what was converted has changed", (sentence,))
