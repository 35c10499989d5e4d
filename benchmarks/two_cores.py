"""(k) Two device processes on two cores, which the load has to share with them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bench import Bench, together
from measuring import Figures, interleaved, medians, ratio
from pictures import picture_message
from processes import asking, served
from results import Aim, Cell, Outcome, Table
from subjects import Subject, lite0_bytes, mobilenet_bytes, mobilenet_pictures

_BOTH: Final = "0,1"
_CALLERS: Final = 16
_THREADS: Final = {"BATCHPROOF_ENGINE__INTRA_OP_THREADS": "1"}
_PROCESS: Final = _THREADS | {"BATCHPROOF_DEVICES__KIND": "process"}
_TENSORS: Final = "EfficientNet-Lite0, uint8 tensors"
_SMALLER: Final = "MobileNetV2, uint8 tensors"
_PICTURES: Final = "MobileNetV2, JPEG 640 x 480"
_ONE: Final = "one device process"
_TWO: Final = "two device processes"
_IN_PROCESS: Final = "the thread device, two threads"
_FIRST: Final = "as in 0.1.0: TensorFlow, two threads"
_SIDES: Final[Mapping[str, Mapping[str, str]]] = {
    _ONE: _PROCESS,
    _TWO: _PROCESS | {"BATCHPROOF_DEVICES__COUNT": "2"},
    _IN_PROCESS: {"BATCHPROOF_ENGINE__INTRA_OP_THREADS": "2"},
    _FIRST: {
        "BATCHPROOF_ENGINE__INTRA_OP_THREADS": "2",
        "BATCHPROOF_ENGINE__NAME": "tensorflow",
    },
}


def run(bench: Bench) -> Outcome:
    """Measures tensors and pictures."""
    message = picture_message(640, 480)
    measured = {
        _TENSORS: _measured(bench, "(k) tensors", lite0_bytes()),
        _SMALLER: _measured(bench, "(k) tensors of a smaller model", mobilenet_bytes()),
        _PICTURES: _measured(bench, "(k) pictures", mobilenet_pictures(), message),
    }
    rows: list[tuple[Cell, ...]] = [
        (
            what,
            side,
            (figures := medians(rounds[side]))["requests_per_s"],
            ratio(rounds[side], rounds[_ONE], "requests_per_s"),
            ratio(rounds[side], rounds[_IN_PROCESS], "requests_per_s"),
            ratio(rounds[side], rounds[_FIRST], "requests_per_s"),
            figures["p50_ms"],
        )
        for what, rounds in measured.items()
        for side in _SIDES
    ]
    return Outcome(
        title="Two cores",
        how=f"{_CALLERS} callers, closed loop; the server may use both cores, and the load is on "
        "one of them. Device processes decode the pictures that they execute. Ratios are of rounds "
        "side by side.",
        tables=(Table("Requests/s", _COLUMNS, tuple(rows)),),
        aims=(
            _aim("two devices of one", _TENSORS, measured, _ONE, 1.7),
            _aim("two devices of 0.1.0", _PICTURES, measured, _FIRST, 1.4),
        ),
    )


_COLUMNS: Final = (
    "request",
    "devices",
    "requests/s",
    "of one process",
    "of the thread device",
    "of 0.1.0",
    "p50, ms",
)


def _aim(
    text: str, what: str, measured: dict[str, dict[str, list[Figures]]], base: str, limit: float
) -> Aim:
    rounds = measured[what]
    share = ratio(rounds[_TWO], rounds[base], "requests_per_s")
    return Aim(f"{what}, on two cores: requests/s of {text}", share, limit)


def _measured(
    bench: Bench, label: str, subject: Subject, message: Path | None = None
) -> dict[str, list[Figures]]:
    with together() as stack:
        servers = {
            name: stack.enter_context(served(subject, settings, cores=_BOTH)).grpc
            for name, settings in bench.steps(label, list(_SIDES.items()))
        }
        ask = asking(servers, message or subject.message, _CALLERS, bench.seconds)
        return interleaved(tuple(_SIDES), bench.repeats + 2, ask)
