"""From an artefact to a backend under the eyes of the audit: the order of the proof."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from batchproof_server.backends.artefact import ArtefactKind
from batchproof_server.backends.engine import Engine
from batchproof_server.backends.plug_list import AUTO
from batchproof_server.backends.source import IntermediateSource, Source, typical_rows
from batchproof_server.base.backend import Backend, EngineSettings
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.files import reason_of
from batchproof_server.proof.artefact.converted import Converted
from batchproof_server.proof.certificate.certificate import RepairRecord
from batchproof_server.proof.effects import UNSAFE
from batchproof_server.proof.examination import Examined, ReferenceEngine
from batchproof_server.proof.findings import Finding, failures
from batchproof_server.proof.verdict import is_undecided

# What a file says of modes is judged again, after the repair, in the loaded model.
_MODE_RULES: Final = range(100, 200)


@dataclass(frozen=True, slots=True)
class Opened:
    """An artefact that was opened in inference mode; every engine compiles the same one.

    Attributes:
        name: of the artefact's file or directory.
        source: repaired.
        packages: distributions that opened it.
        findings: of the files and of what remains in the source.
        repairs: what was changed.
    """

    name: str
    source: Source
    packages: tuple[str, ...]
    findings: tuple[Finding, ...]
    repairs: tuple[RepairRecord, ...]


def open_audited(kind: ArtefactKind, artefact: Path, settings: EngineSettings) -> Opened:
    """Audits the files, opens them, repairs and audits the model.

    Nothing of the model is executed, but what loading must: see ``check_safe``.

    Args:
        kind: of the artefact.
        artefact: its file or directory.
        settings: of engines.

    Raises:
        ModelRefused: the artefact is missing, broken, not safe to load, or of a kind that is not
            served; or it cannot be repaired.
    """
    _check_installed(kind, artefact)
    findings = check_safe(kind, artefact)
    source = kind.open(artefact, settings)
    repairs = source.repair()
    return Opened(artefact.name, source, kind.packages, (*findings, *source.audit()), repairs)


def _check_installed(kind: ArtefactKind, artefact: Path) -> None:
    if kind.module and find_spec(kind.module) is None:
        sentence = (
            f"{artefact.name}: {kind.module}, which opens it, is not installed; install it, or "
            "run `batchproof-server certify BUNDLE --sign KEYFILE` where it is and name the public "
            "key in proof.trusted_keys"
        )
        raise ModelRefused("the library that opens the artefact is missing", (sentence,))


def examine(
    opened: Opened,
    engine: Engine,
    buckets_rows: tuple[int, ...],
    settings: EngineSettings,
    *,
    to_prove: bool = True,
) -> Examined:
    """Compiles an opened artefact and audits its graphs.

    Nothing of the model is executed.

    Args:
        opened: an artefact that the engine accepts.
        engine: compiles it.
        buckets_rows: the row counts that may be served.
        settings: of the engine.
        to_prove: compile one row by itself too, which the proof compares the buckets with.

    Raises:
        ModelRefused: the model is not safe to execute, or cannot be compiled.
    """
    source = engine.own(opened.source, buckets_rows)
    compiled = _compile(source, engine, buckets_rows, settings, to_prove=to_prove)
    backend = compiled.backend
    try:
        # What was converted is one graph for all row counts, and those of the library have the same
        # operations for every one.
        audited = compiled.rows if source is opened.source else typical_rows(compiled.rows)
        graphs = opened.source.audit_graphs(audited)
        _refuse_unsafe(opened.name, "execute", [each for each in graphs if each.rule_id in UNSAFE])
        undecided = any(map(is_undecided, graphs))
        thresholds = opened.source.thresholds(audited) if undecided else ()
        converted = None if source is opened.source else _converted(source)
    except BaseException:
        backend.close()
        raise
    return Examined(
        backend,
        findings=(*opened.findings, *graphs),
        repairs=opened.repairs,
        never_alone=compiled.never_alone,
        thresholds=thresholds,
        compiled_rows=compiled.rows,
        packages=engine.packages if converted else (*opened.packages, *engine.packages),
        converted=converted,
    )


def _converted(source: Source) -> Converted | None:
    """What an engine made of the artefact, with its digest; None where it keeps nothing.

    Raises:
        ModelRefused: there is no place to write it for a moment.
    """
    if not isinstance(source, IntermediateSource):
        return None
    try:
        return Converted.of(source.write)
    except OSError as fault:
        sentence = (
            f"converted model: it cannot be written to a temporary directory ({reason_of(fault)}); "
            "give the process one, in TMPDIR, with room for the weights"
        )
        raise ModelRefused("what was converted has no digest", (sentence,)) from fault


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
    _refuse_unsafe(artefact.name, "load", findings)
    program = kind.audit_program(artefact)
    _refuse_unsafe(artefact.name, "load", program)
    return (*findings, *program)


def _refuse_unsafe(name: str, to_what: str, findings: Sequence[Finding]) -> None:
    if unsafe := failures(findings):
        sentences = tuple(finding.sentence for finding in unsafe)
        raise ModelRefused(f"{name} is not safe to {to_what}", sentences)


def engines_for(source: Source, engines: Sequence[Engine], name: str = AUTO) -> tuple[Engine, ...]:
    """The engines that accept the source, in their order; only the named one if it is among them.

    Raises:
        ModelRefused: none does, or the named one is not installed.
    """
    accepting = tuple(engine for engine in engines if engine.accepts(source))
    if not accepting:
        known = ", ".join(engine.name for engine in engines) or "none"
        raise ModelRefused(
            "no engine executes the artefact",
            (f"engine: none accepts this kind of artefact; there are {known}",),
        )
    named = tuple(engine for engine in accepting if engine.name == name)
    for engine in named:
        if not engine.is_installed:
            raise ModelRefused(
                "the engine is not installed",
                (f'engine: "{name}" is not installed here; install {engine.packages[0]}',),
            )
    return named or tuple(engine for engine in accepting if engine.is_installed)


def reference_of(
    opened: Opened,
    engine: Engine,
    engines: Sequence[Engine],
    buckets_rows: tuple[int, ...],
    settings: EngineSettings,
) -> ReferenceEngine | None:
    """What the engine must answer as; None where nothing else executes the source.

    Args:
        opened: an artefact that the engine accepts.
        engine: the one that is to be judged.
        engines: all there are.
        buckets_rows: the row counts that may be served.
        settings: of engines.
    """
    if engine.conversion is None or not engine.converts(opened.source):
        return None
    for other in engines:
        if other.name == engine.conversion.answers_as and other.accepts(opened.source):
            rows = typical_rows(buckets_rows)[0]
            return ReferenceEngine(rows, partial(other.compile, opened.source, (rows,), settings))
    return None
