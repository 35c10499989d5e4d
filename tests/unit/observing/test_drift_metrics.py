"""Counting predictions between scrapes, and the series that come of it."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families as parse

from batchproof_server.base.events import PredictionRecord, ViewsRecord
from batchproof_server.drift.bin_texts import bin_texts
from batchproof_server.drift.binning import just_above
from batchproof_server.drift.counters import Ruler
from batchproof_server.drift.profile import ReferenceProfile
from batchproof_server.drift.profile_form import KnownProfile
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_facts import VersionFacts
from batchproof_server.models.version_states import VersionState
from batchproof_server.observing.prometheus.drift import DriftMetrics
from batchproof_server.observing.prometheus.serving import Metrics
from support.drift_fixtures import TTA, augmented_profile, profile, record, signals
from support.fakes import PATIENCE_S
from support.told import scored

REFERENCE = profile(classes=3)
SHOES = {"model": "shoes", "version": "1"}


class Page:
    """A metrics page with drift on it."""

    def __init__(self, known: ReferenceProfile | None = REFERENCE) -> None:
        self.failures: list[Exception] = []
        self.drift = DriftMetrics(self.failures.append)
        self.drift.watch("shoes", 1, None if known is None else KnownProfile.of(known))
        self.metrics = Metrics("0.1.0", (self.drift,))

    def families(self) -> list[Metric]:
        """What a scrape gets."""
        text, _ = self.metrics.exposition()
        return [each for each in parse(text.decode()) if "python" not in each.name]

    def series(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """The samples of one name, by some of their labels."""
        return {
            tuple(sample.labels[label] for label in labels): sample.value
            for family in self.families()
            for sample in family.samples
            if sample.name == f"batchproof_{name}"
        }


@pytest.fixture
def page() -> Iterator[Page]:
    page = Page()
    yield page
    page.drift.close()
    assert page.failures == []


def test_every_series_is_there_at_zero_before_the_first_request(page: Page) -> None:
    counts = page.series("drift_observations_total", "signal", "bin")
    assert set(counts.values()) == {0}
    for name, signal in REFERENCE.signals.items():
        bins = sorted(number for seen, number in counts if seen == name)
        assert bins == [f"{number:02}" for number in range(len(signal.counts))]
    assert sorted(number for seen, number in counts if seen == "class") == ["00", "01", "02"]
    assert page.series("drift_unusable_total", "reason") == {
        ("not_finite",): 0,
        ("class_out_of_range",): 0,
    }
    assert page.series("drift_atc_above_total") == {(): 0}
    assert page.series("confidence_ratio_count") == {(): 0}
    assert set(page.series("drift_deviation_sum_total", "signal").values()) == {0}
    assert set(page.series("drift_deviations_total", "signal").values()) == {0}


def test_the_reference_stands_beside_the_counts(page: Page) -> None:
    shares = page.series("drift_reference_share_ratio", "signal", "bin")
    assert set(shares) == set(page.series("drift_observations_total", "signal", "bin"))
    for name in ("class", *REFERENCE.signals):
        total = sum(share for (signal, _), share in shares.items() if signal == name)
        assert total == pytest.approx(1)
    expected = (REFERENCE.signals["entropy"].counts[3] + 0.5) / (400 + 0.5 * 10)
    assert shares["entropy", "03"] == pytest.approx(expected)
    assert set(page.series("drift_reference_observations", "signal").values()) == {400}
    means = page.series("drift_reference_mean", "signal")
    deviations = page.series("drift_reference_stddev", "signal")
    assert set(means) == set(deviations) == {(name,) for name in REFERENCE.signals}
    assert means["energy",] == REFERENCE.signals["energy"].mean
    assert deviations["energy",] == REFERENCE.signals["energy"].stddev
    accuracy = page.series("drift_reference_accuracy_ratio", "profile")
    assert accuracy == {(KnownProfile.of(REFERENCE).short_digest,): REFERENCE.accuracy_ratio}
    assert page.series("drift_reference_ece_ratio") == {(): REFERENCE.calibration.ece_ratio}


def test_each_bin_says_what_it_holds(page: Page) -> None:
    info = page.series("drift_bin_info", "signal", "bin", "lower", "upper", "label")
    assert set(info.values()) == {1}
    assert ("class", "02", "", "", "class 2") in info
    edges = REFERENCE.signals["margin"].edges
    bounds = {
        (low, high)
        for signal, number, low, high, _ in info
        if (signal, number[0]) == ("margin", "0")
    }
    assert ("-Inf", repr(edges[0])) in bounds
    assert (repr(edges[8]), "+Inf") in bounds


def test_many_classes_are_a_signal_of_groups_so_that_no_older_server_counts_other_bins_in_it() -> (
    None
):
    many = profile(rows=400, classes=60)
    page, groups = Page(many), many.class_groups()
    shares = page.series("drift_reference_share_ratio", "signal", "bin")
    assert "class" not in {signal for signal, _ in shares}
    assert len([1 for signal, _ in shares if signal == "class_group"]) == len(groups.counts)
    known = page.series("drift_reference_observations", "signal")
    assert known["class_group",] == groups.counts.sum() < known["confidence",] == 400
    names = {label for (signal, label) in page.series("drift_bin_info", "signal", "label")}
    assert set(groups.labels([each.label for each in many.classes])) <= names
    page.drift.close()


def test_a_scrape_shows_what_numpy_counts_of_the_same_predictions(page: Page) -> None:
    for seed in range(20):
        page.drift.keep_predictions(scored(record(3, seed=seed)))
    ruler = Ruler(REFERENCE)
    expected = ruler.nothing()
    confidence = 0.0
    for seed in range(20):
        made = signals(3, seed=seed)
        expected = expected + ruler.counted(made)
        confidence += made.values["confidence"].sum()
    counts = page.series("drift_observations_total", "signal", "bin")
    for place, name in enumerate(ruler.names):
        shown = [counts.get((name, f"{number:02}"), 0) for number in range(20)]
        assert shown == expected.bins[place].tolist()
    assert page.series("drift_atc_above_total") == {(): expected.atc_above}
    sums = page.series("drift_deviation_sum_total", "signal")
    values = page.series("drift_deviations_total", "signal")
    for place, name in enumerate(ruler.names[1:], start=1):
        assert sums[name,] == pytest.approx(expected.deviation_sum[place], rel=1e-12)
        assert values[name,] == expected.bins[place].sum()
    assert page.series("confidence_ratio_count") == {(): 60}
    assert page.series("confidence_ratio_sum")[()] == pytest.approx(confidence, rel=1e-12)


def test_a_second_scrape_counts_nothing_twice(page: Page) -> None:
    page.drift.keep_predictions(scored(record(5)))
    first = page.series("drift_observations_total", "signal", "bin")
    assert page.series("drift_observations_total", "signal", "bin") == first


def test_a_classifier_without_a_profile_has_its_confidence_and_nothing_else() -> None:
    page = Page(None)
    page.drift.keep_predictions(scored(record(5)))
    assert page.series("confidence_ratio_count", "model", "version") == {("shoes", "1"): 5}
    names = [family.name for family in page.families() if family.samples]
    assert not [name for name in names if "drift" in name]
    page.drift.close()


def test_a_version_that_nobody_watches_is_counted_nowhere(page: Page) -> None:
    page.drift.keep_predictions(scored(record(5, version=2)))
    assert page.series("confidence_ratio_count") == {(): 0}


def test_versions_keep_their_own_counts(page: Page) -> None:
    other = profile(seed=5)
    page.drift.watch("shoes", 2, KnownProfile.of(other))
    page.drift.keep_predictions(scored(record(5, version=2)))
    page.drift.keep_predictions(scored(record(3, version=1)))
    counted = page.series("confidence_ratio_count", "version")
    assert counted == {("1",): 3, ("2",): 5}
    observed = page.series("drift_observations_total", "version", "profile", "signal", "bin")
    digests = {(version, digest) for version, digest, _, _ in observed}
    assert digests == {
        ("1", KnownProfile.of(REFERENCE).short_digest),
        ("2", KnownProfile.of(other).short_digest),
    }


def test_rows_that_came_as_tensors_have_no_picture_but_a_class(page: Page) -> None:
    tensors = record(4)
    assert tensors.inputs is not None
    unseen = replace(tensors.inputs, pixels=(None,) * 4, aspect_ratios=np.full(4, np.nan))
    page.drift.keep_predictions(scored(replace(tensors, inputs=unseen)))
    page.drift.keep_predictions(scored(record(2, inputs=False)))
    page.drift.keep_predictions(scored(record(3)))
    counts = page.series("drift_observations_total", "signal", "bin")

    def seen(name: str) -> float:
        return sum(count for (signal, _), count in counts.items() if signal == name)

    assert (seen("class"), seen("tensor_mean"), seen("brightness")) == (9, 7, 3)


def test_scores_that_are_not_finite_are_counted_as_unusable_only(page: Page) -> None:
    broken = record(4)
    broken.scores.probabilities[1] = np.nan
    assert broken.scores.logits is not None
    broken.scores.logits[2] = np.inf
    page.drift.keep_predictions(scored(broken))
    assert page.series("drift_unusable_total", "reason")["not_finite",] == 2
    assert page.series("confidence_ratio_count") == {(): 2}
    counts = page.series("drift_observations_total", "signal", "bin")
    assert sum(count for (signal, _), count in counts.items() if signal == "class") == 2


def test_a_class_beyond_the_profile_is_counted_as_unusable(page: Page) -> None:
    page.drift.keep_predictions(scored(record(50, classes=6)))
    unusable = page.series("drift_unusable_total", "reason")["class_out_of_range",]
    counts = page.series("drift_observations_total", "signal", "bin")
    assert unusable > 0
    assert sum(count for (signal, _), count in counts.items() if signal == "class") == 50 - unusable


def augmented(rows: int, policy_digest: str, weights: tuple[float, ...] = ()) -> PredictionRecord:
    """A request whose views disagree in every row."""
    disagreement = np.full(rows, 0.5), np.full(rows, 0.1)
    views = ViewsRecord("flip", policy_digest, weights, 2 * rows, 0, *disagreement)
    return replace(without_logits(record(rows)), augmented=views)


def without_logits(given: PredictionRecord) -> PredictionRecord:
    return replace(given, scores=replace(given.scores, logits=None))


def test_disagreement_of_views_is_counted_for_the_policy_of_the_profile_only() -> None:
    page = Page(augmented_profile())
    page.drift.keep_predictions(scored(augmented(2, TTA.policy_digest)))
    page.drift.keep_predictions(scored(augmented(4, "dd" * 32)))
    page.drift.keep_predictions(scored(augmented(8, TTA.policy_digest, weights=(3.0, 1.0))))
    page.drift.keep_predictions(scored(record(16)))
    counts = page.series("drift_observations_total", "signal", "bin")
    seen = {
        name: sum(count for (signal, _), count in counts.items() if signal == name)
        for name in ("tta_flip_rate", "tta_mutual_information", "confidence")
    }
    assert seen == {"tta_flip_rate": 2, "tta_mutual_information": 2, "confidence": 30}
    assert counts["tta_flip_rate", "02"] == 2
    page.drift.close()


def test_a_profile_without_augmentation_counts_no_disagreement(page: Page) -> None:
    page.drift.keep_predictions(scored(augmented(2, TTA.policy_digest)))
    counts = page.series("drift_observations_total", "signal")
    assert not [name for (name,) in counts if name.startswith("tta")]
    assert page.series("confidence_ratio_count") == {(): 2}


def test_augmented_answers_without_logits_count_beside_plain_ones(page: Page) -> None:
    page.drift.keep_predictions(scored(record(3)))
    page.drift.keep_predictions(scored(without_logits(record(2, seed=1))))
    counts = page.series("drift_observations_total", "signal", "bin")
    seen = {
        name: sum(count for (signal, _), count in counts.items() if signal == name)
        for name in ("class", "confidence", "energy")
    }
    assert seen == {"class": 5, "confidence": 5, "energy": 3}


def test_many_rows_are_counted_before_a_scrape_asks(page: Page) -> None:
    counted = threading.Event()
    thread = page.drift._thread
    assert thread is not None
    for seed in range(4):
        page.drift.keep_predictions(scored(record(64, seed=seed)))
    thread.submit(counted.set)
    assert counted.wait(PATIENCE_S)
    assert not page.drift._pending
    assert page.series("confidence_ratio_count") == {(): 256}


def test_the_records_that_wait_are_bounded_when_the_thread_is_behind(page: Page) -> None:
    gate = threading.Event()
    assert page.drift._thread is not None
    page.drift._thread.submit(gate.wait, PATIENCE_S)
    most = 0
    for seed in range(30):
        page.drift.keep_predictions(scored(record(256, seed=seed)))
        most = max(most, sum(each.rows for each in page.drift._pending))
    gate.set()
    assert most <= 4096 + 256
    assert page.series("confidence_ratio_count") == {(): 30 * 256}


def test_after_the_end_a_scrape_still_counts(page: Page) -> None:
    page.drift.close()
    for seed in range(3):
        page.drift.keep_predictions(scored(record(200, seed=seed)))
    assert page.series("confidence_ratio_count") == {(): 600}


@pytest.fixture
def failing() -> Iterator[Page]:
    """A page that failures are expected on."""
    page = Page()
    yield page
    page.drift.close()


def broken(rows: int, version: int = 1) -> PredictionRecord:
    """Scores of a form that nothing can be counted of."""
    whole = record(rows, version=version)
    return replace(whole, scores=replace(whole.scores, probabilities=np.zeros(rows)))


def test_a_failure_of_the_counting_thread_is_told_and_counted(failing: Page) -> None:
    failing.drift.keep_predictions(scored(broken(300)))
    assert failing.drift._thread is not None
    failing.drift._thread.shutdown(wait=True)
    assert len(failing.failures) == 1
    assert failing.series("uncounted_rows_total", "model", "version") == {("shoes", "1"): 300}


def test_a_failure_while_counting_in_a_scrape_leaves_out_its_rows_and_nothing_else(
    failing: Page,
) -> None:
    failing.drift.watch("shoes", 2, None)
    assert set(failing.series("uncounted_rows_total", "version").values()) == {0}
    failing.drift.keep_predictions(scored(broken(7)))
    failing.drift.keep_predictions(scored(record(3, version=2)))
    counted = failing.series("confidence_ratio_count", "version")
    assert len(failing.failures) == 1
    assert counted == {("1",): 0, ("2",): 3}
    assert failing.series("uncounted_rows_total", "version") == {("1",): 7, ("2",): 0}
    assert set(failing.series("drift_observations_total", "signal", "bin").values()) == {0}
    failing.drift.keep_predictions(scored(record(5)))
    assert failing.series("confidence_ratio_count", "version") == {("1",): 5, ("2",): 3}
    assert len(failing.failures) == 1


def test_rows_are_counted_wholly_or_not_at_all(
    failing: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Ruler, "counted", _fail)
        failing.drift.keep_predictions(scored(record(4)))
        assert failing.series("confidence_ratio_count") == {(): 0}
    assert failing.series("uncounted_rows_total") == {(): 4}


def _fail(*_: object) -> None:
    raise ArithmeticError("no figure")


def test_scrapes_amid_predictions_count_each_once(page: Page) -> None:
    seen: list[float] = []
    done = threading.Event()

    def scrape() -> None:
        while not done.is_set():
            seen.append(page.series("confidence_ratio_count")[()])

    reader = threading.Thread(target=scrape)
    reader.start()
    for seed in range(100):
        page.drift.keep_predictions(scored(record(20, seed=seed)))
    done.set()
    reader.join()
    assert seen == sorted(seen)
    assert page.series("confidence_ratio_count") == {(): 2000}


def test_a_bin_is_called_with_as_few_digits_as_keep_its_neighbours_apart() -> None:
    assert bin_texts([]) == ("all",)
    assert bin_texts([0.5]) == ("below 0.5", "0.5 and above")
    assert bin_texts([0.99991, 0.99992]) == (
        "below 0.99991",
        "0.99991 to 0.99992",
        "0.99992 and above",
    )


def test_a_bin_of_a_single_number_is_called_by_it() -> None:
    assert bin_texts([just_above(0.0)]) == ("up to 0", "above 0")
    assert bin_texts([0.5, just_above(0.5)]) == ("below 0.5", "0.5", "above 0.5")
    assert bin_texts([just_above(0.0), 0.3, 0.7, just_above(0.7), 1.0]) == (
        "up to 0",
        "above 0 to 0.3",
        "0.3 to 0.7",
        "0.7",
        "above 0.7 to 1",
        "1 and above",
    )


def test_a_version_that_is_unloaded_leaves_nothing_behind(page: Page) -> None:
    before = page.metrics.exposition()[0]
    facts = VersionFacts(class_labels=("a", "b", "c"), profile=KnownProfile.of(REFERENCE))
    for _ in range(2):
        page.drift.follow_version(
            VersionChanged("shoes", 2, VersionState.LOADING, VersionState.READY, facts)
        )
        page.drift.keep_predictions(scored(record(5, version=2)))
        page.drift.follow_version(
            VersionChanged("shoes", 2, VersionState.READY, VersionState.DRAINING, facts)
        )
        assert page.series("confidence_ratio_count", "version") == {("1",): 0, ("2",): 5}
        page.drift.keep_predictions(scored(record(5, version=2)))
        page.drift.follow_version(
            VersionChanged("shoes", 2, VersionState.DRAINING, VersionState.UNLOADED, facts)
        )
        assert not page.drift._pending
        assert set(page.drift._watched) == {("shoes", 1)}
    page.drift.keep_predictions(scored(record(5, version=2)))
    assert own_lines(page.metrics.exposition()[0]) == own_lines(before)


def test_a_version_that_comes_back_from_being_stuck_goes_on_counting(page: Page) -> None:
    facts = VersionFacts(class_labels=("a", "b", "c"), profile=KnownProfile.of(REFERENCE))
    page.drift.keep_predictions(scored(record(5)))
    page.drift.follow_version(
        VersionChanged("shoes", 1, VersionState.STUCK, VersionState.READY, facts)
    )
    assert page.series("confidence_ratio_count", "version") == {("1",): 5}


def test_raw_outputs_are_not_counted(page: Page) -> None:
    page.drift.follow_version(
        VersionChanged("raw", 1, VersionState.LOADING, VersionState.READY, VersionFacts())
    )
    assert set(page.drift._watched) == {("shoes", 1)}


def own_lines(exposition: bytes) -> list[str]:
    lines = exposition.decode().splitlines()
    return [line for line in lines if line.startswith("batchproof_")]
