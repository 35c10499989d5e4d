"""(a) What is served of what the engine can do, over model size and concurrency."""

from typing import Final

from bench import Bench
from measuring import Figures, interleaved, medians, ratio
from processes import Ceiling, Server, closed_loop, in_process, served
from results import Aim, Chart, Outcome, Table
from subjects import ALL, Subject

CONCURRENCY: Final = (1, 4, 16, 32, 64)
_AIMED_CONCURRENCY: Final = 16
_AIMS: Final = {"MobileNetV2, uint8": 0.95, "MobileNetV2, float32": 0.90}


def run(bench: Bench) -> Outcome:
    """Measures every model."""
    rows: list[tuple[str | float, ...]] = []
    lines: dict[str, list[tuple[float, float]]] = {}
    aims: list[Aim] = []
    for make in bench.steps("(a) model", ALL):
        subject = make()
        alone, rounds = _measured(bench, subject)
        best = max(alone, key=lambda bucket: medians(alone[bucket])["images_per_s"])
        ceilings = alone[best]
        shares = {each: _share(rounds[each], ceilings) for each in CONCURRENCY}
        for concurrency, share in shares.items():
            figures = medians(rounds[concurrency])
            rows.append(
                (
                    subject.label,
                    medians(ceilings)["images_per_s"],
                    best,
                    concurrency,
                    figures["requests_per_s"],
                    share,
                    figures["p50_ms"],
                    figures["p99_ms"],
                )
            )
        lines[subject.label] = [(float(each), share) for each, share in shares.items()]
        aims += [
            Aim(
                f"{model}: served of the ceiling at concurrency 16",
                shares[_AIMED_CONCURRENCY],
                limit,
            )
            for model, limit in _AIMS.items()
            if subject.label.startswith(model)
        ]
    return Outcome(
        title="Served, against the bare function",
        how="One image in a request, closed loop; the function of the best bucket called in a "
        "loop on the server's core. A share is the median of the shares of rounds side by side.",
        tables=(
            Table(
                "Images/s, and the share of the ceiling",
                (
                    "model",
                    "ceiling, images/s",
                    "its rows",
                    "concurrency",
                    "served, images/s",
                    "share",
                    "p50, ms",
                    "p99, ms",
                ),
                tuple(rows),
            ),
        ),
        charts=(
            Chart(
                "performance-ceiling",
                "Served, as a share of the bare function",
                "concurrency",
                "share",
                lines,
                log_x=True,
            ),
        ),
        aims=tuple(aims),
    )


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
        return {"images_per_s": ceiling.images_per_s(side, bench.seconds / 2)}
    return closed_loop(server.grpc, subject.message, -side, bench.seconds)


def _share(rounds: list[Figures], ceilings: list[Figures]) -> float:
    served_as = [{"images_per_s": each["requests_per_s"]} for each in rounds]
    return ratio(served_as, ceilings, "images_per_s")
