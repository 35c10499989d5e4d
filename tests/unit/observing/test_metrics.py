import math
import re
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from batchproof_server.base.events import (
    BatchRecord,
    DecodeRecord,
    FrontChosen,
    PredictionRecord,
    QueueChanged,
    RepositoryLooked,
    RequestRecord,
    SelfCheckRecord,
    ShedRecord,
    Subscriber,
    ViewsRecord,
)
from batchproof_server.base.scores import score
from batchproof_server.drift.profile_form import KnownProfile
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_facts import VersionFacts
from batchproof_server.models.version_states import VersionState
from batchproof_server.observing.fan_out import Observers
from batchproof_server.observing.prometheus.certificate_ends import CertificateEnds
from batchproof_server.observing.prometheus.drift import DriftMetrics
from batchproof_server.observing.prometheus.outcomes import OutcomeMetrics
from batchproof_server.observing.prometheus.priorities import PriorityMetrics
from batchproof_server.observing.prometheus.results import ResultMetrics
from batchproof_server.observing.prometheus.serving import Metrics
from batchproof_server.observing.prometheus.shadows import ShadowMetrics
from batchproof_server.observing.result_counts import CAPTURED_ROWS, LOG_LINES, SPANS, ResultCounts
from batchproof_server.outcomes.counting import class_bins
from batchproof_server.shadowing.records import ShadowRecord
from support.drift_fixtures import profile
from support.told import finished, scored

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"
CERTIFICATE = Path(__file__).parents[2] / "data/tls/certificate.pem"
DIGITS = {"model": "digits", "version": "3"}
STANDARD = ("process_", "python_")


@pytest.fixture
def metrics() -> Metrics:
    metrics = Metrics("0.1.0")
    metrics.follow_version(model())
    return metrics


def model(state: str = "ready", digest: str = "sha256:aa", name: str = "digits") -> VersionChanged:
    facts = VersionFacts(
        digest, "sha256:bb", "affine 1", "sha256:dd", "proven", "strict", ("flip", "custom")
    )
    return VersionChanged(name, 3, None, VersionState(state), facts, (), 0.5)


def request(
    model: str = "digits",
    version: int = 3,
    method: str = "Predict",
    code: str = "OK",
    duration_s: float = 0.004,
) -> RequestRecord:
    return RequestRecord(method, "id", model, version, code, duration_s, 1, "")


def batch(rows: int, delays_s: tuple[float, ...], *, failed: bool = False) -> BatchRecord:
    return BatchRecord("digits", 3, rows, 8, delays_s, 0.02, failed)


def augmented(policy: str = "flip", views: int = 5, early_exits: int = 1) -> PredictionRecord:
    disagreement = np.zeros(3), np.zeros(3)
    views_of_rows = ViewsRecord(policy, "dd" * 32, (), views, early_exits, *disagreement)
    return replace(plain(), augmented=views_of_rows)


def plain() -> PredictionRecord:
    return PredictionRecord("digits", 3, "id", score(np.full((3, 2), 0.5), "probabilities"))


def values(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text, _ = metrics.exposition()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(text.decode())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, labels: Mapping[str, str]) -> float | None:
    return values(metrics).get((f"batchproof_{name}", frozenset(labels.items())))


def own_families(text: str) -> dict[str, Metric]:
    families = openmetrics.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    return {family.name: family for family in families if not family.name.startswith(STANDARD)}


def label_values(metrics: Metrics, family: str, label: str) -> set[str]:
    text, _ = metrics.exposition("application/openmetrics-text")
    samples = own_families(text.decode())[f"batchproof_{family}"].samples
    return {sample.labels[label] for sample in samples}


def everything_once(metrics: Metrics) -> None:
    metrics.keep_front(FrontChosen("completion_queue", ""))
    metrics.count_requests(finished(request()))
    metrics.count_batch(batch(5, (0.001, 0.002)))
    metrics.count_decoding(DecodeRecord("PNG", 0.0007))
    metrics.count_shed(ShedRecord("digits", 3, "queue_full"))
    metrics.keep_queue_rows(QueueChanged("digits", 3, 7))
    metrics.count_self_check(SelfCheckRecord("digits", 3, "identical", "id", 2, 8))
    metrics.count_views(scored(augmented()))


