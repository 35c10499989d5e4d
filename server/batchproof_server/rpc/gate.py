"""Refusals before anything is read: what the queues say of calls of which only the heads came."""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from batchproof_server.base.errors import QueueFull, ServingError
from batchproof_server.base.priorities import Priority
from batchproof_server.batching.connections import Ahead, LetIn, address_of
from batchproof_server.batching.priorities import with_priority
from batchproof_server.models.served import ServedModel
from batchproof_server.models.versions import Versions
from batchproof_server.rpc.calls import Calls
from batchproof_server.rpc.fronts.front import CallHead
from batchproof_server.rpc.pressure import Pressure
from batchproof_server.rpc.status import Failure
from batchproof_server.serving.predictor import Predictor


class LoadShedder:
    """Knows whether one more row could be answered, by whatever version.

    Args:
        predictor: turns the caller's time into a deadline.
        versions: whose queues are asked.
        pressure: knows what no queue does.
    """

    def __init__(self, predictor: Predictor, versions: Versions, pressure: Pressure) -> None:
        self._predictor = predictor
        self._versions = versions
        self._pressure = pressure

    def is_pressed(self) -> bool:
        """Whether looking closer is worth it: it costs each call a message of its own."""
        if self._pressure.is_pressed:
            return True
        # A loop and no generator: every call comes by here.
        for model in self._versions.ready():  # noqa: SIM110
            if model.batcher.is_pressed:
                return True
        return False

    def is_occupied(self) -> bool:
        """Whether every version that answers has others to answer before whoever comes now."""
        models = self._versions.ready()
        for model in models:
            if not model.batcher.is_occupied:
                return False
        return bool(models)

    def check(
        self,
        timeout_s: float | None,
        caller: str,
        ahead: Ahead,
        priority: Priority | None = None,
    ) -> None:
        """Returns when some version would accept one row.

        Args:
            timeout_s: what is left of the caller's time; None when there is no limit.
            caller: who asks.
            ahead: what was let in before and is in no queue yet.
            priority: of the request; None where nobody asks who calls.

        Raises:
            QueueFull: none would.
        """
        models = self._versions.ready()
        self._pressure.check_room(caller, priority)
        deadline_s, asking = self._predictor.deadline_s(timeout_s), with_priority(caller, priority)
        refusals = [self._refusal(model, deadline_s, asking, ahead) for model in models]
        full = [each for each in refusals if isinstance(each, QueueFull)]
        # Where a version drains, the call goes on to be told so.
        if full and len(full) == len(models):
            self._pressure.learn_refusal()
            raise min(full, key=lambda each: each.retry_after_s)

    def _refusal(
        self, model: ServedModel, deadline_s: float, caller: Hashable, ahead: Ahead
    ) -> ServingError | None:
        try:
            by_s = self._pressure.executed_by_s(model.name, deadline_s, ahead.rows)
        except QueueFull as late:
            return late
        return model.batcher.refusal(by_s, caller, ahead)

    def only_model(self) -> tuple[str, int]:
        """Name and version when only one answers; else an empty name and 0."""
        models = self._versions.ready()
        return (models[0].name, models[0].version) if len(models) == 1 else ("", 0)


# Contract
#
# Which model a call is for stands in its message. So a call is refused unread only when no version
# would accept a single row, whatever it asks for; its code, its record and its pushback are those
# of a full queue, and its request id is the one of the metadata. All else goes on as without a
# gate. Messages of streams are read before: HTTP/2 holds their callers back.
class Gate:
    """Has a look at the queues before a prediction is read.

    Args:
        shedder: knows the queues.
        calls: refuses.
        predictions: from the paths of the methods that ask for one prediction to their names in
            records.
    """

    def __init__(self, shedder: LoadShedder, calls: Calls, predictions: Mapping[str, str]) -> None:
        self._shedder = shedder
        self._calls = calls
        self._predictions = predictions

    def wants(self, method: str) -> bool:
        """Whether a call that came just now asks for a prediction of a server that is pressed."""
        return method in self._predictions and self._shedder.is_pressed()

    def is_occupied(self) -> bool:
        """Whether whoever comes now waits, whatever it asks for."""
        return self._shedder.is_occupied()

    def look(self, heads: Sequence[CallHead], let_in: LetIn) -> list[Failure | None]:
        """Of each head how its call is refused; None lets it go on."""
        refused: defaultdict[Hashable, _Refused] = defaultdict(_Refused)
        for place, head in enumerate(heads):
            if (name := self._predictions.get(head.method)) is None:
                continue
            alike = refused[name, address_of(head.peer), head.priority]
            if not alike.is_as_hopeless(head):
                try:
                    ahead = let_in.ahead_of(head.peer)
                    timeout_s = self._calls.timeout_s(head)
                    self._shedder.check(timeout_s, head.peer, ahead, head.priority)
                except QueueFull as full:
                    alike.full, alike.deadline_s = full, head.deadline_s
                else:
                    let_in.add(head.peer)
                    continue
            alike.places.append(place)
        looked: list[Failure | None] = [None] * len(heads)
        for alike in refused.values():
            if alike.full is not None:
                refused_heads = [heads[place] for place in alike.places]
                name = self._predictions[refused_heads[0].method]
                model = self._shedder.only_model()
                failures = self._calls.refuse_all(name, alike.full, refused_heads, *model)
                for place, failure in zip(alike.places, failures, strict=True):
                    looked[place] = failure
        return looked


@dataclass(slots=True)
class _Refused:
    """The calls of one list, of one method, address and priority, that are refused.

    Attributes:
        full: why the last one was that was looked at.
        deadline_s: of that one.
        places: in the list.
    """

    full: QueueFull | None = None
    deadline_s: float | None = None
    places: list[int] = field(default_factory=list)

    def is_as_hopeless(self, head: CallHead) -> bool:
        """Whether a further one need not be looked at: it has no more time than one before it."""
        if self.full is None:
            return False
        if self.deadline_s is None:
            return True
        return head.deadline_s is not None and head.deadline_s <= self.deadline_s
