"""(a) What is served of what the engine can do, over model size, engine and concurrency."""

from dataclasses import dataclass
from typing import Final

from bench import Bench
from measuring import Figures, interleaved, medians, ratio
from processes import Ceiling, Server, closed_loop, in_process, served
from results import Cell, Chart, Outcome, Table
from subjects import ALL, Subject, affine_small

CONCURRENCY: Final = (1, 4, 16, 32, 64)
TENSORFLOW: Final = "tensorflow"
OPENVINO: Final = "openvino"
_NO_ENGINE: Final = "auto"


@dataclass(frozen=True)
class _Measured:
    """Of one model on one engine; every list has a round in each place.

    Attributes:
        alone: of the bare function, by the rows that it is given.
        rounds: of the server, by concurrency.
    """

    subject: Subject
    engine: str
    alone: dict[int, list[Figures]]
    rounds: dict[int, list[Figures]]

    @property
    def label(self) -> str:
        """As tables show it."""
        name = {TENSORFLOW: "TensorFlow", OPENVINO: "OpenVINO"}.get(self.engine)
        return self.subject.label + (f", {name}" if name else "")

    @property
    def best_rows(self) -> int:
        """The rows of the engine's best micro-batch."""
        return max(self.alone, key=lambda rows: medians(self.alone[rows])["images_per_s"])

    def share(self, concurrency: int) -> float:
        """Of the engine's own loop."""
        served_as = [{"images_per_s": each["requests_per_s"]} for each in self.rounds[concurrency]]
        return ratio(served_as, self.alone[self.best_rows], "images_per_s")

    def table_rows(self) -> list[tuple[Cell, ...]]:
        """One for each concurrency."""
        best = self.best_rows
        ceiling = (self.label, medians(self.alone[best])["images_per_s"], best)
        return [
            (
                *ceiling,
                concurrency,
                (figures := medians(rounds))["requests_per_s"],
                self.share(concurrency),
                figures["p50_ms"],
                figures["p99_ms"],
            )
            for concurrency, rounds in self.rounds.items()
        ]


def run(bench: Bench) -> Outcome:
    """Measures every model on each engine."""
    sides = [(make, engine) for make in ALL for engine in _engines(make())]
    measured = [
        _measured(bench, make(), engine) for make, engine in bench.steps("(a) model", sides)
    ]
    rows = tuple(row for each in measured for row in each.table_rows())
    lines = {
        each.label: [(float(at), each.share(at)) for at in CONCURRENCY]
        for each in measured
        if each.engine != TENSORFLOW
    }
    title = "Served, as a share of the engine's own loop"
    return Outcome(
        title="Served, against the engine's own loop",
        how="One image in a request, closed loop; the function of the best micro-batch called in a "
        "loop on the server's core. A share is the median of the shares of rounds side by side. "
        "OpenVINO is the engine that the server takes by itself where its proof allows; the chart "
        "shows it. What is owed is measured in (m).",
        tables=(Table("Images/s, and the share of the engine's own loop", _COLUMNS, rows),),
        charts=(Chart("performance-ceiling", title, "concurrency", "share", lines, log_x=True),),
    )


_COLUMNS: Final = (
    "model",
    "ceiling, images/s",
    "its rows",
    "concurrency",
    "served, images/s",
    "share",
    "p50, ms",
    "p99, ms",
)


def _engines(subject: Subject) -> tuple[str, ...]:
    return (_NO_ENGINE,) if subject == affine_small() else (TENSORFLOW, OPENVINO)


def _measured(bench: Bench, subject: Subject, engine: str) -> _Measured:
    settings = {"BATCHPROOF_ENGINE__NAME": engine}
    with (
        served(subject, settings) as server,
        in_process(subject, settings) as (ceiling, buckets),
    ):
        sides = (*buckets, *(-concurrency for concurrency in CONCURRENCY))
        rounds = interleaved(
            sides, bench.repeats, lambda side: _one(bench, subject, server, ceiling, side)
        )
    return _Measured(
        subject,
        engine,
        {rows: rounds[rows] for rows in buckets},
        {each: rounds[-each] for each in CONCURRENCY},
    )


def _one(bench: Bench, subject: Subject, server: Server, ceiling: Ceiling, side: int) -> Figures:
    if side > 0:
        return {"images_per_s": ceiling.images_per_s(side, bench.seconds / 3)}
    return closed_loop(server.grpc, subject.message, -side, bench.seconds)