def test_metrics_are_an_observer(metrics: Metrics) -> None:
    observer: Subscriber = metrics
    observers = Observers((observer,), lambda failure: pytest.fail(str(failure)))
    observers.notify(QueueChanged("digits", 3, 1))
    assert value(metrics, "queue_rows", DIGITS) == 1


def test_the_rows_views_and_early_exits_of_a_policy_are_counted(metrics: Metrics) -> None:
    metrics.count_views(scored(augmented()))
    metrics.count_views(scored(augmented(views=6, early_exits=0)))
    labels = {**DIGITS, "policy": "flip"}
    assert value(metrics, "tta_rows_total", labels) == 6
    assert value(metrics, "tta_views_total", labels) == 11
    assert value(metrics, "tta_early_exits_total", labels) == 1


def test_a_plain_prediction_counts_under_no_policy(metrics: Metrics) -> None:
    metrics.count_views(scored(plain()))
    assert label_values(metrics, "tta_rows", "policy") == {"flip", "custom"}


def test_a_request_counts_once_under_its_method_and_code(metrics: Metrics) -> None:
    metrics.count_requests(finished(request()))
    metrics.count_requests(finished(request(code="INTERNAL")))
    metrics.count_requests(finished(request(code="INTERNAL")))
    labels = {**DIGITS, "method": "Predict"}
    assert value(metrics, "requests_total", {**labels, "code": "OK"}) == 1
    assert value(metrics, "requests_total", {**labels, "code": "INTERNAL"}) == 2
    assert value(metrics, "request_duration_seconds_count", labels) == 3
    assert value(metrics, "request_duration_seconds_sum", labels) == pytest.approx(0.012)


def test_a_duration_on_a_bound_counts_below_it(metrics: Metrics) -> None:
    labels = {**DIGITS, "method": "Predict"}
    for duration_s in (0.0025, 0.00251, 60.0):
        metrics.count_requests(finished(request(duration_s=duration_s)))
    counts = [
        value(metrics, "request_duration_seconds_bucket", {**labels, "le": bound})
        for bound in ("0.001", "0.0025", "0.005", "10.0", "+Inf")
    ]
    assert counts == [0, 1, 2, 2, 3]


def test_a_micro_batch_counts_its_rows_its_padding_and_its_time(metrics: Metrics) -> None:
    metrics.count_batch(batch(5, (0.001, 0.003)))
    assert value(metrics, "micro_batch_rows_sum", DIGITS) == 5
    assert value(metrics, "micro_batch_rows_count", DIGITS) == 1
    assert value(metrics, "padding_rows_total", DIGITS) == 3
    assert value(metrics, "execution_seconds_sum", {**DIGITS, "bucket": "8"}) == 0.02
    assert value(metrics, "queue_delay_seconds_count", DIGITS) == 2
    assert value(metrics, "queue_delay_seconds_sum", DIGITS) == 0.004
    assert value(metrics, "micro_batches_failed_total", DIGITS) == 0


def test_a_failed_micro_batch_counts_as_a_failure_and_its_waits(metrics: Metrics) -> None:
    metrics.count_batch(batch(5, (0.001,), failed=True))
    assert value(metrics, "micro_batches_failed_total", DIGITS) == 1
    assert value(metrics, "queue_delay_seconds_count", DIGITS) == 1
    assert value(metrics, "micro_batch_rows_count", DIGITS) == 0
    assert value(metrics, "padding_rows_total", DIGITS) == 0
    assert value(metrics, "execution_seconds_count", {**DIGITS, "bucket": "8"}) is None


@given(st.lists(st.floats(0, 20), max_size=80))
@example([0.0001, 0.01, 5.0, 5.1] * 20)
def test_many_waits_count_as_each_alone(delays_s: list[float]) -> None:
    together, alone = Metrics("1"), Metrics("1")
    together.follow_version(model())
    alone.follow_version(model())
    together.count_batch(batch(1, tuple(delays_s), failed=True))
    for delay_s in delays_s:
        alone.count_batch(batch(1, (delay_s,), failed=True))
    counted = values(together)
    assert waits(counted) == waits(values(alone))
    for bound in ("0.0001", "0.01", "1.0", "5.0", "+Inf"):
        labels = {**DIGITS, "le": bound}
        key = ("batchproof_queue_delay_seconds_bucket", frozenset(labels.items()))
        assert counted[key] == sum(delay_s <= float(bound) for delay_s in delays_s)
    total = ("batchproof_queue_delay_seconds_sum", frozenset(DIGITS.items()))
    assert counted[total] == pytest.approx(math.fsum(delays_s))


