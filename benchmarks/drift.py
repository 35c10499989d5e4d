"""How well the drift rule works: false alarms and detection on Fashion-MNIST, by a real server.

    python benchmarks/drift.py [--pictures 3000] [--windows 300] [--splits 2000] [--json FILE]
    python benchmarks/drift.py --made-up 1000

The 10,000 test pictures are cut in two at random. `batchproof-server profile` makes the profile of
one half, and a server process serves it. Each picture is sent once over gRPC: the reference, the
other half as it is, and --pictures of the other half for each kind and grade of shift, 50 in a
request; /metrics is read after every request.

- "Windows between two readings" are just that: nothing but what the server exports.
- The tables: --windows windows of different pictures drawn from each stream, counted by the
  server's own counting code from the signals of each answer. For every request that was sent this
  code must give exactly what the exported counters grew by, or the benchmark fails.
- False alarms: the unshifted pictures are cut anew into reference and rest --splits times, with a
  profile of each by the code that makes profiles, because one cut would only tell of itself.

With --made-up nothing is served: the rule is tried on made-up classes, 2 to 1,000 of them, and on
made-up values with few pictures in the reference, over so many references each (drift_classes.py).

Beside it stand, on the same windows, the population stability index > 0.1 and > 0.2, and the
two-sample Kolmogorov-Smirnov test at 0.05, divided by the number of signals.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from batchproof_client.loadtest.corruption import Step
from drift_chart import draw
from drift_classes import class_report
from drift_report import report
from drift_server import (
    DEBIAN_FOLDER,
    Bench,
    Pictures,
    Sent,
    build_bundle,
    encoded,
    read_test_pictures,
    served,
)
from drift_windows import (
    KS,
    RULE,
    SIZES,
    TESTS,
    Fired,
    Reference,
    drawn,
    exported_reference,
    fired_by,
    of_counters,
    rates,
    splits,
)

SEED: Final = 2017
CLASSES: Final = 10
MIN_PICTURES, MAX_PICTURES = 1_000, 3_500  # a window of the largest size; what is left of shoes
SHOES: Final = (5, 7, 9)
GRADES: Final = {
    "noise": (0.01, 0.03, 0.1),
    "blur": (0.15, 0.25, 0.5),
    "rotate": (0.2, 1, 10),
    "brightness": (0.97, 0.93, 0.85),
    "jpeg": (90, 60, 20),
    "contrast": (0.97, 0.93, 0.85),
    "shoes": (0.7, 0.4, 0.1),
}
"""The amounts of ``batchproof load --corrupt``; of shoes, the share of them that is kept."""
WINDOWS_OF_A_SPLIT: Final = 5

Result = dict[str, Any]


@dataclass(frozen=True)
class Shift:
    """One kind and grade of shift."""

    kind: str
    amount: float

    @property
    def name(self) -> str:
        """Such as ``noise:0.1``."""
        return f"{self.kind}:{self.amount:g}"

    @property
    def step(self) -> Step | None:
        """What it does to a picture; None when it chooses among them."""
        return None if self.kind == "shoes" else Step(self.kind, self.amount)


SHIFTS: Final = tuple(Shift(kind, amount) for kind, all_ in GRADES.items() for amount in all_)


def chosen(
    pictures: Pictures, shift: Shift, count: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Which pictures a stream is made of, in random order."""
    rows: NDArray[np.intp] = rng.permutation(len(pictures.labels))
    if shift.kind == "shoes":
        shoes = rows[np.isin(pictures.labels[rows], SHOES)]
        dropped = shoes[round(shift.amount * len(shoes)) :]
        rows = rng.permutation(rows[~np.isin(rows, dropped)])
    return rows[:count]


@dataclass(frozen=True, eq=False)
class Streams:
    """Everything that went through the server.

    Attributes:
        reference: what its counters are compared with.
        known: the pictures of the profile, sent like any others.
        clean: the other half as it is.
        shifted: by the name of the shift.
    """

    reference: Reference
    known: Sent
    clean: Sent
    shifted: Mapping[str, Sent]


def collect(pictures: Pictures, count: int, directory: Path) -> Streams:
    """Builds the profile, serves it, and sends every stream."""
    rng = np.random.default_rng(SEED)
    order = rng.permutation(len(pictures.labels))
    half = len(order) // 2
    first, rest = pictures.take(order[:half]), pictures.take(order[half:])
    _tell("building the profile")
    with served(build_bundle(directory, first)) as bench:
        known = _sent(bench, "the reference", first, None)
        clean = _sent(bench, "the other half", rest, None)
        shifted = {
            shift.name: _sent(
                bench, shift.name, rest.take(chosen(rest, shift, count, rng)), shift.step
            )
            for shift in SHIFTS
        }
        edges = {name: np.array(each.edges) for name, each in bench.profile.signals.items()}
        edges = {"class": np.arange(1, CLASSES) - 0.5, **edges}
        reference = exported_reference(bench.read(), edges, known)
    for name, shares in reference.shares.items():
        if len(shares) != len(edges[name]) + 1:
            raise RuntimeError(f"{name}: {len(shares)} exported bins, {len(edges[name])} edges")
    return Streams(reference, known, clean, shifted)


