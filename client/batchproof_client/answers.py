"""What the server said, as values that know no wire format."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from batchproof_client.augmentation import (
    AppliedAugmentation,
    RowAugmentation,
)
from batchproof_client.errors import BatchproofError, LocalInputError
from batchproof_client.records import csv_text, json_lines, result_record, row_record

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
class HeadPrediction:
    """What another output of the model answers to one row.

    Attributes: as of ``Prediction``.
    """

    classes: tuple[ScoredClass, ...]
    labels: tuple[ScoredClass, ...]
    probabilities: Float32 | None
    entropy: float
    margin: float

    @property
    def top(self) -> ScoredClass:
        """The best class.

        Raises:
            LocalInputError: none was asked for (``top_k=0``).
        """
        return _best(self.classes)


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The answer to one row, which is one picture.

    Attributes:
        classes: the ``top_k`` best, best first; of independent labels whether they are above their
            thresholds or not. None where the model gave NaN to the row, and the server is set to
            answer it (``[requests] non_finite``).
        probabilities: float32 of shape [classes] when asked for.
        logits: float32 of shape [classes] when asked for.
        entropy: of the probabilities, in nats; of independent labels the sum of theirs.
        margin: the highest probability minus the second highest; of independent labels the least
            distance of a probability from its threshold.
        tta: how the views of the row agreed; None when nothing was augmented or asked for.
        handle: to report its ground truth with, later; empty when the server takes none.
        labels: the answer of an output with independent labels, best first, perhaps none; empty for
            classes that exclude each other.
        heads: what the other outputs answer, by name; empty for a model with one.
    """

    classes: tuple[ScoredClass, ...]
    probabilities: Float32 | None
    logits: Float32 | None
    entropy: float
    margin: float
    tta: RowAugmentation | None = None
    handle: str = ""
    labels: tuple[ScoredClass, ...] = ()
    heads: Mapping[str, HeadPrediction] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The row as values that JSON knows; what was not asked for is left out."""
        return row_record(self)

    @property
    def top(self) -> ScoredClass:
        """The best class; of independent labels the most probable, answered or not: see ``labels``.

        Raises:
            LocalInputError: none was asked for (``top_k=0``).
        """
        return _best(self.classes)


def _best(classes: tuple[ScoredClass, ...]) -> ScoredClass:
    if not classes:
        raise LocalInputError(
            "the row has no classes: top_k is 0, or the model gave NaN to it, which the server is "
            "set to answer"
        )
    return classes[0]


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
        warnings: what the caller should know, such as rows that are far from the model's reference
            pictures and were most likely scaled in another way.
    """

    rows: tuple[Prediction, ...]
    outputs: Mapping[str, Array]
    provenance: Provenance
    request_id: str
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The result as values that JSON knows: ``request_id``, ``rows``, ``provenance``, ..."""
        return result_record(self)

    def to_json_lines(self) -> str:
        """One line of JSON a row, with ``request_id`` and ``row``."""
        return json_lines(self)

    def to_csv(self) -> str:
        """The ranked classes of each row: row, rank, index, label and score, after a heading.

        A label that a spreadsheet would take for a formula gets an apostrophe before it.
        """
        return csv_text(self)

    @property
    def only(self) -> Prediction:
        """The row of a request of one row.

        Raises:
            LocalInputError: there is not exactly one.
        """
        if len(self.rows) != 1:
            raise LocalInputError(f"the result has {len(self.rows)} rows, expected 1; see .rows")
        return self.rows[0]

    @property
    def top(self) -> ScoredClass:
        """The best class of the only row.

        Raises:
            LocalInputError: there is not exactly one row, or ``top_k`` was 0.
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
