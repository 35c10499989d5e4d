"""Who is told of what happens in a server, put together."""

import os
from dataclasses import dataclass
from pathlib import Path

from batchproof_server.application.capturing import Capturing, compose_capturing
from batchproof_server.application.config import Config
from batchproof_server.application.tracing import Tracing, compose_tracing
from batchproof_server.base.clock import Clock, epoch_ms
from batchproof_server.base.events import Observer
from batchproof_server.models.keeper import Keeper
from batchproof_server.models.orders import Orders
from batchproof_server.observing.fan_out import Observers
from batchproof_server.observing.logs import LogObserver
from batchproof_server.observing.prometheus.certificate_ends import CertificateEnds
from batchproof_server.observing.prometheus.drift import DriftMetrics
from batchproof_server.observing.prometheus.outcomes import OutcomeMetrics
from batchproof_server.observing.prometheus.priorities import PriorityMetrics
from batchproof_server.observing.prometheus.results import ResultMetrics
from batchproof_server.observing.prometheus.serving import Metrics
from batchproof_server.observing.prometheus.shadows import ShadowMetrics
from batchproof_server.observing.result_counts import CAPTURED_ROWS, SPANS, ResultCounts
from batchproof_server.observing.statistics import Statistics
from batchproof_server.outcomes.desk import OutcomeDesk
from batchproof_server.outcomes.handle import Sealer, SealingKey
from batchproof_server.outcomes.keys import process_key, read_keys
from batchproof_server.outcomes.settings import OutcomeSettings
from batchproof_server.rpc.health import Health
from batchproof_server.serving.predictor import SealRows
from batchproof_server.shadowing.orders import ShadowOrders, Truths
from batchproof_server.shadowing.shadow import Shadowing
from batchproof_server.shadowing.tally import KeptTally, Pair, Tallies
from batchproof_server.shadowing.tally_book import TallyBook, beside, read_tally_book


@dataclass(frozen=True, slots=True)
class Observing:
    """Who is told of events, by what they do for others.

    Attributes:
        observer: tells all of them.
        metrics: of serving.
        drift: of predictions.
        statistics: of the versions.
        outcomes: takes what became of predictions.
        seal_rows: makes the handles of answers; None gives them none.
        health: follows the versions.
        tallies: of shadows.
        tally_book: keeps them.
        truths: what was reported about answers.
        tracing: samples requests, and makes spans of events.
        capturing: keeps answered rows.
    """

    observer: Observer
    metrics: Metrics
    drift: DriftMetrics
    statistics: Statistics
    outcomes: OutcomeDesk
    seal_rows: SealRows | None
    health: Health
    tallies: Tallies
    tally_book: TallyBook
    truths: Truths
    tracing: Tracing
    capturing: Capturing

    def shadow_orders(self, keeper: Keeper, orders: Orders, shadowing: Shadowing) -> ShadowOrders:
        """What operators may ask of shadows, with all that is known of them."""
        drifts = self.drift.comparisons
        return ShadowOrders(keeper, orders, shadowing, self.tallies, self.truths, drifts)


def compose_observing(
    config: Config, build_version: str, clock: Clock, log: LogObserver
) -> Observing:
    """Puts them together.

    Raises:
        ValueError: the keys of handles cannot be read, or see ``compose_tracing`` and
            ``compose_capturing``.
    """
    outcome_metrics, settings = OutcomeMetrics(), config.outcomes
    shadow_metrics = ShadowMetrics()
    tallies, tally_book = _tallying(config, clock, log)
    keys = _handle_keys(settings, log)
    outcomes = OutcomeDesk(settings, keys, clock, outcome_metrics, epoch_ms)
    seal_rows = Sealer(keys[0], epoch_ms, os.urandom).seal if settings.enabled else None
    drift, spans = DriftMetrics(log.write_failure), ResultCounts(SPANS)
    tracing = compose_tracing(config.tracing, build_version, clock, spans, log)
    captured = ResultCounts(CAPTURED_ROWS)
    capturing = compose_capturing(config.capture, captured, log)
    priorities = PriorityMetrics()
    others = (outcome_metrics, drift, shadow_metrics, priorities, _certificate_ends(config))
    metrics = Metrics(build_version, (*others, ResultMetrics(spans, captured, log.lines)))
    statistics = Statistics(epoch_ms)
    health = Health(all_must_answer=config.server.failed_model == "not_ready")
    subscribers = (drift, metrics, statistics, outcomes, log, health, shadow_metrics, tallies)
    by_priority = (priorities,) if config.access.is_on else ()
    asked_for = (*tracing.subscribers, *capturing.subscribers, *by_priority)
    observer = Observers((*subscribers, *asked_for), on_failure=log.write_failure)
    return Observing(
        observer,
        metrics,
        drift,
        statistics,
        outcomes,
        seal_rows,
        health,
        tallies,
        tally_book,
        outcome_metrics.answers,
        tracing,
        capturing,
    )


def _tallying(config: Config, clock: Clock, log: LogObserver) -> tuple[Tallies, TallyBook]:
    """What counts for those who compare, beginning with what is kept beside the orders."""
    orders, kept = config.management.state_file, dict[Pair, KeptTally]()
    file = beside(Path(orders)) if orders else None
    if file is not None:
        try:
            kept = read_tally_book(file)
        except ValueError as fault:
            log.write_uncounted(str(fault))
    tallies = Tallies(epoch_ms, kept)
    return tallies, TallyBook(file, tallies.kept, clock, log.write_untallied)


def _certificate_ends(config: Config) -> CertificateEnds:
    web, management = config.web, config.management
    ports = {
        "grpc": config.rpc.tls,
        "web": web.tls if web.enabled else None,
        "management": management.tls if management.enabled else None,
    }
    return CertificateEnds({port: tls.certificate for port, tls in ports.items() if tls})


def _handle_keys(settings: OutcomeSettings, log: LogObserver) -> tuple[SealingKey, ...]:
    if settings.key_file:
        return read_keys(Path(settings.key_file))
    if settings.enabled:
        log.write_process_key()
    return process_key()
