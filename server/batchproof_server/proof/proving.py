"""From an examined model to its certificate: probes, bucket classes, verdict."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from batchproof_server.base.backend import EngineSettings
from batchproof_server.base.clock import Clock
from batchproof_server.base.files import reason_of
from batchproof_server.proof.certificate.certificate import (
    FORMAT,
    Certificate,
    Environment,
    Measured,
    Subject,
    finding_record,
)
from batchproof_server.proof.certificate.kept import FoundCertificate, KeptCertificates
from batchproof_server.proof.certificate.machine import COMMON_PACKAGES, Machine
from batchproof_server.proof.certificate.measured import measured_of
from batchproof_server.proof.certificate.reuse import reason_to_prove_anew
from batchproof_server.proof.examination import Candidate
from batchproof_server.proof.findings import Finding, failures
from batchproof_server.proof.probing.kinds import kind_findings, outputs_digest
from batchproof_server.proof.probing.parity import Parity, compare_engines
from batchproof_server.proof.probing.probes import (
    PERMUTATIONS,
    ProbeReport,
    probe,
    without_uneven_buckets,
)
from batchproof_server.proof.probing.rounding_rows import compare_rounding, rounding_rows
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


class Prove(Protocol):
    """Proves a model."""

    def __call__(self, candidate: Candidate) -> Certificate:
        """The certificate, proven or not; every bucket that is served was executed."""
        ...

    def find(self, model: str, version: int, bundle: Path) -> Iterator[FoundCertificate]:
        """The certificates that may save the proof of one model version."""
        ...

    def reuse(self, candidate: Candidate) -> Certificate | None:
        """The certificate of an earlier proof, if one holds; the buckets it serves are warm."""
        ...


# Contract: the certificate says "proven" or "probed" only when no finding of audit or probes failed
# in this process, and "proven" only when the audit decided everything. A kept certificate saves the
# probes, and only when everything that they depend on is the same and the model answers the probe
# rows now with the bits it names. It saves the audit of what an engine converted once more: by
# its digest, those are the files that this audit was followed by.
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
        kept: the certificates of earlier proofs.
    """

    settings: ProofSettings
    engine: EngineSettings
    machine: Machine
    versions: Mapping[str, str]
    onednn: str
    clock: Clock
    utc_now: Callable[[], str]
    tell: Tell = silent
    kept: KeptCertificates = field(default_factory=KeptCertificates)

    def __call__(self, candidate: Candidate) -> Certificate:
        """Proves a model, or finds that it was proven before."""
        rows = _rows(candidate)
        subject = self._subject(candidate, rows)
        if (kept := self._reuse(candidate, subject, rows)) is not None:
            return kept
        certificate = self._prove(candidate, subject, rows)
        self._keep(certificate, candidate)
        return certificate

    def find(self, model: str, version: int, bundle: Path) -> Iterator[FoundCertificate]:
        """The certificates that may save the proof of one model version."""
        if self.settings.reuse_certificates:
            yield from self.kept.find(model, version, bundle)

    def reuse(self, candidate: Candidate) -> Certificate | None:
        """The certificate of an earlier proof, if one holds."""
        rows = _rows(candidate)
        return self._reuse(candidate, self._subject(candidate, rows), rows)

    def _reuse(
        self, candidate: Candidate, subject: Subject, rows: Sequence[ProbeRow]
    ) -> Certificate | None:
        for found in self.find(candidate.model, candidate.version, candidate.directory):
            reason: str | None = found.doubt
            if found.certificate is not None:
                reason = reason_to_prove_anew(candidate, subject, rows, found.certificate)
                if reason is None:
                    self._tell(candidate, "certificate reused", found.name)
                    return found.certificate
            self._tell(candidate, "certificate ignored", f"{found.name}: {reason}")
        return None

    def _subject(self, candidate: Candidate, rows: Sequence[ProbeRow]) -> Subject:
        environment = Environment(
            engine=candidate.backend.engine,
            versions=_relevant(self.versions, candidate.examined.packages),
            machine=self.machine,
            intra_op_threads=self.engine.intra_op_threads,
            inter_op_threads=self.engine.inter_op_threads,
            onednn=self.onednn,
        )
        converted = candidate.examined.converted
        return Subject(
            model_digest=candidate.model_digest,
            recipe_digest=candidate.recipe_digest,
            consistency=self.settings.consistency,
            buckets_rows=candidate.buckets_rows,
            seed=SEED,
            probe_rows=count_kinds(rows),
            probe_rows_digest=rows_digest(rows),
            environment=environment,
            converted_digest="" if converted is None else converted.digest,
            thresholds=candidate.examined.thresholds,
            outputs_digest=outputs_digest(candidate.outputs),
        )

    def _prove(
        self, candidate: Candidate, subject: Subject, rows: Sequence[ProbeRow]
    ) -> Certificate:
        started_s = self.clock.now_s()

        report = _with_row_counts(candidate, self._probe(candidate, rows))
        report, parity = _with_parity(candidate, report)
        measured = measured_of(subject, report, rows, parity)
        notes = _about(candidate, measured, failed=bool(failures(report.findings)))
        kinds = kind_findings(candidate.outputs, next(iter(report.answers.values()), ()))
        findings = (*candidate.all_findings, *report.findings, *kinds, *notes)
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
            passed_over=candidate.passed_over,
        )

    def _probe(self, candidate: Candidate, rows: Sequence[ProbeRow]) -> ProbeReport:
        """Every bucket in every arrangement; then many rows, unless something failed."""
        report = without_uneven_buckets(
            probe(
                candidate.backend,
                candidate.buckets_rows,
                [row for row in rows if not row.tells_roundings],
                self._counter(candidate, "probing"),
                permutations=WALKING if candidate.is_undecided else PERMUTATIONS,
            )
        )
        if failures(report.findings):
            return report
        many = [row for row in rows if row.tells_roundings]
        return without_uneven_buckets(
            compare_rounding(
                candidate.backend, report, many, self._counter(candidate, "comparing roundings")
            )
        )

    def _keep(self, certificate: Certificate, candidate: Candidate) -> None:
        if certificate.verdict == "unproven":
            return
        try:
            self.kept.keep(certificate, candidate.examined.converted)
        except OSError as fault:
            reason = reason_of(fault)
            self._tell(candidate, "certificate not kept", reason)

    def _tell(self, candidate: Candidate, step: str, detail: str) -> None:
        self.tell(Progress(candidate.model, candidate.version, step, detail=detail))

    def _counter(self, candidate: Candidate, step: str) -> Callable[[int, int], None]:
        return lambda done, total: self.tell(
            Progress(candidate.model, candidate.version, step, done, total)
        )


