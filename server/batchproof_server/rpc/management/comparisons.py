"""Comparisons of versions as messages."""

from batchproof.v1 import management_pb2 as pb
from batchproof_server.base.clock import utc_of
from batchproof_server.drift.comparing import SignalDrift
from batchproof_server.shadowing.orders import Compared


def write_comparison(compared: Compared) -> pb.VersionComparison:
    """A version beside another."""
    interval, tally = compared.interval, compared.tally
    return pb.VersionComparison(
        version=compared.version,
        judged=compared.judged,
        by_ground_truth=tally is None,
        rows=compared.rows,
        different=0 if tally is None else tally.different,
        estimate=interval.estimate,
        low=interval.low,
        high=interval.high,
        judgement=compared.assessed.judgement,
        sentences=compared.assessed.sentences,
        skipped={} if tally is None else tally.skipped,
        counted_since="" if compared.since_ms is None else utc_of(compared.since_ms),
        drift=() if compared.drift is None else map(_write_signal, compared.drift.signals),
    )


def _write_signal(signal: SignalDrift) -> pb.SignalDrift:
    return pb.SignalDrift(
        signal=signal.name,
        verdict=signal.verdict,
        observations=signal.observations,
        psi_above_noise=signal.psi_above_noise,
        significance=signal.significance,
        tv_distance=signal.tv_distance,
    )
