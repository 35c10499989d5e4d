"""What observers are told of executions that no caller waits for."""

from batchproof_server.base.events import IsolationRecord, SelfCheckRecord
from batchproof_server.batching.isolation import Incident
from batchproof_server.devices.device import Execution, NotExecuted
from batchproof_server.selfcheck.judging import Check, Skipped, judge


def checked_record(model: str, version: int, check: Check, execution: Execution) -> SelfCheckRecord:
    """What a check that was executed found; one that failed counts as skipped."""
    if isinstance(execution, NotExecuted):
        return skipped_record(model, version, Skipped(check.request_id, "failed"))
    verdict = judge(check, execution.parts[check.position])
    return SelfCheckRecord(
        model=model,
        version=version,
        result="identical" if verdict.identical else "different",
        request_id=check.request_id,
        bucket_rows=check.bucket_rows,
        answered_bucket_rows=check.answered_bucket_rows,
        greatest_difference=verdict.greatest_difference,
        inputs=None if verdict.identical else check.parts[check.position],
    )


def skipped_record(model: str, version: int, skipped: Skipped) -> SelfCheckRecord:
    """A request that was selected and is not checked."""
    return SelfCheckRecord(
        model=model,
        version=version,
        result="skipped",
        request_id=skipped.request_id,
        reason=skipped.reason,
    )


def isolated_record(model: str, version: int, incident: Incident) -> IsolationRecord:
    """What became of a micro-batch whose members were executed apart."""
    return IsolationRecord(model, version, incident.executions, incident.refused, incident.failed)
