"""One request, what it may ask for, and its answer, as values."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

from pydantic import ConfigDict

from batchproof_server.base.errors import ServingError
from batchproof_server.base.priorities import Priority
from batchproof_server.base.scores import Scores
from batchproof_server.base.signature import Tensors
from batchproof_server.base.spans import RequestSpans
from batchproof_server.base.unguarded import unguarded
from batchproof_server.base.validation import NO_UNKNOWN_KEYS
from batchproof_server.batching.replies import BatchedRows
from batchproof_server.callers.grants import Grant
from batchproof_server.drift.far_rows import FarRows
from batchproof_server.models.heads import Head
from batchproof_server.models.served import ServedModel
from batchproof_server.tta.combining import Augmentation
from batchproof_server.tta.plan import PLAIN, Plan


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What one request may ask for.

    Attributes:
        max_request_rows: images or rows of the input tensors; a manifest may lower it.
        max_timeout_s: a request without a deadline, or with a later one, gets this.
        max_request_views: rows times views of one request with test-time augmentation.
        non_finite: what a request of tensors gets that hold NaN or infinity, or for which the model
            gives them: ``refuse`` names the row; ``answer`` answers every row, this one with NaN.
            Only versions whose proof shows that such a row touches no other answer so.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    max_request_rows: int = 256
    max_timeout_s: float = 60.0
    max_request_views: int = 256
    non_finite: Literal["refuse", "answer"] = "refuse"

    def __post_init__(self) -> None:
        if self.max_request_rows < 1:
            raise ValueError(f"max_request_rows is {self.max_request_rows}, expected 1 or more")
        if self.max_request_views < 1:
            raise ValueError(f"max_request_views is {self.max_request_views}, expected 1 or more")
        if not 0 < self.max_timeout_s < math.inf:
            raise ValueError(f"max_timeout_s is {self.max_timeout_s}, expected a positive number")


@unguarded()
class Caller:
    """Who asks.

    Attributes:
        peer: the address that the transport names, or the caller's name and address where there is
            a name, with the priority where that is not the default; empty for a request of this
            process.
        grant: what the caller may do; None where nobody asks.
        priority: of the request; None where nobody asks.
    """

    peer: Hashable = ""
    grant: Grant | None = None
    priority: Priority | None = None


NOBODY: Final = Caller()
"""Who asks inside this process."""


@dataclass(slots=True)
class Trace:
    """What becomes known of a request on its way; whoever made it reads it at the end.

    Attributes:
        model: the name of the version that answers; empty until it is found.
        version: its number; 0 until it is found.
        rows: 0 until they are counted.
        queued_s: how long its rows waited for a device; 0 until they were executed.
        spans: of a sampled request; None of others.
    """

    model: str = ""
    version: int = 0
    rows: int = 0
    queued_s: float = 0.0
    spans: RequestSpans | None = None


NO_DEADLINE_S: Final = math.inf
"""The deadline of a request of this process, whose caller waits as long as it takes."""


# Contract: made once, and nothing of it is read or planned again on the way. Exactly one of images
# and tensors is given; views are of pictures only.
@unguarded(eq=False)
class PredictRequest:
    """What one caller wants to know.

    Attributes:
        model: the version that answers; in use until the answer is there.
        deadline_s: an instant of the clock.
        images: encoded pictures, each one row.
        tensors: rows on axis 0, by the names of the signature; None for a request of pictures.
        plan: the views of each picture; see ``ServedModel.plan``.
        names_views: whether the answer says what was done to each row, also by the plain plan.
        request_id: names the request in events, should an answer of it be found wrong later.
        caller: who asks.
        trace: filled in on the way.
    """

    model: ServedModel
    deadline_s: float
    images: Sequence[bytes] = ()
    tensors: Tensors | None = None
    plan: Plan = PLAIN
    names_views: bool = False
    request_id: str = ""
    caller: Caller = NOBODY
    trace: Trace = field(default_factory=Trace)


@unguarded()
class Prediction:
    """The answer to one request.

    Attributes:
        scores: of each row, in the request's order; None for a model whose output is raw.
        outputs: every output of the signature as the model gave it, rows on axis 0; of augmented
            rows as ``combining.answer`` says.
        executions: the slices of the request, in its order.
        augmentation: what was done to the rows; None where nothing was, and nothing was asked for.
        handles: of the rows, with which their ground truth is reported; none where nobody takes it,
            or for a model whose output is raw; empty of a row without an answer.
        answers_non_finite: whether rows that are not finite are those without an answer.
        far: rows of tensors that are far from the reference; None without any.
    """

    model: ServedModel
    scores: Scores | None
    outputs: Tensors
    executions: tuple[BatchedRows, ...]
    augmentation: Augmentation | None = None
    handles: tuple[bytes, ...] = ()
    answers_non_finite: bool = False
    far: FarRows | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the caller should know of the whole answer."""
        return () if self.far is None else (str(self.far),)

    def scores_of(self, head: Head) -> Scores:
        """What another output of the model answers; raises as ``Head.scores`` does."""
        return head.scores(self.outputs, answers_non_finite=self.answers_non_finite)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request has no prediction.

    Attributes:
        error: says what came, what was expected and the way out.
    """

    error: ServingError
