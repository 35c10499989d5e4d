"""Whether a kept certificate still holds: the same subject, the same audit, the same bits.

Audit, repair and compilation happen at every load: they make what is served, and looking at the
graph that this process compiled costs little. Only the probes are saved, which are nearly all of
the time; one arrangement of them is executed all the same and must give the certified bits.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from batchproof_server.base.backend import Backend
from batchproof_server.base.errors import BackendFailed
from batchproof_server.proof.certificate.certificate import (
    Certificate,
    Measured,
    Subject,
    finding_record,
)
from batchproof_server.proof.examination import Candidate
from batchproof_server.proof.findings import failures
from batchproof_server.proof.probing.answers import answers_digest
from batchproof_server.proof.probing.executing import execute_co_batched
from batchproof_server.proof.probing.probes import state_digest
from batchproof_server.proof.probing.row_counts import SINGLE
from batchproof_server.proof.probing.rows import ProbeRow
from batchproof_server.proof.verdict import verdict_of


def reason_to_prove_anew(
    candidate: Candidate,
    subject: Subject,
    rows: Sequence[ProbeRow],
    kept: Certificate,
) -> str | None:
    """Why a kept certificate does not hold for a model; None when it does.

    Executes the buckets that it says are served, which also warms them up.
    """
    return (
        _another_subject(candidate, subject, kept)
        or _another_audit(candidate, kept)
        or _fewer_probes(kept.measured)
        or _other_answers(candidate.backend, kept.measured, rows)
    )


def _another_subject(candidate: Candidate, subject: Subject, kept: Certificate) -> str | None:
    if (kept.model, kept.version) != (candidate.model, candidate.version):
        return f"it is for {kept.model} version {kept.version}"
    changes = _changes("", _without_absent(kept.subject, subject), asdict(subject))
    return f"changed since: {', '.join(changes)}" if changes else None


def _without_absent(kept: Subject, subject: Subject) -> dict[str, Any]:
    """The values of a kept subject without the versions of packages that compute nothing here."""
    values = asdict(kept)
    environment = values["environment"]
    environment["versions"] = {
        name: version
        for name, version in environment["versions"].items()
        if name in subject.environment.versions or name not in _NAMED_FOR_NOTHING
    }
    return values


# Version 0.1.0 named these although they computed nothing.
_NAMED_FOR_NOTHING = ("openvino",)


def _another_audit(candidate: Candidate, kept: Certificate) -> str | None:
    if kept.verdict == "unproven" or failures(candidate.all_findings):
        return "the model is not proven"
    if kept.verdict != verdict_of(kept.findings):
        return "it was made with fewer probes of what the audit cannot decide"
    found = {finding_record(finding) for finding in candidate.all_findings}
    if not found <= set(kept.findings) or kept.repairs != candidate.examined.repairs:
        return "the audit finds or mends something else"
    return None


def _fewer_probes(measured: Measured) -> str | None:
    """Up to 0.1.0 nothing was compared with one row by itself, and buckets might differ at will."""
    return None if SINGLE in measured.executions else "it was made without comparing row counts"


def _changes(path: str, old: Any, new: Any) -> list[str]:
    """The paths of the values that differ."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return [] if old == new else [path]
    keys = sorted(old.keys() | new.keys())
    return [
        change
        for key in keys
        for change in _changes(f"{path}.{key}" if path else key, old.get(key), new.get(key))
    ]


def _other_answers(backend: Backend, measured: Measured, rows: Sequence[ProbeRow]) -> str | None:
    accepted = [
        row for row in rows if not row.tells_roundings and row.name not in measured.refused_rows
    ]
    digests = {each.bucket_rows: each.digest for each in measured.answers}
    try:
        same = state_digest(backend) == measured.state_digest and all(
            answers_digest(execute_co_batched(backend, bucket, accepted)) == digests.get(bucket)
            for bucket in measured.served_buckets_rows
        )
    except BackendFailed:
        same = False
    return None if same else "the model answers the probe rows with other bits"
