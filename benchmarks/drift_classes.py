"""The rule on made-up classes and values: false alarms and detection, without a server.

A reference of M answers is drawn, its bins are those that the server would find, and windows of N
answers are drawn beside it. Every figure is a mean over references.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from batchproof_server.drift.binning import bins_of, decile_edges, reference_shares
from batchproof_server.drift.class_groups import ClassGroups
from batchproof_server.drift.significance import significance
from drift_tests import Floats

SEED: Final = 1414
WINDOWS: Final = 20
CLASSES: Final = (2, 5, 10, 20, 21, 50, 200, 1_000)
POWERS: Final[Mapping[str, float]] = {"even": 0.0, "Zipf": 1.0}
KNOWN: Final = (200, 1_000, 5_000, 20_000)
SMALL: Final = (100, 200, 1_000)
WINDOW_SIZES: Final = (50, 200, 500, 1_000, 5_000, 20_000)
LARGE: Final = 5_000
CONTINUOUS_KNOWN: Final = (100, 200, 500, 1_000, 1_500, 5_000, 20_000)
CONTINUOUS_TIMES: Final = 40
"""References of a continuous signal for each one of the others: they cost hardly anything."""
AIM: Final = 0.01
MANY: Final = 1_000
DOGS, ANIMALS = np.arange(151, 269), np.arange(398)  # of ImageNet's order
Random: TypeAlias = np.random.Generator
Draw: TypeAlias = Callable[[Random, int], Floats]

VALUES: Final[Mapping[str, Draw]] = {
    "normal": lambda random, size: random.normal(size=size),
    "log-normal": lambda random, size: np.exp(random.normal(size=size)),
    "confidence": lambda random, size: random.beta(8, 0.3, size=size),
    "70 % zeros": lambda random, size: random.random(size) * random.binomial(1, 0.3, size),
    "95 % zeros": lambda random, size: random.random(size) * random.binomial(1, 0.05, size),
    "flip rate": lambda random, size: random.binomial(4, 0.1, size) / 4,
}


@dataclass(frozen=True)
class Rates:
    """The share of significant windows, by the number of observations."""

    name: str
    known: int
    rates: Mapping[int, float]

    @property
    def worst(self) -> float:
        """The highest."""
        return max(self.rates.values())


def zipf(classes: int, power: float) -> Floats:
    """Shares that fall as the rank to a power; 0 is even."""
    shares = np.arange(1.0, classes + 1) ** -power
    result: Floats = shares / shares.sum()
    return result


def class_rates(
    shares: Floats, live: Floats, known: int, references: int, random: Random
) -> dict[int, float]:
    """How often windows of the live shares are significant, by their size."""
    fired = dict.fromkeys(WINDOW_SIZES, 0.0)
    for _ in range(references):
        groups = ClassGroups.of(random.multinomial(known, shares).tolist())
        there = np.bincount(groups.group_of, live, len(groups.counts))
        expected, total = reference_shares(groups.counts), int(groups.counts.sum())
        for size in WINDOW_SIZES:
            counts = random.multinomial(size, there / there.sum(), size=WINDOWS)
            found = significance(groups.signal, counts, expected, total) > 1
            fired[size] += float(found.mean()) / references
    return fired


def value_rates(draw: Draw, known: int, references: int, random: Random) -> dict[int, float]:
    """How often windows of the same distribution are significant, by their size."""
    sizes = [size for size in WINDOW_SIZES if size <= LARGE]
    fired = dict.fromkeys(sizes, 0.0)
    for _ in range(references):
        values = draw(random, known)
        edges = np.array(decile_edges(values, (-np.inf, np.inf)))
        shares = reference_shares(_counted(values, edges))
        for size in sizes:
            windows = (_counted(draw(random, size), edges) for _ in range(max(1, 1_000 // size)))
            found = significance("value", np.stack(list(windows)), shares, known) > 1
            fired[size] += float(found.mean()) / references
    return fired


def continuous_rates(known: int, references: int, random: Random) -> dict[int, float]:
    """How often windows of any continuous distribution are significant, by their size.

    The edges are values of the reference, so what they cut off does not depend on the distribution:
    the share between two of them is that of the spacings of ordered uniform values (Wilks 1962,
    "Mathematical Statistics", 8.7). So one figure holds for every signal without ties.
    """
    ranks = np.array(decile_edges(np.arange(1.0, known + 1), (-np.inf, np.inf)))
    shares = reference_shares(_counted(np.arange(1.0, known + 1), ranks))
    gaps = np.diff(np.concatenate(([0], ranks, [known + 1])))
    fired = {}
    for size in WINDOW_SIZES:
        windows = random.multinomial(size, random.dirichlet(gaps, size=references))
        found = significance("value", windows.astype(np.float64), shares, known) > 1
        fired[size] = float(found.mean())
    return fired


def _counted(values: Floats, edges: Floats) -> Floats:
    counts = np.bincount(bins_of(values, edges), minlength=len(edges) + 1)
    return counts.astype(np.float64)


def false_alarms(references: int) -> Iterator[Rates]:
    """Of classes, with windows from the distribution of the reference."""
    random = np.random.default_rng(SEED)
    for classes in CLASSES:
        for form, power in POWERS.items():
            for known in KNOWN:
                shares = zipf(classes, power)
                rates = class_rates(shares, shares, known, references, random)
                yield Rates(f"{classes:,} classes, {form}", known, rates)


def value_false_alarms(references: int) -> Iterator[Rates]:
    """Of numeric signals, with few pictures in the reference."""
    random = np.random.default_rng(SEED + 1)
    for name, draw in VALUES.items():
        for known in SMALL:
            yield Rates(name, known, value_rates(draw, known, references, random))


def continuous_false_alarms(references: int) -> Iterator[Rates]:
    """Of every signal whose values hardly ever repeat."""
    random = np.random.default_rng(SEED + 3)
    for known in CONTINUOUS_KNOWN:
        yield Rates("any continuous signal", known, continuous_rates(known, references, random))


def detection(references: int) -> Iterator[Rates]:
    """Of other classes."""
    random = np.random.default_rng(SEED + 2)
    for name, (shares, live) in _shifts(random).items():
        for known in KNOWN:
            yield Rates(name, known, class_rates(shares, live, known, references, random))


def _shifts(random: Random) -> dict[str, tuple[Floats, Floats]]:
    even = zipf(MANY, 0)
    order = random.permutation(MANY)
    ten = _only(order[:10], 0)
    of_rank = zipf(10, 1)
    return {
        "1,000 classes: only dogs": (even, _only(DOGS, 0)),
        "1,000 classes: half dogs": (even, (_only(DOGS, 0) + even) / 2),
        "1,000 classes: half scattered dogs": (even, (_only(order[: len(DOGS)], 0) + even) / 2),
        "1,000 classes: only animals": (even, _only(ANIMALS, 0)),
        "1,000 classes: 10 random ones": (even, ten),
        "200 of 1,000 classes: 400 others, even": (_only(order[:200], 0), _only(order[200:600], 0)),
        "200 of 1,000 classes: 400 others, Zipf": (_only(order[:200], 1), _only(order[200:600], 1)),
        "20 classes: 15 % in reverse order": _mixed(20),
        "10 classes: 15 % in reverse order": _mixed(10),
        "10 classes, Zipf: even": (of_rank, zipf(10, 0)),
    }


def _only(classes: NDArray[np.integer[Any]], power: float) -> Floats:
    shares = np.zeros(MANY)
    shares[classes] = zipf(len(classes), power)
    return shares


def _mixed(classes: int) -> tuple[Floats, Floats]:
    shares = zipf(classes, 1)
    return shares, 0.85 * shares + 0.15 * shares[::-1]


def class_report(references: int) -> str:
    """All tables, in Markdown, and whether the aims are met."""
    of_classes, of_values = list(false_alarms(references)), list(value_false_alarms(references))
    of_all = list(continuous_false_alarms(CONTINUOUS_TIMES * references))
    worst = max((*of_classes, *of_values, *of_all), key=lambda each: each.worst)
    # Windows of many observations are all but the same for one reference.
    error = (AIM / references) ** 0.5
    parts = (
        "False alarms of the class: the highest over N = 50 to 20,000, in %",
        "",
        *_table(of_classes, KNOWN),
        "",
        "False alarms of values: the highest over N = 50 to 5,000, in %",
        "",
        *_table(of_values, SMALL),
        "",
        f"The same with {CONTINUOUS_TIMES * references:,} references, N = 50 to 20,000",
        "",
        *_table(of_all, CONTINUOUS_KNOWN),
        "",
        _verdict(worst, error),
        "",
        "Detection: windows of N = 50 / 200 / 500 / 1,000 that are significant, in %",
        "",
        *_detection_table(list(detection(max(20, references // 5)))),
    )
    return "\n".join(parts)


def _verdict(worst: Rates, error: float) -> str:
    met = "met" if worst.worst <= AIM + 2 * error else "NOT met"
    return (
        f"Highest: {100 * worst.worst:.2f} % ({worst.name}, M = {worst.known:,}); the standard "
        f"error of a figure is up to {100 * error:.2f} %: aim of 1 % {met}"
    )


def _table(rows: Sequence[Rates], known: Sequence[int]) -> Iterator[str]:
    yield f"| | {' | '.join(f'M = {each:,}' for each in known)} |"
    yield "|---|" + "---|" * len(known)
    for name in dict.fromkeys(row.name for row in rows):
        cells = (f"{100 * row.worst:.2f}" for row in rows if row.name == name)
        yield f"| {name} | {' | '.join(cells)} |"


def _detection_table(rows: Sequence[Rates]) -> Iterator[str]:
    yield f"| | {' | '.join(f'M = {each:,}' for each in KNOWN)} |"
    yield "|---|" + "---|" * len(KNOWN)
    for name in dict.fromkeys(row.name for row in rows):
        cells = (
            " / ".join(f"{100 * row.rates[size]:.0f}" for size in (50, 200, 500, 1_000))
            for row in rows
            if row.name == name
        )
        yield f"| {name} | {' | '.join(cells)} |"
