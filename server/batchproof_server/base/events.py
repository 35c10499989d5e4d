"""What happened, as values; who wants to know is somebody else's business.

The core tells one observer. A new event is its value here and a subscription of whoever wants it:
nothing between the two knows the events by name.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

import numpy.typing as npt

from batchproof_server.base.input_statistics import InputStatistics
from batchproof_server.base.priorities import Priority
from batchproof_server.base.scores import Scores
from batchproof_server.base.signature import Tensors
from batchproof_server.base.spans import RequestSpans, SampledTask
from batchproof_server.base.unguarded import unguarded

PREDICT_METHODS: Final = (
    "Predict",
    "PredictStream",
    "inference.ModelInfer",
    "inference.ModelStreamInfer",
    "tensorflow.Predict",
    "rest.Predict",
    "rest.inference.ModelInfer",
    "rest.tensorflow.Predict",
)
"""The methods whose requests are predictions, over every protocol."""


RequestKind: TypeAlias = tuple[str, int, str, str]
"""Model, version, method and code of a request."""


class Event:
    """Root of the events, which are immutable values."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class FrontChosen(Event):
    """What speaks HTTP/2 on the gRPC port, from now on.

    Attributes:
        front: its name.
        instead_because: why it serves in place of a quicker one; empty when it does not.
    """

    front: str
    instead_because: str


@unguarded()
class RequestRecord:
    """One finished RPC.

    Attributes:
        method: the RPC's short name.
        request_id: the caller's or ours.
        model: the name asked for or answered; empty when the request named none.
        version: what answered; 0 when nothing did.
        code: the gRPC code's name.
        duration_s: from the arrival of the request to its answer.
        rows: rows of the request; 0 when it was refused before they were known.
        message: the error's text for the caller; empty on success.
        spans: what a sampled request noted of its way; None of others.
        priority: of the caller; None where nobody asks who calls.
        queued_s: how long its rows waited for a device; 0 where they were not executed.
    """

    method: str
    request_id: str
    model: str
    version: int
    code: str
    duration_s: float
    rows: int
    message: str
    spans: RequestSpans | None = None
    priority: Priority | None = None
    queued_s: float = 0.0


# Contract: the answers of one turn of the loop are told together, after all of them were sent; a
# failure is told at once, behind the answers before it.
@unguarded()
class RequestsFinished(Event):
    """RPCs that are over.

    Attributes:
        records: one or more, in the order of their ends.
    """

    records: Sequence[RequestRecord]

    def by_kind(self) -> Mapping[RequestKind, Sequence[RequestRecord]]:
        """Those that differ in nothing that is a label of a metric, together."""
        kinds: defaultdict[RequestKind, list[RequestRecord]] = defaultdict(list)
        for record in self.records:
            kinds[record.model, record.version, record.method, record.code].append(record)
        return kinds


@dataclass(frozen=True, slots=True)
class RefusedUnread(Event):
    """Calls that came together and were refused for one reason before anybody read them.

    Attributes:
        method: the short name of their RPC.
        request_ids: the callers' or ours, of each call.
        model: the name, where only one could have been meant; else empty.
        version: what would have answered; 0 when that is not known.
        code: the gRPC code's name.
        message: the error's text for the callers.
        reason: as in ``ShedRecord``.
        priority: of all of them; None where nobody asks who calls.
    """

    method: str
    request_ids: tuple[str, ...]
    model: str
    version: int
    code: str
    message: str
    reason: str
    priority: Priority | None = None


@unguarded()
class BatchRecord(Event):
    """One executed micro-batch.

    Attributes:
        rows: real rows.
        bucket_rows: rows after padding.
        queue_delays_s: the measured wait of each task.
        execution_s: from the start of assembly to the end of the split, on the device thread.
        failed: whether the backend raised.
        sampled: its tasks of sampled requests.
    """

    model: str
    version: int
    rows: int
    bucket_rows: int
    queue_delays_s: tuple[float, ...]
    execution_s: float
    failed: bool
    sampled: tuple[SampledTask, ...] = ()


@dataclass(frozen=True, slots=True)
class IsolationRecord(Event):
    """One micro-batch that failed and was executed again in parts, to find who was at fault.

    Attributes:
        executions: that it took.
        refused: tasks that the model refuses.
        failed: tasks that fell to a failure of the model itself, or for which no more was tried.
    """

    model: str
    version: int
    executions: int
    refused: int
    failed: int


@unguarded()
class DecodeRecord(Event):
    """One image that went through a recipe."""

    image_format: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class ShedRecord(Event):
    """One request that was answered without execution.

    Attributes:
        reason: ``queue_full``, ``share``, ``priority``, ``deadline``, ``draining`` or
            ``not_ready``.
    """

    model: str
    version: int
    reason: str