def waits(
    counted: Mapping[tuple[str, frozenset[tuple[str, str]]], float],
) -> dict[frozenset[tuple[str, str]], float]:
    name = "batchproof_queue_delay_seconds_bucket"
    return {labels: count for (sample, labels), count in counted.items() if sample == name}


def test_a_decoded_image_counts_under_its_format(metrics: Metrics) -> None:
    metrics.count_decoding(DecodeRecord("JPEG", 0.002))
    assert value(metrics, "decode_seconds_sum", {"format": "JPEG"}) == 0.002


def test_a_shed_request_counts_under_its_reason(metrics: Metrics) -> None:
    metrics.count_shed(ShedRecord("digits", 3, "deadline"))
    assert value(metrics, "shed_total", {**DIGITS, "reason": "deadline"}) == 1
    assert value(metrics, "shed_total", {**DIGITS, "reason": "queue_full"}) == 0


def test_a_self_check_counts_under_its_result_and_nowhere_else(metrics: Metrics) -> None:
    before = values(metrics)
    for result in ("identical", "different", "different", "skipped"):
        metrics.count_self_check(SelfCheckRecord("digits", 3, result, "id", 2, 8))
    changed = {
        dict(labels)["result"]: count
        for (name, labels), count in values(metrics).items()
        if name == "batchproof_selfcheck_total"
    }
    assert changed == {"identical": 1, "different": 2, "skipped": 1}
    others = {
        key
        for key, count in values(metrics).items()
        if count != before[key] and key[0].startswith("batchproof_")
    }
    assert {name for name, _ in others} == {"batchproof_selfcheck_total"}


def test_the_queue_shows_its_last_state(metrics: Metrics) -> None:
    for rows in (4, 9, 2):
        metrics.keep_queue_rows(QueueChanged("digits", 3, rows))
    assert value(metrics, "queue_rows", DIGITS) == 2


@pytest.mark.parametrize(
    ("state", "ready", "failed"),
    [("loading", 0, 0), ("ready", 1, 0), ("failed", 0, 1), ("draining", 0, 0)],
)
def test_only_a_ready_version_is_ready_and_only_a_failed_one_failed(
    metrics: Metrics, state: str, ready: int, failed: int
) -> None:
    metrics.follow_version(model(state))
    assert value(metrics, "model_ready", DIGITS) == ready
    assert value(metrics, "model_failed", DIGITS) == failed


def test_a_version_whose_devices_are_given_up_is_counted_and_one_that_does_not_load_is_not(
    metrics: Metrics,
) -> None:
    metrics.follow_version(model("failed"))
    assert value(metrics, "devices_given_up_total", DIGITS) == 0
    for state in (VersionState.READY, VersionState.STUCK):
        metrics.follow_version(replace(model("failed"), old=state))
    assert value(metrics, "devices_given_up_total", DIGITS) == 2


def test_looks_at_the_repository_are_counted_by_what_came_of_them(metrics: Metrics) -> None:
    assert value(metrics, "repository_looks_total", {"result": "failed"}) == 0
    for failure in ("", "gone", ""):
        metrics.count_look(RepositoryLooked(failure))
    assert value(metrics, "repository_looks_total", {"result": "read"}) == 2
    assert value(metrics, "repository_looks_total", {"result": "failed"}) == 1


def test_a_version_shows_what_answers_under_it(metrics: Metrics) -> None:
    what = {"digest": "sha256:aa", "recipe": "sha256:bb", "engine": "affine 1"}
    what |= {"certificate": "sha256:dd", "verdict": "proven", "consistency": "strict"}
    assert value(metrics, "model_info", {**DIGITS, **what}) == 1


def test_a_version_without_a_digest_shows_nothing_about_it() -> None:
    metrics = Metrics("0.1.0")
    metrics.follow_version(model("loading", digest=""))
    assert "batchproof_model_info{" not in metrics.exposition()[0].decode()


