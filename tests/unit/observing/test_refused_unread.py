"""Calls that were refused together are counted one by one."""

from collections import defaultdict

from prometheus_client.parser import text_string_to_metric_families as parse

from batchproof_server.base.events import RefusedUnread
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_facts import VersionFacts
from batchproof_server.models.version_states import VersionState
from batchproof_server.observing.prometheus.serving import Metrics


def test_the_metrics_count_each_of_them_and_the_time_of_none() -> None:
    metrics = Metrics("0.1.0")
    facts = VersionFacts("", "", "", "", "proven", "strict", ())
    metrics.follow_version(VersionChanged("digits", 3, None, VersionState("ready"), facts, (), 0.5))
    ids = tuple(map(str, range(70)))
    for request_ids in (ids, ids[:2]):
        metrics.count_refused(
            RefusedUnread(
                method="Predict",
                request_ids=request_ids,
                model="digits",
                version=3,
                code="RESOURCE_EXHAUSTED",
                message="full",
                reason="queue_full",
            )
        )
    text, _ = metrics.exposition()
    values: defaultdict[str, float] = defaultdict(float)
    for family in parse(text.decode()):
        for sample in family.samples:
            values[sample.name] += sample.value
    assert values["batchproof_requests_total"] == 72.0
    assert values["batchproof_request_duration_seconds_count"] == 72.0
    assert values["batchproof_request_duration_seconds_sum"] == 0.0
    assert values["batchproof_shed_total"] == 72.0