# Not frozen: every request makes two of them, and freezing is most of what making one takes.
@dataclass(slots=True)
class QueueChanged(Event):
    """The number of rows that wait for a version became another.

    Attributes:
        rows: that wait now.
    """

    model: str
    version: int
    rows: int


@dataclass(frozen=True, slots=True)
class SelfCheckRecord(Event):
    """One answer that was selected for a second try beside other rows.

    Attributes:
        result: ``identical``, ``different`` or ``skipped``.
        request_id: of the request that was answered.
        bucket_rows: of the second try; 0 when there was none, as is the next.
        answered_bucket_rows: of the answer.
        greatest_difference: absolute; None where it is infinite or the answers have other forms.
        inputs: of the row, where its second try was ``different``; else None.
        reason: why it was skipped: ``busy``, ``no company``, ``too large``, ``failed`` or
            ``draining``; else empty.
    """

    model: str
    version: int
    result: str
    request_id: str
    bucket_rows: int = 0
    answered_bucket_rows: int = 0
    greatest_difference: float | None = 0.0
    reason: str = ""
    inputs: Tensors | None = None


@dataclass(frozen=True, slots=True)
class DeviceLost(Event):
    """A process that executes a version is there no more, or another one did not come to be.

    Attributes:
        reason: ``crashed``, ``hung``, ``memory`` or ``not_started``.
        detail: a sentence about it.
    """

    model: str
    version: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class DeviceBack(Event):
    """A version is executed again after its process was lost.

    Attributes:
        away_s: how long it was not.
    """

    model: str
    version: int
    away_s: float


@dataclass(frozen=True, slots=True, eq=False)
class ViewsRecord:
    """What test-time augmentation did to the rows of a request.

    Attributes:
        policy: ``custom`` for views of the request's own.
        policy_digest: of its views, aggregation and early exit.
        weights: of its views, where the aggregation has some.
        views: executed for all rows together.
        early_exits: rows that stopped after their plain view.
        flip_rate: float64 [rows], share of the views with another best class than the answer.
        mutual_information: float64 [rows], disagreement of the views in nats.
    """

    policy: str
    policy_digest: str
    weights: tuple[float, ...]
    views: int
    early_exits: int
    flip_rate: npt.NDArray[Any]
    mutual_information: npt.NDArray[Any]


# Contract: the arrays never change again; whoever keeps the record keeps them alive, and perhaps
# those of the few small requests that were executed together with it.
@unguarded(eq=False)
class PredictionRecord:
    """The class scores that one request was answered with, whatever its protocol.

    There is none for a model whose output is raw.

    Attributes:
        request_id: the caller's or ours.
        scores: of its rows.
        inputs: what was seen of the rows before the model; None where nobody wants it.
        handles: of the rows, with which their outcomes are reported; none where nobody takes any.
        far_rows: rows of tensors that are far from the reference.
        augmented: None without test-time augmentation.
    """

    model: str
    version: int
    request_id: str
    scores: Scores
    inputs: InputStatistics | None = None
    handles: tuple[bytes, ...] = ()
    far_rows: int = 0
    augmented: ViewsRecord | None = None

    @property
    def rows(self) -> int:
        """Of the request."""
        return len(self.scores.decided)


# Contract: told after the answers of one turn of the loop were sent.
@unguarded(eq=False)
class RequestsScored(Event):
    """Requests that were answered with class scores.

    Attributes:
        records: one or more, in the order of their answers.
    """

    records: Sequence[PredictionRecord]


# Contract: told only where somebody keeps inputs; the arrays never change, and whoever keeps the
# event keeps a whole request alive.
@dataclass(frozen=True, slots=True, eq=False)
class InputsAnswered(Event):
    """A request that was answered with class scores, with what it was asked with.

    Attributes:
        record: of the answer.
        images: encoded pictures, each one row.
        tensors: rows on axis 0; None for a request of pictures.
    """

    record: PredictionRecord
    images: Sequence[bytes]
    tensors: Tensors | None


@dataclass(frozen=True, slots=True)
class RepositoryLooked(Event):
    """Somebody looked for versions that came, changed or went.

    Attributes:
        failure: why it could not be seen, or part of it; then nothing was changed there.
    """

    failure: str = ""


class Observer(Protocol):
    """Is told of everything that happens, on the loop thread; must be quick and must not raise."""

    def notify(self, event: Event, /) -> None:
        """Something happened."""
        ...


Told = TypeVar("Told", bound=Event)


@dataclass(frozen=True, slots=True)
class Subscription(Generic[Told]):
    """One kind of event, and what is called for each of it.

    Attributes:
        event: the class itself; events of its subclasses are other events.
        handler: called on the loop thread; must be quick. Whatever it raises harms nobody else.
    """

    event: type[Told]
    handler: Callable[[Told], None]


class Subscriber(Protocol):
    """Wants to know of some events; hears of no others."""

    def subscriptions(self) -> Iterable[Subscription[Any]]:
        """Which, always the same ones."""
        ...
