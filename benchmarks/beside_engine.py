"""(m) The shares of the engine's own loop that are owed, in rounds of a few seconds."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bench import Bench
from measuring import Figures, difference, interleaved, medians
from processes import Ceiling, Server, closed_loop, in_process, served
from results import Aim, Cell, Outcome, Table
from subjects import (
    Subject,
    lite0_bytes,
    lite0_floats,
    mobilenet_bytes,
    mobilenet_floats,
    small_cnn,
)

_ENGINE: Final = {"BATCHPROOF_ENGINE__NAME": "openvino"}
_REPEATS_MORE: Final = 4
_LOOKS: Final = 3
_LONE_MORE_MS: Final = 0.8
_MS: Final = 1e3
_LOOP: Final = "loop"
_MANY: Final = "many"
_ROW: Final = "row"
_LONE: Final = "lone"
_PER_S: Final = "per_s"
_P50_MS: Final = "p50_ms"


@dataclass(frozen=True)
class _Owed:
    """What is owed for a model.

    Attributes:
        callers: with whom the share of the engine's own loop is judged.
        share: of it.
        is_lone: whether a lone request is judged too.
    """

    make: Callable[[], Subject]
    callers: int
    share: float
    is_lone: bool = False


_MODELS: Final = (
    _Owed(lite0_bytes, 16, 0.93, is_lone=True),
    _Owed(lite0_floats, 16, 0.88),
    _Owed(mobilenet_bytes, 16, 0.93, is_lone=True),
    _Owed(mobilenet_floats, 16, 0.88),
    _Owed(small_cnn, 32, 0.82),
)


@dataclass(frozen=True)
class _Measured:
    """Of one model; every list has a round in each place."""

    subject: Subject
    owed: _Owed
    rows: int
    rounds: dict[str, list[Figures]]

    @property
    def shares(self) -> list[float]:
        """Of the engine's own loop, round by round."""
        pairs = zip(self.rounds[_MANY], self.rounds[_LOOP], strict=True)
        return [many[_PER_S] / loop[_PER_S] for many, loop in pairs]

    @property
    def more_ms(self) -> float:
        """What a lone request takes beside its row."""
        return difference(self.rounds[_LONE], self.rounds[_ROW], _P50_MS)

    def cells(self) -> tuple[Cell, ...]:
        """A row of the table."""
        low, middle, high = statistics.quantiles(self.shares, n=4)
        middles = {side: medians(rounds) for side, rounds in self.rounds.items()}
        return (
            self.subject.label,
            middles[_LOOP][_PER_S],
            self.rows,
            self.owed.callers,
            middles[_MANY][_PER_S],
            middle,
            f"{low:.2f} to {high:.2f}",
            middles[_ROW][_P50_MS],
            middles[_LONE][_P50_MS],
            self.more_ms,
        )

    def aims(self) -> list[Aim]:
        """What is owed of it."""
        label, callers = self.subject.label, self.owed.callers
        text = f"{label}: served of the engine's own loop at concurrency {callers}, side by side"
        share = Aim(text, statistics.median(self.shares), self.owed.share)
        if not self.owed.is_lone:
            return [share]
        text = f"{label}: a lone request's p50 less the engine's own time of one row, side by side"
        return [share, Aim(f"{text}, ms", self.more_ms, _LONE_MORE_MS, at_least=False)]


def run(bench: Bench) -> Outcome:
    """Measures every model of which a share is owed."""
    measured = [_measured(bench, owed) for owed in bench.steps("(m) model", _MODELS)]
    return Outcome(
        title="Beside the engine's own loop, round by round",
        how="OpenVINO, server and loop in turn on one core, a second each for many callers and "
        "half of one for a lone request, so that a round is over before the machine changes; a "
        "round of (a) takes ten seconds. The loop executes the micro-batch that was the "
        "best of all in a look before. A share is the median of the rounds; beside it stand their "
        "quartiles.",
        tables=(
            Table(
                "Images/s, and the share of the engine's own loop",
                _COLUMNS,
                tuple(each.cells() for each in measured),
            ),
        ),
        aims=tuple(aim for each in measured for aim in each.aims()),
    )


_COLUMNS: Final = (
    "model",
    "the loop, images/s",
    "its rows",
    "callers",
    "served, images/s",
    "share",
    "half of the rounds",
    "one row, ms",
    "a lone request, p50, ms",
    "more, ms",
)


def _measured(bench: Bench, owed: _Owed) -> _Measured:
    subject, many_s = owed.make(), bench.seconds * 2 / 3
    with served(subject, _ENGINE) as server, in_process(subject, _ENGINE) as (loop, buckets):
        best = _best_rows(bench, loop, buckets)
        sides: dict[str, Callable[[], Figures]] = {
            _LOOP: lambda: _of_loop(loop, best, many_s),
            _MANY: lambda: _of_server(server, subject, owed.callers, many_s),
            _ROW: lambda: _of_loop(loop, 1, many_s / 2),
            _LONE: lambda: _of_server(server, subject, 1, many_s / 2),
        }
        repeats = _REPEATS_MORE * bench.repeats
        rounds = interleaved(tuple(sides), repeats, lambda side: sides[side]())
    return _Measured(subject, owed, best, rounds)


def _best_rows(bench: Bench, loop: Ceiling, buckets: tuple[int, ...]) -> int:
    looks = interleaved(buckets, _LOOKS, lambda rows: _of_loop(loop, rows, bench.seconds / 3))
    return max(buckets, key=lambda rows: medians(looks[rows])[_PER_S])


def _of_loop(loop: Ceiling, rows: int, duration_s: float) -> Figures:
    per_s = loop.images_per_s(rows, duration_s)
    return {_PER_S: per_s, _P50_MS: _MS * rows / per_s}


def _of_server(server: Server, subject: Subject, callers: int, duration_s: float) -> Figures:
    figures = closed_loop(server.grpc, subject.message, callers, duration_s)
    return {_PER_S: figures["requests_per_s"], _P50_MS: figures["p50_ms"]}
