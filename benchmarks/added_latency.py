"""(b) What the server adds to an empty grpc.aio server with the same messages."""

from typing import Final

from bench import Bench
from measuring import difference, interleaved, medians, ratio
from processes import asking, echoing, served
from results import Aim, Cell, Outcome, Table
from subjects import affine_bytes, affine_floats, affine_small

_MODELS: Final = (affine_small, affine_bytes, affine_floats)
_REPEATS_MORE: Final = 3
_LIMIT_MS: Final = 0.3
_MANY: Final = 32


def run(bench: Bench) -> Outcome:
    """Measures a model that costs next to nothing, with three sizes of message."""
    rows: list[tuple[Cell, ...]] = []
    aims: list[Aim] = []
    for make in bench.steps("(b) message", _MODELS):
        subject = make()
        with served(subject) as server, echoing() as echo:
            sides = {"echo": echo, "batchproof": server.grpc}
            alone = asking(sides, subject.message, 1, bench.seconds)
            lone = interleaved(tuple(sides), bench.repeats + _REPEATS_MORE, alone)
            together = asking(sides, subject.message, _MANY, bench.seconds)
            many = interleaved(tuple(sides), bench.repeats, together)
        added_ms = difference(lone["batchproof"], lone["echo"], "p50_ms")
        rows += [
            (
                subject.label,
                side,
                medians(lone[side])["p50_ms"],
                medians(lone[side])["p99_ms"],
                medians(many[side])["requests_per_s"],
            )
            for side in sides
        ]
        share = ratio(many["batchproof"], many["echo"], "requests_per_s")
        rows.append((subject.label, "added; share of requests/s", added_ms, None, share))
        aims.append(
            Aim(
                f"{subject.label}: ms added to an empty server at concurrency 1",
                added_ms,
                _LIMIT_MS,
                at_least=False,
            )
        )
    columns = ("message", "server", "c = 1: p50, ms", "p99, ms", "c = 32: requests/s")
    return Outcome(
        title="The server itself, against an empty one",
        how="A model that costs next to nothing, beside a grpc.aio server that answers 64 bytes "
        "whatever comes. Added is the median of the differences of rounds side by side.",
        tables=(Table("Latency alone, and requests/s of many together", columns, tuple(rows)),),
        aims=tuple(aims),
    )
