"""What the server said, as values that know no wire format."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from batchproof_client.augmentation import (
    AppliedAugmentation,
    RowAugmentation,
    TtaLimits,
    TtaPolicy,
)
from batchproof_client.errors import BatchproofError
from batchproof_client.kinds import ModelState, OutputKind, Verdict

Array: TypeAlias = npt.NDArray[Any]
Float32: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ScoredClass:
    """One class of one row.

    Attributes:
        index: its place in the model's output.
        label: its name; the index in decimal when the model has no labels.
        score: its probability.
    """

    index: int
    label: str
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The answer to one row, which is one picture.

    Attributes:
        classes: the ``top_k`` best, best first.
        probabilities: float32 of shape [classes] when asked for.
        logits: float32 of shape [classes] when asked for.
        entropy: of the probabilities, in nats.
        margin: the highest probability minus the second highest.
        tta: how the views of the row agreed; None when nothing was augmented or asked for.
        handle: to report its ground truth with, later; empty when the server takes none.
    """

    classes: tuple[ScoredClass, ...]
    probabilities: Float32 | None
    logits: Float32 | None
    entropy: float
    margin: float
    tta: RowAugmentation | None = None
    handle: str = ""

    @property
    def top(self) -> ScoredClass:
        """The best class.

        Raises:
            ValueError: none was asked for (``top_k=0``).
        """
        if not self.classes:
            raise ValueError("the row has no classes, expected top_k of 1 or more")
        return self.classes[0]


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of the model in which rows of this request took part.

    Attributes:
        rows: rows of this request.
        bucket_rows: rows of the padded micro-batch.
        queue_delay_s: the measured wait.
        execution_s: the run itself.
    """

    rows: int
    bucket_rows: int
    queue_delay_s: float
    execution_s: float


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who answered.

    Attributes:
        model: its name.
        version: its version.
        model_digest: SHA-256 of the artefact, in hexadecimal.
        recipe_digest: SHA-256 of the recipe; empty for a model that takes tensors only.
        engine: the engine and its version.
        executions: one for each run of the model.
        certificate_digest: SHA-256 of the certificate, in hexadecimal; empty without one.
        tta: what was done to each row; None when nothing was augmented or asked for.
    """

    model: str
    version: int
    model_digest: str
    recipe_digest: str
    engine: str
    executions: tuple[Execution, ...]
    certificate_digest: str = ""
    tta: AppliedAugmentation | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PredictResult:
    """The answer to one request.

    Attributes:
        rows: one for each picture or row, in the request's order; empty for a raw model.
        outputs: the output arrays of a raw model by name, read-only; empty otherwise.
        provenance: who answered.
        request_id: as in the server's log.
    """

    rows: tuple[Prediction, ...]
    outputs: Mapping[str, Array]
    provenance: Provenance
    request_id: str

    @property
    def only(self) -> Prediction:
        """The row of a request of one row.

        Raises:
            ValueError: there is not exactly one.
        """
        if len(self.rows) != 1:
            raise ValueError(f"the result has {len(self.rows)} rows, expected 1; see .rows")
        return self.rows[0]

    @property
    def top(self) -> ScoredClass:
        """The best class of the only row.

        Raises:
            ValueError: there is not exactly one row, or ``top_k`` was 0.
        """
        return self.only.top

    @property
    def handle(self) -> str:
        """The handle of the only row; raises as ``only`` does."""
        return self.only.handle


@dataclass(frozen=True, slots=True, eq=False)
class StreamAnswer:
    """How one request of a stream ended: with a result or with an error.

    Attributes:
        request_id: which request.
        result: the answer; None when it failed.
        error: the failure; None when it was answered.
    """

    request_id: str
    result: PredictResult | None = None
    error: BatchproofError | None = None

    def unwrap(self) -> PredictResult:
        """Returns the result.

        Raises:
            BatchproofError: the request failed.
        """
        if self.result is not None:
            return self.result
        raise self.error or BatchproofError("the stream has no answer", request_id=self.request_id)


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """One model version.

    Attributes:
        name: of the model.
        version: its number.
        state: where it is in its life.
        is_default: whether a request that names no version is answered by it.
        labels: the version labels that stand for it.
        findings: why a failed version failed.
        verdict: what its proof came to; unspecified while it is not loaded.
    """

    name: str
    version: int
    state: ModelState
    is_default: bool
    labels: tuple[str, ...]
    findings: tuple[str, ...]
    verdict: Verdict = Verdict.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output: its name, numpy's name of its dtype, and its shape.

    The shape begins with the row; -1 stands where any size is allowed.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What a model version takes and gives.

    Attributes:
        summary: name, version and state.
        description: the manifest's text.
        model_digest: SHA-256 of the artefact, in hexadecimal.
        recipe_digest: SHA-256 of the recipe; empty for a model that takes tensors only.
        engine: the engine and its version.
        inputs: the input tensors.
        outputs: the output tensors.
        output_kind: what the output means.
        labels: of the classes.
        buckets_rows: the row counts of micro-batches, ascending.
        recipe_json: the canonical recipe; empty for a model that takes tensors only.
        image_formats: what the recipe takes; empty for a model that takes tensors only.
        max_request_rows: the most rows that one request may have.
        certificate_json: the certificate; empty without one.
        certificate_digest: SHA-256 of the certificate, in hexadecimal; empty without one.
        consistency: ``strict`` or ``tolerant``; empty without a certificate.
        tta_policies: those that may be asked for; none for a model that takes no augmentation.
        tta_default_policy: of pictures that come without a word about it.
        tta_limits: None for a model that takes no augmentation.
        threshold: the second of two classes is the answer above it; None where the most probable
            class is.
    """

    summary: ModelSummary
    description: str
    model_digest: str
    recipe_digest: str
    engine: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    output_kind: OutputKind
    labels: tuple[str, ...]
    buckets_rows: tuple[int, ...]
    recipe_json: str
    image_formats: tuple[str, ...]
    max_request_rows: int
    certificate_json: str = ""
    certificate_digest: str = ""
    consistency: str = ""
    tta_policies: tuple[TtaPolicy, ...] = ()
    tta_default_policy: str = ""
    tta_limits: TtaLimits | None = None
    threshold: float | None = None
