"""Which members of a micro-batch that failed are executed apart, and who was at fault. Pure."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from batchproof_server.base.errors import BackendFailed, InvalidInput, ModelNotReady
from batchproof_server.base.signature import Tensors
from batchproof_server.batching.replies import MakeRefusal, Member, Members, backend_failed
from batchproof_server.batching.task import Task

# A micro-batch of 32 members, each of which is refused, needs 62.
MOST_EXECUTIONS = 64
# So often in a row the model was at fault itself before it is taken for broken.
MOST_MODEL_FAILURES = 3


@dataclass(slots=True, eq=False)
class Incident:
    """What is known of one micro-batch that failed.

    Attributes:
        open_fragments: are waiting or being executed.
        suspects: failed alone, with the cause.
        answered: whether a member, or the known row, was executed since.
        known_row_failed: whether the known row was executed, and failed.
        executions: of fragments so far.
        refused: members that the model refuses.
        failed: members that fell to the model's own failure, or for which no more was tried.
    """

    open_fragments: int = 0
    suspects: list[tuple[Task[Member], BaseException]] = field(default_factory=list)
    answered: bool = False
    known_row_failed: bool = False
    executions: int = 0
    refused: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Fragment:
    """Some members of a micro-batch that failed, or the known row in their place."""

    members: Members
    incident: Incident
    is_known_row: bool = False


@dataclass(frozen=True, slots=True)
class IsolationStep:
    """What an execution has shown.

    Attributes:
        refusals: for members whose fate is known now.
        closed: the incident, when it is over.
    """

    refusals: tuple[tuple[Task[Member], MakeRefusal], ...] = ()
    closed: Incident | None = None


def raised_by_model(cause: BaseException) -> bool:
    """Whether other rows may do better: not when the device is gone or outputs are malformed."""
    is_device = type(cause) is BackendFailed or isinstance(cause, ModelNotReady)
    return isinstance(cause, Exception) and not is_device


# Contract
#
# Apart      A micro-batch that failed is executed again in halves, and halves that fail in halves,
#            down to single members. No half is divided after MOST_EXECUTIONS of an incident.
# Culprit    A member that fails alone is refused with InvalidInput once another member, or the
#            known row, was executed. The known row is one that the model has executed before; it
#            is tried when no member was executed.
# Model      When the known row fails too, or there is none, the model is at fault: BackendFailed.
# Broken     After MOST_MODEL_FAILURES of these without any answer between them the model is broken,
#            until something is executed again.
# Fate       Each member of an incident is answered by the batcher or gets exactly one refusal.
class Isolation:
    """Finds the culprits of failed micro-batches of one model version.

    Args:
        known_row: one row that the model has executed; None when there is none yet.

    Attributes:
        known_row: the same, or the first that was executed since. Only to be read, as are the rest.
        incidents: those in which some member waits for its verdict.
        model_failures: how often in a row the model was at fault itself.
    """

    def __init__(self, known_row: Tensors | None = None) -> None:
        self.known_row = known_row
        self._fragments: deque[Fragment] = deque()
        self.incidents: set[Incident] = set()
        self.model_failures = 0
        self._last_was_fragment = False

    @property
    def is_broken(self) -> bool:
        """Whether the model answers nothing any more."""
        return self.model_failures >= MOST_MODEL_FAILURES

    def takes_turn(self) -> bool:
        """Whether a fragment goes before tasks that were not executed yet; asked once a turn.

        They alternate, so that nobody waits twice as long for another's fault. While two
        micro-batches are in pieces no third is begun, which bounds what is remembered.
        """
        if not self._fragments:
            return False
        self._last_was_fragment = not self._last_was_fragment or len(self.incidents) > 1
        return self._last_was_fragment

    def learn_answered(self, inputs: Tensors) -> None:
        """The model has executed a micro-batch; ``inputs`` are those of one of its members."""
        self.model_failures = 0
        if self.known_row is None:
            self.known_row = {name: array[:1].copy() for name, array in inputs.items()}

    def begin(self, members: Members, cause: BaseException) -> IsolationStep:
        """A micro-batch failed because the model raised.

        Args:
            members: all of them, whether anybody still waits or not: who was not alone is no
                suspect yet.
            cause: what the model raised.
        """
        incident = Incident()
        self.incidents.add(incident)
        if len(members) == 1:
            incident.suspects.append((members[0], cause))
        else:
            self._divide(Fragment(members, incident))
        return self._judge(incident)

    def begin_probe(self) -> None:
        """Has the known row executed next, to see whether a broken model works again."""
        incident = Incident(open_fragments=1)
        self.incidents.add(incident)
        self._fragments.appendleft(Fragment((), incident, is_known_row=True))

    def take(self) -> Fragment | None:
        """The fragment to execute next; its members may have gone away meanwhile."""
        return self._fragments.popleft() if self._fragments else None

    def drop(self, fragment: Fragment) -> IsolationStep:
        """Nobody waits for a fragment any more: it was not executed."""
        fragment.incident.open_fragments -= 1
        return self._judge(fragment.incident)

    def learn(self, fragment: Fragment, cause: BaseException | None) -> IsolationStep:
        """A fragment was executed.

        Args:
            fragment: with the members that were executed.
            cause: why it failed; None when it did not.
        """
        incident, members = fragment.incident, fragment.members
        incident.executions += 1
        incident.open_fragments -= 1
        undecided = IsolationStep()
        if cause is None:
            incident.answered = True
            self.model_failures = 0
        elif fragment.is_known_row:
            incident.known_row_failed = True
        elif not raised_by_model(cause):
            undecided = self._fail(incident, [(task, cause) for task in members])
        elif len(members) == 1:
            incident.suspects.append((members[0], cause))
        elif incident.executions < MOST_EXECUTIONS:
            self._divide(fragment)
        else:
            undecided = self._fail(incident, [(task, cause) for task in members])
        step = self._judge(incident)
        return IsolationStep((*undecided.refusals, *step.refusals), step.closed)

    def withdraw_all(self) -> Members:
        """Forgets all fragments that wait; returns the members that have no fate yet."""
        suspects = [task for incident in self.incidents for task, _ in incident.suspects]
        waiting = [task for fragment in self._fragments for task in fragment.members]
        for incident in self.incidents:
            incident.suspects.clear()
        for fragment in self._fragments:
            fragment.incident.open_fragments -= 1
        self._fragments.clear()
        self.incidents = {each for each in self.incidents if each.open_fragments}
        return (*suspects, *waiting)

    def _divide(self, fragment: Fragment) -> None:
        middle = (len(fragment.members) + 1) // 2
        fragment.incident.open_fragments += 2
        for half in (fragment.members[middle:], fragment.members[:middle]):
            self._fragments.appendleft(Fragment(half, fragment.incident))

    def _judge(self, incident: Incident) -> IsolationStep:
        is_over = not incident.open_fragments
        if incident.answered:
            suspects, incident.suspects = incident.suspects, []
            incident.refused += len(suspects)
            refusals = tuple((task, partial(_refused, task.rows, why)) for task, why in suspects)
            return IsolationStep(refusals, self._close(incident) if is_over else None)
        if not is_over:
            return IsolationStep()
        if incident.suspects and self.known_row is not None and not incident.known_row_failed:
            incident.open_fragments += 1
            self._fragments.appendleft(Fragment((), incident, is_known_row=True))
            return IsolationStep()
        suspects, incident.suspects = incident.suspects, []
        failed = self._fail(incident, suspects)
        self.model_failures += bool(incident.failed)
        return IsolationStep(failed.refusals, self._close(incident))

    def _fail(
        self, incident: Incident, failed: Sequence[tuple[Task[Member], BaseException]]
    ) -> IsolationStep:
        incident.failed += len(failed)
        refusals = tuple((task, partial(backend_failed, cause)) for task, cause in failed)
        return IsolationStep(refusals)

    def _close(self, incident: Incident) -> Incident:
        self.incidents.discard(incident)
        return incident


def _refused(rows: int, cause: BaseException) -> InvalidInput:
    which = "this row" if rows == 1 else f"one of these {rows} rows"
    refused = InvalidInput(
        f"the model refuses {which}: it fails when it is executed alone, and answers other rows"
    )
    refused.__cause__ = cause
    return refused
