"""Refusals before anything is read: what the queues say of calls of which only the heads came."""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from batchproof_server.base.errors import QueueFull
from batchproof_server.batching.connections import LetIn, address_of
from batchproof_server.rpc.calls import Calls
from batchproof_server.rpc.fronts.front import CallHead
from batchproof_server.rpc.pressure import LoadShedder
from batchproof_server.rpc.status import Failure


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
