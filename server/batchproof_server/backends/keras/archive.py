"""Refuses a ``.keras`` file that is damaged, dangerous or brings its own code, unread."""

from pathlib import Path

from batchproof_server.base.errors import ModelRefused
from batchproof_server.proof.artefact.checking import audit_artefact
from batchproof_server.proof.findings import beyond_repair


def check_archive(artefact: Path) -> None:
    """Audits the file without loading it.

    What ``keras_repair.repair`` mends in the loaded model is no reason to refuse the file.

    Raises:
        ModelRefused: with the findings, as sentences.
    """
    findings = beyond_repair(audit_artefact(artefact))
    if findings:
        sentences = tuple(finding.sentence for finding in findings)
        raise ModelRefused(f"{artefact.name} is not served", sentences)
