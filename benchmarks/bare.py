"""(l) What this server adds to the least that a server on its front can do with the same engine."""

from typing import Final

from bench import Bench
from ceiling import OPENVINO
from measuring import Figures, difference, interleaved, medians, ratio
from processes import asking, served, serving_barely
from results import Cell, Outcome, Table
from subjects import Subject, affine_small, mobilenet_bytes, small_cnn

_CALLERS: Final = {affine_small: 32, small_cnn: 32, mobilenet_bytes: 16}
_SIDES: Final = ("bare", "batchproof")
_REPEATS_MORE: Final = 2
_SETTINGS: Final = {"BATCHPROOF_ENGINE__NAME": OPENVINO}


def run(bench: Bench) -> Outcome:
    """Measures a model that costs nothing, a small one and a large one."""
    rows: list[tuple[Cell, ...]] = []
    for make, callers in bench.steps("(l) model", list(_CALLERS.items())):
        subject = make()
        settings = {} if make is affine_small else _SETTINGS
        with served(subject, settings) as server, serving_barely(subject, settings) as bare:
            sides = dict(zip(_SIDES, (bare, server.grpc), strict=True))
            repeats = bench.repeats + _REPEATS_MORE
            lone = interleaved(_SIDES, repeats, asking(sides, subject.message, 1, bench.seconds))
            many = interleaved(
                _SIDES, repeats, asking(sides, subject.message, callers, bench.seconds)
            )
        rows += _rows(subject, callers, lone, many)
    return Outcome(
        title="What is ours",
        how="The same front and engine with nothing between them: it reads no protobuf, and it "
        "checks, proves, scores, counts and logs nothing. It takes what waits up to its best "
        "bucket; a server that packs better can have more than it has.",
        tables=(Table("Beside a bare server", _COLUMNS, tuple(rows)),),
    )


_COLUMNS: Final = ("model", "server", "c = 1: p50, ms", "callers", "requests/s", "of the bare one")


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
        )
        for side in _SIDES
    ]
    added_ms = difference(lone["batchproof"], lone["bare"], "p50_ms")
    return [*of_sides, (subject.label, "added", added_ms, None, None, None)]
