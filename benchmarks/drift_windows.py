"""Windows of N observations, and the share of them in which each test fires."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from batchproof_server.drift.binning import bins_of, decile_edges, reference_shares
from batchproof_server.drift.signals import NATURAL_RANGE
from batchproof_server.drift.significance import significance
from drift_server import CHUNK_ROWS, Reading, Sent
from drift_tests import (
    EVEN_LEVEL,
    KS_LEVEL,
    PSI_LIMITS,
    Flags,
    Floats,
    any_signal,
    ks_fires,
    naive_psi,
)

SIZES: Final = (50, 100, 200, 500, 1000)
RULE: Final = "rule"
KS: Final = "KS, Bonferroni"
PSI: Final = tuple(f"PSI > {limit}" for limit in PSI_LIMITS)
KS_EVEN: Final = "KS, 0.75 %"
"""With as many false alarms for each signal as the rule."""
TESTS: Final = (RULE, KS, *PSI, KS_EVEN)
Fired: TypeAlias = dict[str, dict[str, Flags]]
"""Test -> signal -> bool [windows]."""


@dataclass(frozen=True, eq=False)
class Reference:
    """What windows are compared with, by signal.

    Attributes:
        edges: inner edges of the bins; of the class, those between whole numbers.
        shares: as the server exports them.
        counts: of the reference in these bins.
        values: of the reference, ascending.
    """

    edges: Mapping[str, Floats]
    shares: Mapping[str, Floats]
    counts: Mapping[str, Floats]
    values: Mapping[str, Floats]


def exported_reference(reading: Reading, edges: Mapping[str, Floats], sent: Sent) -> Reference:
    """The reference of the running server, whose pictures were sent through it too."""
    return Reference(
        edges=edges,
        shares=reading.shares,
        counts={name: sent.chunk_counts(name).sum(axis=0) for name in edges},
        values={name: np.sort(sent.signals[name]) for name in edges},
    )


def found_reference(values: Mapping[str, Floats], classes: int) -> Reference:
    """A reference of other pictures, by the code that builds profiles."""
    edges = {name: _edges(name, each, classes) for name, each in values.items()}
    counts = {name: counted(each[np.newaxis], edges[name])[0] for name, each in values.items()}
    return Reference(
        edges=edges,
        shares={name: reference_shares(each) for name, each in counts.items()},
        counts=counts,
        values={name: np.sort(each) for name, each in values.items()},
    )


def _edges(name: str, values: Floats, classes: int) -> Floats:
    if name == "class":
        return np.arange(1.0, classes) - 0.5
    anywhere = (-np.inf, np.inf)
    edges: Floats = np.array(decile_edges(values, NATURAL_RANGE.get(name, anywhere)))
    return edges


def counted(windows: Floats, edges: Floats) -> Floats:
    """What the counters grow by in each window, float64 [windows, bins]."""
    rows, bins = len(windows), len(edges) + 1
    places = bins_of(windows.ravel(), edges).reshape(windows.shape)
    places += np.arange(rows)[:, np.newaxis] * bins
    flat = np.bincount(places.ravel(), minlength=rows * bins)
    return flat.reshape(rows, bins).astype(np.float64)


def fired_by(windows: Mapping[str, Floats], reference: Reference, tests: Sequence[str]) -> Fired:
    """Which tests fire in which windows.

    Args:
        windows: by signal, float64 [windows, N].
        reference: what they are compared with.
        tests: all of them, or the rule alone, which is quicker.
    """
    fired: Fired = {test: {} for test in tests}
    for name, values in windows.items():
        counts = counted(values, reference.edges[name])
        observations = len(reference.values[name])
        fired[RULE][name] = significance(name, counts, reference.shares[name], observations) > 1
        if tests == (RULE,):
            continue
        ordered = np.sort(values, axis=1)
        for test, level in ((KS, KS_LEVEL / len(windows)), (KS_EVEN, EVEN_LEVEL)):
            fired[test][name] = ks_fires(ordered, reference.values[name], level)
        index = naive_psi(counts, reference.counts[name])
        for test, limit in zip(PSI, PSI_LIMITS, strict=True):
            fired[test][name] = index > limit
    return fired


def drawn(
    signals: Mapping[str, Floats], size: int, windows: int, rng: np.random.Generator
) -> dict[str, Floats]:
    """Windows of different pictures each, the same pictures for every signal."""
    pictures = len(next(iter(signals.values())))
    rows = np.stack([rng.permutation(pictures)[:size] for _ in range(windows)])
    return {name: values[rows] for name, values in signals.items()}


def of_counters(sent: Sent, reference: Reference, size: int) -> Flags:
    """The rule on the exported counters alone: whether any signal fired, bool [windows].

    The windows are those between readings of the counters, one after the other.
    """
    fired = {}
    for name in reference.edges:
        chunks = sent.chunk_counts(name)
        group = size // CHUNK_ROWS
        whole = len(chunks) // group
        counts = chunks[: whole * group].reshape(whole, group, chunks.shape[1]).sum(axis=1)
        observations = len(reference.values[name])
        fired[name] = significance(name, counts, reference.shares[name], observations) > 1
    return any_signal(fired)


def splits(
    signals: Mapping[str, Floats], count: int, classes: int, rng: np.random.Generator
) -> Iterator[tuple[Reference, dict[str, Floats]]]:
    """Unshifted pictures cut at random into a reference and the rest, again and again."""
    pictures = len(signals["class"])
    for _ in range(count):
        order = rng.permutation(pictures)
        first, rest = order[: pictures // 2], order[pictures // 2 :]
        reference = found_reference({n: each[first] for n, each in signals.items()}, classes)
        yield reference, {name: each[rest] for name, each in signals.items()}


def rates(fired: Sequence[Fired], test: str) -> dict[str, float]:
    """The share of windows in which a test fired, by signal, and for any of them."""
    by_signal = {
        name: np.concatenate([each[test][name] for each in fired]) for name in fired[0][test]
    }
    shares = {name: float(flags.mean()) for name, flags in by_signal.items()}
    return {**shares, "any": float(any_signal(by_signal).mean())}