def _sent(bench: Bench, name: str, pictures: Pictures, step: Step | None) -> Sent:
    _tell(f"sending {len(pictures.labels)} pictures: {name}")
    return bench.send(encoded(pictures, step))


def false_alarms(streams: Streams, split_count: int) -> Result:
    """The share of unshifted windows in which each test fires, by test, size and signal."""
    rng = np.random.default_rng(SEED + 1)
    known, clean = streams.known.signals, streams.clean.signals
    signals = {name: np.concatenate((known[name], clean[name])) for name in known}
    found: dict[int, list[Fired]] = {size: [] for size in SIZES}
    few: dict[int, list[Fired]] = {size: [] for size in SIZES}
    for number, (reference, rest) in enumerate(splits(signals, split_count, CLASSES, rng)):
        for size in SIZES:
            windows = drawn(rest, size, WINDOWS_OF_A_SPLIT, rng)
            found[size].append(fired_by(windows, reference, (RULE,)))
            if number % 4 == 0:  # the classical tests are slow, and well known
                one = {name: values[:1] for name, values in windows.items()}
                few[size].append(fired_by(one, reference, TESTS))
    return {
        test: {str(size): rates((found if test == RULE else few)[size], test) for size in SIZES}
        for test in TESTS
    }


def detection(streams: Streams, windows: int) -> Result:
    """The share of shifted windows in which each test fires, by shift, test, size and signal."""
    rng = np.random.default_rng(SEED + 2)
    result: Result = {}
    for shift in SHIFTS:
        sent = streams.shifted[shift.name]
        result[shift.name] = {test: {} for test in TESTS}
        for size in SIZES:
            sample = drawn(sent.signals, size, windows, rng)
            fired = [fired_by(sample, streams.reference, TESTS)]
            for test in TESTS:
                result[shift.name][test][str(size)] = rates(fired, test)
        of_any = {test: result[shift.name][test]["200"]["any"] for test in (RULE, KS)}
        _tell(f"testing {shift.name}: {of_any}")
    return result


def from_counters(streams: Streams) -> Result:
    """The rule on the exported counters alone: windows, and the share with any signal."""
    every = {"none": streams.clean, **streams.shifted}
    return {
        name: {
            str(size): {"windows": len(flags), "any": float(flags.mean())}
            for size in SIZES
            for flags in [of_counters(sent, streams.reference, size)]
        }
        for name, sent in every.items()
    }


def _tell(text: str) -> None:
    print(f"[{time.monotonic() - STARTED_S:5.0f} s] {text}", flush=True)


STARTED_S: Final = time.monotonic()


def main() -> None:
    """Runs it."""
    arguments = _arguments()
    if arguments.made_up:
        print(class_report(arguments.made_up))
        return
    pictures = read_test_pictures(arguments.data)
    with tempfile.TemporaryDirectory() as directory:
        streams = collect(pictures, arguments.pictures, Path(directory))
    _tell(f"false alarms of {arguments.splits} cuts")
    result: Result = {
        "settings": {
            "pictures": arguments.pictures,
            "windows": arguments.windows,
            "splits": arguments.splits,
            "seed": SEED,
            "reference": len(streams.reference.values["class"]),
            "signals": list(streams.reference.edges),
        },
        "false_alarms": false_alarms(streams, arguments.splits),
        "detection": detection(streams, arguments.windows),
        "counters": from_counters(streams),
    }
    print(report(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.chart:
        draw(result, arguments.chart)
    _tell("done")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DEBIAN_FOLDER, help="folder of the IDX files")
    parser.add_argument("--pictures", type=int, default=3_000, help="of each shifted stream")
    parser.add_argument("--windows", type=int, default=300, help="of each shift and size")
    parser.add_argument("--splits", type=int, default=2_000, help="cuts of the unshifted pictures")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw the power curves")
    parser.add_argument(
        "--made-up", type=int, metavar="N", help="made-up classes and values only, N references"
    )
    arguments = parser.parse_args()
    if not MIN_PICTURES <= arguments.pictures <= MAX_PICTURES:
        parser.error(f"--pictures: expected {MIN_PICTURES} to {MAX_PICTURES}")
    return arguments


if __name__ == "__main__":
    main()
