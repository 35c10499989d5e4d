"""(f) From the start of the process to the first answer, by stage."""

import itertools
import json
import shutil
from datetime import datetime
from typing import Any, Final

from bench import Bench
from measuring import Figures, medians
from processes import Server, served
from results import Aim, Outcome, Table
from subjects import KEPT, embedded, mobilenet_bytes, resnet

_MODELS: Final = (embedded, mobilenet_bytes, resnet)
_KINDS: Final = ("first start", "certificate kept")
_LIMITS_S: Final = dict(zip(_KINDS, (30.0, 5.0), strict=True))
_STAGES: Final = ("port open", "loaded and compiled", "proven or found proven", "measured, ready")


def run(bench: Bench) -> Outcome:
    """Starts each model without a certificate, and with the one that is then kept."""
    rows: list[tuple[str | float, ...]] = []
    aims: list[Aim] = []
    for make in bench.steps("(f) model", _MODELS):
        subject = make()
        for kind in _KINDS:
            rounds: list[Figures] = []
            for _ in range(1 if kind == _KINDS[0] else bench.repeats):
                if kind == _KINDS[0]:
                    shutil.rmtree(KEPT / "certificates", ignore_errors=True)
                with served(subject) as server:
                    rounds.append(_stages_s(server))
            figures = medians(rounds)
            whole_s = sum(figures.values())
            rows.append((subject.label, kind, *(figures[each] for each in _STAGES), whole_s))
            if make is mobilenet_bytes:
                text = f"{subject.label}: seconds to SERVING, {kind}"
                aims.append(Aim(text, whole_s, _LIMITS_S[kind], at_least=False))
    return Outcome(
        title="Cold start",
        how="Seconds of each stage from the start of the process until SERVING, from the times in "
        "the server's log.",
        tables=(Table("Seconds by stage", ("model", "start", *_STAGES, "sum"), tuple(rows)),),
        aims=tuple(aims),
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