def test_a_new_artefact_replaces_the_old_one(metrics: Metrics) -> None:
    metrics.follow_version(model(digest="sha256:cc"))
    assert label_values(metrics, "model", "digest") == {"sha256:cc"}


def test_a_version_that_drains_still_shows_what_answers(metrics: Metrics) -> None:
    metrics.follow_version(model("draining", digest=""))
    assert label_values(metrics, "model", "digest") == {"sha256:aa"}


def test_the_build_is_shown(metrics: Metrics) -> None:
    assert value(metrics, "build_info", {"version": "0.1.0"}) == 1


def test_the_front_is_shown_once_it_was_chosen(metrics: Metrics) -> None:
    assert "batchproof_front_info" not in metrics.exposition()[0].decode()
    metrics.keep_front(FrontChosen("grpc_aio", "no other works"))
    assert value(metrics, "front_info", {"front": "grpc_aio"}) == 1


def test_an_announced_version_has_its_series_at_zero(metrics: Metrics) -> None:
    for code in ("OK", "INTERNAL", "DEADLINE_EXCEEDED"):
        labels = {**DIGITS, "method": "PredictStream", "code": code}
        assert value(metrics, "requests_total", labels) == 0
    assert value(metrics, "queue_delay_seconds_count", DIGITS) == 0
    assert value(metrics, "shed_total", {**DIGITS, "reason": "draining"}) == 0
    assert value(metrics, "queue_rows", DIGITS) == 0


def test_announcing_again_keeps_what_was_counted(metrics: Metrics) -> None:
    metrics.count_requests(finished(request()))
    metrics.follow_version(model("draining"))
    labels = {**DIGITS, "method": "Predict", "code": "OK"}
    assert value(metrics, "requests_total", labels) == 1


@given(st.lists(st.text(), max_size=20))
def test_names_that_callers_invent_never_become_labels(names: list[str]) -> None:
    metrics = Metrics("0.1.0")
    metrics.follow_version(model())
    for name in names:
        metrics.count_requests(finished(request(name, 0, code="NOT_FOUND")))
    assert label_values(metrics, "requests", "model") <= {"", "digits"}


def test_a_request_for_an_unknown_model_counts_without_a_model(metrics: Metrics) -> None:
    metrics.count_requests(finished(request("cats", 9, code="NOT_FOUND")))
    metrics.count_requests(finished(request("dogs", 0, code="NOT_FOUND")))
    labels = {"model": "", "version": "0", "method": "Predict", "code": "NOT_FOUND"}
    assert value(metrics, "requests_total", labels) == 2


def test_a_request_for_an_unknown_version_counts_under_its_model(metrics: Metrics) -> None:
    metrics.count_requests(finished(request("digits", 99, code="NOT_FOUND")))
    labels = {"model": "digits", "version": "0", "method": "Predict", "code": "NOT_FOUND"}
    assert value(metrics, "requests_total", labels) == 1


def test_a_label_takes_a_bounded_number_of_values(metrics: Metrics) -> None:
    for number in range(1000):
        metrics.count_decoding(DecodeRecord(f"format {number}", 0.001))
    formats = label_values(metrics, "decode_seconds", "format")
    assert len(formats) == 65
    assert value(metrics, "decode_seconds_count", {"format": "other"}) == 1000 - 64


def test_a_name_with_every_awkward_character_survives_the_exposition(metrics: Metrics) -> None:
    name = 'a"b\\c\nd{e="f"}'
    metrics.follow_version(model(name=name))
    assert name in label_values(metrics, "requests", "model")


def test_many_versions_keep_their_own_numbers(metrics: Metrics) -> None:
    for number in range(50):
        metrics.follow_version(model(name=f"m{number}"))
        metrics.keep_queue_rows(QueueChanged(f"m{number}", 3, number))
    seen = [
        value(metrics, "queue_rows", {"model": f"m{number}", "version": "3"})
        for number in (0, 17, 49)
    ]
    assert seen == [0, 17, 49]


