"""(f) From the start of the process to the first answer, by stage."""

import itertools
import json
import shutil
from datetime import datetime
from typing import Any, Final

from bench import Bench
from measuring import Figures, medians
from processes import Server, served
from results import Outcome, Table
from subjects import KEPT, embedded, mobilenet_bytes, resnet

_MODELS: Final = (embedded, mobilenet_bytes, resnet)
_STAGES: Final = ("port open", "loaded and compiled", "proven or found proven", "measured, ready")


def run(bench: Bench) -> Outcome:
    """Starts each model without a certificate, and with the one that is then kept."""
    rows: list[tuple[str | float, ...]] = []
    for make in bench.steps("(f) model", _MODELS):
        subject = make()
        for kind in ("first start", "certificate kept"):
            rounds: list[Figures] = []
            for _ in range(1 if kind == "first start" else bench.repeats):
                if kind == "first start":
                    shutil.rmtree(KEPT / "certificates", ignore_errors=True)
                with served(subject) as server:
                    rounds.append(_stages_s(server))
            figures = medians(rounds)
            rows.append(
                (subject.label, kind, *(figures[each] for each in _STAGES), sum(figures.values()))
            )
    return Outcome(
        title="Cold start",
        how="Seconds of each stage from the start of the process until SERVING, from the times in "
        "the server's log.",
        tables=(Table("Seconds by stage", ("model", "start", *_STAGES, "sum"), tuple(rows)),),
    )


def _stages_s(server: Server) -> dict[str, float]:
    events = [json.loads(line) for line in server.log.read_text().splitlines() if line[:1] == "{"]
    changes = [each for each in events if each["event"] == "model changed"]
    opened_s = _instant_s(changes[0])
    ready_s = _instant_s(next(each for each in changes if each["state"] == "ready"))
    proofs = [_instant_s(each) for each in events if each["event"] == "proof"]
    compiled_s, proven_s = (min(proofs), max(proofs)) if proofs else (ready_s, ready_s)
    instants = (server.started_s, opened_s, compiled_s, proven_s, ready_s)
    lasted = (later - earlier for earlier, later in itertools.pairwise(instants))
    return dict(zip(_STAGES, lasted, strict=True))


def _instant_s(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["time"]).timestamp()
