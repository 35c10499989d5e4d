"""From an artefact to a backend under the eyes of the audit: the order of the proof."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batchproof_server.backends.artefact import ArtefactKind
from batchproof_server.backends.engine import Engine
from batchproof_server.backends.source import Source
from batchproof_server.base.backend import Backend, EngineSettings
from batchproof_server.base.errors import ModelRefused
from batchproof_server.proof.effects import UNSAFE
from batchproof_server.proof.examination import Examined
from batchproof_server.proof.findings import Finding, failures
from batchproof_server.proof.verdict import is_undecided

# What a file says of modes is judged again, after the repair, in the loaded model.
_MODE_RULES: Final = range(100, 200)


def examine(
    kind: ArtefactKind,
    artefact: Path,
    engines: Sequence[Engine],
    buckets_rows: tuple[int, ...],
    settings: EngineSettings,
    *,
    to_prove: bool = True,
) -> Examined:
    """Audits the files, opens them, repairs and audits the model, compiles it, audits the graphs.

    Nothing of the model is executed, but what loading must: see ``check_safe``.

    Args:
        kind: of the artefact.
        artefact: its file or directory.
        engines: the first that accepts it compiles it.
        buckets_rows: the row counts that may be served.
        settings: of the engine.
        to_prove: compile one row by itself too, which the proof compares the buckets with.

    Raises:
        ModelRefused: the artefact is missing, broken, not safe to load or to execute, or of a kind
            that is not served; or it can be neither repaired nor compiled.
    """
    findings = check_safe(kind, artefact)
    source = kind.open(artefact, settings)
    repairs = source.repair()
    remaining = source.audit()
    engine = engine_for(source, engines)
    compiled = _compile(source, engine, buckets_rows, settings, to_prove=to_prove)
    backend = compiled.backend
    try:
        graphs = source.audit_graphs(compiled.rows)
        _refuse_unsafe(artefact, "execute", [each for each in graphs if each.rule_id in UNSAFE])
        undecided = any(map(is_undecided, graphs))
        thresholds = source.thresholds(compiled.rows) if undecided else ()
    except BaseException:
        backend.close()
        raise
    found = (*findings, *remaining, *graphs)
    return Examined(backend, found, repairs, compiled.never_alone, thresholds)


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A backend, the row counts that it executes, and why one row is not among them."""

    backend: Backend
    rows: tuple[int, ...]
    never_alone: str = ""


def _compile(
    source: Source,
    engine: Engine,
    buckets_rows: tuple[int, ...],
    settings: EngineSettings,
    *,
    to_prove: bool,
) -> _Compiled:
    """Compiles the buckets and, for a proof, one row by itself.

    Raises:
        ModelRefused: the buckets cannot be compiled.
    """
    if 1 in buckets_rows or not to_prove:
        return _Compiled(engine.compile(source, buckets_rows, settings), buckets_rows)
    rows = (1, *buckets_rows)
    try:
        return _Compiled(engine.compile(source, rows, settings), rows)
    except ModelRefused as refused:
        # Where the buckets cannot be compiled either, this says why.
        backend = engine.compile(source, buckets_rows, settings)
        return _Compiled(backend, buckets_rows, "; ".join(refused.findings) or str(refused))


def check_safe(kind: ArtefactKind, artefact: Path) -> tuple[Finding, ...]:
    """Looks at the files before any loader does.

    Returns:
        What is worth knowing of an artefact that is safe to load.

    Raises:
        ModelRefused: it is not safe to load, whatever was allowed.
    """
    findings = tuple(
        each for each in kind.audit(artefact) if int(each.rule_id[2:]) not in _MODE_RULES
    )
    _refuse_unsafe(artefact, "load", findings)
    program = kind.audit_program(artefact)
    _refuse_unsafe(artefact, "load", program)
    return (*findings, *program)


def _refuse_unsafe(artefact: Path, to_what: str, findings: Sequence[Finding]) -> None:
    if unsafe := failures(findings):
        sentences = tuple(finding.sentence for finding in unsafe)
        raise ModelRefused(f"{artefact.name} is not safe to {to_what}", sentences)


def engine_for(source: Source, engines: Sequence[Engine]) -> Engine:
    """The first engine that accepts the source.

    Raises:
        ModelRefused: none does.
    """
    for engine in engines:
        if engine.accepts(source):
            return engine
    known = ", ".join(engine.name for engine in engines) or "none"
    raise ModelRefused(
        "no engine executes the artefact",
        (f"engine: none accepts this kind of artefact; there are {known}",),
    )
