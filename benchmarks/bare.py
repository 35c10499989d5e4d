"""(l) What this server adds to the least that a server on its front can do with the same engine."""

from collections.abc import Callable
from typing import Final

from bench import Bench
from ceiling import OPENVINO
from measuring import Figures, difference, interleaved, medians, ratio
from processes import Ceiling, asking, in_process, served, serving_barely
from results import Cell, Outcome, Table
from subjects import Subject, affine_small, mobilenet_bytes, small_cnn

_CALLERS: Final = {affine_small: 32, small_cnn: 32, mobilenet_bytes: 16}
_SIDES: Final = ("bare", "batchproof")
_ENGINE: Final = "the engine's own loop"
_REPEATS_MORE: Final = 2
_SETTINGS: Final = {"BATCHPROOF_ENGINE__NAME": OPENVINO}


def run(bench: Bench) -> Outcome:
    """Measures a model that costs nothing, a small one and a large one."""
    steps = bench.steps("(l) model", list(_CALLERS.items()))
    rows = [row for make, callers in steps for row in _measure(bench, make(), callers)]
    return Outcome(
        title="What is ours",
        how="The same front and engine with nothing between them: it reads no protobuf, and it "
        "checks, proves, scores, counts and logs nothing. It takes what waits up to its best "
        "bucket; a server that packs better can have more than it has. Its share of the "
        "engine's own loop is what is left where nothing is ours.",
        tables=(Table("Beside a bare server", _COLUMNS, tuple(rows)),),
    )


_COLUMNS: Final = (
    "model",
    "server",
    "c = 1: p50, ms",
    "callers",
    "requests/s",
    "of the bare one",
    "of the engine's own loop",
)


def _measure(bench: Bench, subject: Subject, callers: int) -> list[tuple[Cell, ...]]:
    settings = {} if subject == affine_small() else _SETTINGS
    repeats, message, seconds = bench.repeats + _REPEATS_MORE, subject.message, bench.seconds
    with (
        served(subject, settings) as server,
        serving_barely(subject, settings) as bare,
        in_process(subject, settings) as (ceiling, buckets),
    ):
        servers = dict(zip(_SIDES, (bare, server.grpc), strict=True))
        lone = interleaved(_SIDES, repeats, asking(servers, message, 1, seconds))
        ask = asking(servers, message, callers, seconds)
        loop = _looping(ceiling, buckets, seconds)
        many = interleaved(
            (*_SIDES, _ENGINE), repeats, lambda side: loop() if side == _ENGINE else ask(side)
        )
    return _rows(subject, callers, lone, many)


def _looping(
    ceiling: Ceiling, buckets: tuple[int, ...], seconds: float
) -> Callable[[], dict[str, float]]:
    """What measures the engine's own loop over the bucket whose rows are cheapest."""
    best = max(buckets, key=lambda rows: ceiling.images_per_s(rows, seconds / 3))
    return lambda: {"requests_per_s": ceiling.images_per_s(best, seconds)}


def _rows(
    subject: Subject, callers: int, lone: dict[str, list[Figures]], many: dict[str, list[Figures]]
) -> list[tuple[Cell, ...]]:
    of_sides: list[tuple[Cell, ...]] = [
        (
            subject.label,
            side,
            medians(lone[side])["p50_ms"],
            callers,
            medians(many[side])["requests_per_s"],
            ratio(many[side], many["bare"], "requests_per_s"),
            ratio(many[side], many[_ENGINE], "requests_per_s"),
        )
        for side in _SIDES
    ]
    alone_hz = medians(many[_ENGINE])["requests_per_s"]
    added_ms = difference(lone["batchproof"], lone["bare"], "p50_ms")
    return [
        *of_sides,
        (subject.label, _ENGINE, None, None, alone_hz, None, None),
        (subject.label, "added", added_ms, None, None, None, None),
    ]