def test_the_accept_header_chooses_the_format(metrics: Metrics) -> None:
    text, text_type = metrics.exposition("text/html;q=0.9, version=nonsense")
    modern, modern_type = metrics.exposition(
        "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    )
    assert text_type.startswith("text/plain; version=")
    assert modern_type.startswith("application/openmetrics-text; version=1.0.0")
    assert modern.endswith(b"# EOF\n")
    assert b"# EOF" not in text


def test_both_formats_hold_the_same_own_families(metrics: Metrics) -> None:
    everything_once(metrics)
    text = metrics.exposition()[0].decode()
    names = set(own_families(metrics.exposition("application/openmetrics-text")[0].decode()))
    assert {sample for sample in names if sample in text} == names


def test_there_are_no_created_series(metrics: Metrics) -> None:
    everything_once(metrics)
    for accept in ("", "application/openmetrics-text"):
        assert b"_created" not in metrics.exposition(accept)[0]


def test_the_process_and_python_are_there(metrics: Metrics) -> None:
    names = {family.name for family in parse(metrics.exposition()[0].decode())}
    assert "python_info" in names
    assert "python_gc_collections" in names


def test_two_servers_in_one_process_do_not_share_series(metrics: Metrics) -> None:
    other = Metrics("0.1.0")
    metrics.count_requests(finished(request()))
    assert "digits" not in other.exposition()[0].decode()


def test_a_scrape_amid_updates_sees_each_record_wholly() -> None:
    metrics = Metrics("0.1.0")
    metrics.follow_version(model())
    labels = {**DIGITS, "method": "Predict"}
    done = threading.Event()

    def update() -> None:
        while not done.is_set():
            metrics.count_requests(finished(request(duration_s=1.0)))

    writer = threading.Thread(target=update)
    writer.start()
    try:
        seen = [own_values(metrics, labels) for _ in range(30)]
    finally:
        done.set()
        writer.join()
    assert all(requests == count == total_s for requests, count, total_s in seen)
    assert seen == sorted(seen)
    assert seen[-1] > seen[0]


def own_values(metrics: Metrics, labels: Mapping[str, str]) -> tuple[float, float, float]:
    text, _ = metrics.exposition("application/openmetrics-text")
    families = own_families(text.decode())
    found = {
        sample.name: sample.value
        for name in ("requests", "request_duration_seconds")
        for sample in families[f"batchproof_{name}"].samples
        if {**sample.labels, **labels} == sample.labels
        and sample.labels.get("code", "OK") == "OK"
        and "le" not in sample.labels
    }
    duration, requests = "batchproof_request_duration_seconds", found["batchproof_requests_total"]
    return requests, found[f"{duration}_count"], found[f"{duration}_sum"]


def test_the_documentation_lists_what_the_server_exports() -> None:
    drift = DriftMetrics(lambda _: None)
    drift.watch("digits", 3, KnownProfile.of(profile()))
    outcomes = OutcomeMetrics()
    outcomes.expect_outcomes("digits", 3, class_bins(["0", "1"]))
    shadows = ShadowMetrics()
    shadows.count(ShadowRecord("digits", 2, 3, "same"))
    left, priorities = (
        ResultMetrics(*map(ResultCounts, (SPANS, CAPTURED_ROWS, LOG_LINES))),
        PriorityMetrics(),
    )
    priorities.follow_version(model())
    ends = CertificateEnds({"grpc": CERTIFICATE})
    metrics = Metrics("0.1.0", (outcomes, drift, shadows, ends, left, priorities))
    metrics.follow_version(model())
    everything_once(metrics)
    text, _ = metrics.exposition("application/openmetrics-text")
    exported = {
        (exposed_name(family), family.type, exposed_labels(family))
        for family in own_families(text.decode()).values()
    }
    assert documented() == exported


def exposed_name(family: Metric) -> str:
    suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
    return family.name + suffix


def exposed_labels(family: Metric) -> frozenset[str]:
    return frozenset(label for sample in family.samples for label in sample.labels) - {"le"}


def documented() -> set[tuple[str, str, frozenset[str]]]:
    row = re.compile(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| [^|]+ \|$", re.MULTILINE)
    return {
        (name, kind, frozenset(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in row.findall(DOCS.read_text())
    }


def test_the_queries_of_the_documentation_name_what_the_server_exports() -> None:
    names = {name for name, _, _ in documented()}
    queries = "\n".join(re.findall(r"```promql\n(.*?)```", DOCS.read_text(), re.DOTALL))
    asked = set(re.findall(r"batchproof_\w+", queries))
    assert asked
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked} <= names
