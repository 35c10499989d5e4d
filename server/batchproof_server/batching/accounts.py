"""What is told of micro-batches once their members are answered."""

from batchproof_server.base.clock import Clock
from batchproof_server.base.events import Observer
from batchproof_server.batching.admission import Admission
from batchproof_server.batching.background import checked_record, isolated_record, skipped_record
from batchproof_server.batching.device_work import Batch
from batchproof_server.batching.isolation import Incident, Isolation
from batchproof_server.devices.device import Execution, NotExecuted
from batchproof_server.selfcheck.choosing import SelfChecks
from batchproof_server.selfcheck.judging import Check


# Contract: after the members of a micro-batch were answered, it is told of once.
class Accounts:
    """Tells of what was executed: observers, and those who learn from it.

    Args:
        model: its name, for records.
        version: its version, for records.
        observer: told of everything.
        clock: says what time it is.
        admission: learns how long micro-batches take.
        isolation: learns that the model answers.
        checks: learn what was answered.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - each learns something else
        self,
        model: str,
        version: int,
        observer: Observer,
        clock: Clock,
        admission: Admission,
        isolation: Isolation,
        checks: SelfChecks,
    ) -> None:
        self._model = model
        self._version = version
        self._observer = observer
        self._clock = clock
        self._admission = admission
        self._isolation = isolation
        self._checks = checks

    def add(self, batch: Batch, execution: Execution, *, is_last: bool) -> None:
        """A micro-batch came back.

        Args:
            batch: whose members were answered.
            execution: what came of it.
            is_last: whether nothing more of the version is to be checked.
        """
        self._observer.notify(batch.record(self._model, self._version, execution))
        if isinstance(execution, NotExecuted):
            return
        self._admission.learn(execution.execution_s)
        if self._isolation.known_row is None or self._isolation.model_failures:
            for task in batch.members[:1]:
                self._isolation.learn_answered(task.payload.inputs)
        if not is_last and (tasks := batch.answered(execution)):
            now_s = self._clock.now_s()
            for skipped in self._checks.learn(tasks, batch.bucket_rows, now_s):
                self._observer.notify(skipped_record(self._model, self._version, skipped))

    def add_check(self, check: Check, execution: Execution) -> None:
        """A self-check came back."""
        self._observer.notify(checked_record(self._model, self._version, check, execution))

    def add_incident(self, incident: Incident) -> None:
        """It is known who made a micro-batch fail."""
        self._observer.notify(isolated_record(self._model, self._version, incident))

    def drop_checks(self) -> None:
        """What waits to be checked never will be."""
        for skipped in self._checks.drop():
            self._observer.notify(skipped_record(self._model, self._version, skipped))
