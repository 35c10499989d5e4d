"""(e) More than the server can do: what is still answered in time, and what a refusal costs."""

import statistics
from dataclasses import dataclass
from typing import Any, Final

from bench import Bench
from processes import Server, closed_loop, open_loop, recovery, served
from results import Aim, Chart, Outcome, Table
from subjects import (
    Subject,
    embedded,
    embedded_pictures,
    mobilenet_bytes,
    small_cnn,
)

LOADS: Final = (0.5, 0.9, 1.0, 2.0, 3.0)
DEADLINE_S: Final = 0.5
_MODELS: Final = (mobilenet_bytes, small_cnn, embedded, embedded_pictures)
_LIMITS: Final = {"MobileNetV2": 0.92, "small CNN": 0.80, "embedded, pictures": 0.70}
_RECOVERED: Final = 2.0
_MS: Final = 1e3


@dataclass(frozen=True)
class _Round:
    capacity_hz: float
    offered: float
    total: dict[str, Any]
    refused_cost_ms: float | None
    recovery_s: float | None

    @property
    def goodput(self) -> float:
        return float(self.total["goodput_hz"]) / self.capacity_hz


def run(bench: Bench) -> Outcome:
    """MobileNetV2, where the model is the limit; small models, where the server is."""
    rows: list[tuple[Any, ...]] = []
    lines: dict[str, list[tuple[float, float]]] = {}
    aims: list[Aim] = []
    for make in _MODELS:
        subject = make()
        by_load = _measured(bench, subject)
        lines[subject.label] = [(each, _median(by_load[each])) for each in LOADS]
        rows += [_row(subject, by_load[each]) for each in LOADS]
        aims += _aims(subject, by_load[LOADS[-1]])
    return Outcome(
        title="Overload",
        how="Poisson arrivals over eight connections with a deadline of 500 ms from the due "
        "instant, from a sender that writes and reads the frames of HTTP/2 by itself: at such "
        "rates a gRPC client is busy all the time and would be measured with the server. Capacity "
        "is what a closed loop of 32 gets right before and after. A refused request costs the "
        "server's processor time beside the engine, less what the answered ones cost at half load. "
        "Recovered is a server that answers a lone request within twice its usual time.",
        tables=(
            Table(
                "By load",
                (
                    "model",
                    "load",
                    "offered/s",
                    "goodput of capacity",
                    "p50, ms",
                    "p99, ms",
                    "answered, %",
                    "too busy, %",
                    "late, %",
                    "other, %",
                    "the sender busy, %",
                    "sent late, p99, ms",
                    "a refusal, ms",
                    "recovered, s",
                ),
                tuple(rows),
            ),
        ),
        charts=(
            Chart(
                "performance-overload",
                "Answers in time, as a share of capacity",
                "load, as a share of capacity",
                "goodput",
                lines,
            ),
        ),
        aims=tuple(aims),
    )


def _aims(subject: Subject, worst: list[_Round]) -> list[Aim]:
    limit = next((each for name, each in _LIMITS.items() if subject.label.startswith(name)), None)
    if limit is None:
        return []
    late_s = statistics.median(_latency(each, "p99_s") for each in worst)
    return [
        Aim(f"{subject.label}, at 3 x: goodput of capacity", _median(worst), limit),
        Aim(
            f"{subject.label}, at 3 x: p99 of the answered, ms",
            late_s * _MS,
            DEADLINE_S * _MS,
            at_least=False,
        ),
    ]


def _median(rounds: list[_Round]) -> float:
    return statistics.median(each.goodput for each in rounds)


def _measured(bench: Bench, subject: Subject) -> dict[float, list[_Round]]:
    by_load: dict[float, list[_Round]] = {each: [] for each in LOADS}
    with served(subject) as server:
        usual_ms = closed_loop(server.grpc, subject.message, 1, bench.seconds)["p50_ms"]
        accepted_ms = 0.0
        turns = [each for _ in range(bench.repeats) for each in LOADS]
        for offered in bench.steps(f"(e) {subject.label}", turns):
            measured, spent_ms = _one(bench, subject, server, offered, accepted_ms, usual_ms)
            if offered == LOADS[0]:
                accepted_ms = spent_ms
            by_load[offered].append(measured)
    return by_load


def _one(
    bench: Bench,
    subject: Subject,
    server: Server,
    offered: float,
    accepted_ms: float,
    usual_ms: float,
) -> tuple[_Round, float]:
    def capacity_hz() -> float:
        return closed_loop(server.grpc, subject.message, 32, bench.seconds)["requests_per_s"]

    before_hz = capacity_hz()
    spent_s = server.cpu_s(engine=False)
    total = open_loop(server.grpc, subject, before_hz * offered, 2 * bench.seconds, DEADLINE_S)
    # The warm-up is not in the report, and its load is the same.
    share = total["duration_s"] / (total["duration_s"] + 1.0)
    spent_ms = (server.cpu_s(engine=False) - spent_s) * share * _MS
    recovery_s = (
        recovery(
            server, subject.message, before_hz * offered, DEADLINE_S, _RECOVERED * usual_ms / _MS
        )
        if offered == LOADS[-1]
        else None
    )
    capacity = (before_hz + capacity_hz()) / 2
    answered = total["codes"].get("OK", 0)
    refused = total["requests"] - answered
    cost_ms = (
        max(0.0, spent_ms - answered * accepted_ms) / refused
        if refused > answered and accepted_ms
        else None
    )
    measured = _Round(capacity, offered, total, cost_ms, recovery_s)
    return measured, spent_ms / max(1, answered)


def _latency(measured: _Round, key: str) -> float:
    found = measured.total[key]
    return float("inf") if found is None else float(found)


def _row(subject: Subject, rounds: list[_Round]) -> tuple[Any, ...]:
    def median(of: Any) -> float | None:
        figures = [figure for each in rounds if (figure := of(each)) is not None]
        return statistics.median(figures) if figures else None

    def share(*codes: str) -> float | None:
        return median(
            lambda each: (
                100
                * sum(each.total["codes"].get(code, 0) for code in codes)
                / each.total["requests"]
            )
        )

    known = ("OK", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED")
    others = {code for each in rounds for code in each.total["codes"]} - set(known)
    return (
        subject.label,
        rounds[0].offered,
        median(lambda each: each.total["sent_hz"]),
        _median(rounds),
        median(lambda each: _latency(each, "p50_s") * _MS),
        median(lambda each: _latency(each, "p99_s") * _MS),
        share("OK"),
        share("RESOURCE_EXHAUSTED"),
        share("DEADLINE_EXCEEDED"),
        share(*others),
        median(lambda each: 100 * each.total["busy_share"]),
        median(lambda each: _MS * each.total["sent_late_p99_s"]),
        median(lambda each: each.refused_cost_ms),
        median(lambda each: each.recovery_s),
    )
