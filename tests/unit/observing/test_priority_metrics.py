"""What is counted of requests by their priority."""

from batchproof_server.base.events import RefusedUnread, RequestRecord
from batchproof_server.base.priorities import PRIORITIES, Priority
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_facts import VersionFacts
from batchproof_server.models.version_states import VersionState
from batchproof_server.observing.prometheus.priorities import PriorityMetrics
from support.told import finished

FACTS = VersionFacts("", "", "", "", "proven", "strict", ())


def changed(state: VersionState) -> VersionChanged:
    return VersionChanged("m", 1, None, state, FACTS, (), 0.5)


def record(priority: Priority | None, code: str, queued_s: float = 0.0) -> RequestRecord:
    return RequestRecord(
        "Predict", "id", "m", 1, code, 0.1, 1, "", priority=priority, queued_s=queued_s
    )


def counted(metrics: PriorityMetrics) -> dict[tuple[str, ...], float]:
    """Every sample that is not 0, by the labels after the version."""
    return {
        (sample.name.removeprefix("batchproof_priority_"), *list(sample.labels.values())[2:]): (
            sample.value
        )
        for family in metrics.collect()
        for sample in family.samples
        if sample.value and not sample.name.endswith("_bucket")
    }


def test_requests_and_waits_are_counted_by_priority_and_those_of_nobody_are_not() -> None:
    metrics = PriorityMetrics()
    metrics.follow_version(changed(VersionState.READY))
    metrics.count(finished(record("critical", "OK", 0.25)))
    metrics.count(finished(record("best_effort", "RESOURCE_EXHAUSTED")))
    metrics.count(finished(record(None, "OK")))
    metrics.count_refused(
        RefusedUnread(
            "Predict", ("a", "b"), "m", 1, "RESOURCE_EXHAUSTED", "full", "queue_full", "best_effort"
        )
    )

    assert counted(metrics) == {
        ("requests_total", "critical", "OK"): 1,
        ("requests_total", "best_effort", "RESOURCE_EXHAUSTED"): 3,
        ("queue_delay_seconds_count", "critical"): 1,
        ("queue_delay_seconds_sum", "critical"): 0.25,
    }


def test_series_stand_at_zero_from_the_start_and_go_with_the_version() -> None:
    metrics = PriorityMetrics()
    metrics.follow_version(changed(VersionState.READY))
    samples = [sample for family in metrics.collect() for sample in family.samples]
    assert {sample.labels["priority"] for sample in samples} == set(PRIORITIES)
    assert not counted(metrics)

    metrics.count(finished(record("critical", "OK", 0.25)))
    metrics.follow_version(changed(VersionState.UNLOADED))
    assert not [sample for family in metrics.collect() for sample in family.samples]
