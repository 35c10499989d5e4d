"""What shadows were found to do, as series and as counts."""

import pytest
from prometheus_client import CollectorRegistry

from batchproof_server.models.shadows import ShadowChanged
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_facts import VersionFacts
from batchproof_server.models.version_states import VersionState
from batchproof_server.observing.prometheus.shadows import ShadowMetrics
from batchproof_server.shadowing.records import ShadowRecord
from batchproof_server.shadowing.tally import Tallies

ROWS = (
    ShadowRecord("m", 1, 2, "same", 0.25, 0.5, 0.75),
    ShadowRecord("m", 1, 2, "different", 0.5, None, 0.75),
    ShadowRecord("m", 1, 2, "skipped", reason="busy"),
    ShadowRecord("n", 1, 2, "same"),
)
GONE = VersionChanged("m", 2, VersionState.DRAINING, VersionState.UNLOADED)


def test_rows_become_series_of_the_shadow_until_it_is_unloaded() -> None:
    metrics, registry = ShadowMetrics(), CollectorRegistry()
    registry.register(metrics)
    for row in ROWS:
        metrics.count(row)

    def value(name: str, **labels: str) -> float | None:
        named = {"model": "m", "version": "2"} | labels
        return registry.get_sample_value(f"batchproof_shadow_{name}_total", named)

    assert [value("rows", result=each) for each in ("same", "different", "skipped")] == [1, 1, 1]
    assert (value("skipped", reason="busy"), value("skipped", reason="failed")) == (1, 0)
    assert (value("distance"), value("timed_rows")) == (0.75, 1)
    by = [value("execution_seconds", by=each) for each in ("answer", "shadow")]
    assert by == [0.5, 0.75]
    metrics.follow_version(GONE)
    assert value("timed_rows") is None
    assert value("timed_rows", model="n") == 0


def test_the_series_of_a_shadow_stand_at_0_once_it_is_loaded_whichever_is_known_first() -> None:
    loaded = VersionChanged("m", 2, VersionState.LOADING, VersionState.READY)
    named = ShadowChanged("m", 2)
    for before, after in ((loaded, named), (named, loaded)):
        metrics, registry = ShadowMetrics(), CollectorRegistry()
        registry.register(metrics)
        labels = {"model": "m", "version": "2"}
        for event in (before, after):
            assert registry.get_sample_value("batchproof_shadow_timed_rows_total", labels) is None
            if isinstance(event, ShadowChanged):
                metrics.follow_shadow(event)
            else:
                metrics.follow_version(event)
        assert registry.get_sample_value("batchproof_shadow_timed_rows_total", labels) == 0


def test_what_was_counted_of_a_version_begins_anew_with_it() -> None:
    tallies = Tallies(lambda: 7)
    for row in ROWS:
        tallies.count(row)
    assert {version: each.compared for version, each in tallies.of("m", 2).items()} == {1: 2}
    assert tallies.of("m", 2)[1].since_ms == 7
    tallies.follow_version(GONE)
    assert tallies.of("m", 2) == {}
    assert list(tallies.of("n", 2)) == [1]


def loaded(version: int, model_digest: str) -> VersionChanged:
    """A version of "m" answers."""
    facts = VersionFacts(model_digest=model_digest)
    states = (VersionState.LOADING, VersionState.READY)
    return VersionChanged("m", version, *states, facts)


def restarted(*changes: VersionChanged) -> Tallies:
    """What a server counts on that begins with what one counted before it, of models a and b."""
    before = Tallies(lambda: 7)
    for event in (loaded(1, "a"), loaded(2, "b")):
        before.follow_version(event)
    for row in ROWS:
        before.count(row)
    after = Tallies(lambda: 9, before.kept())
    for event in changes:
        after.follow_version(event)
    return after


def test_counting_goes_on_where_the_same_models_are_loaded_again() -> None:
    tallies = restarted(loaded(2, "b"), loaded(1, "a"))
    tallies.count(ROWS[0])
    (found,) = tallies.of("m", 2).values()
    assert (found.since_ms, found.compared, found.skipped) == (7, 3, {"busy": 1})
    assert tallies.loaded_ms("m", 2) == 9
    assert tallies.loaded_ms("m", 3) is None


@pytest.mark.parametrize("changed", [loaded(1, "c"), loaded(2, "c"), GONE])
def test_counting_begins_anew_where_either_version_is_another_model(
    changed: VersionChanged,
) -> None:
    tallies = restarted(loaded(2, "b"), loaded(1, "a"), changed)
    assert tallies.of("m", 2) == {}
    tallies.count(ROWS[0])
    assert tallies.of("m", 2)[1].since_ms == 9


def test_what_was_counted_of_a_version_that_is_gone_is_neither_told_nor_kept() -> None:
    tallies = restarted(loaded(2, "b"))
    assert tallies.of("m", 2) == {}
    assert tallies.kept() == {}
