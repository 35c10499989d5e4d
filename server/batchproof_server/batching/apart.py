"""The members of failed micro-batches go to the device again, in parts."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from batchproof_server.base.signature import Tensors
from batchproof_server.batching.admission import bucket_for
from batchproof_server.batching.isolation import (
    Fragment,
    Incident,
    Isolation,
    IsolationStep,
    raised_by_model,
)
from batchproof_server.batching.replies import Members, settle
from batchproof_server.batching.shedding import Shedding
from batchproof_server.devices.device import Executed, Execution


class Piece(NamedTuple):
    """A fragment that is ready for the device, with what of it is executed."""

    fragment: Fragment
    parts: tuple[Tensors, ...]
    rows: int
    bucket_rows: int


# Contract: ``isolation`` decides, this obeys. Whose deadline has passed, and for whom nobody waits
# any more, is not executed again. Every member gets its fate here or with the answer of its piece.
class Apart:
    """Executes the members of failed micro-batches of one version apart.

    Args:
        isolation: of that version.
        buckets_rows: ascending.
        shedding: refuses those whose deadline has passed.
        tell_closed: told of each incident that is over.
        give_up: called when the model answers no row any more.
    """

    def __init__(
        self,
        isolation: Isolation,
        buckets_rows: tuple[int, ...],
        shedding: Shedding,
        tell_closed: Callable[[Incident], None],
        give_up: Callable[[], None],
    ) -> None:
        self._isolation = isolation
        self._buckets_rows = buckets_rows
        self._shedding = shedding
        self._tell_closed = tell_closed
        self._give_up = give_up

    def take(self, now_s: float) -> Piece | None:
        """What to execute next; None when nothing waits for it."""
        while (fragment := self._isolation.take()) is not None:
            members = self._living(fragment.members, now_s)
            if members or fragment.is_known_row:
                return self._piece(replace(fragment, members=members))
            self._settle(self._isolation.drop(fragment))
        return None

    def begin(self, members: Members, cause: BaseException) -> bool:
        """A micro-batch failed; whether its members are executed apart from now on."""
        if not raised_by_model(cause):
            return False
        self._settle(self._isolation.begin(members, cause))
        return True

    def learn(self, fragment: Fragment, execution: Execution) -> None:
        """A piece came back; when it failed, its members get their fates here."""
        cause = None if isinstance(execution, Executed) else execution.cause
        self._settle(self._isolation.learn(fragment, cause))

    def may_answer(self) -> bool:
        """Whether the model is worth asking; has the known row executed when that is in doubt."""
        if self._isolation.is_broken and not self._isolation.incidents:
            self._isolation.begin_probe()
        return not self._isolation.is_broken

    def _living(self, members: Members, now_s: float) -> Members:
        """Those for whom somebody still waits, and in time."""
        for task in members:
            if task.deadline is not None and task.deadline <= now_s:
                self._shedding.expired_apart(task)
        return tuple(task for task in members if not task.payload.reply.done())

    def _piece(self, fragment: Fragment) -> Piece:
        parts = tuple([task.payload.inputs for task in fragment.members])
        rows = sum([task.rows for task in fragment.members])
        if fragment.is_known_row:
            parts, rows = (self._isolation.known_row or {},), 1
        return Piece(fragment, parts, rows, bucket_for(rows, self._buckets_rows))

    def _settle(self, step: IsolationStep) -> None:
        for task, refusal in step.refusals:
            settle(task, refusal)
        if step.closed is not None:
            self._tell_closed(step.closed)
        if self._isolation.is_broken:
            self._give_up()
