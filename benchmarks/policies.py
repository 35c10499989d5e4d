"""(i) When to start a micro-batch: whenever the device is free, or after a fixed delay."""

import statistics
from typing import Any, Final

from bench import Bench, together
from processes import closed_loop, load, served
from results import Chart, Outcome, Table
from subjects import embedded, mobilenet_bytes

_DELAYS_S: Final = (0.0, 0.002, 0.01)
_LOADS: Final = (0.3, 0.6, 0.85)
_MS: Final = 1e3


def run(bench: Bench) -> Outcome:
    """Measures three policies under Poisson arrivals at shares of the capacity."""
    rows: list[tuple[Any, ...]] = []
    lines: dict[str, list[tuple[float, float]]] = {}
    for subject in (embedded(), mobilenet_bytes()):
        with together() as stack:
            servers = {
                delay_s: stack.enter_context(
                    served(subject, {"BATCHPROOF_BATCHING__MAX_QUEUE_DELAY_S": str(delay_s)})
                )
                for delay_s in _DELAYS_S
            }
            busy = servers[0.0].grpc
            capacity_hz = closed_loop(busy, subject.message, 32, bench.seconds)["requests_per_s"]
            totals: dict[tuple[float, float], list[dict[str, Any]]] = {}
            turns = [
                (share, delay_s)
                for _ in range(bench.repeats)
                for share in _LOADS
                for delay_s in _DELAYS_S
            ]
            for share, delay_s in bench.steps(f"(i) {subject.label}", turns):
                total = load(
                    servers[delay_s],
                    f"--rate={share * capacity_hz:.1f}",
                    f"--duration={2 * bench.seconds:.1f}s",
                    "--warm-up=0.5s",
                    "--timeout-s=2",
                    f"--shape={'x'.join(map(str, subject.shape))}",
                )
                totals.setdefault((share, delay_s), []).append(total)
        for (share, delay_s), found in totals.items():
            p50_ms, p99_ms = (_latency_ms(found, key) for key in ("p50_s", "p99_s"))
            goodput = statistics.median(each["goodput_hz"] / each["sent_hz"] for each in found)
            policy = f"{delay_s * _MS:g} ms" if delay_s else "work-conserving"
            rows.append((subject.label, share, policy, p50_ms, p99_ms, goodput))
            lines.setdefault(f"{subject.label.split(',')[0]}, {policy}", []).append((share, p50_ms))
    columns = ("model", "load of capacity", "policy", "p50, ms", "p99, ms", "answered of sent")
    return Outcome(
        title="Batching policies",
        how="Poisson arrivals at shares of what a closed loop of 32 gets; a fixed delay lets the "
        "first of a micro-batch wait for others while the device is idle.",
        tables=(Table("Latency from the due instant", columns, tuple(rows)),),
        charts=(
            Chart(
                "performance-policies",
                "Median latency by policy",
                "load, as a share of capacity",
                "p50, ms",
                lines,
                log_y=True,  # the models are a factor of ten apart
            ),
        ),
    )


def _latency_ms(totals: list[dict[str, Any]], key: str) -> float:
    return _MS * statistics.median(float(each["durations"]["latency"][key]) for each in totals)
