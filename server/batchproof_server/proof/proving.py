"""From an examined model to its certificate: probes, bucket classes, verdict."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from batchproof_server.base.backend import EngineSettings
from batchproof_server.base.clock import Clock
from batchproof_server.proof.artefact.archive import Archive, read_certificate
from batchproof_server.proof.certificate.certificate import (
    CERTIFICATE_NAME,
    FORMAT,
    AnswersDigest,
    Certificate,
    CertificateDocument,
    Environment,
    Measured,
    Subject,
    finding_record,
)
from batchproof_server.proof.certificate.machine import Machine
from batchproof_server.proof.certificate.reuse import reason_to_prove_anew
from batchproof_server.proof.certificate.signing import TrustedKeys
from batchproof_server.proof.examination import Candidate
from batchproof_server.proof.findings import Finding, failures
from batchproof_server.proof.probing.answers import answers_digest
from batchproof_server.proof.probing.buckets import (
    bucket_classes,
    greatest_difference,
    served_buckets,
)
from batchproof_server.proof.probing.probes import (
    PERMUTATIONS,
    ProbeReport,
    probe,
    without_uneven_buckets,
)
from batchproof_server.proof.probing.row_counts import SINGLE, compare_row_counts
from batchproof_server.proof.probing.rows import (
    SEED,
    ProbeRow,
    count_kinds,
    probe_rows,
    rows_digest,
)
from batchproof_server.proof.probing.rules import probe_finding
from batchproof_server.proof.probing.walking import PERMUTATIONS as WALKING
from batchproof_server.proof.probing.walking import walking_rows
from batchproof_server.proof.settings import Progress, ProofSettings, Tell, silent
from batchproof_server.proof.verdict import verdict_of

_OF_OTHERS: Final = (
    "it lies in the bundle without a signature, and only certificates that this server made or a "
    "key of proof.trusted_keys signed are proof"
)


class Prove(Protocol):
    """Proves a model."""

    def __call__(self, candidate: Candidate) -> Certificate:
        """The certificate, proven or not; every bucket that is served was executed."""
        ...


# Contract: the certificate says "proven" or "probed" only when no finding of audit or probes failed
# in this process, and "proven" only when the audit decided everything. A kept certificate saves the
# probes, never the audit, and only when everything that they depend on is the same and the model
# answers the probe rows now with the very bits it names.
@dataclass(frozen=True, slots=True)
class Prover:
    """Proves models on this machine.

    Attributes:
        settings: what must be proven.
        engine: how engines use the machine.
        machine: this one.
        versions: of what computes.
        onednn: what TF_ENABLE_ONEDNN_OPTS says, or ``default``.
        clock: measures.
        utc_now: the date and time, ISO 8601.
        tell: learns of progress.
        trusted: the keys whose certificates are reused from bundles too.
    """

    settings: ProofSettings
    engine: EngineSettings
    machine: Machine
    versions: Mapping[str, str]
    onednn: str
    clock: Clock
    utc_now: Callable[[], str]
    tell: Tell = silent
    trusted: TrustedKeys = field(default_factory=TrustedKeys)

    def __call__(self, candidate: Candidate) -> Certificate:
        """Proves a model, or finds that it was proven before."""
        rows = _rows(candidate)
        subject = self._subject(candidate, rows)
        directory = self.settings.certificate_directory
        archive = Archive(
            Path(directory) if directory else None, candidate.model, candidate.version
        )
        if self.settings.reuse_certificates:
            kept = self._reused(candidate, subject, rows, archive)
            if kept is not None:
                return kept
        certificate = self._prove(candidate, subject, rows)
        self._keep(certificate, archive, candidate)
        return certificate

    def _reused(
        self, candidate: Candidate, subject: Subject, rows: Sequence[ProbeRow], archive: Archive
    ) -> Certificate | None:
        in_bundle = candidate.directory / CERTIFICATE_NAME
        for file, unsigned in ((archive.file, None), (in_bundle, _OF_OTHERS)):
            kept = read_certificate(file)
            if file is None or kept is None:
                continue
            if isinstance(kept, CertificateDocument):
                doubt = self._doubt(kept, unsigned)
                reason = doubt or reason_to_prove_anew(candidate, subject, rows, kept.certificate)
                if reason is None:
                    self._tell(candidate, "certificate reused", file.name)
                    return kept.certificate
            else:
                reason = f"it cannot be read: {kept}"
            self._tell(candidate, "certificate ignored", f"{file.name}: {reason}")
        return None

    def _doubt(self, kept: CertificateDocument, unsigned: str | None) -> str | None:
        """Why a certificate is not believed; a wrong signature is worse than none."""
        if kept.signature is None:
            return unsigned
        return self.trusted.doubt(kept.signature, kept.certificate.digest)

    def _subject(self, candidate: Candidate, rows: Sequence[ProbeRow]) -> Subject:
        environment = Environment(
            engine=candidate.backend.engine,
            versions=self.versions,
            machine=self.machine,
            intra_op_threads=self.engine.intra_op_threads,
            inter_op_threads=self.engine.inter_op_threads,
            onednn=self.onednn,
        )
        return Subject(
            model_digest=candidate.model_digest,
            recipe_digest=candidate.recipe_digest,
            consistency=self.settings.consistency,
            buckets_rows=candidate.buckets_rows,
            seed=SEED,
            probe_rows=count_kinds(rows),
            probe_rows_digest=rows_digest(rows),
            environment=environment,
        )

    def _prove(
        self, candidate: Candidate, subject: Subject, rows: Sequence[ProbeRow]
    ) -> Certificate:
        started_s = self.clock.now_s()

        def count(done: int, total: int) -> None:
            self._tell(candidate, "probing", done=done, total=total)

        report = _with_row_counts(
            candidate,
            without_uneven_buckets(
                probe(
                    candidate.backend,
                    candidate.buckets_rows,
                    rows,
                    count,
                    permutations=WALKING if candidate.is_undecided else PERMUTATIONS,
                )
            ),
        )
        measured = _measured(subject, report, rows)
        notes = _about(candidate, measured, failed=bool(failures(report.findings)))
        findings = (*candidate.all_findings, *report.findings, *notes)
        return Certificate(
            format=FORMAT,
            verdict=verdict_of(findings),
            model=candidate.model,
            version=candidate.version,
            subject=subject,
            measured=measured,
            repairs=candidate.examined.repairs,
            findings=tuple(finding_record(finding) for finding in findings),
            created=self.utc_now(),
            durations_s={"probes": round(self.clock.now_s() - started_s, 3)},
        )

    def _keep(self, certificate: Certificate, archive: Archive, candidate: Candidate) -> None:
        if certificate.verdict == "unproven":
            return
        try:
            archive.write(certificate)
        except OSError as fault:
            reason = fault.strerror or type(fault).__name__
            self._tell(candidate, "certificate not kept", reason)

    def _tell(
        self, candidate: Candidate, step: str, detail: str = "", *, done: int = 0, total: int = 0
    ) -> None:
        self.tell(Progress(candidate.model, candidate.version, step, done, total, detail))


def _rows(candidate: Candidate) -> tuple[ProbeRow, ...]:
    """The probe rows of a model; more of them where the audit could not decide."""
    signature = candidate.backend.signature
    rows = probe_rows(signature, candidate.samples)
    if not candidate.is_undecided:
        return rows
    return (*rows, *walking_rows(signature, rows[-1], candidate.examined.thresholds))


def _with_row_counts(candidate: Candidate, report: ProbeReport) -> ProbeReport:
    """Adds what the row count changes; nothing can be said of it where something else failed."""
    if failures(report.findings):
        return report
    seen = compare_row_counts(
        candidate.backend,
        report,
        never_alone=candidate.examined.never_alone,
        coarse=candidate.coarse,
    )
    return replace(
        report,
        findings=(*report.findings, *seen.findings),
        executions={**report.executions, SINGLE: seen.executions},
        comparisons=report.comparisons + seen.comparisons,
    )


def _measured(subject: Subject, report: ProbeReport, rows: Sequence[ProbeRow]) -> Measured:
    classes = bucket_classes(report.answers)
    accepted = {row.name for row in report.rows}
    return Measured(
        executions=report.executions,
        comparisons=report.comparisons,
        refused_rows=tuple(row.name for row in rows if row.name not in accepted),
        answers=tuple(
            AnswersDigest(bucket, answers_digest(answers))
            for bucket, answers in sorted(report.answers.items())
        ),
        classes=classes,
        served_buckets_rows=served_buckets(classes, subject.consistency) or subject.buckets_rows,
        greatest_difference=greatest_difference(classes, report.answers, report.rows),
        state_digest=report.state_digest,
    )


def _about(candidate: Candidate, measured: Measured, *, failed: bool) -> Iterator[Finding]:
    """What is worth knowing of the buckets, unless the probes failed, and of the inputs."""
    if len(measured.classes) > 1 and not failed:
        greatest = measured.greatest_difference
        by = "something that is not finite" if greatest is None else f"up to {greatest:.3g}"
        listed = " | ".join(", ".join(map(str, members)) for members in measured.classes)
        yield probe_finding("BP508", "buckets", f"the classes {listed} differ by {by}")
    for spec in candidate.backend.signature.inputs:
        if None in spec.row_shape:
            yield probe_finding("BP511", spec.name, f"the input is {spec}")
