"""What a soak came to: the tables, and what must not be, for soak.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from slopes import QUANTITIES, Sample, after, slopes_per_hour
from soak_protocols import Tally

_MOST_LINES: Final = 20
_LOG_MARKS: Final = ("Traceback", "unforeseen failure")
# From families to the labels by which they are shown.
FAMILIES: Final = {
    "batchproof_priority_requests_total": "priority",
    "batchproof_shadow_rows_total": "result",
    "batchproof_captured_rows_total": "result",
    "batchproof_trace_spans_total": "result",
    "batchproof_selfcheck_total": "result",
    "batchproof_device_restarts_total": "reason",
    "batchproof_shed_total": "reason",
}
_MUST_BE: Final = (
    ("batchproof_priority_requests_total", "critical"),
    ("batchproof_priority_requests_total", "best_effort"),
    ("batchproof_shadow_rows_total", "same"),
    ("batchproof_captured_rows_total", "kept"),
    ("batchproof_trace_spans_total", "exported"),
)
_MUST_NOT_BE: Final = (
    ("batchproof_shadow_rows_total", "different"),
    ("batchproof_captured_rows_total", "failed"),
    ("batchproof_trace_spans_total", "failed"),
    ("batchproof_selfcheck_total", "different"),
    ("batchproof_device_restarts_total", "crashed"),
    ("batchproof_device_restarts_total", "hung"),
    ("batchproof_device_restarts_total", "not_started"),
)
# Of each family its samples, by the values of the label.
Done: TypeAlias = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Soaked:
    """What was seen of one run.

    Attributes:
        tallies: of the good callers.
        rounds: how often each of the others came.
        unforeseen: what no caller should ever see.
        samples: of the server and its devices.
        rest: the same before and after.
        done: what else the server did.
    """

    tallies: Mapping[str, Tally]
    rounds: Mapping[str, int]
    unforeseen: Sequence[str]
    samples: Sequence[Sample]
    rest: tuple[Sample, Sample]
    done: Done


def report(soak: Soaked, warm_up_s: float) -> None:
    """Prints the tables."""
    print(f"{'caller':<32} {'asked':>9} {'answered':>9} {'busy':>7} {'wrong':>6} {'lost':>5}")
    for name, tally in soak.tallies.items():
        print(
            f"{name:<32} {tally.asked:>9} {tally.answered:>9} {tally.refused:>7} "
            f"{tally.wrong:>6} {len(tally.lost):>5}"
        )
    print("came as well: " + ", ".join(f"{name} {n}" for name, n in sorted(soak.rounds.items())))
    for name, by in soak.done.items():
        print(f"{name}: " + ", ".join(f"{key} {count}" for key, count in sorted(by.items())))
    slopes = slopes_per_hour(after(soak.samples, warm_up_s))
    print(f"\n{'':<14} {'at rest':>9} {'most':>9} {'at rest':>9} {'slope per hour':>15}")
    for name in QUANTITIES:
        before, later = (getattr(each, name) for each in soak.rest)
        most = max(getattr(each, name) for each in soak.samples)
        print(f"{name:<14} {before:>9.1f} {most:>9.1f} {later:>9.1f} {slopes[name]:>+15.2f}")


def faults(soak: Soaked, log: str) -> list[str]:
    """What must not be, one sentence each."""
    found = [f"{name}: lost, {how}" for name, each in soak.tallies.items() for how in each.lost]
    found += [f"{name}: {each.wrong} wrong" for name, each in soak.tallies.items() if each.wrong]
    found += [
        f"{name}: no answer at all" for name, each in soak.tallies.items() if not each.answered
    ]
    found += soak.unforeseen
    found += [f"no {name} {key}" for name, key in _MUST_BE if not soak.done[name].get(key)]
    found += [f"{name} {key}" for name, key in _MUST_NOT_BE if soak.done[name].get(key)]
    marked = [line for line in log.splitlines() if any(mark in line for mark in _LOG_MARKS)]
    return found + [f"the log has: {line}" for line in marked[:_MOST_LINES]]