def _rows(candidate: Candidate) -> tuple[ProbeRow, ...]:
    """The probe rows of a model; more of them where the audit could not decide."""
    signature = candidate.backend.signature
    rows = probe_rows(signature, candidate.samples)
    many = rounding_rows(signature, rows)
    if not candidate.is_undecided:
        return (*rows, *many)
    return (*rows, *walking_rows(signature, rows[-1], candidate.examined.thresholds), *many)


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
        answers={1: seen.single, **report.answers} if seen.single else report.answers,
        findings=(*report.findings, *seen.findings),
        executions={**report.executions, SINGLE: seen.executions},
        comparisons=report.comparisons + seen.comparisons,
    )


def _relevant(versions: Mapping[str, str], packages: tuple[str, ...] | None) -> Mapping[str, str]:
    """Without those that only other kinds of artefacts and other engines compute with."""
    if packages is None:
        return versions
    kept = {*COMMON_PACKAGES, *packages}
    return {name: version for name, version in versions.items() if name in kept}


def _with_parity(candidate: Candidate, report: ProbeReport) -> tuple[ProbeReport, Parity | None]:
    """Adds what the library that the model was made with answers, unless something else failed."""
    if candidate.reference is None or failures(report.findings):
        return report, None
    reference = candidate.reference.compile()
    try:
        seen = compare_engines(
            reference,
            candidate.reference.rows,
            report,
            outputs=candidate.outputs,
            coarse=candidate.coarse,
        )
    finally:
        reference.close()
    return replace(report, findings=(*report.findings, *seen.findings)), seen.parity


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
