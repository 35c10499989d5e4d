"""How often the alert on drift that lasts fires although nothing drifts.

    python benchmarks/drift_lasting.py [--garments FILE] [--references 300] [--days 14]

The embedded model answers the garments of --garments once. Then days of traffic are made up of
these answers: of each reference the pictures that it does not have, drawn with replacement, so that
nothing drifts. Every hour the window of the last 24 hours is looked at, for every signal of the
model; the alert fires when one and the same signal has been notable for 24 hours.

A window of many rows hardly differs from the next one, so what decides is the reference: a model
whose reference is off by chance is told of every day. Hence the share of references with an alert
in --days days. The rule wants a test over 1.5; beside it stand others.
"""

import argparse
import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from batchproof_server.application.config import prepare_engines, read_config
from batchproof_server.base.signature import Array
from batchproof_server.drift.binning import reference_shares
from batchproof_server.drift.comparing import (
    ALERT_OBSERVATIONS,
    ALERT_PSI_LASTING,
    ALERT_TESTS_LASTING,
)
from batchproof_server.drift.counters import Ruler
from batchproof_server.drift.distances import noise_floor, stability_index
from batchproof_server.drift.significance import significance
from drift_shifts import CLEAN, FASHION_BUNDLE, ROOT, SEED, Answered, answered, grey_garments

HOURS: Final = 24
KNOWN: Final = (200, 1_000, 5_000)
ROWS_A_DAY: Final = (300, 2_000, 20_000)
RULES: Final[Mapping[str, tuple[float, float]]] = {
    "test over 1": (ALERT_PSI_LASTING, 1.0),
    "over 1.25": (ALERT_PSI_LASTING, 1.25),
    "over 1.5": (ALERT_PSI_LASTING, ALERT_TESTS_LASTING),
    "over 1.75": (ALERT_PSI_LASTING, 1.75),
    "PSI over 0.05": (0.05, 1.0),
}
"""By name: the limit of PSI above its noise, and of the tests over their critical values."""


@dataclass(frozen=True, eq=False)
class Days:
    """What one reference makes of some days.

    Attributes:
        any_signal: bool [hours], whether the alert fires, by rule.
        signals: which fired at all, by rule.
    """

    any_signal: Mapping[str, NDArray[np.bool_]]
    signals: Mapping[str, tuple[str, ...]]


def days_of(
    known: Answered,
    rest: Answered,
    labels: tuple[str, ...],
    hours: int,
    rows_a_day: int,
    random: np.random.Generator,
) -> Days:
    """Looks at every hour after the first day."""
    ruler = Ruler(known.profile(labels))
    bins = np.stack([_bins(ruler, rest, place) for place in range(len(ruler.names))])
    hourly = np.zeros((len(bins), hours, bins.max() + 1))
    rows = rows_a_day // HOURS
    for hour in range(hours):
        chosen = random.integers(0, bins.shape[1], rows)
        for place, each in enumerate(bins):
            hourly[place, hour] = np.bincount(each[chosen], minlength=hourly.shape[2])
    sums = hourly.cumsum(axis=1)
    sums[:, HOURS:] -= sums[:, :-HOURS].copy()
    fired: dict[str, NDArray[np.bool_]] = {}
    names: dict[str, tuple[str, ...]] = {}
    for rule, (psi, tests) in RULES.items():
        held = np.stack(
            [
                held_for_a_day(_notable(ruler, name, sums[place, HOURS - 1 :], psi, tests))
                for place, name in enumerate(ruler.names)
            ]
        )
        fired[rule] = np.asarray(held.any(axis=0))
        names[rule] = tuple(n for n, each in zip(ruler.names, held, strict=True) if each.any())
    return Days(fired, names)


def _bins(ruler: Ruler, rest: Answered, place: int) -> Array:
    """The bin of each row, by the ruler's own counting."""
    name = ruler.names[place]
    if not place:
        groups: Array = ruler.profile.class_groups().group_of[rest.signals.classes]
        return groups
    edges = np.array(ruler.profile.signals[name].edges)
    found: Array = np.searchsorted(edges, rest.signals.values[name], side="right")
    return found


def _notable(ruler: Ruler, name: str, counts: Array, psi: float, tests: float) -> Array:
    """Whether a signal may be told of: bool [windows]."""
    profile = ruler.profile
    known = (
        profile.class_groups().counts if name == ruler.names[0] else profile.signals[name].counts
    )
    shares = reference_shares(np.array(known))
    seen, reference = counts[:, : len(shares)], float(np.sum(known))
    total = seen.sum(axis=1)
    above = stability_index(seen, shares) - noise_floor(total, len(shares), reference)
    over = significance(name, seen, shares, reference)
    notable: Array = (above > psi) & (over > tests) & (total >= ALERT_OBSERVATIONS)
    return notable


def held_for_a_day(notable: Array) -> Array:
    """Whether it has been so at this hour and for the 24 before: bool [hours]."""
    run, held = 0, np.zeros(len(notable), bool)
    for hour, each in enumerate(notable.tolist()):
        run = run + 1 if each else 0
        held[hour] = run > HOURS
    return held


def table(pool: Answered, labels: tuple[str, ...], references: int, days: int) -> Iterator[str]:
    """In Markdown: the share of references with an alert, by rule."""
    yield f"| M | rows a day | {' | '.join(RULES)} | signals, test over 1 |"
    yield "|---|---|" + "---|" * (len(RULES) + 1)
    for known in KNOWN:
        if known > len(pool.truth) // 2:
            continue
        for rows in ROWS_A_DAY:
            random = np.random.default_rng((SEED, known, rows))
            found = []
            for _ in range(references):
                order = random.permutation(len(pool.truth))
                parts = (pool.take(order[:known]), pool.take(order[known:]))
                found.append(days_of(*parts, labels, (days + 1) * HOURS, rows, random))
            cells = [
                f"{100 * np.mean([each.any_signal[rule].any() for each in found]):.1f} %"
                for rule in RULES
            ]
            first = next(iter(RULES))
            names = [name for each in found for name in each.signals[first]]
            told = ", ".join(
                f"{n} {names.count(n)}" for n in sorted(set(names), key=names.count)[::-1]
            )
            yield f"| {known:,} | {rows:,} | {' | '.join(cells)} | {told or 'none'} |"


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = ROOT / "tests/data/fashion_mnist_1000.npz"
    parser.add_argument("--garments", type=Path, default=default, help=".npz of images, labels")
    parser.add_argument("--references", type=int, default=300, help="for each figure")
    parser.add_argument("--days", type=int, default=14, help="after the first")
    arguments = parser.parse_args()
    prepare_engines()
    streams = {CLEAN.name: grey_garments(arguments.garments).shifted(CLEAN)}
    found, labels = asyncio.run(answered(read_config(None, {}), FASHION_BUNDLE, streams))
    for line in table(found[CLEAN.name], labels, arguments.references, arguments.days):
        print(line, flush=True)


if __name__ == "__main__":
    main()
