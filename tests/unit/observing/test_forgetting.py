"""What the metrics keep of a version ends with it."""

from copy import deepcopy

from batchproof_server.base.events import (
    BatchRecord,
    DecodeRecord,
    QueueChanged,
    RequestRecord,
    SelfCheckRecord,
    ShedRecord,
)
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_facts import VersionFacts
from batchproof_server.models.version_states import VersionState
from batchproof_server.observing.prometheus.serving import Metrics
from support.told import finished


def model(state: str = "ready", digest: str = "sha256:aa", name: str = "digits") -> VersionChanged:
    facts = VersionFacts(digest, tta_policies=("flip",))
    return VersionChanged(name, 3, None, VersionState(state), facts)


def request(version: int = 3) -> RequestRecord:
    return RequestRecord("Predict", "id", "digits", version, "NOT_FOUND", 0.1, 1, "")


def everything_once(metrics: Metrics) -> None:
    metrics.count_requests(finished(request()))
    metrics.count_batch(BatchRecord("digits", 3, 5, 8, (0.001,), 0.1, failed=False))
    metrics.count_decoding(DecodeRecord("PNG", 0.0007))
    metrics.count_shed(ShedRecord("digits", 3, "queue_full"))
    metrics.keep_queue_rows(QueueChanged("digits", 3, 7))
    metrics.count_self_check(SelfCheckRecord("digits", 3, "identical", "id", 2, 8))


def test_a_version_that_is_unloaded_leaves_nothing_behind() -> None:
    metrics = Metrics("0.1.0")
    metrics.follow_version(model(name="other"))
    before, admitted = metrics.exposition()[0], deepcopy(vars(metrics._admission))
    cells = {name: family.snapshot()[1].shape for name, family in metrics._families.items()}
    for _ in range(3):  # loaded, unloaded, and loaded again
        metrics.follow_version(model())
        everything_once(metrics)
        metrics.count_requests(finished(request(99)))
        assert own_numbers(metrics.exposition()[0]) != own_numbers(before)
        metrics.follow_version(model("draining"))
        metrics.follow_version(model("unloaded"))
    counted = own_numbers(metrics.exposition()[0])
    assert {line for line in counted if "PNG" not in line} == own_numbers(before)
    # Whose names stay is the server's own, and not the version's.
    admitted["_values"] |= {"format": {"PNG": {("", 0)}}, "bucket": {}}
    assert vars(metrics._admission) == admitted
    cells["decode_seconds"] = (1, cells["decode_seconds"][1])
    now = {name: family.snapshot()[1].shape for name, family in metrics._families.items()}
    assert now == cells


def own_numbers(exposition: bytes) -> set[str]:
    lines = exposition.decode().splitlines()
    return {line for line in lines if line.startswith("batchproof_")}


def test_the_values_of_a_label_that_went_with_their_version_are_free_again() -> None:
    metrics = Metrics("0.1.0")
    for number in range(200):
        metrics.follow_version(model())
        metrics.count_batch(BatchRecord("digits", 3, 1, number + 1, (0.1,), 0.1, failed=False))
        counted = b'execution_seconds_count{bucket="%d",model="digits"' % (number + 1)
        assert counted in metrics.exposition()[0]
        metrics.follow_version(model("unloaded"))


def test_what_is_only_discovered_has_no_series() -> None:
    metrics = Metrics("0.1.0")
    before = own_numbers(metrics.exposition()[0])
    metrics.follow_version(model("discovered", digest=""))
    assert own_numbers(metrics.exposition()[0]) == before
