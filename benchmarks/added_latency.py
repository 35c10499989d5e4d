"""(b) What the server adds to an empty grpc.aio server with the same messages."""

from typing import Final

from bench import Bench
from closed_loop import APART, METHOD
from measuring import Figures, difference, interleaved, medians, ratio
from processes import Server, asking, closed_loop, echoing, served
from results import Aim, Cell, Outcome, Table
from subjects import Subject, affine_bytes, affine_floats, affine_small

_MODELS: Final = (affine_small, affine_bytes, affine_floats)
_REPEATS_MORE: Final = 3
_LIMIT_MS: Final = 0.3
_MANY: Final = 32
_NULL_PER_S: Final = 4_000
_NULL_MS: Final = 0.65
_NULL_ROWS: Final = 8
_SIDES: Final = ("echo", "batchproof")


def run(bench: Bench) -> Outcome:
    """Measures a model that costs next to nothing, with three sizes of message."""
    rows: list[tuple[Cell, ...]] = []
    aims: list[Aim] = []
    for make in bench.steps("(b) message", _MODELS):
        subject = make()
        with served(subject) as server, echoing() as echo:
            sides = dict(zip(_SIDES, (echo, server.grpc), strict=True))
            alone = asking(sides, subject.message, 1, bench.seconds)
            lone = interleaved(_SIDES, bench.repeats + _REPEATS_MORE, alone)
            in_lists = asking(sides, subject.message, _MANY, bench.seconds)
            many = interleaved(_SIDES, bench.repeats, in_lists)
            apart = asking(sides, subject.message, _MANY, bench.seconds, APART + METHOD)
            many_apart = interleaved(_SIDES, bench.repeats, apart)
            if make is affine_small:
                aims += _null_aims(bench, server, subject, lone, many)
        rows += _rows(subject, lone, many, many_apart)
        aims.append(
            Aim(
                f"{subject.label}: ms added to an empty server at concurrency 1",
                difference(lone["batchproof"], lone["echo"], "p50_ms"),
                _LIMIT_MS,
                at_least=False,
            )
        )
    columns = (
        "message",
        "server",
        "c = 1: p50, ms",
        "p99, ms",
        "c = 32: requests/s",
        "each on its own connection",
    )
    return Outcome(
        title="The server itself, against an empty one",
        how="A model that costs next to nothing, beside a grpc.aio server that answers every "
        "message with 64 bytes. 32 callers share a connection, or have one each. Added is the "
        "median of the differences of rounds side by side.",
        tables=(Table("Latency at concurrency 1, and requests/s at 32", columns, tuple(rows)),),
        aims=tuple(aims),
    )


def _rows(
    subject: Subject,
    lone: dict[str, list[Figures]],
    many: dict[str, list[Figures]],
    apart: dict[str, list[Figures]],
) -> list[tuple[Cell, ...]]:
    of_sides: list[tuple[Cell, ...]] = [
        (
            subject.label,
            side,
            medians(lone[side])["p50_ms"],
            medians(lone[side])["p99_ms"],
            medians(many[side])["requests_per_s"],
            medians(apart[side])["requests_per_s"],
        )
        for side in _SIDES
    ]
    added_ms = difference(lone["batchproof"], lone["echo"], "p50_ms")
    shares = [ratio(each["batchproof"], each["echo"], "requests_per_s") for each in (many, apart)]
    return [*of_sides, (subject.label, "added; share of requests/s", added_ms, None, *shares)]


def _null_aims(
    bench: Bench,
    server: Server,
    subject: Subject,
    lone: dict[str, list[Figures]],
    many: dict[str, list[Figures]],
) -> list[Aim]:
    """What is owed where the model costs nothing."""
    label = subject.label
    before = _executed(server)
    closed_loop(server.grpc, subject.message, _MANY, bench.seconds)
    rows, micro_batches = (now - then for now, then in zip(_executed(server), before, strict=True))
    return [
        Aim(
            f"{label}: requests/s at concurrency {_MANY}",
            medians(many["batchproof"])["requests_per_s"],
            _NULL_PER_S,
        ),
        Aim(
            f"{label}: p50 of a lone request, ms",
            medians(lone["batchproof"])["p50_ms"],
            _NULL_MS,
            at_least=False,
        ),
        Aim(f"{label}: rows a micro-batch with {_MANY} callers", rows / micro_batches, _NULL_ROWS),
    ]


def _executed(server: Server) -> tuple[float, float]:
    """The rows and the micro-batches so far."""
    rows, micro_batches = (
        sum(
            float(line.rsplit(" ", 1)[1])
            for line in server.metrics().splitlines()
            if line.startswith(f"batchproof_micro_batch_rows_{what}{{")
        )
        for what in ("sum", "count")
    )
    return rows, micro_batches
