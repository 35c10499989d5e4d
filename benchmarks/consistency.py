"""(c) One answer for one picture, against the fastest bucket for each; (d) being watched."""

from collections.abc import Mapping
from typing import Final

from bench import Bench, together
from measuring import interleaved, medians, ratio
from processes import asking, served
from results import Aim, Cell, Outcome, Table
from subjects import Subject, embedded, mobilenet_bytes

_CONCURRENCY: Final = (1, 16)
_LIMIT: Final = 0.95
_NO_CHECK: Final = {"BATCHPROOF_SELF_CHECK__SHARE": "0"}
_TOLERANT: Final = {"BATCHPROOF_PROOF__CONSISTENCY": "tolerant"}
_NO_DRIFT: Final = {"BATCHPROOF_DRIFT__ENABLED": "false"}


def run_strict(bench: Bench) -> Outcome:
    """Strict against tolerant."""
    sides = {"tolerant": _TOLERANT, "strict": {}}
    rows, _ = _compared(bench, "(c)", (mobilenet_bytes(),), sides)
    return Outcome(
        title="Strict, against tolerant",
        how="Strict serves only buckets whose answers agree bit for bit, so that a lone picture "
        "is padded; tolerant serves every bucket. Ratios are to tolerant, of rounds side by side.",
        tables=(Table("MobileNetV2", _COLUMNS, rows),),
    )


def run_watched(bench: Bench) -> Outcome:
    """Self-check and drift on against off; all of it together against nothing."""
    sides: dict[str, Mapping[str, str]] = {
        "nothing": _TOLERANT | _NO_CHECK | drift_switched_off(),
        "self-check 1 in 1,000": _TOLERANT | drift_switched_off(),
    }
    if drift_switched_off():
        sides["drift"] = _TOLERANT | _NO_CHECK
    sides["all, and strict"] = {}
    rows, shares = _compared(bench, "(d)", (mobilenet_bytes(), embedded()), sides)
    aims = tuple(
        Aim(f"{label} at concurrency 16: of the requests/s with nothing on", share, _LIMIT)
        for (label, concurrency, side), share in shares.items()
        if concurrency == _CONCURRENCY[-1] and side == "all, and strict"
    )
    return Outcome(
        title="Being watched",
        how="The same server with nothing on (tolerant, no self-check, no drift), with each, and "
        "with everything as it is by default. Ratios are to nothing, of rounds side by side.",
        tables=(Table("Requests/s and latency", _COLUMNS, rows),),
        aims=aims,
    )


_COLUMNS: Final = ("model", "concurrency", "server", "requests/s", "ratio", "p50, ms", "ratio")


def drift_switched_off() -> dict[str, str]:
    """The setting that does it; nothing where the server cannot watch drift."""
    from batchproof_server.application.config import Config  # noqa: PLC0415 - only here

    return _NO_DRIFT if hasattr(Config(), "drift") else {}


def _compared(
    bench: Bench,
    letter: str,
    subjects: tuple[Subject, ...],
    sides: Mapping[str, Mapping[str, str]],
) -> tuple[tuple[tuple[Cell, ...], ...], dict[tuple[str, int, str], float]]:
    rows: list[tuple[Cell, ...]] = []
    shares: dict[tuple[str, int, str], float] = {}
    base = next(iter(sides))
    for subject in bench.steps(f"{letter} model", subjects):
        with together() as stack:
            servers = {
                name: stack.enter_context(served(subject, settings)).grpc
                for name, settings in sides.items()
            }
            for concurrency in _CONCURRENCY:
                ask = asking(servers, subject.message, concurrency, bench.seconds)
                rounds = interleaved(tuple(sides), bench.repeats + 2, ask)
                for side in sides:
                    figures = medians(rounds[side])
                    share = ratio(rounds[side], rounds[base], "requests_per_s")
                    slower = ratio(rounds[side], rounds[base], "p50_ms")
                    shares[subject.label, concurrency, side] = share
                    rows.append(
                        (
                            subject.label,
                            concurrency,
                            side,
                            figures["requests_per_s"],
                            share,
                            figures["p50_ms"],
                            slower,
                        )
                    )
    return tuple(rows), shares
