"""A model that was loaded under the eyes of the audit; what is handed to the proof."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from batchproof_server.base.backend import Backend
from batchproof_server.base.output import OutputSettings
from batchproof_server.base.signature import Array
from batchproof_server.proof.artefact.converted import Converted
from batchproof_server.proof.certificate.certificate import PassedOver, RepairRecord
from batchproof_server.proof.findings import Finding
from batchproof_server.proof.verdict import is_undecided


@dataclass(frozen=True, slots=True)
class Examined:
    """A loaded model, and what the audit says of it.

    Attributes:
        backend: ready to execute its buckets, and one row by itself unless ``never_alone``.
        findings: what remains after the repair.
        repairs: what was changed before it was compiled.
        never_alone: why one row cannot be executed by itself; empty where it can.
        thresholds: levels of inputs at which a model that the audit cannot decide makes choices.
        compiled_rows: the row counts that the backend executes; empty where nobody asks.
        packages: distributions whose versions the answers depend on, besides those that all do;
            None where all there are may matter.
        converted: what the engine made of the model, where it is of another library.
    """

    backend: Backend
    findings: tuple[Finding, ...] = ()
    repairs: tuple[RepairRecord, ...] = ()
    never_alone: str = ""
    thresholds: tuple[float, ...] = ()
    compiled_rows: tuple[int, ...] = ()
    packages: tuple[str, ...] | None = None
    converted: Converted | None = None


@dataclass(frozen=True, slots=True)
class ReferenceEngine:
    """The library that a model was made with, where another engine is to answer as it.

    Attributes:
        rows: the row count that it is compiled for.
        compile: makes its backend; whoever calls it closes that.
    """

    rows: int
    compile: Callable[[], Backend]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is to be proven.

    Attributes:
        directory: of the bundle.
        recipe_digest: empty for a model that takes tensors only.
        buckets_rows: asked for, ascending.
        samples: real rows with the names of their files.
        findings: about the bundle, besides the audit's.
        reference: what the engine must answer as; None where it is that itself.
        outputs: what was declared of them, each with its name.
        passed_over: the engines that came before this one.
    """

    model: str
    version: int
    directory: Path
    model_digest: str
    recipe_digest: str
    buckets_rows: tuple[int, ...]
    examined: Examined
    samples: tuple[tuple[str, Array], ...] = ()
    findings: tuple[Finding, ...] = ()
    reference: ReferenceEngine | None = None
    outputs: tuple[OutputSettings, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()

    @property
    def backend(self) -> Backend:
        """The loaded model."""
        return self.examined.backend

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """Of the audit and about the bundle; known before anything is executed."""
        return (*self.examined.findings, *self.findings)

    @property
    def is_undecided(self) -> bool:
        """Whether the audit left something to the probes."""
        return any(map(is_undecided, self.all_findings))

    @property
    def coarse(self) -> bool:
        """Whether the model computes in float16 or bfloat16, as far as the audit knows."""
        return any(finding.rule_id == "BP401" for finding in self.all_findings)
