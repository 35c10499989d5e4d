"""The certificate: what was proven of which model, and where. Its schema is in ``docs/schemas``.

Its digest is the SHA-256 of its canonical JSON (sorted keys, no spaces, ASCII) without the digest
itself, the date and the durations: the same proof on the same machine has the same digest.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

from pydantic import ConfigDict

from batchproof_server.base.validation import NO_UNKNOWN_KEYS
from batchproof_server.proof.certificate.machine import Machine
from batchproof_server.proof.certificate.signing import KeySignature
from batchproof_server.proof.findings import Finding, Severity
from batchproof_server.proof.probing.parity import Parity
from batchproof_server.proof.settings import Consistency
from batchproof_server.proof.verdict import Verdict, is_undecided

FORMAT: Final = 1
CERTIFICATE_NAME: Final = "certificate.json"
_NOT_DIGESTED: Final = ("created", "durations_s")


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a model was proven.

    Attributes:
        engine: name and version.
        versions: of the packages that compute.
        machine: the processor.
        intra_op_threads: threads inside one operation; 0 leaves it to the engine.
        inter_op_threads: operations at the same time; 0 leaves it to the engine.
        onednn: what TF_ENABLE_ONEDNN_OPTS says; ``default`` when it is not set.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    engine: str
    versions: Mapping[str, str]
    machine: Machine
    intra_op_threads: int
    inter_op_threads: int
    onednn: str


@dataclass(frozen=True, slots=True)
class Subject:
    """Everything that a proof depends on: while all of it is the same, a certificate holds.

    Attributes:
        model_digest: SHA-256 of the artefact.
        recipe_digest: SHA-256 of the recipe; empty for a model that takes tensors only.
        consistency: what was asked for.
        buckets_rows: the buckets that were asked for, ascending.
        seed: of the probe rows.
        probe_rows: how many there are of each kind.
        probe_rows_digest: SHA-256 of the probe rows.
        environment: where.
        converted_digest: SHA-256 of what the engine made of the artefact; empty where it executes
            the artefact as it is.
        thresholds: levels of inputs at which a model that the audit cannot decide makes choices;
            some of the probe rows walk through them.
        outputs_digest: SHA-256 of what the manifest says of the outputs (kinds and thresholds);
            empty where they are raw.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    model_digest: str
    recipe_digest: str
    consistency: Consistency
    buckets_rows: tuple[int, ...]
    seed: int
    probe_rows: Mapping[str, int]
    probe_rows_digest: str
    environment: Environment
    converted_digest: str = ""
    thresholds: tuple[float, ...] = ()
    outputs_digest: str = ""


