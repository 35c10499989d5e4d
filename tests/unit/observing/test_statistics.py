"""What the statistics count, and what they do not."""

import pytest

from batchproof_server.base.events import (
    BatchRecord,
    DecodeRecord,
    QueueChanged,
    RefusedUnread,
    RequestRecord,
    ShedRecord,
)
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_states import VersionState
from batchproof_server.observing.fan_out import Observers
from batchproof_server.observing.statistics import Statistics
from support.told import finished

NOW_MS = 1_700_000_000_000


def counting() -> Statistics:
    """Statistics that know version 1 of "cat"."""
    statistics = Statistics(lambda: NOW_MS)
    statistics.follow_version(VersionChanged("cat", 1, VersionState.LOADING, VersionState.READY))
    return statistics


def request(code: str = "OK", *, model: str = "cat", method: str = "Predict") -> RequestRecord:
    return RequestRecord(method, "id", model, 1, code, 0.25, 3, "")


def batch(*delays_s: float, failed: bool = False, model: str = "cat") -> BatchRecord:
    return BatchRecord(model, 1, len(delays_s), 4, delays_s, 0.5, failed)


def test_rows_are_counted_not_requests() -> None:
    statistics = counting()
    statistics.count_requests(finished(request()))
    statistics.count_requests(finished(request(method="inference.ModelInfer")))
    did = statistics.of("cat", 1)
    assert (did.inference_rows, did.success.count, did.success.ns) == (6, 2, 500_000_000)
    assert did.last_inference_ms == NOW_MS


def test_a_failure_is_counted_apart() -> None:
    statistics = counting()
    statistics.count_requests(finished(request("INVALID_ARGUMENT")))
    did = statistics.of("cat", 1)
    assert (did.fail.count, did.fail.ns, did.success.count) == (1, 250_000_000, 0)
    assert (did.inference_rows, did.last_inference_ms) == (0, 0)


def refused(*request_ids: str) -> RefusedUnread:
    code, reason = "RESOURCE_EXHAUSTED", "queue_full"
    return RefusedUnread("Predict", request_ids, "cat", 1, code, "full", reason)


def test_those_that_were_refused_unread_are_failures_that_took_no_time() -> None:
    statistics = counting()
    observers = Observers((statistics,), lambda failure: pytest.fail(str(failure)))
    observers.notify(refused("a", "b", "c"))
    did = statistics.of("cat", 1)
    assert (did.fail.count, did.fail.ns, did.success.count) == (3, 0, 0)


def test_only_predictions_count() -> None:
    statistics = counting()
    observers = Observers((statistics,), lambda failure: pytest.fail(str(failure)))
    observers.notify(finished(request(method="inference.ModelMetadata")))
    observers.notify(ShedRecord("cat", 1, "deadline"))
    observers.notify(DecodeRecord("png", 1.0))
    observers.notify(QueueChanged("cat", 1, 7))
    assert statistics.of("cat", 1) == counting().of("cat", 1)


def test_each_task_has_its_wait_and_the_whole_time_of_its_micro_batch() -> None:
    statistics = counting()
    statistics.count_batch(batch(0.1, 0.2))
    statistics.count_batch(batch(0.3, failed=True))
    did = statistics.of("cat", 1)
    assert (did.queue.count, did.queue.ns) == (2, 300_000_000)
    assert (did.compute.count, did.compute.ns) == (2, 1_000_000_000)
    assert did.executions == 1
    assert [(rows, total.count) for rows, total in did.by_bucket_rows.items()] == [(4, 1)]


def test_what_is_unknown_is_neither_counted_nor_kept() -> None:
    statistics = counting()
    statistics.count_requests(finished(request(model="dog")))
    statistics.count_batch(batch(0.1, model="dog"))
    assert statistics.of("dog", 1) == Statistics(lambda: NOW_MS).of("cat", 1)


def test_a_version_that_changes_its_state_goes_on_counting() -> None:
    statistics = counting()
    statistics.count_requests(finished(request()))
    statistics.follow_version(VersionChanged("cat", 1, VersionState.READY, VersionState.DRAINING))
    assert statistics.of("cat", 1).success.count == 1


def test_a_version_that_is_unloaded_is_forgotten() -> None:
    statistics = counting()
    statistics.count_requests(finished(request()))
    statistics.follow_version(
        VersionChanged("cat", 1, VersionState.DRAINING, VersionState.UNLOADED)
    )
    statistics.count_requests(finished(request()))
    assert statistics.of("cat", 1) == Statistics(lambda: NOW_MS).of("cat", 1)
    assert not statistics._versions
