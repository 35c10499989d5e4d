"""(a) What is served of what the engine can do, over model size and concurrency."""

from typing import Final

from bench import Bench
from measuring import Figures, interleaved, medians, ratio
from processes import Ceiling, Server, closed_loop, in_process, served
from results import Aim, Cell, Chart, Outcome, Table
from subjects import ALL, Subject

CONCURRENCY: Final = (1, 4, 16, 32, 64)
_AIMED_CONCURRENCY: Final = 16
_AIMS: Final = {"MobileNetV2, uint8": 0.95, "MobileNetV2, float32": 0.90}


def run(bench: Bench) -> Outcome:
    """Measures every model."""
    rows: list[tuple[Cell, ...]] = []
    lines: dict[str, list[tuple[float, float]]] = {}
    aims: list[Aim] = []
    for make in bench.steps("(a) model", ALL):
        subject = make()
        alone, rounds = _measured(bench, subject)
        best = max(alone, key=lambda bucket, of=alone: medians(of[bucket])["images_per_s"])  # type: ignore[misc] # bound here
        shares = {each: _share(rounds[each], alone[best]) for each in CONCURRENCY}
        ceiling = (medians(alone[best])["images_per_s"], best)
        for concurrency, share in shares.items():
            figures = medians(rounds[concurrency])
            asked = (subject.label, *ceiling, concurrency, figures["requests_per_s"], share)
            rows.append((*asked, figures["p50_ms"], figures["p99_ms"]))
        lines[subject.label] = [(float(each), share) for each, share in shares.items()]
        aims += _aims(subject, shares)
    table = Table("Images/s, and the share of the ceiling", _COLUMNS, tuple(rows))
    title = "Served, as a share of the bare function"
    chart = Chart("performance-ceiling", title, "concurrency", "share", lines, log_x=True)
    return Outcome(
        title="Served, against the bare function",
        how="One image in a request, closed loop; the function of the best bucket called in a "
        "loop on the server's core. A share is the median of the shares of rounds side by side.",
        tables=(table,),
        charts=(chart,),
        aims=tuple(aims),
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


def _aims(subject: Subject, shares: dict[int, float]) -> list[Aim]:
    return [
        Aim(f"{model}: served of the ceiling at concurrency 16", shares[_AIMED_CONCURRENCY], limit)
        for model, limit in _AIMS.items()
        if subject.label.startswith(model)
    ]


def _measured(
    bench: Bench, subject: Subject
) -> tuple[dict[int, list[Figures]], dict[int, list[Figures]]]:
    with served(subject) as server, in_process(subject) as (ceiling, buckets):
        sides = (*buckets, *(-concurrency for concurrency in CONCURRENCY))
        rounds = interleaved(
            sides, bench.repeats, lambda side: _one(bench, subject, server, ceiling, side)
        )
    alone = {bucket: rounds[bucket] for bucket in buckets}
    return alone, {each: rounds[-each] for each in CONCURRENCY}


def _one(bench: Bench, subject: Subject, server: Server, ceiling: Ceiling, side: int) -> Figures:
    if side > 0:
        return {"images_per_s": ceiling.images_per_s(side, bench.seconds / 3)}
    return closed_loop(server.grpc, subject.message, -side, bench.seconds)


def _share(rounds: list[Figures], ceilings: list[Figures]) -> float:
    served_as = [{"images_per_s": each["requests_per_s"]} for each in rounds]
    return ratio(served_as, ceilings, "images_per_s")