@dataclass(frozen=True, slots=True)
class AnswersDigest:
    """SHA-256 of one bucket's answers.

    Attributes:
        bucket_rows: the bucket.
        digest: of the answers to the probe rows, which a start executes again.
        rounding_digest: of the answers to the many rows that tell roundings apart; empty up to
            0.1.0, where there were none.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    bucket_rows: int
    digest: str
    rounding_digest: str = ""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """An engine that was to execute the model, and does not.

    Attributes:
        engine: its name.
        reasons: one sentence each.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    engine: str
    reasons: tuple[str, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """The reasons with the engine before the first."""
        first, *others = self.reasons
        return (f"{self.engine}: {first}", *others)


@dataclass(frozen=True, slots=True)
class Measured:
    """What the probes measured.

    Attributes:
        executions: micro-batches by arrangement.
        comparisons: answers that were compared, bit for bit, with another to the same row.
        refused_rows: names of probe rows that the model fails on.
        answers: one for each bucket that keeps its promise by itself, ascending; and for 1, where
            it has the bits of the largest although it was not asked for.
        classes: buckets with bit-identical answers, ascending.
        served_buckets_rows: the buckets that are served, ascending.
        greatest_difference: between classes, absolute, over all rows that are neither extreme nor
            on an edge; null
            where an answer is finite in one class only.
        state_digest: SHA-256 of the model's variables; empty when the engine shows none.
        parity: with the library that the model was made with; null where that executes it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    executions: Mapping[str, int]
    comparisons: int
    refused_rows: tuple[str, ...]
    answers: tuple[AnswersDigest, ...]
    classes: tuple[tuple[int, ...], ...]
    served_buckets_rows: tuple[int, ...]
    greatest_difference: float | None
    state_digest: str
    parity: Parity | None = None


@dataclass(frozen=True, slots=True)
class RepairRecord:
    """One change that was made to the loaded model."""

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    rule_id: str
    where: str
    change: str


@dataclass(frozen=True, slots=True)
class FindingRecord:
    """One finding that remained after the repair."""

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    rule_id: str
    severity: Severity
    where: str
    detail: str
    why: str
    mend: str

    @property
    def sentence(self) -> str:
        """One line, as ``Finding.sentence``."""
        return f"{self.rule_id} {self.where}: {self.detail or self.why}; {self.mend}"


@dataclass(frozen=True, slots=True)
class Certificate:
    """The result of a proof.

    Attributes:
        format: of this document; 1.
        verdict: ``unproven`` when something failed; else ``probed`` when the audit left something
            undecided, and ``proven`` when it did not. Up to 0.1.0 ``proven`` in both cases.
        model: its name.
        version: its number.
        subject: what the proof holds for.
        measured: by the probes.
        repairs: made to the loaded model before it was compiled.
        findings: of audit and probes.
        created: date and time in UTC, ISO 8601.
        durations_s: by step.
        passed_over: the engines that were tried before, and why they do not execute the model.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    format: Literal[1]
    verdict: Verdict
    model: str
    version: int
    subject: Subject
    measured: Measured
    repairs: tuple[RepairRecord, ...]
    findings: tuple[FindingRecord, ...]
    created: str
    durations_s: Mapping[str, float]
    passed_over: tuple[PassedOver, ...] = ()

    @property
    def consistency(self) -> Consistency:
        """What was asked for."""
        return self.subject.consistency

    @property
    def failures(self) -> tuple[str, ...]:
        """Why it is unproven, one sentence each; empty when nothing failed."""
        return tuple(
            finding.sentence for finding in self.findings if finding.severity is Severity.FAIL
        )

    @property
    def undecided(self) -> tuple[str, ...]:
        """What the audit left to the probes, one sentence each."""
        return tuple(finding.sentence for finding in self.findings if is_undecided(finding))

    @property
    def gives_one_answer(self) -> bool:
        """Whether a row has the same bits in whatever bucket it is served."""
        served = set(self.measured.served_buckets_rows)
        is_one_class = any(served <= set(each) for each in self.measured.classes)
        return is_one_class and self.verdict != "unproven"

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON without date and durations, in hexadecimal."""
        values = self._values()
        for name in _NOT_DIGESTED:
            del values[name]
        return hashlib.sha256(_canonical(values).encode()).hexdigest()

    def to_json(self, signature: KeySignature | None = None) -> str:
        """The document with its digest, canonical, in one line.

        Args:
            signature: of the digest.
        """
        values = {**self._values(), "digest": self.digest}
        if signature is not None:
            values["signature"] = dataclasses.asdict(signature)
        return _canonical(values)

    def _values(self) -> dict[str, Any]:
        """The content; what 0.1.0 did not know stands in it only where it says something."""
        values = dataclasses.asdict(self)
        if self.measured.parity is None:
            del values["measured"]["parity"]
        for name in ("converted_digest", "thresholds", "outputs_digest"):
            if not values["subject"][name]:
                del values["subject"][name]
        for each in values["measured"]["answers"]:
            if not each["rounding_digest"]:
                del each["rounding_digest"]
        if not self.passed_over:
            del values["passed_over"]
        return values


def finding_record(finding: Finding) -> FindingRecord:
    """A finding as the document has it."""
    return FindingRecord(
        rule_id=finding.rule_id,
        severity=finding.severity,
        where=finding.where,
        detail=finding.detail,
        why=finding.why,
        mend=finding.mend,
    )


def _canonical(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
