"""Which harm alerts, what raises false alarms, and how wrong accuracy without labels is.

    python benchmarks/drift_harm.py [--garments FILE] [--times 3] [--windows 200] [--cuts 400]

Garments are drawn by ``examples/garments/drawing.py``, --times each, and cut in two: one half is
the reference, the other is sent as it is, under fifteen shifts and nine mild ones. The colour
model of that example answers, without a port, and so does the embedded grey one to the garments as
they are. Printed are, in Markdown:

- the share of --windows windows of 200 and 500 pictures in which an alert would fire, by the
  signals of 0.1.0 and by all, and whether the alert on drift that lasts would fire if every day
  were all pictures of the shift;
- false alarms, of --cuts cuts into reference and rest with a profile of each;
- the accuracy under each shift, how far off the estimates are, and whether they are withheld.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from batchproof_server.application.config import Config, prepare_engines, read_config
from batchproof_server.drift.comparing import (
    ALERT_OBSERVATIONS,
    ALERT_PSI_LASTING,
    ALERT_TESTS_LASTING,
    SignalDrift,
    compare,
)
from batchproof_server.drift.signals import LATER_SIGNALS
from drift_estimates import ESTIMATORS, estimates
from drift_shifts import (
    CLEAN,
    FASHION_BUNDLE,
    GARMENTS_BUNDLE,
    ROOT,
    SEED,
    Answered,
    Pictures,
    answered,
    drawn_garments,
    grey_garments,
    halves,
    shifts_for,
    unscaled,
)

SIZES: Final = (200, 500)
REFERENCE: Final = "reference"


@dataclass(frozen=True, eq=False)
class Subject:
    """One model, its reference, and the answers under each shift.

    Attributes:
        name: of the model.
        labels: of its classes.
        known: the reference.
        live: the rest, by shift.
    """

    name: str
    labels: tuple[str, ...]
    known: Answered
    live: Mapping[str, Answered]


def collect(
    config: Config, bundle: Path, pictures: Pictures, scratch: Path, *, in_colour: bool
) -> Subject:
    """Has everything answered."""
    known, rest = halves(pictures)
    shifts = tuple(shifts_for(in_colour=in_colour))
    plain = {each.name: rest.shifted(each) for each in (CLEAN, *shifts) if not each.is_wrong_recipe}
    wrong = {each.name: rest.shifted(each) for each in shifts if each.is_wrong_recipe}
    streams = {REFERENCE: known.shifted(CLEAN), **plain}
    found, labels = asyncio.run(answered(config, bundle, streams))
    others, _ = asyncio.run(answered(config, unscaled(bundle, scratch), wrong))
    return Subject(bundle.parent.name, labels, found.pop(REFERENCE), {**found, **others})


def windows_of(
    stream: Answered, size: int, count: int, random: np.random.Generator
) -> Iterator[Answered]:
    """Windows of different pictures each."""
    for _ in range(count):
        yield stream.take(random.permutation(len(stream.truth))[:size])


def alerting(signals: Sequence[SignalDrift]) -> tuple[bool, bool]:
    """Whether any of the signals of 0.1.0 would alert, and any of all."""
    drifted = {each.name for each in signals if each.is_drifted}
    return bool(drifted - set(LATER_SIGNALS)), bool(drifted)


def alert_table(subject: Subject, windows: int) -> Iterator[str]:
    """In Markdown: by shift and size, before and after."""
    random = np.random.default_rng(SEED)
    profile = subject.known.profile(subject.labels)
    heads = [f"alert, N = {size:,}" for size in SIZES]
    effects = "PSI above its noise: the highest of 0.1.0, and each later signal"
    yield f"| shift | accuracy | {' | '.join(heads)} | lasts | {effects} |"
    yield "|---|---|" + "---|" * (len(heads) + 2)
    for name, stream in subject.live.items():
        cells = []
        for size in SIZES:
            drawn = windows_of(stream, size, windows, random)
            fired = [alerting(compare(profile, each.signals).signals) for each in drawn]
            before, after = (100 * float(np.mean(each)) for each in zip(*fired, strict=True))
            cells.append(f"{before:.0f} → {after:.0f} %")
        found = compare(profile, stream.signals).signals
        cells.append("yes" if any(map(lasts, found)) else "no")
        cells.append(_effects(found))
        yield f"| {name} | {100 * stream.accuracy:.1f} % | {' | '.join(cells)} |"


def lasts(signal: SignalDrift) -> bool:
    """Whether the alert on drift that lasts names it, when every day is like this."""
    is_large = signal.psi_above_noise > ALERT_PSI_LASTING
    is_sure = signal.significance > ALERT_TESTS_LASTING
    return is_large and is_sure and signal.observations >= ALERT_OBSERVATIONS


def _effects(found: Sequence[SignalDrift]) -> str:
    by_name = {each.name: each.psi_above_noise for each in found}
    later = [f"{name} {by_name.pop(name):.2f}" for name in LATER_SIGNALS if name in by_name]
    highest = max(by_name, key=lambda name: by_name[name])
    return "; ".join((f"{highest} {by_name[highest]:.2f}", *later))


def false_alarm_table(subject: Subject, cuts: int) -> Iterator[str]:
    """In Markdown: the share of windows without a shift that are significant, by signal."""
    random = np.random.default_rng(SEED + 1)
    pool = _joined(subject.known, subject.live[CLEAN.name])
    fired: dict[str, list[list[bool]]] = {}
    alerts: list[tuple[bool, bool]] = []
    for _ in range(cuts):
        order = random.permutation(len(pool.truth))
        half = len(order) // 2
        profile = pool.take(order[:half]).profile(subject.labels)
        rest = pool.take(order[half:])
        for size in SIZES:
            (window,) = windows_of(rest, size, 1, random)
            signals = compare(profile, window.signals).signals
            alerts.append(alerting(signals))
            for each in signals:
                fired.setdefault(each.name, []).append([each.significance > 1])
    yield "| signal | significant |"
    yield "|---|---|"
    for name, flags in fired.items():
        yield f"| `{name}` | {100 * float(np.mean(flags)):.2f} % |"
    before, after = (100 * float(np.mean(each)) for each in zip(*alerts, strict=True))
    yield f"| any, and an alert | {before:.2f} → {after:.2f} % |"


def _joined(one: Answered, other: Answered) -> Answered:
    """Both, one after the other."""
    first, second = one.signals, other.signals
    values = {
        name: np.concatenate((each, second.values[name])) for name, each in first.values.items()
    }
    logs = np.concatenate((first.log_probabilities, second.log_probabilities))
    classes = np.concatenate((first.classes, second.classes))
    signals = type(first)(classes, values, logs)
    return Answered(signals, np.concatenate((one.truth, other.truth)))


def estimate_table(subject: Subject) -> Iterator[str]:
    """In Markdown: the accuracy under each shift, each estimate less it, and what is withheld."""
    profile = subject.known.profile(subject.labels)
    yield f"| shift | accuracy | {' | '.join(ESTIMATORS)} | withheld, because of |"
    yield "|---|---|" + "---|" * (len(ESTIMATORS) + 1)
    shown: list[tuple[float, ...]] = []
    every: list[tuple[float, ...]] = []
    for name, stream in subject.live.items():
        comparison = compare(profile, stream.signals)
        accuracy = stream.accuracy
        errors = tuple(each - accuracy for each in estimates(subject.known, stream))
        every.append(errors)
        why = ", ".join(each.name for each in comparison.signals if each.withholds)
        if not why:
            shown.append(errors)
        cells = " | ".join(f"{100 * each:+.1f}" for each in errors)
        yield f"| {name} | {100 * accuracy:.1f} % | {cells} | {why or 'no'} |"
    for title, rows in (("of all", every), ("of those not withheld", shown)):
        error = np.abs(np.array(rows)) * 100
        for what, figures in (("mean", error.mean(axis=0)), ("greatest", error.max(axis=0))):
            cells = " | ".join(f"{each:.1f}" for each in figures)
            yield f"| {what} error {title} | | {cells} | {len(rows)} |"


def main() -> None:
    """Runs it."""
    arguments = _arguments()
    config = read_config(None, {})
    prepare_engines()
    with tempfile.TemporaryDirectory() as name:
        colour = collect(
            config,
            GARMENTS_BUNDLE,
            drawn_garments(arguments.garments, arguments.times),
            Path(name),
            in_colour=True,
        )
        grey = collect(
            config, FASHION_BUNDLE, grey_garments(arguments.garments), Path(name), in_colour=False
        )
    for title, rows in (
        ("Alerts, garments", alert_table(colour, arguments.windows)),
        ("False alarms, garments", false_alarm_table(colour, arguments.cuts)),
        ("Estimates, garments", estimate_table(colour)),
        ("Estimates, fashion-mnist", estimate_table(grey)),
    ):
        print(f"\n{title}\n")
        print("\n".join(rows), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--garments",
        type=Path,
        default=ROOT / "tests/data/fashion_mnist_1000.npz",
        help=".npz of images, labels",
    )
    parser.add_argument("--times", type=int, default=3, help="photographs of each garment")
    parser.add_argument("--windows", type=int, default=200, help="of each shift and size")
    parser.add_argument("--cuts", type=int, default=400, help="into reference and rest")
    return parser.parse_args()


if __name__ == "__main__":
    main()
